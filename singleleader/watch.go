package singleleader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"sync"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Limits of what one watch holds of the log at a time. The last entry of a batch
// may go beyond the bytes.
const (
	watchEntriesMax = 256
	watchBytesMax   = 1 << 20
)

var _ topology.Watcher = (*engine)(nil)

// Watch implements topology.Watcher.
func (rd *reader) Watch(ctx context.Context, o topology.WatchOptions) iter.Seq2[topology.Change, error] {
	return func(yield func(topology.Change, error) bool) {
		w := watch{e: rd.e, o: &o, yield: yield}
		err := w.run(ctx)
		if err != nil && !w.stopped {
			yield(topology.Change{}, rd.readError("watch", nil, err))
		}
	}
}

// watch is one pass over what is committed. It belongs to the goroutine of its
// caller, but for its place among the holds.
type watch struct {
	e       *engine
	o       *topology.WatchOptions
	yield   func(topology.Change, error) bool
	stopped bool // the caller has had enough

	at    topology.Token // all up to here was yielded
	hold  *hold
	batch []record.Entry
}

func (w *watch) run(ctx context.Context) error {
	if err := w.o.Check(); err != nil {
		return err
	}
	defer func() { w.e.watched.drop(w.hold) }()
	if err := w.begin(ctx); err != nil || w.stopped {
		return err
	}
	for {
		if err := w.e.applier.follow(ctx, w.at.LSN+1); err != nil {
			return err
		}
		if err := w.read(ctx); err != nil {
			return err
		}
		if err := w.tell(); err != nil || w.stopped {
			return err
		}
	}
}

// begin finds the position to go on from, and yields it unless the caller knows
// it.
func (w *watch) begin(ctx context.Context) error {
	if !w.o.From.IsZero() {
		w.at = w.o.From
		w.hold = w.e.watched.take(w.at.LSN + 1)
		return w.e.Wait(ctx, w.at)
	}
	s, err := w.view(ctx)
	if err != nil {
		return err
	}
	if w.o.State {
		err = w.state(ctx, s)
	}
	if err = errors.Join(err, s.Close()); err != nil || w.stopped {
		return err
	}
	w.give(topology.Change{Kind: topology.ChangePosition, Token: w.at})
	return nil
}

// view opens the store's present state and notes its position, with the term that
// the log gives it: the gate keeps out a snapshot that replaces both.
func (w *watch) view(ctx context.Context) (topology.Snapshot, error) {
	if err := w.e.sinks.gate.enter(ctx); err != nil {
		return nil, err
	}
	defer w.e.sinks.gate.leave()
	// The log is held from what is shown now on, before the view is opened.
	w.hold = w.e.watched.take(w.e.applier.applied() + 1)
	s, err := w.e.env.Store.Snapshot()
	if err != nil {
		return nil, err
	}
	term, _ := w.e.env.Log.History().TermAt(s.Applied())
	w.at = topology.Token{Origin: w.e.group.Load().Origin, Term: term, LSN: s.Applied()}
	return s, nil
}

// state yields what the ranges hold.
func (w *watch) state(ctx context.Context, s topology.Snapshot) error {
	for i, r := range w.o.Ranges {
		from, to := bounds(r)
		for ed, err := range s.Scan(from, to) {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
			if w.within(w.o.Ranges[:i], ed.Table, ed.Key) {
				continue // an earlier range had it
			}
			if err := w.cell(ed); err != nil || w.stopped {
				return err
			}
		}
	}
	return nil
}

// cell yields one cell of the state. In a group a cell holds one version.
func (w *watch) cell(ed topology.Edit) error {
	var st record.State
	if err := record.DecodeState(slices.Clone(ed.State), &st); err != nil {
		return fmt.Errorf("%w: %w", topology.ErrMalformed, err)
	}
	c := ed.Cell.Clone()
	for i := range st.Siblings {
		v := &st.Siblings[i]
		if v.Absent {
			continue
		}
		m := record.Mutation{Table: c.Table, Key: c.Key, Field: c.Field, Op: record.OpPut, Kind: v.Kind, Expires: v.Expires, Value: v.Value}
		w.give(topology.Change{Kind: topology.ChangeState, Dot: v.Dot, Time: v.Time, Mutations: []record.Mutation{m}})
		if w.stopped {
			break
		}
	}
	return nil
}

// bounds are the cells of a range.
func bounds(r topology.PrefixRange) (from, to record.Cell) {
	from = record.Cell{Table: r.Table, Key: r.Prefix}
	for i := len(r.Prefix) - 1; i >= 0; i-- {
		if r.Prefix[i] < math.MaxUint8 {
			end := slices.Clone(r.Prefix[:i+1])
			end[i]++
			return from, record.Cell{Table: r.Table, Key: end}
		}
	}
	if r.Table == math.MaxUint32 {
		return from, record.AfterKey(r.Table, bytes.Repeat([]byte{math.MaxUint8}, record.KeyBytesMax))
	}
	return from, record.Cell{Table: r.Table + 1}
}

