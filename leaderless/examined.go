package leaderless

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/merkle"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// examined is what a node tells others of what it holds, when they compare.
type examined struct{ e *engine }

// serve answers another replica.
func (x examined) serve(ctx context.Context, _ topology.Peer, req []byte) ([]byte, error) {
	q, err := decodeQuestion(append([]byte(nil), req...))
	var a answer
	if err == nil {
		a, err = x.answer(ctx, &q)
	}
	if err != nil {
		return nil, x.e.errorOf("compare", topology.NotApplied, err)
	}
	return a.encode(record.NewEncoder()), nil
}

// answer answers a question, another's or this node's own.
func (x examined) answer(ctx context.Context, q *question) (a answer, err error) {
	e := x.e
	if err := e.loop.started(ctx); err != nil {
		return a, err
	}
	a.votes, _ = e.life.voting()
	switch q.form {
	case formSums:
		err = e.loop.call(func() {
			a.whole = e.machine.trees.why == ""
			for _, n := range q.nodes {
				a.sums = append(a.sums, e.machine.trees.sum(n))
			}
		})
	case formNames:
		err = x.names(ctx, q, &a)
	case formCopies:
		err = x.copies(q, &a)
	case formMend:
		a.count, err = x.mend(ctx, q.mends)
	case formReread:
		var read reread
		read, err = e.entropy.reread(ctx)
		a.count = read.cells
	default:
		err = fmt.Errorf("%w: form %d of a question", topology.ErrUnsupported, q.form)
	}
	return a, err
}

// names lists cells of some leaves, in order, some at a time.
func (x examined) names(ctx context.Context, q *question, a *answer) (err error) {
	e := x.e
	view, err := e.env.Store.Snapshot()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, view.Close()) }()
	wanted := map[merkle.Node]bool{}
	for _, n := range q.nodes {
		wanted[n] = true
	}
	tree := merkle.New(merkle.DepthOf(e.place.Partitions()))
	var sums merkle.Summer
	bytes, read := 0, 0
	for ed, err := range view.Scan(q.from, record.Cell{Table: math.MaxUint32}) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if read++; len(a.names) == namesMax || bytes >= nameBytesMax || read > namesReadMax {
			c := ed.Cell.Clone()
			a.next = &c
			return nil
		}
		if local(ed.Table) {
			continue
		}
		at := merkle.Node{Partition: placement.Of(e.place, ed.Table, ed.Key), Level: tree.Depth(), Index: tree.Leaf(ed.Table, ed.Key)}
		if !wanted[at] {
			continue
		}
		var s record.State
		if err := record.DecodeState(ed.State, &s); err != nil {
			return fmt.Errorf("%w: key %q: %w", topology.ErrMalformed, ed.Key, err)
		}
		if sum := sums.Sum(&ed.Cell, s.Siblings); sum != 0 {
			a.names = append(a.names, named{ed.Cell.Clone(), sum})
			bytes += len(ed.Key) + len(ed.Field) + 16
		}
		a.count += uint64(len(ed.State))
	}
	return nil
}

// copies tells in full what is held of some cells.
func (x examined) copies(q *question, a *answer) (err error) {
	e := x.e
	collected := map[int]*applied{}
	view, err := e.env.Store.Snapshot()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, view.Close()) }()
	size := 0
	for i := range q.cells {
		c := &q.cells[i]
		if size >= copyBytesMax {
			break
		}
		var s core.Copy
		var n [2]int
		if n[0], err = held(view, *c, &s.Held); err != nil {
			return err
		}
		if len(c.Field) > 0 {
			if n[1], err = held(view, record.Cell{Table: c.Table, Key: c.Key}, &s.Head); err != nil {
				return err
			}
		}
		size += n[0] + n[1]
		a.copies = append(a.copies, s)
		p := placement.Of(e.place, c.Table, c.Key)
		if collected[p] != nil {
			continue
		}
		sets, err := setsOf(view, []int{p})
		if err != nil {
			return err
		}
		at := &applied{partition: p}
		if len(sets) == 1 {
			at.set = sets[0].Set
		}
		b, err := valueOf(view, horizonCell(p))
		if err != nil {
			return err
		}
		if len(b) == 8 {
			at.collected = version.Timestamp(binary.BigEndian.Uint64(b))
		}
		collected[p] = at
		a.sets = append(a.sets, *at)
	}
	return nil
}

// held reads what a view holds of a cell, and how many bytes that is.
func held(view topology.Snapshot, c record.Cell, s *record.State) (int, error) {
	b, err := view.Get(c)
	if err == nil && b != nil {
		err = record.DecodeState(b, s)
	}
	if err != nil {
		return 0, fmt.Errorf("key %q: %w", c.Key, err)
	}
	return len(b), nil
}

