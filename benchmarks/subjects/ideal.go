// Package subjects holds what the benchmarks compare and can be built from this
// module alone; the peers have a module of their own.
//
// Promises. Every subject is three nodes with three data directories, two of
// them in child processes, and answers a write once the leader and one follower
// of two have flushed it (ANY 1 of two). The writers are in the leader's process.
//
// Invariant: subjects share nothing but the machine.
package subjects

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/triad-kv/triad/benchmarks/compare"
	"github.com/triad-kv/triad/benchmarks/ideal"
)

// Ideal is the yardstick: [ideal.Leader] with two followers as child processes.
type Ideal struct {
	FileBytes int64 // of each log file, a multiple of 1 MiB; default ideal.FileBytesDefault
}

// Name implements [compare.Subject].
func (Ideal) Name() string { return "ideal" }

// Run implements [compare.Subject].
func (s Ideal) Run(ctx context.Context, dir string, spawn compare.Spawn, ready func(func() (compare.Put, error))) error {
	size := s.FileBytes
	if size == 0 {
		size = ideal.FileBytesDefault
	}
	var conns [2]net.Conn
	for i := range conns {
		addr, err := spawn(filepath.Join(dir, fmt.Sprintf("follower%d", i+1)), strconv.FormatInt(size, 10))
		if err != nil {
			return err
		}
		if conns[i], err = net.Dial("tcp", addr); err != nil {
			return err
		}
	}
	file, err := ideal.Create(filepath.Join(dir, "leader"), size)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	leader := ideal.NewLeader(file, conns)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return leader.Run(ctx) })
	ready(func() (compare.Put, error) { return leader.Writer().Put, nil })
	return g.Wait()
}

// Child implements [compare.Subject]: a follower.
func (Ideal) Child(ctx context.Context, args []string, up func(string)) error {
	if len(args) != 2 {
		return fmt.Errorf("a follower needs the path and the size of its file, not %q", args)
	}
	size, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return err
	}
	file, err := ideal.Create(args[0], size)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = ln.Close() })()
	up(ln.Addr().String())
	conn, err := ln.Accept()
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	return ideal.Follow(conn, file)
}
