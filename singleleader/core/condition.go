package core

import (
	"bytes"
	"fmt"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Dot is the dot of the record at lsn. In a group every entry is a record of
// its one origin, so the sequence is the LSN. A record cut from a log before it
// was committed leaves its dot to another one: until a record is committed, it
// is the pair of dot and term that names it.
func (g *Group) Dot(lsn record.LSN) version.Dot {
	return version.Dot{Origin: g.Origin, Seq: uint64(lsn)}
}

// Mark returns the record that starts the term of g at lsn (S2).
func (g *Group) Mark(lsn record.LSN, now version.Timestamp) record.Record {
	return record.Record{
		Dot: g.Dot(lsn), Time: now, Term: g.Term,
		Mutations: []record.Mutation{
			{Table: record.TableSystem, Op: record.OpMark, Key: []byte(record.MarkTerm), Value: []byte(g.Leader)},
			{Table: record.TableSystem, Op: record.OpMark, Key: []byte(record.MarkCause), Value: []byte(words(g))},
		},
	}
}

// Satisfied is one condition against the version the cell holds, nil for none.
func Satisfied(c *record.Condition, v *record.Version) error {
	switch {
	case c.Absent && v != nil:
		return fmt.Errorf("%w: key %q exists, written by %v", topology.ErrConditionFailed, c.Key, v.Dot)
	case !c.Version.IsZero() && (v == nil || v.Dot != c.Version):
		return fmt.Errorf("%w: key %q holds %s, not %v", topology.ErrConditionFailed, c.Key, written(v), c.Version)
	case c.Equal && (v == nil || !bytes.Equal(v.Value, c.Value)):
		return fmt.Errorf("%w: key %q holds another value", topology.ErrConditionFailed, c.Key)
	}
	return nil
}

func written(v *record.Version) string {
	if v == nil {
		return "nothing"
	}
	return v.Dot.String()
}

// Stored takes a state apart, which in a group holds one version: nil for none.
func Stored(state []byte) (*record.Version, error) {
	if state == nil {
		return nil, nil
	}
	var s record.State
	if err := record.DecodeState(state, &s); err != nil {
		return nil, fmt.Errorf("%w: %w", topology.ErrMalformed, err)
	}
	if n := len(s.Siblings); n > 0 && !s.Siblings[n-1].Absent {
		return &s.Siblings[n-1], nil
	}
	return nil, nil
}
