package singleleader

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"sync/atomic"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

const methodRead = "group.index"

// reader is the reading side of an engine.
type reader struct {
	e       *engine
	led     atomic.Pointer[confirmation] // the last that a bounded read asked for; nil: none
	watched holds                        // what the watches need of the log
	byLease atomic.Uint64                // reads that took no round
}

// confirmation is a round of reads that was answered: who led when it was asked
// had acknowledged nothing beyond lsn.
type confirmation struct {
	asked time.Time
	lsn   record.LSN
}

// Read implements topology.Engine.
func (rd *reader) Read(ctx context.Context, table record.TableID, key []byte, o topology.ReadOptions) (topology.Reading, error) {
	for {
		swaps := rd.e.applier.swaps.Load()
		r, err := rd.ready(ctx, o)
		shown := true
		switch {
		case err != nil:
		case o.Whole:
			err = rd.wholeKey(table, key, &r)
		default:
			err = rd.oneCell(record.Cell{Table: table, Key: key, Field: o.Field}, &r)
		}
		if err == nil {
			shown, err = rd.unexpired(ctx, table, key, &r, &o)
		}
		r.Token = rd.token()
		if err == nil && !rd.holds(o, swaps) {
			continue
		}
		if err == nil && len(r.Cells) == 0 {
			err = topology.ErrNotFound
		}
		if errors.Is(err, topology.ErrNotFound) {
			return r, rd.readError("get", key, err)
		}
		if err != nil {
			return topology.Reading{}, rd.readError("get", key, err)
		}
		if shown {
			return r, nil
		}
	}
}

func (rd *reader) readError(op string, key []byte, err error) error {
	var t *topology.Error
	if errors.As(err, &t) {
		return err
	}
	if errors.Is(err, topology.ErrNotLeader) {
		t = rd.e.notLeader(op, topology.NotApplied)
		t.Err = err
	} else {
		t = rd.e.errorOf(op, nil, topology.NotApplied, err)
	}
	t.Key = append([]byte(nil), key...)
	return t
}

// ready waits until this node's store may be read for what o asks, and returns
// what the answer then promises.
func (rd *reader) ready(ctx context.Context, o topology.ReadOptions) (topology.Reading, error) {
	r := topology.Reading{Served: rd.e.env.Self, Guarantee: o.Guarantee}
	if err := ctx.Err(); err != nil {
		return r, fmt.Errorf("%w: %w", topology.ErrTimeout, err)
	}
	if err := rd.e.broken(); err != nil {
		return r, err
	}
	var err error
	switch o.Guarantee {
	case topology.ReadDefault, topology.ReadLinearizable, topology.ReadLeased:
		if o.Guarantee == topology.ReadLeased || o.Guarantee == topology.ReadDefault && rd.e.o.LeaseReads {
			r.Guarantee, err = lessee{rd}.show(ctx)
			break
		}
		r.Guarantee = topology.ReadLinearizable
		err = rd.linearizable(ctx)
	case topology.ReadSession:
		r.Stale = -1
		err = rd.Wait(ctx, o.After)
	case topology.ReadBounded:
		r.Stale, err = rd.bounded(ctx, o)
	case topology.ReadAny:
		_, r.Stale, _ = rd.staleness()
	default:
		err = fmt.Errorf("%w: guarantee %d", topology.ErrUnsupported, o.Guarantee)
	}
	return r, err
}

// token covers everything that was read before it is called for.
func (rd *reader) token() topology.Token {
	lsn := rd.e.applier.saw()
	term, _ := rd.e.env.Log.History().TermAt(lsn)
	return topology.Token{Origin: rd.e.group.Load().Origin, Term: term, LSN: lsn}
}

// linearizable returns once the store shows everything that was acknowledged
// before the call: the leader confirms by a round that it still leads (S7), a
// follower asks the leader for the place to wait for.
func (rd *reader) linearizable(ctx context.Context) error {
	if err := rd.e.starting(ctx); err != nil {
		return err
	}
	lsn, err := rd.index(ctx)
	if errors.Is(err, topology.ErrNotLeader) {
		return forwarded{rd}.follow(ctx, topology.ReadLinearizable)
	}
	if err != nil {
		return err
	}
	return rd.e.applier.wait(ctx, lsn)
}

// index is what a linearizable read at the leader must see, confirmed.
func (rd *reader) index(ctx context.Context) (record.LSN, error) {
	r, opened := rd.e.pending.join()
	if opened {
		rd.e.turn.call(rd.e.askReads)
	}
	select {
	case <-r.done:
		return r.lsn, r.err
	case <-rd.e.failed:
		return 0, rd.e.broken()
	case <-ctx.Done():
		return 0, fmt.Errorf("%w: too few members confirmed that this node leads: %w", topology.ErrTimeout, ctx.Err())
	}
}

// staleness bounds how old what this node shows may be, -1 if it can not tell,
// and its distance to the end of the leader's log. On a follower it is measured
// from what the leader last said, on a leader from when that was last confirmed: age
// is how long ago that was, and of one look with the distance.
func (rd *reader) staleness() (age, stale time.Duration, lag topology.Lag) {
	var leads bool
	var end record.LSN
	rd.e.turn.call(func() { leads, end = rd.e.core.Role == core.Leader, rd.e.core.Commit })
	applied := rd.e.applier.applied()
	if leads {
		lag.Records = uint64(end - min(end, applied))
		lag.Bytes = rd.e.env.Log.Offset(end) - rd.e.env.Log.Offset(min(applied, end))
		age = rd.sinceConfirmed(applied)
		return age, age, lag
	}
	h := &rd.e.sinks.heard
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.when.IsZero() {
		return -1, -1, lag
	}
	age = now.Sub(h.when)
	own := rd.e.env.Log.Bounds().End
	lag.Records = uint64(h.end - min(h.end, applied))
	lag.Bytes = h.behind + rd.e.env.Log.Offset(own) - rd.e.env.Log.Offset(min(applied, own))
	if applied >= h.end {
		lag.Bytes = 0
		return age, age, lag
	}
	lag.Time = h.lags.behind(applied, now)
	if h.current.IsZero() {
		return age, -1, lag
	}
	return age, now.Sub(h.current), lag
}

