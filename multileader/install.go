package multileader

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Limits of one step by which a snapshot settles, and of what an abandoned one leaves
// that goes at once.
const (
	settleCellsMax = 512
	settleBytesMax = 1 << 20
)

// incomer is what a machine knows of a snapshot of another site (rule M6a). Every node of
// the site takes it from the log.
type incomer struct {
	arriving
	lens  *lens
	alone bool // what was taken changes what the store is read through: nothing more before it is applied
	shown atomic.Pointer[arriving]
	news  func() // more may be put in its place
}

// load reads where a view of the store stands.
func (x *incomer) load(view topology.Snapshot) (err error) {
	x.arriving, err = readArriving(view)
	x.alone = false
	x.lens.on(x.settles())
	x.show()
	return err
}

func (x *incomer) show() {
	in := x.arriving
	x.shown.Store(&in)
}

// first reports whether what was taken is to be in the store before anything else is
// taken, or before this step is.
func (*incomer) first(m *machine, r *record.Record) bool {
	if len(m.edits) == 0 {
		return false
	}
	return m.in.alone || core.Settles(r)
}

// come takes a step of a snapshot.
func (*incomer) come(m *machine, e record.Entry, r *record.Record) error {
	was := m.in.Stage
	in, ok, err := m.in.Incoming.Add(e.LSN, r)
	if err != nil || !ok {
		return err
	}
	switch {
	case in.Stage == core.StageBegun && in.Begun == e.LSN:
		m.in.arriving = arriving{Incoming: in}
	case in.Stage == core.StageNone:
		m.in.arriving = arriving{}
	case in.Stage == core.StageSettling && was != core.StageSettling:
		m.in.Incoming = in
		err = m.in.install(m, r)
	case in.Stage == core.StageSettling:
		err = m.in.settle(m, e, r)
	default:
		m.in.Incoming = in
		err = m.in.stage(m, r)
	}
	m.in.noteArriving(m, r)
	return err
}

// noteArriving has the store say where the snapshot is.
func (*incomer) noteArriving(m *machine, r *record.Record) {
	if m.in.Stage == core.StageNone {
		m.edits = append(m.edits, topology.Edit{Cell: cellArriving()})
		return
	}
	m.put(cellArriving(), r, m.in.encode())
}

// stage puts cells where they wait. One that comes in several parts is put together.
func (*incomer) stage(m *machine, r *record.Record) error {
	var s, held record.State
	cells := r.Mutations[1:]
	for i := range cells {
		x := &cells[i]
		if x.Op != record.OpState {
			continue
		}
		if err := record.DecodeState(x.Value, &s); err != nil {
			return fmt.Errorf("%w: %w", topology.ErrMalformed, err)
		}
		c := m.in.staged(record.Cell{Table: x.Table, Key: x.Key, Field: x.Field}).Clone()
		if i == 0 {
			var err error
			if held, err = m.over.Cell(c); err != nil {
				return err
			}
			more, _, err := conflict.Merge(held.Siblings, nil, s.Siblings, nil)
			if err != nil {
				return err
			}
			s.Siblings = more
		}
		if i == 0 || i == len(cells)-1 {
			m.over.set(c, s)
		}
		m.in.cells++
		m.edits = append(m.edits, topology.Edit{Cell: c, State: m.enc.AppendState(nil, &s)})
	}
	return m.in.sweepOld(m, 2*len(cells))
}

// sweepOld drops what a snapshot has left that was given up.
func (*incomer) sweepOld(m *machine, most int) error {
	view, err := m.over.store.Snapshot()
	if err != nil {
		return err
	}
	from, to := record.Cell{Table: record.TableIncoming}, stagedCell(m.in.Begun, record.Cell{})
	if m.in.Stage == core.StageNone {
		to = record.Cell{Table: record.TableIncoming + 1}
	}
	n := 0
	for e, serr := range view.Scan(from, to) {
		if err = serr; err != nil || n >= most {
			break
		}
		m.edits = append(m.edits, topology.Edit{Cell: e.Cell.Clone()})
		n++
	}
	return errors.Join(err, view.Close())
}

