package singleleader

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

const methodRead = "group.index"

// Read implements topology.Engine.
func (e *engine) Read(ctx context.Context, table record.TableID, key []byte, o topology.ReadOptions) (topology.Reading, error) {
	r, err := e.ready(ctx, o)
	if err != nil {
		return topology.Reading{}, e.readError("get", key, err)
	}
	if o.Whole {
		err = e.wholeKey(table, key, &r)
	} else {
		err = e.oneCell(record.Cell{Table: table, Key: key, Field: o.Field}, &r)
	}
	if err == nil && len(r.Cells) == 0 {
		err = topology.ErrNotFound
	}
	if err != nil {
		return topology.Reading{}, e.readError("get", key, err)
	}
	return r, nil
}

func (e *engine) readError(op string, key []byte, err error) error {
	var t *topology.Error
	if errors.As(err, &t) {
		return err
	}
	if errors.Is(err, topology.ErrNotLeader) {
		t = e.notLeader(op, topology.NotApplied)
		t.Err = err
	} else {
		t = e.errorOf(op, nil, topology.NotApplied, err)
	}
	t.Key = append([]byte(nil), key...)
	return t
}

// ready waits until this node's store may be read for what o asks, and returns
// what the answer then promises.
func (e *engine) ready(ctx context.Context, o topology.ReadOptions) (topology.Reading, error) {
	r := topology.Reading{Served: e.env.Self, Guarantee: o.Guarantee}
	if err := ctx.Err(); err != nil {
		return r, fmt.Errorf("%w: %w", topology.ErrTimeout, err)
	}
	if err := e.broken(); err != nil {
		return r, err
	}
	var err error
	switch o.Guarantee {
	case topology.ReadDefault, topology.ReadLinearizable:
		r.Guarantee = topology.ReadLinearizable
		err = e.linearizable(ctx)
	case topology.ReadSession:
		r.Stale = -1
		err = e.Wait(ctx, o.After)
	case topology.ReadBounded:
		r.Stale, err = e.bounded(o)
	case topology.ReadAny:
		r.Stale, _ = e.staleness()
	default:
		err = fmt.Errorf("%w: guarantee %d", topology.ErrUnsupported, o.Guarantee)
	}
	applied := e.applier.applied()
	term, _ := e.env.Log.History().TermAt(applied)
	r.Token = topology.Token{Origin: e.group.Load().Origin, Term: term, LSN: applied}
	return r, err
}

// linearizable returns once the store shows everything that was acknowledged
// before the call: the leader confirms by a round that it still leads (S7), a
// follower asks the leader for the place to wait for.
func (e *engine) linearizable(ctx context.Context) error {
	lsn, err := e.index(ctx)
	if errors.Is(err, topology.ErrNotLeader) {
		lsn, err = e.askIndex(ctx)
	}
	if err != nil {
		return err
	}
	return e.applier.wait(ctx, lsn)
}

// index is what a linearizable read at the leader must see, confirmed.
func (e *engine) index(ctx context.Context) (record.LSN, error) {
	var r *index
	e.turn.call(func() {
		if e.core.role != leader {
			return
		}
		var effects []effect
		r, effects = e.joinRound()
		e.perform(&ask{}, effects)
	})
	if r == nil {
		return 0, topology.ErrNotLeader
	}
	select {
	case <-r.done:
		return r.lsn, r.err
	case <-e.failed:
		return 0, e.broken()
	case <-ctx.Done():
		return 0, fmt.Errorf("%w: too few members confirmed that this node leads: %w", topology.ErrTimeout, ctx.Err())
	}
}

// askIndex asks the leader.
func (e *engine) askIndex(ctx context.Context) (record.LSN, error) {
	g := e.group.Load()
	if g.Leader == e.env.Self {
		return 0, fmt.Errorf("%w: this node is named leader and has not started its term yet", topology.ErrUnavailable)
	}
	ctx, cancel := context.WithTimeout(ctx, e.o.CallTimeout)
	defer cancel()
	b, err := e.env.Transport.Call(ctx, g.Leader, methodRead, nil)
	if err != nil {
		return 0, fmt.Errorf("the leader %s: %w", g.Leader, err)
	}
	rd := pack.NewReader(b)
	lsn := record.LSN(rd.Uint())
	return lsn, rd.Done()
}

// answerRead answers a follower that was asked for a linearizable read.
func (e *engine) answerRead(ctx context.Context, _ topology.Peer, _ []byte) ([]byte, error) {
	lsn, err := e.index(ctx)
	if err != nil {
		return nil, e.readError("read index", nil, err)
	}
	w := pack.NewWriter(nil)
	w.Uint(uint64(lsn))
	return w.Bytes(), nil
}

// Wait implements topology.Waiter: it returns once the store shows what the
// token has seen, or says that it was rewound (C8).
func (e *engine) Wait(ctx context.Context, t topology.Token) error {
	if t.IsZero() {
		return nil
	}
	if o := e.group.Load().Origin; t.Origin != o {
		return fmt.Errorf("%w: a token of origin %v, this group is %v", topology.ErrMalformed, t.Origin, o)
	}
	if e.rewoundToken(t) {
		return fmt.Errorf("%w: entry %d of term %d", topology.ErrRewound, t.LSN, t.Term)
	}
	if e.applier.applied() < t.LSN {
		if err := e.applier.wait(ctx, t.LSN); err != nil {
			return err
		}
		if e.rewoundToken(t) {
			return fmt.Errorf("%w: entry %d of term %d", topology.ErrRewound, t.LSN, t.Term)
		}
	}
	return nil
}

