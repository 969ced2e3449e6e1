package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"
	boltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"

	"github.com/triad-kv/triad/benchmarks/compare"
)

const (
	nodes         = 3
	applyTimeout  = 10 * time.Second
	leaderTimeout = 30 * time.Second
	snapshotsKept = 1
	retriesMax    = 10 // of one write, as leaders change
	connections   = 3  // pooled by a transport for each peer
)

// hraft is hashicorp/raft over raft-boltdb.
type hraft struct{}

// Name implements compare.Subject.
func (hraft) Name() string { return "hraft" }

// Promise implements compare.Promiser.
func (hraft) Promise() string {
	return "flushed on two of three nodes, all in the process of the writers; it reads nothing here"
}

// Child implements compare.Subject: there are no children, all three nodes
// live in the writers' process.
func (hraft) Child(context.Context, []string, func(string)) error {
	return errors.New("hraft has no children")
}

// Run implements compare.Subject.
func (hraft) Run(ctx context.Context, dir string, _ compare.Spawn, ready func(func() (compare.Client, error))) (err error) {
	var all []*node
	defer func() {
		for _, n := range all {
			err = errors.Join(err, n.close())
		}
	}()
	var servers []raft.Server
	for i := range nodes {
		n, err := open(filepath.Join(dir, fmt.Sprintf("node%d", i+1)), fmt.Sprintf("node%d", i+1))
		if err != nil {
			return err
		}
		all = append(all, n)
		servers = append(servers, raft.Server{ID: n.id, Address: n.transport.LocalAddr()})
	}
	for _, n := range all {
		if err := n.start(raft.Configuration{Servers: servers}); err != nil {
			return err
		}
	}
	if _, err := elected(ctx, all); err != nil {
		return err
	}
	ready(func() (compare.Client, error) {
		put, err := writer(ctx, all)
		return compare.Client{Put: put}, err
	})
	<-ctx.Done()
	return nil
}

// node is one of the three.
type node struct {
	id        raft.ServerID
	store     *boltdb.BoltStore
	snapshots raft.SnapshotStore
	transport *raft.NetworkTransport
	raft      *raft.Raft
}

// open makes a node's files and listens.
func open(dir, id string) (*node, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	// With the free list synced, which is the default, every commit after the
	// first compaction of the log writes that whole list again, hundreds of KiB.
	store, err := boltdb.New(boltdb.Options{
		Path: filepath.Join(dir, "raft.db"), BoltOptions: &bbolt.Options{NoFreelistSync: true},
	})
	if err != nil {
		return nil, err
	}
	n := &node{id: raft.ServerID(id), store: store}
	if n.snapshots, err = raft.NewFileSnapshotStore(dir, snapshotsKept, io.Discard); err != nil {
		return nil, errors.Join(err, n.close())
	}
	if n.transport, err = raft.NewTCPTransport("127.0.0.1:0", nil, connections, applyTimeout, io.Discard); err != nil {
		return nil, errors.Join(err, n.close())
	}
	return n, nil
}

// start bootstraps a node with all servers and runs it, by the library's
// default settings.
func (n *node) start(all raft.Configuration) error {
	c := raft.DefaultConfig()
	c.LocalID = n.id
	c.LogOutput = io.Discard
	if err := raft.BootstrapCluster(c, n.store, n.store, n.snapshots, n.transport, all); err != nil {
		return err
	}
	r, err := raft.NewRaft(c, &table{cells: map[string][]byte{}}, n.store, n.store, n.snapshots, n.transport)
	n.raft = r
	return err
}

func (n *node) close() error {
	var errs []error
	if n.raft != nil {
		errs = append(errs, n.raft.Shutdown().Error())
	}
	if n.transport != nil {
		errs = append(errs, n.transport.Close())
	}
	return errors.Join(append(errs, n.store.Close())...)
}

// elected waits for a leader that all followers know.
func elected(ctx context.Context, all []*node) (*raft.Raft, error) {
	ctx, cancel := context.WithTimeout(ctx, leaderTimeout)
	defer cancel()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		for _, n := range all {
			if n.raft.State() == raft.Leader && n.raft.VerifyLeader().Error() == nil {
				return n.raft, nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("no leader was elected: %w", ctx.Err())
		case <-poll.C:
		}
	}
}

// writer returns a way to write that follows the leader: on a machine that is
// busy elsewhere the default time-outs may change it. A put that is sent again
// changes nothing it has not changed already. The log keeps what it is given,
// so no buffer is used twice.
func writer(ctx context.Context, all []*node) (compare.Put, error) {
	leader, err := elected(ctx, all)
	if err != nil {
		return nil, err
	}
	return func(key, value []byte) error {
		command := encode(key, value)
		for range retriesMax {
			err := leader.Apply(command, applyTimeout).Error()
			if !errors.Is(err, raft.ErrNotLeader) && !errors.Is(err, raft.ErrLeadershipLost) {
				return err
			}
			if leader, err = elected(ctx, all); err != nil {
				return err
			}
		}
		return fmt.Errorf("the leader changed %d times during one write", retriesMax)
	}, nil
}
