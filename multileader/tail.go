package multileader

import (
	"context"
	"errors"
	"fmt"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// tail is what the site's log comes to up to its end, as far as it is not applied: what
// decisions of this site are made over. It is kept while somebody needs it, and costs
// the leader a second merge of every record then. The loop owns it.
type tail struct {
	e      *engine
	live   bool
	end    record.LSN // up to where it has come
	vector version.Vector
	tables tables
	over   overlay
	told   version.Vector // by cuts of this site that it has come across
	idle   int            // ticks since it was needed
}

// tailTicks is for how long a tail is kept that nobody needs.
const tailTicks = 100

func newTail(e *engine) *tail { return &tail{e: e, over: newOverlay(e.cells)} }

// use makes the tail reach to the log's end.
func (t *tail) use() error {
	t.idle = 0
	end := t.e.reign.core.End()
	if t.live && t.end == end {
		t.trim()
		return nil
	}
	at, vector := t.e.machine.seen.place()
	t.live, t.end, t.vector = true, at, vector
	t.tables.registry, t.tables.tableSet = t.e.o.Resolvers, t.e.machine.tables.known.Load().clone()
	t.over.clear()
	var r record.Record
	for e, err := range t.e.env.Log.Read(context.Background(), at+1) {
		if err == nil {
			err = record.Decode(e.Bytes, &r)
		}
		if err == nil {
			err = t.add(e.LSN, &r)
		}
		if err != nil {
			t.live = false
			return fmt.Errorf("what was accepted after entry %d: %w", at, err)
		}
	}
	if t.end != end {
		t.live = false
		return fmt.Errorf("the log ends at %d, and %d was placed", t.end, end)
	}
	return nil
}

// trim forgets what is applied, once all is.
func (t *tail) trim() {
	if at, _ := t.e.machine.seen.place(); at >= t.end && !t.over.empty() {
		t.over.clear()
	}
}

// placed hears of what was placed at the log's end.
func (t *tail) placed(e record.Entry) {
	if !t.live || e.LSN != t.end+1 {
		t.live = false
		return
	}
	r, err := e.Record()
	if err == nil {
		err = t.add(e.LSN, &r)
	}
	if err != nil {
		t.live = false // the machine will say what is wrong
	}
}

// add merges the next entry.
func (t *tail) add(lsn record.LSN, r *record.Record) error {
	t.end = lsn
	if r.IsNote() {
		if core.Raises(r) {
			return errSettles
		}
		return nil
	}
	if c := core.CutOf(r); c != nil {
		if r.Origin.ID == t.e.reign.core.Origin.ID {
			t.told = t.told.Join(c.Has)
		}
		t.vector = t.vector.With(r.Origin, r.Seq)
		return nil
	}
	changes, err := core.Apply(r, t.tables.resolver, t.vector, &t.over)
	if errors.Is(err, record.ErrInvalid) {
		changes, err = nil, nil // it changes nothing, as the machine will find
	}
	if err != nil {
		return err
	}
	for i := range changes {
		t.over.set(changes[i].Cell, changes[i].State)
		t.tables.note(changes[i].Cell, &changes[i].State)
	}
	t.vector = t.vector.With(r.Origin, r.Seq)
	return nil
}

// tick lets the tail go that nobody has needed for long.
func (t *tail) tick() {
	if t.idle++; t.idle > tailTicks && t.live {
		t.live = false
		t.over.clear()
	}
}

// seal makes of mutations that a client asked for what the record of dot says, over
// what its cells hold by then.
func (t *tail) seal(ms []record.Mutation, dot version.Dot) error {
	return conflict.SealAll(ms, dot, t.over.Cell)
}
