package leaderless

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// methodCells is the method by which a node gives another what it holds, a page at a time.
const methodCells = "leaderless.cells"

// Limits of a page.
const (
	pageCellsMax = 512
	pageBytesMax = 1 << 20
)

// pageAsked is which cells are asked for: those of some partitions, from a place on.
//
// On the wire it is an array of eight: the partitions, as an array of uints; the cell to
// begin at, as table, key, field; whether the applied sets are wanted; the cell at which
// to end, as table and key: to is the end of the whole table where the key is empty, and
// table 0 the end of all; and the session.
type pageAsked struct {
	partitions []int
	from       record.Cell
	to         record.Cell // no cell of Table+1 or beyond, nor of Key or beyond where it is not empty; zero: no end
	sets       bool
	session    uint64 // of the stream to a new replica that this is of; 0: it is of none
}

// of asks a node for the page.
func (a *pageAsked) of(ctx context.Context, e *engine, id topology.NodeID) (page, error) {
	ctx, cancel := context.WithTimeout(ctx, e.o.CallTimeout)
	defer cancel()
	b, err := e.env.Transport.Call(ctx, id, methodCells, a.encode())
	if err != nil {
		return page{}, err
	}
	p, err := decodePage(b)
	p.bytes = uint64(len(b))
	return p, err
}

// ofVoter asks one that fills others, which those do that vote themselves.
func (a *pageAsked) ofVoter(ctx context.Context, e *engine, id topology.NodeID) (page, error) {
	p, err := a.of(ctx, e, id)
	if err == nil && !p.votes {
		err = fmt.Errorf("%w: it does not vote itself", topology.ErrUnavailable)
	}
	return p, err
}

const pageAskedFields = 8

func (a *pageAsked) encode() []byte {
	w := pack.NewWriter(nil)
	w.Array(pageAskedFields)
	w.Array(len(a.partitions))
	for _, p := range a.partitions {
		w.Uint(uint64(p))
	}
	w.Uint(uint64(a.from.Table))
	w.Bin(a.from.Key)
	w.Bin(a.from.Field)
	w.Bool(a.sets)
	w.Uint(uint64(a.to.Table))
	w.Bin(a.to.Key)
	w.Uint(a.session)
	return w.Bytes()
}

func decodePageAsked(b []byte) (a pageAsked, err error) {
	r := pack.NewReader(b)
	r.ArrayOf(pageAskedFields)
	for n := r.ArrayMax(PartitionsMax + 1); n > 0 && r.Err() == nil; n-- {
		a.partitions = append(a.partitions, int(r.UintMax(PartitionsMax)))
	}
	a.from = record.Cell{Table: record.TableID(r.UintMax(math.MaxUint32)), Key: r.BinMax(record.KeyBytesMax + 1), Field: r.BinMax(record.FieldBytesMax + 1)}
	a.sets = r.Bool()
	a.to = record.Cell{Table: record.TableID(r.UintMax(math.MaxUint32)), Key: r.BinMax(record.KeyBytesMax)}
	a.session = r.Uint()
	if err := r.Done(); err != nil {
		return a, fmt.Errorf("%w: which cells are asked for: %w", topology.ErrMalformed, err)
	}
	if !slices.IsSorted(a.partitions) {
		return a, fmt.Errorf("%w: partitions are not in order", topology.ErrMalformed)
	}
	return a, nil
}

// page is some of what a node holds. On the wire it is an array of five: whether the
// node votes; its applied sets, as an array of 2n: partition, and a state whose context
// they are; cells, as an array of 4n: table, key, field, state; whether there are more; and the time.
type page struct {
	votes bool
	sets  []core.Applied
	cells []topology.Edit
	more  bool
	time  version.Timestamp // of a stream: no less than that of anything its source had when it was asked

	bytes uint64 // as which it came
}

func (p *page) encode(enc *record.Encoder) []byte {
	w := pack.NewWriter(nil)
	w.Array(5)
	w.Bool(p.votes)
	w.Array(2 * len(p.sets))
	for i := range p.sets {
		w.Uint(uint64(p.sets[i].Partition))
		w.Bin(enc.AppendState(nil, &record.State{Context: &p.sets[i].Set}))
	}
	w.Array(4 * len(p.cells))
	for i := range p.cells {
		c := &p.cells[i]
		w.Uint(uint64(c.Table))
		w.Bin(c.Key)
		w.Bin(c.Field)
		w.Bin(c.State)
	}
	w.Bool(p.more)
	w.Uint(uint64(p.time))
	return w.Bytes()
}

