package singleleader

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/wal"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// onDisk puts the nodes of a cluster on real directories.
func (c *testCluster) onDisk(dir string) {
	c.wal, c.memTable = wal.Options{}, 0
	for _, n := range c.nodes {
		n.fs, n.dir = vfs.Default, filepath.Join(dir, string(n.id))
	}
}

// BenchmarkCommit is a synchronous commit, Any 1 of two followers, three nodes
// of this process on one disk over loopback: 16 B keys, 128 B values.
func BenchmarkCommit(b *testing.B) {
	for _, writers := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			commit(b, trio(b, vfs.Default), writers)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}

// BenchmarkCommitCost counts what a commit of [BenchmarkCommit] asks of the
// allocator and the kernel, on all three nodes together: fsyncs, and reads and
// writes of files and sockets (Linux).
func BenchmarkCommitCost(b *testing.B) {
	for _, writers := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			var syncs atomic.Int64
			count := errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo {
					syncs.Add(1)
				}
				return nil
			})
			c := trio(b, errorfs.Wrap(vfs.Default, count))
			b.ReportAllocs()
			syncs.Store(0)
			calls := readsAndWrites(b)
			commit(b, c, writers)
			b.ReportMetric(float64(readsAndWrites(b)-calls)/float64(b.N), "reads+writes/op")
			b.ReportMetric(float64(syncs.Load())/float64(b.N), "fsyncs/op")
		})
	}
}

// trio starts three nodes on directories of fs, which a leads.
func trio(b *testing.B, fs vfs.FS) *testCluster {
	c := newCluster(b, Options{Sync: quorum.Any(1, "b", "c")}, "a", "b", "c")
	c.onDisk(b.TempDir())
	for _, n := range c.nodes {
		n.fs = fs
	}
	c.startAll()
	c.leads("a")
	return c
}

// commit makes b.N commits at the leader.
func commit(b *testing.B, c *testCluster, writers int) {
	value := make([]byte, 128)
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range writers {
		wg.Go(func() {
			key := make([]byte, 16)
			m := record.Mutation{Table: record.TableDefault, Key: key, Op: record.OpPut, Kind: record.KindBytes, Value: value}
			batch := record.Batch{Mutations: []record.Mutation{m}}
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				binary.BigEndian.PutUint64(key, uint64(i%100000))
				_, err := c.nodes["a"].Write(context.Background(), batch, topology.WriteOptions{})
				require.NoError(b, err)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
}

// readsAndWrites is how often this process has called the kernel to read or write.
func readsAndWrites(b *testing.B) (calls int64) {
	text, err := os.ReadFile("/proc/self/io")
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	require.NoError(b, err)
	for line := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "sysc"); ok {
			c, err := strconv.ParseInt(n[len("r: "):], 10, 64)
			require.NoError(b, err)
			calls += c
		}
	}
	return calls
}

// BenchmarkCatchUp is a follower that was away while the leader took 1,000,000
// records of 128 B: records a second until it has them durable, and until it
// shows them. Run with -benchtime 1x.
func BenchmarkCatchUp(b *testing.B) {
	const records, writers = 1_000_000, 256
	for range b.N {
		b.StopTimer()
		c := newCluster(b, Options{}, "a", "b")
		c.onDisk(b.TempDir())
		c.start("a")
		c.leads("a")
		value := make([]byte, 128)
		var next atomic.Int64
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for i := next.Add(1); i <= records; i = next.Add(1) {
					_, err := c.nodes["a"].Write(context.Background(), record.Batch{Mutations: []record.Mutation{{
						Table: record.TableDefault, Key: fmt.Appendf(nil, "k%015d", i%100000), Op: record.OpPut, Kind: record.KindBytes, Value: value,
					}}}, topology.WriteOptions{})
					require.NoError(b, err)
				}
			})
		}
		wg.Wait()
		c.applied(records+1, "a")
		end := c.nodes["a"].Status().End
		b.StartTimer()
		from := time.Now()
		c.start("b")
		await := func(done func(topology.Status) bool) time.Duration {
			for !done(c.nodes["b"].Status()) {
				time.Sleep(time.Millisecond)
			}
			return time.Since(from)
		}
		flushed := await(func(s topology.Status) bool { return s.Flushed >= end })
		applied := await(func(s topology.Status) bool { return s.Applied >= end })
		b.StopTimer()
		b.ReportMetric(records/flushed.Seconds(), "durable/s")
		b.ReportMetric(records/applied.Seconds(), "applied/s")
	}
}
