package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/triad-kv/triad/benchmarks/compare"
)

// etcd is three members of etcd, a process each, by its defaults, and a gRPC client a
// client, at each member in turn, as its documentation advises. Reads are linearizable.
type etcd struct{}

// Name implements compare.Subject.
func (etcd) Name() string { return "etcd" }

// Promise implements compare.Promiser.
func (etcd) Promise() string {
	return "flushed on two of three members; reads are linearizable"
}

const (
	upTimeout   = 60 * time.Second
	dialTimeout = 5 * time.Second
)

// Run implements compare.Subject.
func (etcd) Run(ctx context.Context, dir string, spawn compare.Spawn, ready func(func() (compare.Client, error))) error {
	clients, err := compare.FreeAddrs(nodes)
	if err != nil {
		return err
	}
	peers, err := compare.FreeAddrs(nodes)
	if err != nil {
		return err
	}
	var cluster []string
	for i, addr := range peers {
		cluster = append(cluster, fmt.Sprintf("node%d=http://%s", i, addr))
	}
	for i := range nodes {
		_, err := spawn(fmt.Sprintf("node%d", i), filepath.Join(dir, fmt.Sprintf("node%d", i)), clients[i], peers[i], strings.Join(cluster, ","))
		if err != nil {
			return err
		}
	}
	first, err := newEtcdClient(clients[0])
	if err != nil {
		return err
	}
	up, cancel := context.WithTimeout(ctx, upTimeout)
	defer cancel()
	_, err = first.Put(up, "first", "")
	if err := errors.Join(err, first.Close()); err != nil {
		return fmt.Errorf("three members did not come up: %w", err)
	}
	opened := 0
	ready(func() (compare.Client, error) {
		c, err := newEtcdClient(clients[opened%nodes])
		opened++
		if err != nil {
			return compare.Client{}, err
		}
		return compare.Client{
			Put: func(key, value []byte) error {
				_, err := c.Put(ctx, string(key), string(value))
				return err
			},
			Get: func(key []byte) error {
				a, err := c.Get(ctx, string(key))
				if err == nil && len(a.Kvs) != 1 {
					err = fmt.Errorf("%w: %s", errNotThere, key)
				}
				return err
			},
		}, nil
	})
	<-ctx.Done()
	return nil
}

// errNotThere is what a key that must be there meets.
var errNotThere = errors.New("a key that was put is not there")

func newEtcdClient(addr string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: []string{addr}, DialTimeout: dialTimeout, Logger: zap.NewNop()})
}

// Child implements compare.Subject: a member, once it is told that it is one. It is up as
// soon as it listens: it is ready only together with the others.
func (etcd) Child(ctx context.Context, args []string, up func(string)) error {
	if len(args) != 5 {
		return fmt.Errorf("a member needs a name, a directory, its two addresses and those of all, not %q", args)
	}
	c := embed.NewConfig()
	c.Name, c.Dir, c.InitialCluster = args[0], args[1], args[4]
	client, peer := url.URL{Scheme: "http", Host: args[2]}, url.URL{Scheme: "http", Host: args[3]}
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	e, err := embed.StartEtcd(c)
	if err != nil {
		return err
	}
	defer e.Close()
	up(args[0])
	select {
	case err := <-e.Err():
		return err
	case <-ctx.Done():
		return nil
	}
}
