//go:build linux

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// cluster is three nodes with what they stand on.
type cluster struct {
	plain  bool   // loopback and directories
	elects bool   // nodes find out who leads
	dir    string // of the run
	binary string // triad
	net    network
	spawn  *spawner
	nodes  []*node
	disks  map[string]*disk
	lacks  map[need]string // what cannot be had here, and why
	undo   []func() error  // in the order in which things were made
}

func newCluster(plain, elects bool) *cluster {
	return &cluster{plain: plain, elects: elects, disks: map[string]*disk{}, lacks: map[need]string{}}
}

// open makes the network, the disks and the nodes, starts these, and waits until
// they are ready.
func (c *cluster) open(ctx context.Context) error {
	c.probe()
	c.spawn = newSpawner()
	c.later(func() error { c.spawn.close(); return nil })
	if err := c.openNetwork(ctx); err != nil {
		return err
	}
	for _, id := range ids {
		if err := c.openDisk(ctx, id); err != nil {
			return err
		}
		n := &node{
			id: id, dir: c.disks[id].dir(), file: filepath.Join(c.dir, id+".yaml"), logs: filepath.Join(c.dir, id+".log"),
			binary: c.binary, net: c.net, spawn: c.spawn, elects: c.elects,
		}
		if err := n.configure(); err != nil {
			return err
		}
		c.nodes = append(c.nodes, n)
		c.later(n.kill)
	}
	for _, n := range c.nodes {
		if err := n.start(); err != nil {
			return err
		}
	}
	for _, n := range c.nodes {
		if err := until(ctx, startWait, "node "+n.id+" is ready", func(ctx context.Context) (bool, error) { return n.ready(ctx), n.fell() }); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) openNetwork(ctx context.Context) error {
	if c.lacks[needSpaces] == "" {
		n, err := newSpaces(ctx)
		if err == nil {
			c.net = n
			c.later(n.close)
			return nil
		}
		c.lacks[needSpaces] = err.Error()
	}
	n, err := newLoopback()
	if err != nil {
		return err
	}
	c.net = n
	c.later(n.close)
	return nil
}

func (c *cluster) openDisk(ctx context.Context, id string) error {
	if c.lacks[needImage] == "" {
		d, err := newImage(ctx, filepath.Join(c.dir, id))
		if err == nil {
			c.disks[id] = d
			c.later(func() error { return d.close(context.Background()) })
			return nil
		}
		c.lacks[needImage] = err.Error()
	}
	d, err := newFolder(filepath.Join(c.dir, id+".dir"))
	c.disks[id] = d
	return err
}

// fell returns why a node has ended by itself, if one has.
func (c *cluster) fell() error {
	var errs []error
	for _, n := range c.nodes {
		errs = append(errs, n.fell())
	}
	return errors.Join(errs...)
}

// states is what every node says of itself, for whoever looks at a failure.
func (c *cluster) states(ctx context.Context) error {
	var b strings.Builder
	for _, n := range c.nodes {
		s, err := n.status(ctx)
		if err != nil {
			fmt.Fprintf(&b, "\n    %s: %v", n.id, err)
			continue
		}
		fmt.Fprintf(&b, "\n    %s: %s in term %d, leader %s, log %d to %d, flushed %d, commit %d, applied %d %s %v",
			n.id, s.Role, s.Term, s.Leader, s.Log.First, s.Log.End, s.Log.Flushed, s.Log.Commit, s.Log.Applied, s.Failure, s.Warnings)
		for _, p := range s.Peers {
			fmt.Fprintf(&b, "\n        %s: %s %s, flushed %d", p.Node, p.State, p.Problem, p.Flushed)
		}
	}
	return errors.New("what the nodes say:" + b.String())
}

func (c *cluster) node(id string) *node { return c.nodes[place(id)] }

// later notes how to undo something.
func (c *cluster) later(f func() error) { c.undo = append(c.undo, f) }

// close undoes everything, the newest first: processes end before their disks go.
func (c *cluster) close() error {
	var errs []error
	for _, f := range slices.Backward(c.undo) {
		errs = append(errs, f())
	}
	c.undo = nil
	return errors.Join(errs...)
}