// rewoundToken reports whether a newer term than the token's took its place in
// what is applied here.
func (e *engine) rewoundToken(t topology.Token) bool {
	applied := e.applier.applied()
	for _, s := range e.env.Log.History() {
		if s.Term > t.Term && s.Start <= t.LSN && s.Start <= applied {
			return true
		}
	}
	return false
}

// staleness bounds how old what this node shows may be, -1 if it can not tell,
// and its distance to the end of the leader's log. On a follower it is measured
// from the arrival of the leader's last word.
func (e *engine) staleness() (time.Duration, topology.Lag) {
	var lag topology.Lag
	var leads bool
	var end record.LSN
	e.turn.call(func() { leads, end = e.core.role == leader, e.core.commit })
	applied := e.applier.applied()
	if leads {
		lag.Records = uint64(end - min(end, applied))
		return 0, lag
	}
	h := &e.sinks.heard
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.when.IsZero() {
		return -1, lag
	}
	own := e.env.Log.Bounds().End
	lag.Records = uint64(h.end - min(h.end, applied))
	lag.Bytes = h.behind + e.env.Log.Offset(own) - e.env.Log.Offset(min(applied, own))
	if applied >= h.end {
		lag.Bytes = 0
		return now.Sub(h.when), lag
	}
	lag.Time = h.lags.behind(applied, now)
	if h.current.IsZero() {
		return -1, lag
	}
	return now.Sub(h.current), lag
}

// bounded holds a read to its bounds.
func (e *engine) bounded(o topology.ReadOptions) (time.Duration, error) {
	stale, lag := e.staleness()
	switch {
	case o.MaxStale > 0 && (stale < 0 || stale > o.MaxStale):
		return stale, fmt.Errorf("%w: this node may be %v behind, at most %v was asked for", topology.ErrStale, stale, o.MaxStale)
	case o.MaxLag > 0 && (stale < 0 || lag.Records > o.MaxLag):
		return stale, fmt.Errorf("%w: this node is %d records behind, at most %d was asked for", topology.ErrStale, lag.Records, o.MaxLag)
	case o.MaxBytes > 0 && (stale < 0 || lag.Bytes > o.MaxBytes):
		return stale, fmt.Errorf("%w: this node is %d bytes behind, at most %d was asked for", topology.ErrStale, lag.Bytes, o.MaxBytes)
	}
	return stale, nil
}

func (e *engine) oneCell(c record.Cell, r *topology.Reading) error {
	b, err := e.env.Store.Get(c)
	if err != nil || b == nil {
		return err
	}
	return appendCell(r, c, b)
}

func (e *engine) wholeKey(table record.TableID, key []byte, r *topology.Reading) error {
	s, err := e.env.Store.Snapshot()
	if err != nil {
		return err
	}
	for ed, serr := range s.Scan(record.Cell{Table: table, Key: key}, afterKey(table, key)) {
		if serr == nil {
			serr = appendCell(r, copyCell(ed.Cell), append([]byte(nil), ed.State...))
		}
		if serr != nil {
			err = serr
			break
		}
	}
	return errors.Join(err, s.Close())
}

// afterKey is the least cell behind all cells of a key.
func afterKey(table record.TableID, key []byte) record.Cell {
	return record.Cell{Table: table, Key: append(append([]byte(nil), key...), 0)}
}

func copyCell(c record.Cell) record.Cell {
	return record.Cell{Table: c.Table, Key: append([]byte(nil), c.Key...), Field: append([]byte(nil), c.Field...)}
}

// appendCell decodes a state, which r then aliases. In a group a cell holds one
// version.
func appendCell(r *topology.Reading, c record.Cell, b []byte) error {
	var s record.State
	if err := record.DecodeState(b, &s); err != nil {
		return fmt.Errorf("%w: %w", topology.ErrMalformed, err)
	}
	for _, v := range s.Siblings {
		if !v.Absent {
			r.Cells = append(r.Cells, topology.CellReading{Key: c.Key, Field: c.Field, Version: v})
		}
	}
	return nil
}

// Scan implements topology.Scanner.
func (e *engine) Scan(ctx context.Context, table record.TableID, from, to []byte, o topology.ReadOptions) iter.Seq2[topology.CellReading, error] {
	return func(yield func(topology.CellReading, error) bool) {
		stopped := false
		err := e.scan(ctx, table, from, to, o, func(c topology.CellReading, err error) bool {
			stopped = !yield(c, err)
			return !stopped
		})
		if err != nil && !stopped {
			yield(topology.CellReading{}, e.readError("scan", from, err))
		}
	}
}

func (e *engine) scan(ctx context.Context, table record.TableID, from, to []byte, o topology.ReadOptions, yield func(topology.CellReading, error) bool) (err error) {
	if _, err := e.ready(ctx, o); err != nil {
		return err
	}
	s, err := e.env.Store.Snapshot()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	end := record.Cell{Table: table, Key: to}
	if len(to) == 0 {
		end = record.Cell{Table: table + 1}
		if table == math.MaxUint32 {
			end = afterKey(table, make([]byte, record.KeyBytesMax))
		}
	}
	for ed, err := range s.Scan(record.Cell{Table: table, Key: from}, end) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		var r topology.Reading
		if err := appendCell(&r, copyCell(ed.Cell), append([]byte(nil), ed.State...)); err != nil {
			return err
		}
		for _, c := range r.Cells {
			if !yield(c, nil) {
				return nil
			}
		}
	}
	return nil
}
