package server

import (
	"context"
	"iter"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Node is what a server asks of a node; [triad.Cells] is one.
type Node interface {
	// Table returns the table of that name, or topology.ErrNoTable.
	Table(ctx context.Context, name string) (triad.CellTable, error)
	// Update is topology.Updater's.
	Update(ctx context.Context, us []topology.Update, o topology.WriteOptions)
	// Read is topology.Engine's.
	Read(ctx context.Context, table record.TableID, key []byte, o topology.ReadOptions) (topology.Reading, error)
	// Scan is topology.Scanner's.
	Scan(ctx context.Context, table record.TableID, from, to []byte, o topology.ReadOptions) iter.Seq2[topology.CellReading, error]
	Status() topology.Status
}
