package singleleader

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Limits of one call of Update.
const (
	updatesMax      = 4096
	updateReadsMax  = 4096     // ranges of all updates together
	updatesBytesMax = 32 << 20 // what all updates together may write
	updateBytes     = 1 << 10  // what an update is taken to write where it does not say
)

// Update implements topology.Updater.
func (wr *writer) Update(ctx context.Context, us []topology.Update, o topology.WriteOptions) {
	err := wr.mayUpdate(ctx, us)
	for again := true; again && err == nil; {
		again, err = wr.attempt(ctx, us, o)
	}
	if err == nil {
		return
	}
	t := wr.e.errorOf("update", nil, topology.NotApplied, err)
	if errors.Is(err, topology.ErrNotLeader) {
		t = wr.e.notLeader("update", topology.NotApplied)
	}
	for i := range us {
		us[i].Err = t
	}
}

func (wr *writer) mayUpdate(ctx context.Context, us []topology.Update) error {
	reads := 0
	for i := range us {
		us[i].Receipt, us[i].Err = topology.Receipt{}, nil
		reads += len(us[i].Reads)
		if err := checkRequest(us[i].Request); err != nil {
			return err
		}
	}
	switch {
	case len(us) > updatesMax:
		return fmt.Errorf("%w: %d updates at once, at most %d", topology.ErrTooLarge, len(us), updatesMax)
	case reads > updateReadsMax:
		return fmt.Errorf("%w: updates that read %d ranges at once, at most %d", topology.ErrTooLarge, reads, updateReadsMax)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", topology.ErrTimeout, err)
	}
	if err := wr.e.broken(); err != nil {
		return err
	}
	return wr.e.starting(ctx)
}

// attempt looks at what the updates read, and posts them to one turn. It reports
// that this took so long that they have to look again; none has then decided. An
// error concerns all of them.
func (wr *writer) attempt(ctx context.Context, us []topology.Update, o topology.WriteOptions) (again bool, err error) {
	if !wr.e.leads.Load() {
		return false, topology.ErrNotLeader
	}
	if err := wr.closeEnough(ctx); err != nil {
		return false, err
	}
	c := &calls{oldest: ^record.LSN(0)}
	ws := make([]*write, len(us))
	total := int64(0)
	for i := range us {
		ws[i] = wr.writeOf(&us[i], c, o)
		ws[i].bytes = min(ws[i].bytes, wr.e.pending.most/int64(len(us)))
		total += ws[i].bytes
	}
	if err := wr.e.pending.reserve(ctx, total); err != nil {
		return false, err
	}
	for _, w := range ws {
		if err := wr.see(w); err != nil {
			wr.e.pending.free(total)
			return false, err
		}
	}
	wr.e.turn.write(ws...)
	for i, w := range ws {
		us[i].Receipt, us[i].Err = wr.answered(ctx, w)
		if us[i].Err == errAgain {
			again = true
		}
	}
	return again, nil
}

// calls is what the updates of one call have in common.
type calls struct {
	oldest record.LSN // the oldest state of the store that one of them has seen
	bytes  int64      // what those that were decided write
}

// writeOf is an update on its way.
func (wr *writer) writeOf(u *topology.Update, c *calls, o topology.WriteOptions) *write {
	w := wr.free.Get().(*write)
	w.update, w.call, w.durability, w.bytes = u, c, o.Durability, int64(max(u.Bytes, updateBytes))
	if w.durability == topology.DurabilityDefault {
		w.durability = wr.e.o.Durability
	}
	return w
}

