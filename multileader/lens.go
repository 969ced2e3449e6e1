package multileader

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// cellStore is what is read of a store.
type cellStore interface {
	getter
	Snapshot() (topology.Snapshot, error)
}

// lens reads a store in which a snapshot of another site settles: cells of it that are
// not in their places yet are seen there, and one with what stands there, as they will
// be. So a snapshot counts all at once, however many its cells are, and the site goes on
// reading and writing meanwhile.
type lens struct {
	store    topology.Store
	turns    atomic.Uint64 // odd while a snapshot may be settling
	resolver func(record.TableID) conflict.Resolver
}

// on says whether a snapshot may be settling from now on: before the store shows that it
// is, and after the store shows that it is not.
func (l *lens) on(yes bool) {
	if (l.turns.Load()%2 == 1) != yes {
		l.turns.Add(1)
	}
}

// Get returns what a cell holds.
func (l *lens) Get(c record.Cell) ([]byte, error) {
	before := l.turns.Load()
	if before%2 == 0 || !inCommon(c) {
		b, err := l.store.Get(c)
		if !inCommon(c) || l.turns.Load() == before {
			return b, err
		}
	}
	v, err := l.Snapshot()
	if err != nil {
		return nil, err
	}
	b, err := v.Get(c)
	return b, errors.Join(err, v.Close())
}

// Snapshot opens a view.
func (l *lens) Snapshot() (topology.Snapshot, error) {
	before := l.turns.Load()
	v, err := l.store.Snapshot()
	if err != nil || before%2 == 0 && l.turns.Load() == before {
		return v, err
	}
	in, err := readArriving(v)
	if err != nil {
		return nil, errors.Join(err, v.Close())
	}
	return through(v, in, l.resolver), nil
}

// through returns a view as the lens shows it.
func through(v topology.Snapshot, in arriving, resolver func(record.TableID) conflict.Resolver) topology.Snapshot {
	if in.settles() {
		return &lensView{Snapshot: v, in: in, resolver: resolver, enc: record.NewEncoder()}
	}
	return v
}

type lensView struct {
	topology.Snapshot
	in       arriving
	resolver func(record.TableID) conflict.Resolver
	enc      *record.Encoder
}

// Get implements topology.Snapshot.
func (v *lensView) Get(c record.Cell) ([]byte, error) {
	b, err := v.Snapshot.Get(c)
	if err != nil || !v.in.has(c) || compareCells(c, v.in.cursor) <= 0 {
		return b, err
	}
	staged, err := v.Snapshot.Get(v.in.staged(c))
	if err != nil {
		return nil, err
	}
	return v.both(c, b, staged)
}

// both returns the state of a cell of which the one is here and the other has come.
func (v *lensView) both(c record.Cell, here, came []byte) ([]byte, error) {
	x, changes, err := v.in.join(v.resolver(c.Table), c, here, came)
	if err != nil || !changes {
		return here, err
	}
	if len(x.State.Siblings) == 0 {
		return nil, nil
	}
	return v.enc.AppendState(nil, &x.State), nil
}

// Scan implements topology.Snapshot.
func (v *lensView) Scan(from, to record.Cell) iter.Seq2[topology.Edit, error] {
	return func(yield func(topology.Edit, error) bool) {
		for s, err := range v.walk(from, to) {
			ed := topology.Edit{Cell: s.cell, State: s.here}
			if err == nil && v.in.has(s.cell) && compareCells(s.cell, v.in.cursor) > 0 {
				ed.State, err = v.both(s.cell, s.here, s.came)
			}
			if err == nil && ed.State == nil {
				continue
			}
			if !yield(ed, err) || err != nil {
				return
			}
		}
	}
}

// spot is one cell, with what is here and what has come; nil for nothing.
type spot struct {
	cell       record.Cell
	here, came []byte
}

// walk yields the cells of a range, in order, that are here or have come. What it yields
// is valid until the next step.
func (v *lensView) walk(from, to record.Cell) iter.Seq2[spot, error] {
	return func(yield func(spot, error) bool) {
		nextHere, stopHere := iter.Pull2(v.Snapshot.Scan(from, to))
		defer stopHere()
		nextCame, stopCame := iter.Pull2(v.Snapshot.Scan(v.in.staged(from), v.in.staged(to)))
		defer stopCame()
		here, err, isHere := nextHere()
		came, cerr, isCame := nextCame()
		for isHere || isCame {
			if err = errors.Join(err, cerr); err != nil {
				yield(spot{}, err)
				return
			}
			s := spot{cell: here.Cell, here: here.State}
			order := -1
			if isCame {
				c, uerr := unstaged(came.Cell)
				if uerr != nil {
					yield(spot{}, uerr)
					return
				}
				if !isHere {
					order = 1
				} else {
					order = compareCells(here.Cell, c)
				}
				switch {
				case order > 0:
					s = spot{cell: c, came: came.State}
				case order == 0:
					s.came = came.State
				}
			}
			if !yield(s, nil) {
				return
			}
			if order <= 0 {
				here, err, isHere = nextHere()
			}
			if isCame && order >= 0 {
				came, cerr, isCame = nextCame()
			}
		}
	}
}

// has reports whether a cell is one that a snapshot is about: of what sites have in common,
// but for tables that it leaves out.
func (in *arriving) has(c record.Cell) bool {
	return inCommon(c) && !slices.Contains(in.Without, c.Table)
}

// inCommon reports whether a cell is one that sites have in common; others say where a
// site's own log stands.
func inCommon(c record.Cell) bool {
	if c.Table == record.TableSystem {
		_, ok := kind.DefinedBy(c.Key)
		return ok
	}
	return c.Table == record.TableDefault || c.Table >= record.TableFirst
}

const stagedPrefix = 8 + 4

// stagedCell is where a cell of the snapshot waits that began at an entry of the log.
func stagedCell(begun record.LSN, c record.Cell) record.Cell {
	k := binary.BigEndian.AppendUint64(make([]byte, 0, stagedPrefix+len(c.Key)), uint64(begun))
	k = binary.BigEndian.AppendUint32(k, uint32(c.Table))
	return record.Cell{Table: record.TableIncoming, Key: append(k, c.Key...), Field: c.Field}
}

func unstaged(c record.Cell) (record.Cell, error) {
	if len(c.Key) < stagedPrefix {
		return record.Cell{}, fmt.Errorf("%w: a cell of a snapshot with a key of %d bytes", topology.ErrMalformed, len(c.Key))
	}
	return record.Cell{Table: record.TableID(binary.BigEndian.Uint32(c.Key[8:])), Key: c.Key[stagedPrefix:], Field: c.Field}, nil
}
