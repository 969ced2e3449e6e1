package singleleader

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

var _ topology.Restorer = (*engine)(nil)

// restoring is a node that an operator brings back to a point of the past, or was not
// asked to: then its zero value.
type restoring struct {
	busy atomic.Bool   // it follows nobody meanwhile
	most atomic.Uint64 // its store shows nothing behind that entry, and what is before at once; 0: as ever
}

// Restore implements topology.Restorer.
func (d *desk) Restore(ctx context.Context, to topology.Point, giveUp uint64) (topology.Restoration, error) {
	const op = "restore"
	if d.e.part != nil {
		return topology.Restoration{}, d.order(op, fmt.Errorf("%w: what this site has written other sites have too, and none of them would give it up", topology.ErrUnsupported))
	}
	plan, err := d.plan(ctx, to)
	if err == nil && giveUp > 0 {
		if err = enough(&plan, giveUp); err == nil {
			err = d.restore(ctx, &plan)
		}
	}
	return plan, d.order(op, err)
}

// enough returns why a restore that gives up at most giveUp records is not begun.
func enough(plan *topology.Restoration, giveUp uint64) error {
	if plan.Records <= giveUp {
		return nil
	}
	return fmt.Errorf("%w: to go on behind entry %d gives up %d records, %d to %d, and %d may be: ask for %d or more if that is meant",
		topology.ErrConflict, plan.At, plan.Records, plan.At+1, plan.Last, giveUp, plan.Records)
}

// plan finds the point, and what stands behind it.
func (d *desk) plan(ctx context.Context, to topology.Point) (topology.Restoration, error) {
	p, err := d.find(ctx, to)
	if err != nil {
		return p, err
	}
	at := core.Restorable{Counted: !d.e.readReplica(), Resync: d.e.resync.Load(), Applied: d.e.applier.saw(), At: p.At}
	d.e.turn.call(func() { at.Commit, at.End = d.e.core.Commit, d.e.core.End })
	if err := at.Check(); err != nil {
		return p, err
	}
	if p.Records == 0 {
		return p, fmt.Errorf("%w: the log of this node holds nothing after entry %d: there is nothing to give up; `triad failover` changes the leader", topology.ErrConflict, p.At)
	}
	return p, nil
}

// find returns the entry of a point, and what stands behind it in the own log.
func (d *desk) find(ctx context.Context, to topology.Point) (p topology.Restoration, err error) {
	e := d.e
	applied, b := e.applier.saw(), e.env.Log.Bounds()
	if to.LSN == 0 && to.Time.IsZero() {
		return p, fmt.Errorf("%w: neither an entry nor a time was named to go on from", topology.ErrMalformed)
	}
	p.At, p.Last = to.LSN, b.End
	if to.LSN == 0 {
		p.At = applied
	}
	first := max(min(p.At, applied), b.First)
	var r record.Record
	for ent, err := range e.env.Log.Read(ctx, first) {
		if err == nil {
			err = errors.Join(ctx.Err(), record.Decode(ent.Bytes, &r))
		}
		if err != nil {
			return p, fmt.Errorf("entry %d of this node's log: %w", ent.LSN, err)
		}
		at := r.Time.Time()
		if to.LSN == 0 && !at.After(to.Time) && p.First.IsZero() {
			p.At = max(p.At, ent.LSN)
		}
		switch {
		case to.LSN == 0 && ent.LSN <= applied && at.After(to.Time):
			return p, fmt.Errorf("%w: this node shows entry %d already, which was accepted at %s", topology.ErrConflict, ent.LSN, at.Format(time.RFC3339Nano))
		case ent.LSN <= p.At:
			p.Time = at
		case p.First.IsZero():
			p.First = at
		}
		p.Last, p.Newest = max(p.Last, ent.LSN), at
	}
	p.Records = uint64(p.Last - min(p.At, p.Last))
	return p, nil
}