func decodePage(b []byte) (p page, err error) {
	r := pack.NewReader(b)
	r.ArrayOf(5)
	p.votes = r.Bool()
	for n := r.ArrayMax(2 * (PartitionsMax + 1)); n > 1 && r.Err() == nil; n -= 2 {
		a := core.Applied{Partition: int(r.UintMax(PartitionsMax))}
		var s record.State
		if b := r.BinMax(record.ValueBytesMax); r.Err() == nil {
			if err := record.DecodeState(b, &s); err != nil {
				return p, fmt.Errorf("%w: a page of cells: %w", topology.ErrMalformed, err)
			}
		}
		if s.Context != nil {
			a.Set = *s.Context
		}
		p.sets = append(p.sets, a)
	}
	for n := r.ArrayMax(4 * pageCellsMax); n > 3 && r.Err() == nil; n -= 4 {
		p.cells = append(p.cells, topology.Edit{
			Cell:  record.Cell{Table: record.TableID(r.UintMax(math.MaxUint32)), Key: r.BinMax(record.KeyBytesMax), Field: r.BinMax(record.FieldBytesMax)},
			State: r.BinMax(math.MaxInt32),
		})
	}
	p.more = r.Bool()
	p.time = version.Timestamp(r.Uint())
	if err := r.Done(); err != nil {
		return p, fmt.Errorf("%w: a page of cells: %w", topology.ErrMalformed, err)
	}
	return p, nil
}

// local reports whether a table is of one node alone.
func local(t record.TableID) bool {
	return t != record.TableSystem && t != record.TableDefault && t < record.TableFirst
}

// pages are what a node gives of its store.
type pages struct{ e *engine }

// serve answers another node.
func (g pages) serve(ctx context.Context, _ topology.Peer, req []byte) ([]byte, error) {
	a, err := decodePageAsked(req)
	var p page
	if err == nil {
		p, err = g.page(ctx, &a)
	}
	if err != nil {
		return nil, g.e.errorOf("cells", topology.NotApplied, err)
	}
	return p.encode(record.NewEncoder()), nil
}

// page reads one page of this node's store. The sets are those of before the cells were
// read, so that the cells come to them, and to more.
func (g pages) page(ctx context.Context, a *pageAsked) (p page, err error) {
	e := g.e
	if a.session != 0 {
		p.time, err = g.session(ctx, a)
	} else {
		err = g.shows(a)
	}
	if err != nil {
		return p, err
	}
	p.votes, _ = e.life.voting()
	view, err := e.env.Store.Snapshot()
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, view.Close()) }()
	if a.sets {
		if p.sets, err = setsOf(view, a.partitions); err != nil {
			return p, err
		}
	}
	end := record.Cell{Table: math.MaxUint32}
	switch {
	case a.to.Table != 0 && len(a.to.Key) > 0:
		end = a.to
	case a.to.Table != 0:
		end = record.Cell{Table: a.to.Table + 1}
	}
	bytes := 0
	told := covered{e: e, view: view, sets: map[int]*version.Set{}}
	for ed, err := range view.Scan(a.from, end) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return p, err
		}
		if local(ed.Table) {
			continue
		}
		if _, ok := slices.BinarySearch(a.partitions, placement.Of(e.place, ed.Table, ed.Key)); !ok {
			continue
		}
		if len(p.cells) == pageCellsMax || bytes >= pageBytesMax {
			p.more = true
			return p, nil
		}
		state := append([]byte(nil), ed.State...)
		if e.machine.tables.policy(ed.Table).keeps() {
			if state, err = told.state(ed.Cell, state); err != nil {
				return p, err
			}
		}
		p.cells = append(p.cells, topology.Edit{Cell: ed.Cell.Clone(), State: state})
		bytes += len(ed.Key) + len(ed.Field) + len(state)
	}
	return p, nil
}

// covered tells what a view of the store holds of tables that keep siblings as others are
// told it: with the writes that are applied in that view.
type covered struct {
	e    *engine
	view topology.Snapshot
	sets map[int]*version.Set
}

func (c *covered) state(of record.Cell, b []byte) ([]byte, error) {
	p := placement.Of(c.e.place, of.Table, of.Key)
	if c.sets[p] == nil {
		sets, err := setsOf(c.view, []int{p})
		if err != nil {
			return nil, err
		}
		c.sets[p] = &version.Set{}
		if len(sets) > 0 {
			c.sets[p] = &sets[0].Set
		}
	}
	var s record.State
	if err := record.DecodeState(b, &s); err != nil {
		return nil, fmt.Errorf("%w: key %q: %w", topology.ErrMalformed, of.Key, err)
	}
	s = core.Covering(s, c.sets[p])
	return record.NewEncoder().AppendState(nil, &s), nil
}

func setsOf(view topology.Snapshot, partitions []int) (sets []core.Applied, err error) {
	for _, q := range partitions {
		b, err := view.Get(partitionCell(q))
		if err != nil {
			return nil, err
		}
		if b == nil {
			continue
		}
		var s record.State
		if err := record.DecodeState(b, &s); err != nil {
			return nil, err
		}
		sets = append(sets, core.Applied{Partition: q, Set: *s.Context.Clone()})
	}
	return sets, nil
}

