package subjects

import (
	"context"
	"errors"
	"fmt"
	"net"

	"golang.org/x/sync/errgroup"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/benchmarks/compare"
	"github.com/triad-kv/triad/internal/server"
)

// TriadRESP is the single-leader topology behind its port for Redis clients: three
// processes, and a connection to the leader a client. Reads are linearizable, as
// that port's are by default.
type TriadRESP struct{ Triad }

// Name implements [compare.Subject].
func (TriadRESP) Name() string { return "triad-resp" }

// Run implements [compare.Subject].
func (s TriadRESP) Run(ctx context.Context, dir string, spawn compare.Spawn, ready func(func() (compare.Client, error))) error {
	addrs, err := compare.FreeAddrs(nodesHere)
	if err != nil {
		return err
	}
	var leader string
	for i := nodesHere - 1; i >= 0; i-- {
		if leader, err = spawn(s.args(i, dir, addrs)...); err != nil {
			return err
		}
	}
	first, cancel := context.WithTimeout(ctx, upTimeout)
	defer cancel()
	c, err := newRespClient(first, leader)
	if err != nil {
		return err
	}
	err = repeated(first, func() error {
		_, err := c.ask("+", "SET", []byte("first"), nil)
		return err
	})
	if err == nil {
		err = preallocated(first, dir)
	}
	if err != nil {
		return err
	}
	ready(func() (compare.Client, error) {
		c, err := newRespClient(ctx, leader)
		if err != nil {
			return compare.Client{}, err
		}
		return c.client(), nil
	})
	<-ctx.Done()
	return nil
}

// Child implements [compare.Subject]: a node with its port.
func (TriadRESP) Child(ctx context.Context, args []string, up func(string)) error {
	node, err := openArgs(args)
	if err != nil {
		return err
	}
	return serve(ctx, node, args[0], up)
}

// serve runs a node with its port, tells up where that is, and closes the node.
func serve(ctx context.Context, node *triad.Node, name string, up func(string)) (err error) {
	defer func() { err = errors.Join(err, node.Close()) }()
	s, err := server.New(node.Cells(), server.Options{})
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return node.Run(ctx) })
	g.Go(func() error { return s.Serve(ctx, ln) })
	up(ln.Addr().String())
	if err := g.Wait(); err != nil {
		return fmt.Errorf("node %s: %w", name, err)
	}
	return nil
}