// sinceConfirmed is how old what a leader shows may be: somebody else may lead
// since the last time that it was confirmed, and acknowledge writes.
func (rd *reader) sinceConfirmed(applied record.LSN) time.Duration {
	c := rd.led.Load()
	if c == nil || applied < c.lsn {
		return -1
	}
	return time.Since(c.asked)
}

// confirm asks whether this node, which leads as far as it knows, still did when
// it asked, and waits until it shows all that was acknowledged by then.
func (rd *reader) confirm(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, rd.e.o.CallTimeout)
	defer cancel()
	asked := time.Now()
	lsn, err := rd.index(ctx)
	if err == nil {
		err = rd.e.applier.wait(ctx, lsn)
	}
	if err == nil {
		rd.led.Store(&confirmation{asked, lsn})
	}
	return err
}

// bounded returns how old what this node shows may be, once it is within the bounds
// of o. A distance in records or bytes is as old as the word of the leader that it is
// measured by: behind a leader that is silent, or was replaced, it says nothing, so
// there it is held to an age too.
func (rd *reader) bounded(ctx context.Context, o topology.ReadOptions) (time.Duration, error) {
	counts := o.MaxLag > 0 || o.MaxBytes > 0
	age, stale, lag := rd.staleness()
	if rd.e.leads.Load() && (stale < 0 || o.MaxStale > 0 && stale > o.MaxStale || counts && age > rd.e.o.heardWithin()) {
		if err := rd.confirm(ctx); err != nil && !errors.Is(err, topology.ErrNotLeader) {
			return stale, fmt.Errorf("%w: this node leads as far as it knows, and that was not confirmed: %w", topology.ErrStale, err)
		}
		age, stale, lag = rd.staleness()
	}
	switch {
	case stale < 0 && (counts || o.MaxStale > 0):
		return stale, fmt.Errorf("%w: this node does not show yet what its leader had, so how far behind it is is not known", topology.ErrStale)
	case o.MaxStale > 0 && stale > o.MaxStale:
		return stale, fmt.Errorf("%w: this node may be %v behind, at most %v was asked for", topology.ErrStale, stale, o.MaxStale)
	case counts && age > rd.e.o.heardWithin():
		return stale, fmt.Errorf("%w: the leader was last heard of %v ago, so how many records and bytes this node is behind is not known", topology.ErrStale, age)
	case o.MaxLag > 0 && lag.Records > o.MaxLag:
		return stale, fmt.Errorf("%w: this node is %d records behind, at most %d was asked for", topology.ErrStale, lag.Records, o.MaxLag)
	case o.MaxBytes > 0 && lag.Bytes > o.MaxBytes:
		return stale, fmt.Errorf("%w: this node is %d bytes behind, at most %d was asked for", topology.ErrStale, lag.Bytes, o.MaxBytes)
	}
	return stale, nil
}

func (rd *reader) oneCell(c record.Cell, r *topology.Reading) error {
	b, err := rd.e.env.Store.Get(c)
	if err != nil || b == nil {
		return err
	}
	return appendCell(r, c, b)
}

func (rd *reader) wholeKey(table record.TableID, key []byte, r *topology.Reading) error {
	s, err := rd.e.env.Store.Snapshot()
	if err != nil {
		return err
	}
	for ed, serr := range s.Scan(record.Cell{Table: table, Key: key}, record.AfterKey(table, key)) {
		if serr == nil {
			serr = appendCell(r, ed.Cell.Clone(), append([]byte(nil), ed.State...))
		}
		if serr != nil {
			err = serr
			break
		}
	}
	return errors.Join(err, s.Close())
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
func (rd *reader) Scan(ctx context.Context, table record.TableID, from, to []byte, o topology.ReadOptions) iter.Seq2[topology.CellReading, error] {
	return func(yield func(topology.CellReading, error) bool) {
		stopped := false
		err := rd.scan(ctx, table, from, to, o, func(c topology.CellReading, err error) bool {
			stopped = !yield(c, err)
			return !stopped
		})
		if err != nil && !stopped {
			yield(topology.CellReading{}, rd.readError("scan", from, err))
		}
	}
}

// view opens a view of the store that shows what o asks for.
func (rd *reader) view(ctx context.Context, o topology.ReadOptions) (topology.Snapshot, error) {
	for {
		swaps := rd.e.applier.swaps.Load()
		r, err := rd.ready(ctx, o)
		if err == nil && fresh(r.Guarantee) && rd.e.leads.Load() {
			err = rd.e.expiries.sweep(ctx)
		}
		if err != nil {
			return nil, err
		}
		s, err := rd.e.env.Store.Snapshot()
		if err != nil || rd.holds(o, swaps) {
			return s, err
		}
		if err := s.Close(); err != nil {
			return nil, err
		}
	}
}

func (rd *reader) scan(ctx context.Context, table record.TableID, from, to []byte, o topology.ReadOptions, yield func(topology.CellReading, error) bool) (err error) {
	s, err := rd.view(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	end := record.Cell{Table: table, Key: to}
	if len(to) == 0 {
		end = record.Cell{Table: table + 1}
		if table == math.MaxUint32 {
			end = record.AfterKey(table, make([]byte, record.KeyBytesMax))
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
		if err := appendCell(&r, ed.Cell.Clone(), append([]byte(nil), ed.State...)); err != nil {
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
