package subjects

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/benchmarks/compare"
	"github.com/triad-kv/triad/control/static"
	"github.com/triad-kv/triad/leaderless"
	"github.com/triad-kv/triad/multileader"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

// TriadQuorum is the leaderless topology behind its port for Redis clients: three
// processes, every key on all three, writes and reads by quorums of two, and a connection
// a client, to each node in turn. Reads are quorum reads.
type TriadQuorum struct{ SegmentBytes int64 }

// Name implements [compare.Subject].
func (TriadQuorum) Name() string { return "triad-quorum" }

// Promise implements [compare.Promiser].
func (TriadQuorum) Promise() string {
	return "flushed on two of three copies; quorum reads find it or what came later; of concurrent writes the later stays"
}

// Run implements [compare.Subject].
func (s TriadQuorum) Run(ctx context.Context, dir string, spawn compare.Spawn, ready func(func() (compare.Client, error))) error {
	return everyNode(ctx, dir, Triad(s), spawn, ready)
}

// Child implements [compare.Subject]: a node with its port.
func (TriadQuorum) Child(ctx context.Context, args []string, up func(string)) error {
	return childOf(ctx, args, up, func(c *triad.Config) {
		c.Leader = leaderID // who defines tables first
		c.Topology = leaderless.New(leaderless.Options{Replicas: nodesHere, Write: quorum.AtQuorum, Read: quorum.AtQuorum})
	})
}

// TriadSites is the multi-leader topology behind its port for Redis clients: three sites
// of one node, and a connection a client, to each site in turn.
type TriadSites struct{ SegmentBytes int64 }

// Name implements [compare.Subject].
func (TriadSites) Name() string { return "triad-sites" }

// Promise implements [compare.Promiser].
func (TriadSites) Promise() string {
	return "flushed at its site, a disk of one node, and at the two others later; of concurrent writes the later stays"
}

// Run implements [compare.Subject].
func (s TriadSites) Run(ctx context.Context, dir string, spawn compare.Spawn, ready func(func() (compare.Client, error))) error {
	return everyNode(ctx, dir, Triad(s), spawn, ready)
}

// Child implements [compare.Subject]: a site.
func (TriadSites) Child(ctx context.Context, args []string, up func(string)) error {
	return childOf(ctx, args, up, func(c *triad.Config) {
		o := multileader.Options{}
		for i := range c.Members {
			site := "site-" + nodeID(i)
			c.Members[i].Site = site
			o.Sites = append(o.Sites, multileader.Site{Name: site, Number: uint32(i + 1)})
		}
		c.Site, c.Topology = "site-"+string(c.ID), multileader.New(o)
		c.Control = static.New(static.Options{Leader: c.ID})
	})
}

// everyNode runs three nodes that all take writes, and opens clients at each in turn.
func everyNode(ctx context.Context, dir string, s Triad, spawn compare.Spawn, ready func(func() (compare.Client, error))) error {
	addrs, err := compare.FreeAddrs(nodesHere)
	if err != nil {
		return err
	}
	var ports []string
	for i := range nodesHere {
		port, err := spawn(s.args(i, dir, addrs)...)
		if err != nil {
			return err
		}
		ports = append(ports, port)
	}
	first, cancel := context.WithTimeout(ctx, upTimeout)
	defer cancel()
	for _, port := range ports {
		c, err := newRespClient(first, port)
		if err != nil {
			return err
		}
		err = repeated(first, func() error {
			_, err := c.ask("+", "SET", []byte("first"), nil)
			return err
		})
		if err := errors.Join(err, c.conn.Close()); err != nil {
			return err
		}
	}
	if err := preallocated(first, dir); err != nil {
		return err
	}
	var opened atomic.Uint64
	ready(func() (compare.Client, error) {
		c, err := newRespClient(ctx, ports[int(opened.Add(1))%len(ports)])
		if err != nil {
			return compare.Client{}, err
		}
		return c.client(), nil
	})
	<-ctx.Done()
	return nil
}

// childOf runs a node that set makes of a topology, with its port.
func childOf(ctx context.Context, args []string, up func(string), set func(*triad.Config)) error {
	c, err := configOf(args)
	if err != nil {
		return err
	}
	set(&c)
	node, err := triad.Open(c)
	if err != nil {
		return err
	}
	return serve(ctx, node, args[0], up)
}

// configOf is what args say of a node, but for its topology.
func configOf(args []string) (triad.Config, error) {
	segment, err := segmentOf(args)
	if err != nil {
		return triad.Config{}, err
	}
	c := triad.Config{
		ID: topology.NodeID(args[0]), Cluster: "bench", Dir: args[1],
		Limits: triad.Limits{LogSegmentBytes: segment, LogFirstSegmentBytes: segment},
	}
	for i, addr := range strings.Split(args[2], ",") {
		c.Members = append(c.Members, triad.Member{ID: topology.NodeID(nodeID(i)), Addr: addr})
	}
	return c, nil
}
