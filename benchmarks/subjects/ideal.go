// Package subjects holds what the benchmarks compare and can be built from this
// module alone; the peers have a module of their own.
//
// Promises. Every subject is three nodes with three data directories, and answers
// a write once the leader and one follower of two have flushed it (ANY 1 of two).
// The followers are child processes. The leader is in the process of the clients,
// or, where they come over the network (a connection each), a child process too.
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

// Promise implements [compare.Promiser].
func (Ideal) Promise() string {
	return "flushed on the leader and on one of two followers; it keeps no table and elects nobody"
}

// Run implements [compare.Subject].
func (s Ideal) Run(ctx context.Context, dir string, spawn compare.Spawn, ready func(func() (compare.Client, error))) error {
	var addrs []string
	for i := range followers {
		addr, err := spawn(s.follower(dir, i)...)
		if err != nil {
			return err
		}
		addrs = append(addrs, addr)
	}
	leader, end, err := lead(filepath.Join(dir, "leader"), s.fileBytes(), addrs)
	if err != nil {
		return err
	}
	defer end()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return leader.Run(ctx) })
	ready(func() (compare.Client, error) { return compare.Client{Put: leader.Writer().Put}, nil })
	return g.Wait()
}

const followers = 2

func (s Ideal) fileBytes() int64 {
	if s.FileBytes == 0 {
		return ideal.FileBytesDefault
	}
	return s.FileBytes
}

// follower is what a child is told that is to be follower number i.
func (s Ideal) follower(dir string, i int) []string {
	return []string{filepath.Join(dir, fmt.Sprintf("follower%d", i+1)), strconv.FormatInt(s.fileBytes(), 10)}
}

// lead makes a leader of a file and the followers at addrs. The connections are
// the leader's once it runs; end closes the file.
func lead(path string, size int64, addrs []string) (leader *ideal.Leader, end func(), err error) {
	var conns [followers]net.Conn
	for i := range conns {
		if conns[i], err = net.Dial("tcp", addrs[i]); err != nil {
			return nil, nil, err
		}
	}
	file, err := ideal.Create(path, size)
	if err != nil {
		return nil, nil, err
	}
	return ideal.NewLeader(file, conns), func() { _ = file.Close() }, nil
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