// after is the least cell behind one.
func after(c record.Cell) record.Cell {
	return record.Cell{Table: c.Table, Key: bytes.Clone(c.Key), Field: append(bytes.Clone(c.Field), 0)}
}

// filling is one attempt to take over what N−W+1 others hold (L6a).
type filling struct {
	e     *engine
	only  []int                     // partitions; nil: all that this node holds
	taken map[int][]topology.NodeID // by partition: the others it was taken from
	cells int
}

// fill returns once enough was taken for every partition that this node holds.
func (f *filling) fill(ctx context.Context) error {
	e := f.e
	f.taken = map[int][]topology.NodeID{}
	var last error
	for _, p := range e.others() {
		if f.enough() {
			break
		}
		if err := f.from(ctx, p.id); err != nil {
			last = fmt.Errorf("%s: %w", p.id, err)
		}
	}
	if f.enough() {
		return nil
	}
	if last == nil {
		last = fmt.Errorf("%w: too few others vote", topology.ErrUnavailable)
	}
	return last
}

// whole reports whether a partition was taken from enough others: from so many that one
// of them has met every write, from whatever site it was asked; N−W+1 for a number. All
// others are enough, as there is nobody else.
func (f *filling) whole(partition int) bool {
	if len(f.taken[partition]) >= len(f.e.place.Replicas(partition))-1 {
		return true
	}
	for _, site := range sitesOf(f.e.place) {
		w, err := f.e.promises.need(partition, f.e.o.Write, site)
		if err == nil && !w.Dual().MetBy(f.taken[partition]...) {
			return false
		}
	}
	return true
}

// enough reports whether every partition was taken often enough.
func (f *filling) enough() bool {
	for p := range f.e.place.Partitions() {
		if f.e.place.Holds(f.e.env.Self, p) && !f.whole(p) {
			return false
		}
	}
	return true
}

// from takes all that this node and another one hold from that one.
func (f *filling) from(ctx context.Context, id topology.NodeID) error {
	e := f.e
	asked := pageAsked{sets: true}
	for p := range e.place.Partitions() {
		wanted := !f.whole(p) && (f.only == nil || slices.Contains(f.only, p))
		if wanted && e.place.Holds(e.env.Self, p) && e.place.Full(id, p) {
			asked.partitions = append(asked.partitions, p)
		}
	}
	var sets []core.Applied
	for more := true; more; asked.sets = false {
		p, err := asked.ofVoter(ctx, e, id)
		if err != nil {
			return err
		}
		if asked.sets {
			sets = p.sets
		}
		if err := f.install(ctx, id, p.cells); err != nil {
			return err
		}
		if err := f.prune(ctx, id, &asked, sets, &p); err != nil {
			return err
		}
		f.cells += len(p.cells)
		if more = p.more && len(p.cells) > 0; more {
			asked.from = after(p.cells[len(p.cells)-1].Cell)
		}
		e.life.say("it takes over what others hold: %d cells so far", f.cells)
	}
	for i := range sets {
		if err := f.place(ctx, core.Event{Kind: core.EvInstall, Node: id, Part: core.Part{Partition: sets[i].Partition, Applied: &sets[i].Set}}); err != nil {
			return err
		}
	}
	for _, p := range asked.partitions {
		f.taken[p] = append(f.taken[p], id)
	}
	return nil
}

// install places cells in the log, those of one partition together.
func (f *filling) install(ctx context.Context, id topology.NodeID, cells []topology.Edit) error {
	byPartition := map[int][]core.Held{}
	var order []int
	for i := range cells {
		c := &cells[i]
		h := core.Held{Cell: c.Cell}
		if err := record.DecodeState(c.State, &h.State); err != nil {
			return fmt.Errorf("%w: key %q: %w", topology.ErrMalformed, c.Key, err)
		}
		p := placement.Of(f.e.place, c.Table, c.Key)
		if byPartition[p] == nil {
			order = append(order, p)
		}
		byPartition[p] = append(byPartition[p], h)
	}
	for _, p := range order {
		if err := f.place(ctx, core.Event{Kind: core.EvInstall, Node: id, Part: core.Part{Partition: p, Cells: byPartition[p]}}); err != nil {
			return err
		}
	}
	return nil
}

// place has a part placed in the log, and waits until it is durable there.
func (f *filling) place(ctx context.Context, ev core.Event) error {
	l := f.e.loop
	r := newRequest(ev)
	done := make(chan struct{})
	var refused error // by the log, after the core had placed it
	if err := l.call(func() {
		l.request(r)
		if refused = l.flush(); refused != nil {
			return
		}
		l.durable = append(l.durable, durable{l.core.End, done})
		l.release()
	}); err != nil {
		return err
	}
	<-r.done
	switch {
	case r.got.Err != nil:
		return r.got.Err
	case refused != nil:
		return &topology.Error{Op: "install", Node: f.e.env.Self, Outcome: topology.NotApplied, Err: refused}
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
