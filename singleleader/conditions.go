package singleleader

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// How far the store may be behind the log for what is to be judged over both:
// its caller waits for the store to come closer.
const (
	unappliedMax      = 4096 // entries
	unappliedBytesMax = 64 << 20
)

// errAgain says that what a write has seen of the store is too old to be judged
// over what is recent. It has to look again.
var errAgain = errors.New("look again")

// known is what the store showed of a cell, or of a key's, at applied or later.
type known struct {
	applied record.LSN
	state   []byte
	cells   []topology.CellReading
}

// closeEnough waits until the store is not too far behind the log.
func (wr *writer) closeEnough(ctx context.Context) error {
	log, at := wr.e.env.Log, wr.e.applier
	end := log.Bounds().End
	if end > at.applied()+unappliedMax {
		if err := at.wait(ctx, end-unappliedMax); err != nil {
			return err
		}
	}
	for have := at.applied(); have < end && log.Offset(end)-log.Offset(have) > unappliedBytesMax; have = at.applied() {
		if err := at.wait(ctx, have+(end-have+1)/2); err != nil {
			return err
		}
	}
	return nil
}

// read looks at the cells of conditions, off the turn. What was accepted and is
// not applied yet is looked through when the write is taken (S16).
func (wr *writer) read(cs []record.Condition) ([]known, error) {
	ks := make([]known, len(cs))
	for i := range cs {
		ks[i].applied = wr.e.applier.applied()
		b, err := wr.e.env.Store.Get(cs[i].Cell)
		if err != nil {
			return nil, err
		}
		ks[i].state = b
	}
	return ks, nil
}

// judge takes the writes out of the group whose conditions do not hold, and lets
// updates decide, in log order: over what the store showed and everything
// accepted since, earlier writes of this very group included.
func (wr *writer) judge() {
	p := wr.e.pending
	if err := wr.remember(); err != nil {
		p.group = slices.DeleteFunc(p.group, func(w *write) bool {
			judged := w.judged()
			if judged {
				p.answer(w, wr.e.errorOf("write", nil, topology.NotApplied, err))
			}
			return judged
		})
	}
	named := p.named.recall(wr.e)
	if p.recent == nil && !named {
		return
	}
	g, keep := wr.e.group.Load(), p.group[:0]
	for _, w := range p.group {
		if named && p.named.repeats(wr.e, w) {
			continue
		}
		w.receipt.Time = wr.e.env.Clock.Now()
		err := wr.holds(w)
		switch {
		case err != nil:
			p.answer(w, err)
			continue
		case w.looked:
			p.looks = append(p.looks, w)
			continue
		}
		keep = append(keep, w)
		lsn := wr.e.core.End + record.LSN(len(keep))
		if p.recent != nil {
			p.recent.Add(lsn, &record.Record{Dot: g.Dot(lsn), Time: w.receipt.Time, Mutations: w.batch.Mutations})
		}
		if named {
			p.named.accepts(wr.e, w, lsn)
		}
	}
	p.group = keep
}

// judged reports whether a write depends on the present state.
func (w *write) judged() bool { return w.update != nil || len(w.known) > 0 }

// remember sees to it that what is recent is known, if this group needs it, and
// else that it goes when nobody has needed it for long or it is large.
func (wr *writer) remember() error {
	p, end, applied := wr.e.pending, wr.e.core.End, wr.e.applier.applied()
	needed, from := false, applied
	for _, w := range p.group {
		needed = needed || w.judged()
		for i := range w.known {
			from = min(from, w.known[i].applied)
		}
	}
	if r := p.recent; r != nil {
		r.Forget(applied)
		if !needed && r.Idle(end) {
			p.recent = nil
		}
	} else if needed {
		r := core.NewRecent(core.RecentFloor(from, applied))
		if err := wr.readInto(r); err != nil {
			return err
		}
		p.recent = r
	}
	if needed {
		p.recent.Use(end)
	}
	return nil
}

// readInto adds everything in the log after r's floor.
func (wr *writer) readInto(r *core.Recent) error {
	var rec record.Record
	for ent, err := range wr.e.env.Log.Read(context.Background(), r.Floor+1) {
		if err == nil {
			err = record.Decode(ent.Bytes, &rec)
		}
		if err != nil {
			return fmt.Errorf("what was accepted after entry %d: %w", r.Floor, err)
		}
		r.Add(ent.LSN, &rec)
	}
	return nil
}

// holds evaluates the conditions of w, or lets it decide.
func (wr *writer) holds(w *write) error {
	for i := range w.known {
		if w.known[i].applied < wr.e.pending.recent.Floor {
			return errAgain
		}
	}
	if w.update != nil {
		return wr.decide(w)
	}
	for i := range w.batch.Conditions {
		c := &w.batch.Conditions[i]
		v, err := core.Stored(w.known[i].state)
		if err != nil {
			return wr.e.errorOf("write", &w.batch, topology.NotApplied, err)
		}
		v, seen := wr.e.pending.recent.Cell(c.Cell, w.known[i].applied, v)
		if err := core.Satisfied(c, v); err != nil {
			wr.refuse(w, max(seen, w.known[i].applied), err)
			return nil
		}
	}
	return nil
}

// refuse makes w a look at what its condition does not hold of: its caller hears
// of that once what it saw, up to an entry, is there to stay. A refusal is an
// answer about the present, and what is not committed may never have been.
func (wr *writer) refuse(w *write, seen record.LSN, why error) {
	w.ground = wr.e.errorOf("write", &w.batch, topology.NotApplied, why)
	w.looked, w.idle = true, true
	w.receipt.LSN = seen
}