// install makes a snapshot count: the log's vector is its own, joined with what was here.
func (*incomer) install(m *machine, r *record.Record) error {
	m.in.seen, m.in.cursor, m.in.alone = m.vector, record.Cell{}, true
	if err := m.skips.install(m, r); err != nil {
		return err
	}
	view, err := m.over.raw().Snapshot()
	if err != nil {
		return err
	}
	err = m.in.takeCuts(m, view, r)
	if err == nil {
		err = m.tables.load(through(view, m.in.arriving, m.tables.resolver))
	}
	m.news = true
	return errors.Join(err, view.Close())
}

// takeCuts takes what other sites had said that they have, of those of which the snapshot
// has more: what they wrote until then is here now.
func (*incomer) takeCuts(m *machine, view topology.Snapshot, r *record.Record) error {
	by := maps.Clone(m.cuts.by)
	has := vectorOf(m.in.Marks)
	from, to := m.in.staged(record.Cell{Table: record.TableOrigins}), m.in.staged(record.Cell{Table: record.TableOrigins + 1})
	var s record.State
	for e, err := range view.Scan(from, to) {
		if err != nil {
			return err
		}
		m.edits = append(m.edits, topology.Edit{Cell: e.Cell.Clone()})
		c, err := unstaged(e.Cell)
		if err == nil {
			err = record.DecodeState(e.State, &s)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", topology.ErrMalformed, err)
		}
		o, cut := cutIn(c, &s)
		if cut == nil || has.Get(o) <= m.in.seen.Get(o) {
			continue
		}
		m.put(cutCell(o), &record.Record{Time: cut.Time}, s.Siblings[0].Value)
		by[o] = cut
	}
	m.cuts.by = by
	return nil
}

// settle puts the next cells in their places.
func (*incomer) settle(m *machine, e record.Entry, r *record.Record) error {
	m.in.alone = true
	view, err := m.over.raw().Snapshot()
	if err != nil {
		return err
	}
	v := &lensView{Snapshot: view, in: m.in.arriving, resolver: m.tables.resolver}
	n, size, more := 0, 0, false
	for _, rg := range but(shared(nil), m.in.Without) {
		if compareCells(m.in.cursor, rg.from) >= 0 {
			rg.from = m.in.cursor
		}
		if more || compareCells(rg.from, rg.to) >= 0 {
			continue
		}
		for s, serr := range v.walk(rg.from, rg.to) {
			if err = serr; err != nil {
				break
			}
			if more = n >= settleCellsMax || size >= settleBytesMax; more {
				break
			}
			if compareCells(s.cell, v.in.cursor) <= 0 {
				continue
			}
			if err = m.in.settleCell(m, e, r, n, &s); err != nil {
				break
			}
			m.in.cursor = s.cell.Clone()
			n, size = n+1, size+len(s.here)+len(s.came)
		}
		if err != nil {
			break
		}
	}
	if err == nil && !more {
		m.in.arriving = arriving{}
	}
	return errors.Join(err, view.Close())
}

// settleCell puts one cell in its place.
func (*incomer) settleCell(m *machine, e record.Entry, r *record.Record, n int, s *spot) error {
	c := s.cell.Clone()
	if s.came != nil {
		m.edits = append(m.edits, topology.Edit{Cell: m.in.staged(c)})
	}
	x, changes, err := m.in.join(m.tables.resolver(c.Table), c, s.here, s.came)
	if err != nil {
		return err
	}
	m.in.account(m, e, r, n, &x)
	if !changes {
		return nil
	}
	m.expiring(r, c, x.State.Siblings, x.Gone, x.Lost)
	ed := topology.Edit{Cell: c}
	if len(x.State.Siblings) > 0 {
		ed.State = m.enc.AppendState(nil, &x.State)
	}
	m.edits = append(m.edits, ed)
	return nil
}

