package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// fakeNode is a node that keeps its cells in a sorted slice, and fails as it is
// told to.
type fakeNode struct {
	mu      sync.Mutex
	cells   []record.Cell
	values  []record.Version
	seq     uint64
	now     func() time.Time
	leader  topology.NodeID
	fault   error // of every call
	tables  map[string]triad.CellTable
	updates int   // calls of Update
	sizes   []int // of each of them
	ranges  []int // that each of them read
	reads   []topology.Guarantee
	wrote   []topology.Durability
	records [][]record.Mutation
	hold    chan struct{} // Update waits for it, if there is one, or for its context
}

func newFake() *fakeNode {
	return &fakeNode{leader: "a", now: time.Now, tables: map[string]triad.CellTable{triad.DefaultTable: {ID: record.TableDefault}}}
}

func (f *fakeNode) Status() topology.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	st := topology.Status{Node: "a", Cluster: "test", Role: topology.RoleFollower, Leader: f.leader, Term: 1, Policy: "any 1 (b, c)", End: record.LSN(f.seq), Flushed: record.LSN(f.seq)}
	if f.leader == "a" {
		st.Role = topology.RoleLeader
		st.Peers = []topology.PeerStatus{{Node: "b", State: "replicate", Flushed: record.LSN(f.seq)}, {Node: "c", State: "down"}}
	}
	return st
}

func (f *fakeNode) Table(_ context.Context, name string) (triad.CellTable, error) {
	t, ok := f.tables[name]
	if !ok {
		return t, &topology.Error{Op: "lookup", Table: name, Err: topology.ErrNoTable}
	}
	return t, nil
}

func (f *fakeNode) failure(op string) error {
	if f.fault != nil {
		return f.fault
	}
	if f.leader != "a" && op == "update" {
		return &topology.Error{Op: op, Node: "a", Err: topology.ErrNotLeader, Leader: f.leader}
	}
	return nil
}