// mend has this node hold what mends say, durably, and returns of how many cells that is
// so.
func (x examined) mend(ctx context.Context, mends []core.Mending) (done uint64, err error) {
	e := x.e
	for i := range mends {
		m := &mends[i]
		p := placement.Of(e.place, m.Cell.Table, m.Cell.Key)
		f := filling{e: e}
		if err := f.place(ctx, core.Event{Kind: core.EvInstall, Node: e.env.Self, Part: core.Part{Partition: p, Mends: mends[i : i+1]}}); err != nil {
			return done, err
		}
	}
	var sums merkle.Summer
	for i := range mends {
		m := &mends[i]
		var s record.State
		if s, err = e.machine.look(m.Cell); err != nil {
			return done, err
		}
		if sums.All(&m.Cell, s.Siblings) == sums.All(&m.Cell, m.State.Siblings) {
			done++
		}
	}
	return done, nil
}

// reread is what came of reading again what a node holds.
type reread struct {
	cells     uint64
	corrected int // leaves
}

const notedAtOnce = 512 // cells

// reread reads all that this node holds again, some at a time, and corrects its trees by
// it: they are brought forward by what is applied, and do not see what a disk has lost.
// One goes at a time.
func (x *entropy) reread(ctx context.Context) (out reread, err error) {
	e := x.e
	if err := x.one.Acquire(ctx, 1); err != nil {
		return out, fmt.Errorf("%w: what is held is being read already: %w", topology.ErrOverloaded, err)
	}
	defer x.one.Release(1)
	if err := e.loop.started(ctx); err != nil {
		return out, err
	}
	was := map[int]*merkle.Tree{}
	var view topology.Snapshot
	cerr := e.loop.call(func() {
		if view, err = e.env.Store.Snapshot(); err != nil {
			return
		}
		t := e.machine.trees
		for p := range e.place.Partitions() {
			was[p] = t.tree(p).Clone()
		}
	})
	if err := errors.Join(cerr, err); err != nil {
		return out, err
	}
	truth, cells, err := x.sumUp(ctx, view)
	if err = errors.Join(err, view.Close()); err != nil {
		return out, err
	}
	out.cells = cells
	cerr = e.loop.call(func() {
		out.corrected, err = e.machine.correct(was, truth)
	})
	return out, errors.Join(cerr, err)
}

// sumUp makes trees of what a view holds, and sees to it that what is to go some day is
// noted.
func (x *entropy) sumUp(ctx context.Context, view topology.Snapshot) (truth map[int]*merkle.Tree, cells uint64, err error) {
	e := x.e
	truth = map[int]*merkle.Tree{}
	for p := range e.place.Partitions() {
		truth[p] = merkle.New(merkle.DepthOf(e.place.Partitions()))
	}
	pace := x.pace(0)
	var sums merkle.Summer
	var goes []record.Cell
	note := func() error {
		if len(goes) == 0 {
			return nil
		}
		var err error
		cerr := e.loop.call(func() { err = e.machine.noteAgain(goes) })
		goes = goes[:0]
		return errors.Join(cerr, err)
	}
	bytes := 0
	for ed, err := range view.Scan(record.Cell{}, record.Cell{Table: math.MaxUint32}) {
		if err != nil {
			return nil, cells, err
		}
		if bytes += len(ed.Key) + len(ed.Field) + len(ed.State); bytes >= nameBytesMax {
			if err := pace.spend(ctx, bytes); err != nil {
				return nil, cells, err
			}
			bytes = 0
		}
		if local(ed.Table) {
			continue
		}
		var s record.State
		if err := record.DecodeState(ed.State, &s); err != nil {
			return nil, cells, fmt.Errorf("%w: key %q: %w", topology.ErrMalformed, ed.Key, err)
		}
		cells++
		t := truth[placement.Of(e.place, ed.Table, ed.Key)]
		t.Add(t.Leaf(ed.Table, ed.Key), sums.Sum(&ed.Cell, s.Siblings))
		if slices.ContainsFunc(s.Siblings, func(v record.Version) bool { return v.Absent || v.Expires != 0 }) {
			if goes = append(goes, ed.Cell.Clone()); len(goes) == notedAtOnce {
				if err := note(); err != nil {
					return nil, cells, err
				}
			}
		}
	}
	return truth, cells, note()
}

// correct has the trees say what truth says, where was is what they said when that was
// read.
func (m *machine) correct(was, truth map[int]*merkle.Tree) (leaves int, err error) {
	if m.at.LSN == 0 {
		return 0, nil
	}
	t := m.trees
	whole := t.why == ""
	err = m.amend(func(*application) error {
		for p := range m.place.Partitions() {
			g := t.tree(p)
			leaves += correction(t, p, g, was[p], truth[p])
			if !whole {
				g.headed = false
			}
		}
		t.why = ""
		return nil
	})
	if !whole {
		leaves = 0 // there was nothing to be wrong
	}
	return leaves, err
}

// correction adds to a tree what truth has more than was had.
func correction(t *trees, p int, g *grown, was, truth *merkle.Tree) (leaves int) {
	for i, sum := range truth.Leaves() {
		if d := sum - was.Leaves()[i]; d != 0 {
			leaves++
			t.add(p, g, i, d)
		}
	}
	return leaves
}

// noteAgain sees to it that it is noted where cells stand that are to go some day.
func (m *machine) noteAgain(cells []record.Cell) error {
	return m.amend(func(a *application) error {
		for i := range cells {
			s, err := a.held(cells[i])
			if err != nil {
				return err
			}
			a.deletes.note(&cells[i], &s, a.local)
		}
		return nil
	})
}