// see reads what the store has of what an update is to see.
func (wr *writer) see(w *write) error {
	reads := w.update.Reads
	w.known = slices.Grow(w.known, len(reads))[:len(reads)]
	for i := range reads {
		r, k := &reads[i], &w.known[i]
		k.applied = wr.e.applier.applied()
		w.call.oldest = min(w.call.oldest, k.applied)
		var err error
		if r.Whole {
			var all topology.Reading
			err = wr.e.wholeKey(r.Table, r.Key, &all)
			k.cells = all.Cells
		} else {
			k.state, err = wr.e.env.Store.Get(r.Cell)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// answered waits for the fate of one update.
func (wr *writer) answered(ctx context.Context, w *write) (topology.Receipt, error) {
	if err := wr.await(ctx, w, "update"); err != nil {
		return topology.Receipt{}, err
	}
	if w.idle {
		w.receipt.Dot = version.Dot{}
	}
	if w.repeated && w.err == nil && w.update.Repeat != nil {
		if err := w.update.Repeat(w.result); err != nil {
			w.err = wr.e.errorOf("update", nil, topology.Unknown, fmt.Errorf("%w: it happened before, and what it told is of another kind", err))
		}
	}
	return wr.reuse(w)
}

// confirm answers who changes nothing, once what he has seen is as
// durable as he asks for and this node is known to have led then.
func (wr *writer) confirm() {
	p := wr.e.pending
	r, _ := p.join()
	r.looks = append(r.looks, p.looks...)
	p.looks = p.looks[:0]
	for _, w := range r.looks {
		r.seen = max(r.seen, w.receipt.LSN)
		if w.durability == topology.Applied {
			r.shown = r.seen
		}
		w.state.Store(writeAppended)
	}
}

// decide lets an update decide over what it sees, within a turn.
func (wr *writer) decide(w *write) error {
	if w.call.oldest < wr.e.pending.recent.Floor {
		return errAgain
	}
	s := &sight{w: w, recent: wr.e.pending.recent}
	ms, err := w.update.Decide(s)
	if s.err != nil {
		return wr.e.errorOf("update", nil, topology.NotApplied, s.err)
	}
	if err != nil {
		ms, w.ground = nil, wr.e.errorOf("update", nil, topology.NotApplied, err)
	}
	w.idle = len(ms) == 0
	if len(s.expired) > 0 {
		ms = append(s.expired, ms...)
	}
	if len(ms) == 0 {
		w.looked = true
		g := wr.e.group.Load()
		w.receipt.Token = topology.Token{Origin: g.Origin, Term: wr.e.core.Term, LSN: s.seen}
		w.receipt.LSN, w.receipt.Term = s.seen, wr.e.core.Term
		return nil
	}
	w.batch = record.Batch{Mutations: ms, Request: w.update.Request}
	err = wr.check(&w.batch)
	if n := w.batch.Footprint(); err == nil {
		if w.call.bytes+n > updatesBytesMax {
			err = fmt.Errorf("%w: the updates of one call write more than %d bytes", topology.ErrOverloaded, updatesBytesMax)
		} else {
			w.call.bytes += n
		}
	}
	if err == nil && w.update.Result != nil && !w.batch.Request.IsZero() {
		err = w.keepResult()
	}
	if err != nil {
		return wr.e.errorOf("update", &w.batch, topology.NotApplied, err)
	}
	return nil
}

// sight implements topology.Sight. What is due to expire does not show, and goes
// with the update that has come upon it.
type sight struct {
	w       *write
	recent  *core.Recent
	seen    record.LSN // the newest entry that it depends on
	cells   []topology.CellReading
	expired []record.Mutation
	err     error
}

// Cells implements topology.Sight.
func (s *sight) Cells(i int) []topology.CellReading {
	r, k := &s.w.update.Reads[i], &s.w.known[i]
	s.seen = max(s.seen, k.applied)
	if s.due(r.Table, r.Key) {
		return nil
	}
	if r.Whole {
		cells, seen := s.recent.Whole(r.Table, r.Key, k.applied, append([]topology.CellReading(nil), k.cells...))
		s.seen = max(s.seen, seen)
		for j := range cells {
			if len(cells[j].Field) == 0 && s.expires(r.Table, r.Key, &cells[j].Version) {
				return nil
			}
		}
		return cells
	}
	v, err := core.Stored(k.state)
	if err != nil {
		s.err = err
		return nil
	}
	v, seen := s.recent.Cell(r.Cell, k.applied, v)
	s.seen = max(s.seen, seen)
	if v == nil || len(r.Field) == 0 && s.expires(r.Table, r.Key, v) {
		return nil
	}
	s.cells = append(s.cells, topology.CellReading{Key: r.Key, Field: r.Field, Version: *v})
	return s.cells[len(s.cells)-1 : len(s.cells) : len(s.cells)]
}

// expires reports whether the head of a key is due, and notes its removal.
func (s *sight) expires(table record.TableID, key []byte, v *record.Version) bool {
	if v.Expires == 0 || v.Expires > s.w.receipt.Time {
		return false
	}
	s.expired = append(s.expired, record.Mutation{Table: table, Key: key, Op: record.OpDelete, Kind: v.Kind})
	return true
}

func (s *sight) due(table record.TableID, key []byte) bool {
	for i := range s.expired {
		if s.expired[i].Table == table && string(s.expired[i].Key) == string(key) {
			return true
		}
	}
	return false
}
