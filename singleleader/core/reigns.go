package core

import (
	"fmt"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// The history of a group stands in its system table: whoever applies the mark that
// starts a term notes it there, from the record alone, on every node alike, so that
// it goes with snapshots and outlives the log.
//
//	key    "reign/" and the term modulo reignsMax, 4 digits
//	state  the mark's dot, whose number is the LSN, and time; the value is a msgpack
//	       array of four: format 1, term uint, leader str, cause str
//
// A term so replaces the one that was reignsMax before it. That is a prime number:
// the step of a term that is forced, 1024, does not meet the term before it.
const (
	reignPrefix = "reign/"
	reignEnd    = "reign0"
	reignsMax   = 1021
	reignFormat = 1

	causeBytesMax = 256
)

// ReignCells are the bounds of the history in a store.
func ReignCells() (from, to record.Cell) {
	return record.Cell{Table: record.TableSystem, Key: []byte(reignPrefix)}, record.Cell{Table: record.TableSystem, Key: []byte(reignEnd)}
}

// appendReign returns the cell of the term that r starts by its mark, and arena with
// the cell's state behind it.
func appendReign(arena []byte, enc *record.Encoder, r *record.Record, mark *record.Mutation) (record.Cell, []byte) {
	cause := ""
	for i := range r.Mutations {
		if c := &r.Mutations[i]; c.Op == record.OpMark && string(c.Key) == record.MarkCause {
			cause = string(c.Value[:min(len(c.Value), causeBytesMax)])
		}
	}
	w := pack.NewWriter(nil)
	w.Array(4)
	w.Uint(reignFormat)
	w.Uint(r.Term)
	w.Str(string(mark.Value[:min(len(mark.Value), nameBytesMax)]))
	w.Str(cause)
	s := record.State{Siblings: []record.Version{{Dot: r.Dot, Time: r.Time, Kind: record.KindBytes, Value: w.Bytes()}}}
	return record.Cell{Table: record.TableSystem, Key: fmt.Appendf(nil, "%s%04d", reignPrefix, r.Term%reignsMax)}, enc.AppendState(arena, &s)
}

// DecodeReign reads the state of a cell of the history.
func DecodeReign(state []byte) (topology.Reign, error) {
	v, err := Stored(state)
	if err != nil || v == nil {
		return topology.Reign{}, fmt.Errorf("a term of the history: %w: %w", topology.ErrMalformed, err)
	}
	b := pack.NewReader(v.Value)
	b.ArrayOf(4)
	if f := b.Uint(); b.Err() == nil && f != reignFormat {
		return topology.Reign{}, fmt.Errorf("a term of the history has format %d, this version knows %d: %w", f, reignFormat, topology.ErrUnsupported)
	}
	r := topology.Reign{
		Term: b.Uint(), Leader: topology.NodeID(b.StrMax(nameBytesMax)), Cause: b.StrMax(causeBytesMax),
		Time: v.Time.Time(), Start: record.LSN(v.Dot.Seq),
	}
	if err := b.Done(); err != nil {
		return topology.Reign{}, fmt.Errorf("a term of the history: %w: %w", topology.ErrMalformed, err)
	}
	return r, nil
}
