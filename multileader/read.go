package multileader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// reader is the reading side of an engine. A read is as fresh as its site: linearizable
// means of what this site has acknowledged, and a session's token holds everywhere.
type reader struct{ e *engine }

// Read implements topology.Engine.
func (rd *reader) Read(ctx context.Context, table record.TableID, key []byte, o topology.ReadOptions) (topology.Reading, error) {
	r, err := rd.ready(ctx, o)
	if err != nil {
		return topology.Reading{}, rd.e.group.ReadError("get", key, err)
	}
	l := rd.lookAt(table, o.Siblings)
	r.Cells, err = l.cells(table, key, &o)
	if err == nil && rd.hides(&r) {
		err = l.unexpired(ctx, table, key, &r, &o)
	}
	if l.all && l.of.siblings() {
		r.Context = topology.ContextOf(l.seen)
	}
	r.Token = topology.TokenOf(rd.e.machine.seen.atMost())
	if err == nil && len(r.Cells) == 0 {
		return r, rd.e.group.ReadError("get", key, topology.ErrNotFound)
	}
	if err != nil {
		return topology.Reading{}, rd.e.group.ReadError("get", key, err)
	}
	return r, nil
}

// ready waits until this node's store may be read for what o asks.
func (rd *reader) ready(ctx context.Context, o topology.ReadOptions) (topology.Reading, error) {
	if o.Guarantee != topology.ReadSession {
		return rd.e.group.Ready(ctx, o)
	}
	err := rd.Wait(ctx, o.After)
	o.Guarantee = topology.ReadAny
	r, rerr := rd.e.group.Ready(ctx, o)
	r.Guarantee = topology.ReadSession
	return r, errors.Join(err, rerr)
}

// Wait implements topology.Waiter: it returns once this node shows every write that the
// token has seen, of whichever site (C8).
func (rd *reader) Wait(ctx context.Context, t topology.Token) error {
	if t.IsZero() {
		return nil
	}
	want, err := t.Vector()
	if err != nil {
		return err
	}
	for _, m := range want {
		if rd.e.roster().Numbered(m.Origin.ID) == nil {
			return fmt.Errorf("%w: a token that has seen writes of %v, who is no site of this cluster", topology.ErrMalformed, m.Origin)
		}
	}
	for {
		has, news := rd.e.machine.seen.atLeast()
		if has.Descends(want) {
			return nil
		}
		select {
		case <-news:
		case <-rd.e.group.Failed():
			return rd.e.group.Failure()
		case <-ctx.Done():
			return fmt.Errorf("%w: %s: %w", topology.ErrTimeout, lackOf(rd.e.roster(), has, want), ctx.Err())
		}
	}
}

// lackOf says in words what has lacks of want.
func lackOf(r *core.Roster, has, want version.Vector) string {
	words := "this node lacks writes"
	sep := " of "
	for _, m := range want {
		if n := has.Get(m.Origin); n < m.Seq {
			s := r.Numbered(m.Origin.ID)
			words += fmt.Sprintf("%s%s (%v): it shows %d of the %d that the token has seen", sep, s.Site, m.Origin, n, m.Seq)
			sep = ", of "
		}
	}
	return words
}

// look is one reading of a table as it is defined at that moment.
type look struct {
	rd   *reader
	set  *tableSet
	of   *table
	all  bool         // siblings
	seen *version.Set // with all: what the cell that was read last holds
}

func (rd *reader) lookAt(table record.TableID, all bool) look {
	l := look{rd: rd, set: rd.e.machine.tables.known.Load(), all: all}
	l.of = l.set.of(table)
	return l
}

// cells reads what o asks for of a key.
func (l *look) cells(table record.TableID, key []byte, o *topology.ReadOptions) ([]topology.CellReading, error) {
	k := l.of.kind
	if err := errors.Join(notHeld(l.rd.e, table), l.rd.e.judge.teller.refusalOf(l.of)); err != nil {
		return nil, err
	}
	switch {
	case !o.Whole && (len(o.Field) > 0 || !kind.Parted(k)):
		return l.cell(record.Cell{Table: table, Key: key, Field: o.Field})
	case !o.Whole && o.Parts:
		return []topology.CellReading{headOf(k, key, nil, math.MaxInt32)}, nil
	}
	cells, err := l.wholeKey(table, key)
	if err != nil || o.Whole || len(cells) == 0 {
		return cells, err
	}
	return cells[:1], nil
}

// cell reads one cell.
func (l *look) cell(c record.Cell) ([]topology.CellReading, error) {
	b, err := l.rd.e.cells.Get(c)
	if err != nil || b == nil {
		return nil, err
	}
	return l.shown(c, b)
}

func (l *look) wholeKey(table record.TableID, key []byte) (cells []topology.CellReading, err error) {
	s, err := l.rd.e.cells.Snapshot()
	if err != nil {
		return nil, err
	}
	for ed, serr := range s.Scan(record.Cell{Table: table, Key: key}, record.AfterKey(table, key)) {
		var more []topology.CellReading
		if serr == nil {
			more, serr = l.shown(ed.Cell.Clone(), append([]byte(nil), ed.State...))
		}
		if serr != nil {
			err = serr
			break
		}
		cells = append(cells, more...)
	}
	return headed(l.of.kind, key, cells), errors.Join(err, s.Close())
}

// shown decodes a state, which the answer then aliases, and returns what it shows.
func (l *look) shown(c record.Cell, b []byte) ([]topology.CellReading, error) {
	var s record.State
	if err := record.DecodeState(b, &s); err != nil {
		return nil, fmt.Errorf("%w: %w", topology.ErrMalformed, err)
	}
	if l.all && l.of.siblings() {
		l.seen, _ = conflict.ContextOf(s.Siblings)
	}
	return l.rd.show(l.set, l.of, c, &s, l.all)
}

// Scan implements topology.Scanner.
func (rd *reader) Scan(ctx context.Context, table record.TableID, from, to []byte, o topology.ReadOptions) iter.Seq2[topology.CellReading, error] {
	return func(yield func(topology.CellReading, error) bool) {
		stopped := false
		err := rd.scan(ctx, table, from, to, o, func(c topology.CellReading) bool {
			stopped = !yield(c, nil)
			return !stopped
		})
		if err != nil && !stopped {
			yield(topology.CellReading{}, rd.e.group.ReadError("scan", from, err))
		}
	}
}

func (rd *reader) scan(ctx context.Context, table record.TableID, from, to []byte, o topology.ReadOptions, yield func(topology.CellReading) bool) (err error) {
	r, err := rd.ready(ctx, o)
	if err != nil {
		return err
	}
	hides, now := rd.hides(&r), clockOf(rd.e)
	s, err := rd.e.cells.Snapshot()
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
	l := rd.lookAt(table, false)
	if err := errors.Join(notHeld(rd.e, table), rd.e.judge.teller.refusalOf(l.of)); err != nil {
		return err
	}
	k := l.of.kind
	var key []byte
	var cells []topology.CellReading // of key
	give := func() bool {
		shown := headed(k, key, cells)
		cells = nil
		if hides && dueNow(shown, now) {
			return true
		}
		for _, c := range shown {
			if !yield(c) {
				return false
			}
		}
		return true
	}
	for ed, err := range s.Scan(record.Cell{Table: table, Key: from}, end) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if !bytes.Equal(ed.Key, key) {
			if !give() {
				return nil
			}
			key = bytes.Clone(ed.Key)
		}
		more, err := l.shown(ed.Cell.Clone(), append([]byte(nil), ed.State...))
		if err != nil {
			return err
		}
		cells = append(cells, more...)
	}
	give()
	return nil
}
