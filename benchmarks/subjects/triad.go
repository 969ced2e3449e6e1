package subjects

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/benchmarks/compare"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/singleleader"
)

const (
	leaderID  = "a"
	nodesHere = 3
)

// segmentBytes is the length of the logs' segments: that of the yardstick's file,
// so that neither makes another while it is measured.
const segmentBytes = 256 << 20

// upTimeout is how long three new nodes may take to answer their first write.
const upTimeout = 30 * time.Second

// Triad is this module's single-leader topology, through its front door: the
// leader in the writers' process, two followers as child processes.
type Triad struct {
	SegmentBytes int64 // of the logs; default segmentBytes
}

// Name implements [compare.Subject].
func (Triad) Name() string { return "triad" }

// Promise implements [compare.Promiser].
func (Triad) Promise() string {
	return "flushed on the leader and on one of two followers; reads are linearizable"
}

// Run implements [compare.Subject].
func (s Triad) Run(ctx context.Context, dir string, spawn compare.Spawn, ready func(func() (compare.Client, error))) (err error) {
	addrs, err := compare.FreeAddrs(nodesHere)
	if err != nil {
		return err
	}
	for i := 1; i < nodesHere; i++ {
		if _, err := spawn(s.args(i, dir, addrs)...); err != nil {
			return err
		}
	}
	node, err := openArgs(s.args(0, dir, addrs))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Close()) }()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return node.Run(ctx) })
	g.Go(func() error {
		first, cancel := context.WithTimeout(ctx, upTimeout)
		defer cancel()
		err := repeated(first, func() error {
			_, err := node.Put(first, triad.DefaultTable, []byte("first"), nil)
			return err
		})
		if err != nil {
			return err
		}
		if err := preallocated(first, dir); err != nil {
			return err
		}
		ready(func() (compare.Client, error) {
			return compare.Client{Put: func(key, value []byte) error {
				_, err := node.Put(ctx, triad.DefaultTable, key, value)
				return err
			}}, nil
		})
		return nil
	})
	return g.Wait()
}

// Child implements [compare.Subject]: a follower.
func (Triad) Child(ctx context.Context, args []string, up func(string)) (err error) {
	node, err := openArgs(args)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Close()) }()
	up(args[0])
	return node.Run(ctx)
}

// args are what makes a child node number i.
func (s Triad) args(i int, dir string, addrs []string) []string {
	segment := s.SegmentBytes
	if segment == 0 {
		segment = segmentBytes
	}
	return []string{nodeID(i), filepath.Join(dir, nodeID(i)), strings.Join(addrs, ","), strconv.FormatInt(segment, 10)}
}

// segmentOf is the last of the args of a node, all of which must be there.
func segmentOf(args []string) (int64, error) {
	if len(args) != 4 {
		return 0, fmt.Errorf("a node needs a name, a directory, the addresses of all and the length of a log's segments, not %q", args)
	}
	return strconv.ParseInt(args[3], 10, 64)
}

// openArgs opens one of three nodes under the policy that all subjects with a leader have:
// ANY 1 of the two followers, answered once flushed.
func openArgs(args []string) (*triad.Node, error) {
	c, err := configOf(args)
	if err != nil {
		return nil, err
	}
	c.Leader, c.Topology = leaderID, singleleader.New(singleleader.Options{Sync: quorum.Any(1)})
	return triad.Open(c)
}

// repeated returns once try succeeds: the first write that three nodes take.
func repeated(ctx context.Context, try func() error) error {
	if err := compare.Repeat(ctx, 20*time.Millisecond, try); err != nil {
		return fmt.Errorf("three nodes did not come up: %w", err)
	}
	return nil
}

// preallocated returns once every node has a zeroed segment in reserve, as a log
// has that has run for a while and uses its segments again; the yardstick zeroes
// its files before it begins, too.
func preallocated(ctx context.Context, dir string) error {
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		spares, err := filepath.Glob(filepath.Join(dir, "*", "log", "*.spare"))
		if err != nil || len(spares) >= nodesHere {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d logs have a segment in reserve: %w", len(spares), nodesHere, ctx.Err())
		case <-poll.C:
		}
	}
}

// nodeID is the name of node number i: a leads.
func nodeID(i int) string { return string(rune(leaderID[0] + byte(i))) }