// restore does it: this node shows the point and nothing after it, cuts its log there,
// and leads a new term that everybody else goes on with.
func (d *desk) restore(ctx context.Context, p *topology.Restoration) (err error) {
	e := d.e
	if !d.restoring.busy.CompareAndSwap(false, true) {
		return fmt.Errorf("%w: another restore is under way here", topology.ErrConflict)
	}
	defer func() {
		d.restoring.most.Store(0)
		d.restoring.busy.Store(false)
		e.applier.want()
		e.applier.nudge()
	}()
	if err := d.halt(ctx, p.At); err != nil {
		return err
	}
	if err := e.applier.wait(ctx, p.At); err != nil {
		return err
	}
	kept, err := d.cut(ctx, p.At)
	if err != nil {
		return err
	}
	p.Records, p.Last = kept, p.At+record.LSN(kept)
	e.log.Warn("this node is brought back to a point of the past", "behind", p.At, "records", kept)
	p.Promotion, err = d.lead(ctx, core.Restored)
	return err
}

// halt has the store go on to the point at once, and no further.
func (d *desk) halt(ctx context.Context, at record.LSN) error {
	if err := d.e.sinks.gate.enter(ctx); err != nil {
		return err
	}
	defer d.e.sinks.gate.leave()
	if shown := d.e.applier.saw(); shown > at {
		return fmt.Errorf("%w: this node shows entry %d by now, and can not go back to %d", topology.ErrConflict, shown, at)
	}
	d.restoring.most.Store(uint64(at))
	d.e.applier.nudge()
	return nil
}

// cut makes the point the end of the own log, once all behind it is kept aside, and
// returns how many records that were. From the event on nothing is taken from a leader.
func (d *desk) cut(ctx context.Context, at record.LSN) (records uint64, err error) {
	e := d.e
	if err := e.sinks.gate.enter(ctx); err != nil {
		return 0, err
	}
	defer e.sinks.gate.leave()
	term, known := e.env.Log.History().TermAt(at)
	if !known {
		return 0, fmt.Errorf("%w: of which term entry %d is this log does not know any more", topology.ErrConflict, at)
	}
	taken := false
	e.turn.call(func() {
		e.perform(&ask{}, step(e, core.Event{Kind: core.EvRestored, LSN: at, Term: term}))
		taken = e.core.End == at
	})
	if !taken {
		return 0, fmt.Errorf("%w: this node leads by now, or shows more", topology.ErrConflict)
	}
	end := e.env.Log.Bounds().End
	why := fmt.Sprintf("an operator had the group go on behind entry %d", at)
	if err := e.export(ctx, at, why); err != nil {
		e.turn.call(func() { e.core.NotCopied(end, e.env.Log.History().Last()) })
		e.turn.post(core.Event{Kind: core.EvFlushed, LSN: e.env.Log.Bounds().Flushed})
		return 0, err
	}
	if err := e.env.Log.Truncate(core.Rewound(e.env.Log.Bounds(), e.env.Log.History(), at)); err != nil {
		e.fail(err)
		return 0, err
	}
	e.applier.target.Store(uint64(at))
	return uint64(end - at), nil
}

// leadTries is how often a restore swaps the document before it tells who asked for it
// that others change it all the time.
const leadTries = 5

// lead makes this node leader whatever others have.
func (d *desk) lead(ctx context.Context, why core.Why) (topology.Promotion, error) {
	e := d.e
	if e.council != nil {
		for tries := 1; ; tries++ { // the old leader may have changed the document since it was read
			p, err := campaign{e.council}.lead(ctx, why)
			if tries == leadTries || ctx.Err() != nil || !errors.Is(err, topology.ErrConflict) || topology.OutcomeOf(err) != topology.NotApplied {
				return p, err
			}
		}
	}
	if err := e.ballot.one.enter(ctx); err != nil {
		return topology.Promotion{}, err
	}
	defer e.ballot.one.leave()
	return e.ballot.promote(ctx, why, "")
}

// late is by how much this node applies late: not at all on its way to a point of the
// past, nor once it was made a voter, as it may have to lead.
func (d *desk) late() time.Duration {
	e := d.e
	if e.o.ApplyDelay == 0 || e.restoring.most.Load() > 0 || e.wasReplica() {
		return 0
	}
	return e.o.ApplyDelay
}