func (f *fakeNode) Update(ctx context.Context, us []topology.Update, o topology.WriteOptions) {
	if f.hold != nil {
		select {
		case <-f.hold:
		case <-ctx.Done():
			for i := range us {
				us[i].Err = &topology.Error{Op: "update", Outcome: topology.Unknown, Err: fmt.Errorf("%w: %w", topology.ErrTimeout, ctx.Err())}
			}
			return
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.updates++
	f.sizes, f.wrote = append(f.sizes, len(us)), append(f.wrote, o.Durability)
	ranges := 0
	for i := range us {
		ranges += len(us[i].Reads)
	}
	f.ranges = append(f.ranges, ranges)
	for i := range us {
		us[i].Receipt = topology.Receipt{}
		if us[i].Err = f.failure("update"); us[i].Err == nil {
			us[i].Receipt, us[i].Err = f.decide(ctx, &us[i])
		}
	}
}

// decide does one update, in the order of the log.
func (f *fakeNode) decide(ctx context.Context, u *topology.Update) (topology.Receipt, error) {
	fail := func(err error) (topology.Receipt, error) {
		return topology.Receipt{}, &topology.Error{Op: "update", Node: "a", Err: err}
	}
	if err := ctx.Err(); err != nil {
		return fail(fmt.Errorf("%w: %w", topology.ErrTimeout, err))
	}
	// An engine may decide more than once; the last time counts.
	_, _ = u.Decide(&fakeSight{f: f, reads: u.Reads})
	s := &fakeSight{f: f, reads: u.Reads}
	ms, refusal := u.Decide(s)
	if refusal != nil {
		ms = nil
	}
	b := record.Batch{Mutations: append(s.expired, ms...)}
	if len(b.Mutations) > 0 {
		if err := b.Check(0); errors.Is(err, record.ErrTooLarge) {
			return fail(err)
		} else if err != nil {
			return fail(fmt.Errorf("%w: %w", topology.ErrMalformed, err))
		}
		f.accept(b.Mutations)
	}
	if refusal != nil {
		return fail(refusal)
	}
	r := topology.Receipt{
		Token: topology.Token{Origin: fakeOrigin, Term: 1, LSN: record.LSN(f.seq)}, LSN: record.LSN(f.seq), Durable: []topology.NodeID{"a", "b"},
	}
	if len(ms) > 0 {
		r.Dot = version.Dot{Origin: fakeOrigin, Seq: f.seq}
	}
	return r, nil
}

var fakeOrigin = version.Origin{ID: 1}

func (f *fakeNode) accept(ms []record.Mutation) {
	f.seq++
	dot := version.Dot{Origin: fakeOrigin, Seq: f.seq}
	var kept []record.Mutation
	for _, m := range ms {
		m.Key, m.Field, m.Value = bytes.Clone(m.Key), bytes.Clone(m.Field), bytes.Clone(m.Value)
		kept = append(kept, m)
		c := record.Cell{Table: m.Table, Key: m.Key, Field: m.Field}
		if m.Op == record.OpDelete && len(m.Field) == 0 {
			from, to := f.span(c.Table, c.Key, keyAfter(c.Key))
			f.cells, f.values = slices.Delete(f.cells, from, to), slices.Delete(f.values, from, to)
			continue
		}
		i, found := slices.BinarySearchFunc(f.cells, c, compareCells)
		switch {
		case m.Op == record.OpDelete && found:
			f.cells, f.values = slices.Delete(f.cells, i, i+1), slices.Delete(f.values, i, i+1)
		case m.Op == record.OpDelete:
		default:
			v := record.Version{Dot: dot, Expires: m.Expires, Kind: m.Kind, Value: m.Value}
			if found {
				f.values[i] = v
			} else {
				f.cells, f.values = slices.Insert(f.cells, i, c), slices.Insert(f.values, i, v)
			}
		}
	}
	f.records = append(f.records, kept)
}

func compareCells(a, b record.Cell) int {
	if a.Table != b.Table {
		return int(a.Table) - int(b.Table)
	}
	if d := bytes.Compare(a.Key, b.Key); d != 0 {
		return d
	}
	return bytes.Compare(a.Field, b.Field)
}

func (f *fakeNode) span(table record.TableID, from, to []byte) (int, int) {
	end := record.Cell{Table: table, Key: to}
	if to == nil {
		end = record.Cell{Table: table + 1}
	}
	i, _ := slices.BinarySearchFunc(f.cells, record.Cell{Table: table, Key: from}, compareCells)
	j, _ := slices.BinarySearchFunc(f.cells, end, compareCells)
	return i, j
}

// due reports whether a key is to expire by now.
func (f *fakeNode) due(table record.TableID, key []byte) bool {
	i, found := slices.BinarySearchFunc(f.cells, record.Cell{Table: table, Key: key}, compareCells)
	return found && f.values[i].Expires != 0 && f.values[i].Expires <= version.TimestampAt(f.now())
}

// lookup returns the cells of a range, unless its key is due.
func (f *fakeNode) lookup(at topology.CellRange) (found []topology.CellReading) {
	if f.due(at.Table, at.Key) {
		return nil
	}
	from, to := f.span(at.Table, at.Key, keyAfter(at.Key))
	for i := from; i < to; i++ {
		if at.Whole || bytes.Equal(f.cells[i].Field, at.Field) {
			found = append(found, topology.CellReading{Key: f.cells[i].Key, Field: f.cells[i].Field, Version: f.values[i]})
		}
	}
	return found
}

// fakeSight shows what a fakeNode holds, and notes what is due instead.
type fakeSight struct {
	f       *fakeNode
	reads   []topology.CellRange
	expired []record.Mutation
}

func (s *fakeSight) Cells(i int) []topology.CellReading {
	at := s.reads[i]
	if s.f.due(at.Table, at.Key) && !slices.ContainsFunc(s.expired, func(m record.Mutation) bool {
		return m.Table == at.Table && bytes.Equal(m.Key, at.Key)
	}) {
		s.expired = append(s.expired, record.Mutation{Table: at.Table, Key: at.Key, Op: record.OpDelete})
	}
	return s.f.lookup(at)
}

func (f *fakeNode) Read(_ context.Context, table record.TableID, key []byte, o topology.ReadOptions) (topology.Reading, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads = append(f.reads, o.Guarantee)
	if err := f.failure("read"); err != nil {
		return topology.Reading{}, err
	}
	cells := f.lookup(topology.CellRange{Cell: record.Cell{Table: table, Key: key, Field: o.Field}, Whole: o.Whole})
	if len(cells) == 0 {
		return topology.Reading{}, &topology.Error{Op: "read", Err: topology.ErrNotFound}
	}
	return topology.Reading{Cells: cells, Token: topology.Token{Origin: fakeOrigin, Term: 1, LSN: record.LSN(f.seq)}}, nil
}

func (f *fakeNode) Scan(_ context.Context, table record.TableID, from, to []byte, o topology.ReadOptions) iter.Seq2[topology.CellReading, error] {
	return func(yield func(topology.CellReading, error) bool) {
		f.mu.Lock()
		f.reads = append(f.reads, o.Guarantee)
		err := f.failure("scan")
		i, j := f.span(table, from, to)
		cells, values := slices.Clone(f.cells[i:j]), slices.Clone(f.values[i:j])
		f.mu.Unlock()
		if err != nil {
			yield(topology.CellReading{}, err)
			return
		}
		for i := range cells {
			if !yield(topology.CellReading{Key: cells[i].Key, Field: cells[i].Field, Version: values[i]}, nil) {
				return
			}
		}
	}
}
