package singleleader

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/wal"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// onDisk puts the nodes of a cluster on real directories.
func (c *testCluster) onDisk(dir string) {
	c.wal = wal.Options{}
	for _, n := range c.nodes {
		n.fs, n.dir = vfs.Default, filepath.Join(dir, string(n.id))
	}
}

// BenchmarkCommit is a synchronous commit, Any 1 of two followers, three nodes
// of this process on one disk over loopback: 16 B keys, 128 B values.
func BenchmarkCommit(b *testing.B) {
	for _, writers := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			c := newCluster(b, Options{Sync: quorum.Any(1, "b", "c")}, "a", "b", "c")
			c.onDisk(b.TempDir())
			c.startAll()
			c.leads("a")
			value := make([]byte, 128)
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range writers {
				wg.Go(func() {
					key := make([]byte, 16)
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						copy(key, fmt.Sprintf("k%015d", i%100000))
						_, err := c.nodes["a"].Write(context.Background(), record.Batch{Mutations: []record.Mutation{{
							Table: record.TableDefault, Key: key, Op: record.OpPut, Kind: record.KindBytes, Value: value,
						}}}, topology.WriteOptions{})
						require.NoError(b, err)
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}
