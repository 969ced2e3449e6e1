package triad

import (
	"context"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/typed"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// null is an engine that does nothing, so that what is measured is this package.
type null struct{ *fake }

var nullCells = []topology.CellReading{{Version: record.Version{Kind: record.KindBytes, Value: value}}}

func (null) Write(context.Context, record.Batch, topology.WriteOptions) (topology.Receipt, error) {
	return topology.Receipt{}, nil
}

func (null) Read(context.Context, record.TableID, []byte, topology.ReadOptions) (topology.Reading, error) {
	return topology.Reading{Cells: nullCells}, nil
}

func benchNode(b *testing.B) *Node {
	build, at := fakes()
	n, err := Open(Config{Dir: "d", FS: vfs.NewMem(), Topology: func(env topology.Env) (topology.Engine, error) {
		_, err := build(env)
		return null{at.Load()}, err
	}})
	require.NoError(b, err)
	done := make(chan error, 1)
	go func() { done <- n.Run(context.Background()) }()
	<-n.gate.open
	b.Cleanup(func() {
		require.NoError(b, n.Close())
		require.NoError(b, <-done)
	})
	b.ReportAllocs()
	return n
}

func BenchmarkPut(b *testing.B) {
	n, ctx := benchNode(b), context.Background()
	for b.Loop() {
		_, _ = n.Put(ctx, DefaultTable, key, value)
	}
}

func BenchmarkPutWithOptions(b *testing.B) {
	n, ctx := benchNode(b), context.Background()
	for b.Loop() {
		_, _ = n.Put(ctx, DefaultTable, key, value, Durability(topology.Flushed), IfAbsent())
	}
}

func BenchmarkGet(b *testing.B) {
	n, ctx := benchNode(b), context.Background()
	for b.Loop() {
		_, _ = n.Get(ctx, DefaultTable, key, Any())
	}
}

func BenchmarkRowPut(b *testing.B) {
	d := definition{Table: users, id: 20}
	row, err := typed.Encode(user{Name: "Alice", Age: 33, Tags: []string{"x"}})
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = d.put(key, row, 0, time.Time{})
	}
}
