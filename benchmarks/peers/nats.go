package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/triad-kv/triad/benchmarks/compare"
)

// jetStream is a key-value bucket of NATS JetStream with three replicas, in a cluster of
// three servers, a process each, which sync every write before they answer (sync_interval:
// always); a connection a client, at each server in turn.
type jetStream struct{}

// Name implements compare.Subject.
func (jetStream) Name() string { return "nats" }

// Promise implements compare.Promiser.
func (jetStream) Promise() string {
	return "flushed on two of three servers (R3, sync_interval: always); reads are answered by any of them and may be stale"
}

const bucket = "bench"

// Run implements compare.Subject.
func (jetStream) Run(ctx context.Context, dir string, spawn compare.Spawn, ready func(func() (compare.Client, error))) error {
	clients, err := compare.FreeAddrs(nodes)
	if err != nil {
		return err
	}
	routes, err := compare.FreeAddrs(nodes)
	if err != nil {
		return err
	}
	for i := range nodes {
		if _, err := spawn(fmt.Sprintf("node%d", i), fmt.Sprintf("%s/%d", dir, i), clients[i], routes[i], strings.Join(routes, ",")); err != nil {
			return err
		}
	}
	first, cancel := context.WithTimeout(ctx, upTimeout)
	defer cancel()
	if err := makeBucket(first, clients[0]); err != nil {
		return fmt.Errorf("three servers did not come up: %w", err)
	}
	opened := 0
	ready(func() (compare.Client, error) {
		kv, err := openBucket(ctx, clients[opened%nodes])
		opened++
		if err != nil {
			return compare.Client{}, err
		}
		return compare.Client{
			Put: func(key, value []byte) error {
				_, err := kv.Put(ctx, string(key), value)
				return err
			},
			Get: func(key []byte) error {
				_, err := kv.Get(ctx, string(key))
				return err
			},
		}, nil
	})
	<-ctx.Done()
	return nil
}

func openJetStream(addr string) (jetstream.JetStream, error) {
	c, err := nats.Connect("nats://" + addr)
	if err != nil {
		return nil, err
	}
	return jetstream.New(c)
}

// tryTimeout bounds one try to make the bucket: before the servers have a leader nobody
// answers.
const tryTimeout = 2 * time.Second

// makeBucket makes it once the servers have found one another.
func makeBucket(ctx context.Context, addr string) error {
	js, err := openJetStream(addr)
	if err != nil {
		return err
	}
	defer js.Conn().Close()
	return compare.Repeat(ctx, 100*time.Millisecond, func() error {
		try, cancel := context.WithTimeout(ctx, tryTimeout)
		defer cancel()
		_, err := js.CreateOrUpdateKeyValue(try, jetstream.KeyValueConfig{Bucket: bucket, Replicas: nodes})
		return err
	})
}

func openBucket(ctx context.Context, addr string) (jetstream.KeyValue, error) {
	js, err := openJetStream(addr)
	if err != nil {
		return nil, err
	}
	return js.KeyValue(ctx, bucket)
}

// Child implements compare.Subject: a server.
func (jetStream) Child(ctx context.Context, args []string, up func(string)) error {
	if len(args) != 5 {
		return fmt.Errorf("a server needs a name, a directory, its two addresses and those of all, not %q", args)
	}
	o := &server.Options{
		ServerName: args[0], StoreDir: args[1], JetStream: true, SyncAlways: true, NoLog: true, NoSigs: true,
		Cluster: server.ClusterOpts{Name: bucket},
	}
	var err error
	if o.Host, o.Port, err = hostPort(args[2]); err != nil {
		return err
	}
	if o.Cluster.Host, o.Cluster.Port, err = hostPort(args[3]); err != nil {
		return err
	}
	for _, r := range strings.Split(args[4], ",") {
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats-route", Host: r})
	}
	s, err := server.NewServer(o)
	if err != nil {
		return err
	}
	s.Start()
	defer s.WaitForShutdown()
	defer s.Shutdown()
	if !s.ReadyForConnections(upTimeout) {
		return fmt.Errorf("%s did not listen within %v", args[0], upTimeout)
	}
	up(args[0])
	<-ctx.Done()
	return nil
}

func hostPort(addr string) (string, int, error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	port, err := strconv.Atoi(text)
	return host, port, err
}