// account lists what a cell's becoming one has cost, and what can go of it once it is
// stable.
func (*incomer) account(m *machine, e record.Entry, r *record.Record, n int, x *conflict.Change) {
	if len(x.State.Siblings) == 0 && len(x.Lost) == 0 {
		return
	}
	if len(x.Lost) > 0 && x.Cell.Table != record.TableSystem {
		m.lose(e, r, n, x)
	}
	leaves := len(x.State.Siblings) > 1
	if leaves && !conflict.Built(m.tables.of(x.Cell.Table).keeps) {
		m.judge(x.Cell)
	}
	for i := range x.State.Siblings {
		leaves = leaves || x.State.Siblings[i].Absent
	}
	if !leaves {
		return
	}
	cell := encodeCell(x.Cell)
	sum := sha256.Sum256(cell)
	for i := range x.State.Siblings {
		v := &x.State.Siblings[i]
		k := leavingCell(v.Origin, v.Seq, 1<<16-1)
		k.Key = append(k.Key, sum[:leavingSum]...)
		m.put(k, r, cell)
	}
}

// leavingSum is how much of the sum of a cell tells it from others that were listed for
// the same write.
const leavingSum = 16

// unveil makes a cell one before a record changes it, so that it is not made one again.
func (*incomer) unveil(m *machine, e record.Entry, r *record.Record, n int, c record.Cell) error {
	if !m.in.settles() || !m.in.has(c) || compareCells(c, m.in.cursor) <= 0 {
		return nil
	}
	staged := m.in.staged(c).Clone()
	if s, ok := m.over.held[cellOf(staged)]; ok && len(s.Siblings) == 0 {
		return nil // it has been, by what is not applied yet
	}
	store := m.over.raw()
	here, err := store.Get(c)
	if err != nil {
		return err
	}
	came, err := store.Get(staged)
	if err != nil {
		return err
	}
	x, _, err := m.in.join(m.tables.resolver(c.Table), c, here, came)
	if err != nil {
		return err
	}
	m.in.account(m, e, r, 1<<15+n, &x)
	m.expiring(r, c.Clone(), x.State.Siblings, x.Gone, x.Lost)
	m.over.set(staged, record.State{})
	m.edits = append(m.edits, topology.Edit{Cell: staged, State: m.enc.AppendState(nil, &record.State{})})
	return nil
}

// cutIn returns the cut that a cell holds, and whose it is; nil if it holds none.
func cutIn(c record.Cell, s *record.State) (o version.Origin, cut *core.Cut) {
	if len(c.Key) != len(keyCut)+8 || string(c.Key[:len(keyCut)]) != keyCut || len(s.Siblings) != 1 {
		return o, nil
	}
	o = version.Origin{ID: binary.BigEndian.Uint32(c.Key[1:]), Incarnation: binary.BigEndian.Uint32(c.Key[5:])}
	v := &s.Siblings[0]
	r := record.Record{Time: v.Time, Mutations: []record.Mutation{{Table: record.TableSystem, Op: record.OpMark, Key: []byte(record.MarkCut), Value: append([]byte(nil), v.Value...)}}}
	return o, core.CutOf(&r)
}

// settle has more of a snapshot put in its place, as soon as what was placed before is.
func settle(e *engine) {
	c := e.reign.core
	if c == nil || c.Incoming().Stage != core.StageSettling {
		e.reign.swept = 0
		return
	}
	if e.reign.swept == 0 {
		e.reign.swept = c.End()
	}
	if lsn, _ := e.machine.seen.place(); lsn < e.reign.swept {
		return
	}
	over := e.machine.in.shown.Load().Stage == core.StageNone
	if over {
		e.log.Info("a snapshot of another site is in its place", "from", c.Incoming().From, "parts", c.Incoming().Parts)
	}
	e.step(core.Event{Kind: core.EvSettle, Over: over})
	if c = e.reign.core; c != nil {
		e.reign.swept = c.End()
	}
}

var errSettles = fmt.Errorf("%w: a snapshot of another site is being put in its place; ask again", topology.ErrUnavailable)
