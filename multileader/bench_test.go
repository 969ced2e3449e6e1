package multileader

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// BenchmarkWrite is a site's write with so many writers, alone and beside two linked
// sites, on file systems in memory: what the site costs, and not the disk.
func BenchmarkWrite(b *testing.B) {
	for _, writers := range []int{1, 64} {
		for _, sites := range [][]string{{"us"}, {"us", "eu", "ap"}} {
			b.Run(fmt.Sprintf("writers=%d/sites=%d", writers, len(sites)), func(b *testing.B) {
				c := newCluster(b, Options{}, 1, sites...)
				c.startAll()
				n := c.nodes["us1"]
				var wait sync.WaitGroup
				b.ResetTimer()
				for w := range writers {
					wait.Go(func() {
						for i := w; i < b.N; i += writers {
							if _, err := n.put(fmt.Sprint("k", i%10000), "0123456789abcdef"); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wait.Wait()
			})
		}
	}
}

// BenchmarkCatchUp is how fast a site that was away gets records.
func BenchmarkCatchUp(b *testing.B) {
	c := newCluster(b, Options{}, 1, "us", "eu")
	c.opts.TickEvery = 50 * time.Millisecond
	c.startAll()
	c.nodes["eu1"].stop()
	us := c.nodes["us1"]
	var wait sync.WaitGroup
	for w := range 256 {
		wait.Go(func() {
			for i := w; i < b.N; i += 256 {
				_, err := us.put(fmt.Sprint("k", i%100000), "0123456789abcdef0123456789abcdef")
				require.NoError(b, err)
			}
		})
	}
	wait.Wait()
	_, v := us.machine.seen.place()
	b.ResetTimer()
	c.nodes["eu1"].start()
	require.NoError(b, c.nodes["eu1"].Wait(context.Background(), topology.TokenOf(v)))
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkMerge is what one record of another site costs a node that applies it.
func BenchmarkMerge(b *testing.B) {
	c := newCluster(b, Options{}, 1, "us")
	c.startAll()
	us := c.nodes["us1"]
	for i := range 1000 {
		_, err := us.put(fmt.Sprint("k", i), "0123456789abcdef0123456789abcdef")
		require.NoError(b, err)
	}
	end := us.log.Bounds().End
	require.NoError(b, us.group.Wait(context.Background(), end))
	var es []record.Entry
	for e, err := range us.log.Read(context.Background(), 1) {
		require.NoError(b, err)
		es = append(es, e)
	}
	b.ResetTimer()
	var rec record.Record
	for n := 0; n < b.N; {
		m := newMachine(&lens{store: us.store}, nil)
		for i := range es {
			if err := record.Decode(es[i].Bytes, &rec); err != nil {
				b.Fatal(err)
			}
			if _, err := m.Take(es[i], &rec); err != nil {
				b.Fatal(err)
			}
			if n++; i%100 == 99 {
				m.Edits()
				m.Applied()
			}
		}
	}
}
