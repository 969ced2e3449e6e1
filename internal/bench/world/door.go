package world

import (
	"context"
	"errors"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/internal/bench/scenario"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Door is what clients ask a subject through: a call of a node in this process, the
// remote client, or a connection for Redis clients. Its errors are those of a topology.
type Door interface {
	// Read returns what a key holds; one that holds nothing is no error.
	Read(ctx context.Context, at Cell, w Want) (Held, error)
	// Scan looks at no more than so many keys of a table, from one on.
	Scan(ctx context.Context, from Cell, most int, w Want) error
	// Write does changes: in one write, if there are several and the subject can.
	Write(ctx context.Context, cs ...Change) (topology.Receipt, error)
	// Update does to keys what decide makes of what they hold: in one write with nothing
	// between where the subject and the way to it can, else as carefully as a client can.
	Update(ctx context.Context, at []Cell, decide Decide) (topology.Receipt, error)
}

// Cell is one key of a table, which holds values of a kind.
type Cell struct {
	Table string
	Kind  record.Kind // bytes, counter or set
	Key   []byte
}

// Want is what a read asks for. Without a level it is what the subject does by itself.
type Want struct {
	Level scenario.Level
	After topology.Token // of a session
}

// options are those of the module for it.
func (w Want) options() []triad.Option {
	switch w.Level {
	case scenario.LevelAny:
		return []triad.Option{triad.Any()}
	case scenario.LevelSession:
		return []triad.Option{triad.After(w.After)}
	case scenario.LevelLinearizable:
		return []triad.Option{triad.Linearizable()}
	}
	return nil
}

// Held is what a key holds: values, of which there are several where the table keeps
// siblings, or the number of a counter, or the members of a set.
type Held struct {
	Values [][]byte
	Number int64
	Words  []string
	Token  topology.Token // what was seen; zero where the way to the node does not say it
	Dot    version.Dot    // of the value, likewise
	Time   version.Timestamp

	context topology.Context
}

// seen is the context of a write that takes the place of what was read.
func (h Held) seen() topology.Context {
	if h.context.IsZero() {
		return triad.NothingSeen()
	}
	return h.context
}

// Change is what becomes of a key: of bytes a value, of a counter a sum that is added, of
// a set a member that is put in or taken out.
type Change struct {
	Cell
	Value []byte
	By    int64
	Word  string
	Out   bool
}

// Decide makes changes of what keys hold. It may be asked more than once.
type Decide func(was []Held) ([]Change, error)

// none takes it for no error that a key holds nothing.
func none(err error) error {
	if errors.Is(err, topology.ErrNotFound) {
		return nil
	}
	return err
}

// refuse is the error of what a client decided not to do.
func refuse(op string, err error) error {
	return &topology.Error{Op: op, Outcome: topology.NotApplied, Err: err}
}

// partly is the error of changes of which some were done: nobody knows what came of the
// whole.
func partly(done int, err error) error {
	if done == 0 || err == nil {
		return err
	}
	return &topology.Error{Op: "update", Outcome: topology.Unknown, Err: err}
}

// oneByOne does changes in a write each.
func oneByOne(cs []Change, do func(c Change) (topology.Receipt, error)) (last topology.Receipt, err error) {
	var seen topology.Token
	for i, c := range cs {
		if last, err = do(c); err != nil {
			return last, partly(i, err)
		}
		seen = seen.Join(last.Token)
	}
	last.Token = seen
	return last, nil
}

// readAndWrite is an update with nothing that keeps others from coming between.
func readAndWrite(ctx context.Context, d Door, at []Cell, w Want, decide Decide, do func(i int, c Change, was Held) (topology.Receipt, error)) (topology.Receipt, error) {
	was := make([]Held, len(at))
	for i, c := range at {
		var err error
		if was[i], err = d.Read(ctx, c, w); err != nil {
			return topology.Receipt{}, refuse("update", err)
		}
	}
	cs, err := decide(was)
	if err != nil {
		return topology.Receipt{}, refuse("update", err)
	}
	i := -1
	return oneByOne(cs, func(c Change) (topology.Receipt, error) {
		i++
		return do(i, c, was[i])
	})
}