// read takes the next entries that are committed and applied here. A snapshot may
// replace the log, and a rewind cut it, while it is read: what was taken counts
// only if the positions still hold afterwards.
func (w *watch) read(ctx context.Context) error {
	clear(w.batch)
	w.batch = w.batch[:0]
	last, size := w.e.applier.applied(), 0
	for ent, err := range w.e.env.Log.Read(ctx, w.at.LSN+1) {
		if err != nil {
			w.batch = w.batch[:0]
			return w.lost(err)
		}
		if ent.LSN > last {
			break
		}
		w.batch = append(w.batch, ent)
		if size += len(ent.Bytes); len(w.batch) == watchEntriesMax || size >= watchBytesMax {
			break
		}
	}
	if n := len(w.batch); n > 0 && w.batch[n-1].LSN > w.e.applier.applied() {
		w.batch = w.batch[:0] // of a log that is gone
	}
	return w.stands()
}

// stands says whether the position is one of this log still.
func (w *watch) stands() error {
	if w.e.rewoundToken(w.at) {
		return fmt.Errorf("%w: entry %d of term %d", topology.ErrRewound, w.at.LSN, w.at.Term)
	}
	return nil
}

// lost says what to make of a log that could not be read on. What comes next is
// never skipped: if the log begins behind it, the watch ends. If it is only what
// was taken that is gone, the watch looks again.
func (w *watch) lost(err error) error {
	if err := w.stands(); err != nil {
		return err
	}
	if first := w.e.env.Log.Bounds().First; w.at.LSN+1 < first {
		return fmt.Errorf("%w: entry %d is next, and the log begins at %d", topology.ErrCompacted, w.at.LSN+1, first)
	}
	if errors.Is(err, topology.ErrRewound) || errors.Is(err, topology.ErrCompacted) {
		return nil
	}
	return err
}

// tell yields what of the batch is in the ranges.
func (w *watch) tell() error {
	passed := false
	for _, ent := range w.batch {
		c, err := w.change(ent)
		if err != nil {
			return err
		}
		w.at.Term, w.at.LSN = ent.Term, ent.LSN
		w.hold.reach(ent.LSN + 1)
		if passed = len(c.Mutations) == 0; passed {
			continue
		}
		c.Token = w.at
		if w.give(c); w.stopped {
			return nil
		}
	}
	if passed && w.o.Progress {
		w.give(topology.Change{Kind: topology.ChangePosition, Token: w.at})
	}
	return nil
}

// change is what of an entry is in the ranges.
func (w *watch) change(ent record.Entry) (topology.Change, error) {
	r, err := ent.Record()
	if err != nil {
		return topology.Change{}, fmt.Errorf("entry %d: %w", ent.LSN, err)
	}
	c := topology.Change{Dot: r.Dot, Time: r.Time}
	for i := range r.Mutations {
		m := &r.Mutations[i]
		if (m.Op == record.OpPut || m.Op == record.OpDelete) && w.within(w.o.Ranges, m.Table, m.Key) {
			c.Mutations = append(c.Mutations, copyMutation(m))
		}
	}
	return c, nil
}

func (w *watch) within(rs []topology.PrefixRange, table record.TableID, key []byte) bool {
	return slices.ContainsFunc(rs, func(r topology.PrefixRange) bool {
		return r.Table == table && bytes.HasPrefix(key, r.Prefix)
	})
}

// copyMutation makes what is yielded its caller's: an entry is a piece of the log.
func copyMutation(m *record.Mutation) record.Mutation {
	c := *m
	c.Key, c.Field, c.Value = bytes.Clone(m.Key), bytes.Clone(m.Field), bytes.Clone(m.Value)
	return c
}

func (w *watch) give(c topology.Change) {
	w.stopped = !w.yield(c, nil)
}

// holds are the positions of the watches that run, which retention leaves in the
// log within the same budget of bytes as for a member.
type holds struct {
	mu  sync.Mutex // a leaf
	all map[*hold]struct{}
}

// hold is what one watch needs next. Its owner alone moves it.
type hold struct {
	of   *holds
	need record.LSN // guarded by of.mu
}

func (h *holds) take(need record.LSN) *hold {
	x := &hold{of: h, need: need}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all == nil {
		h.all = map[*hold]struct{}{}
	}
	h.all[x] = struct{}{}
	return x
}

func (h *holds) drop(x *hold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.all, x)
}

func (x *hold) reach(need record.LSN) {
	x.of.mu.Lock()
	defer x.of.mu.Unlock()
	x.need = need
}

// needs returns the first LSN that a watch within the budget of bytes needs; end+1
// if none needs any.
func (h *holds) needs(log topology.GroupLog, end record.LSN, bytesMax uint64) record.LSN {
	need, at := end+1, log.Offset(end)
	h.mu.Lock()
	defer h.mu.Unlock()
	for x := range h.all {
		if x.need < need && at-log.Offset(x.need-1) <= bytesMax {
			need = x.need
		}
	}
	return need
}
