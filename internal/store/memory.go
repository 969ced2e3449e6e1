package store

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/tidwall/btree"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Memory is a [topology.Store] that keeps nothing beyond the process: Flush has
// nothing to do. Every method is safe for concurrent use.
type Memory struct {
	mu      sync.RWMutex
	cells   *btree.BTreeG[item]
	applied record.LSN
	stage   *memoryStage // the last one opened, its cells kept for Resume
	from    string       // the id of the stage that was installed last
}

var _ topology.Store = (*Memory)(nil)

// item is one cell. It is never changed once it is in a tree, as snapshots
// share it.
type item struct {
	record.Cell
	state []byte
}

func less(a, b item) bool { return compareCells(a.Cell, b.Cell) < 0 }

func compareCells(a, b record.Cell) int {
	if c := cmp.Compare(a.Table, b.Table); c != 0 {
		return c
	}
	if c := bytes.Compare(a.Key, b.Key); c != 0 {
		return c
	}
	return bytes.Compare(a.Field, b.Field)
}

func newTree() *btree.BTreeG[item] {
	return btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{cells: newTree()} }

// Apply is [topology.Store.Apply].
func (m *Memory) Apply(lsn record.LSN, edits []topology.Edit) error {
	if err := checkSize(edits); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if lsn < m.applied {
		return fmt.Errorf("apply at %d: the store is at %d and does not go back", lsn, m.applied)
	}
	edit(m.cells, edits)
	m.applied = lsn
	return nil
}

// edit applies edits to a tree. What the tree keeps, it copies.
func edit(t *btree.BTreeG[item], edits []topology.Edit) {
	for i := range edits {
		e := &edits[i]
		switch {
		case e.Whole:
			removeKey(t, e.Cell)
		case e.State == nil:
			t.Delete(item{Cell: e.Cell})
		default:
			t.Set(clone(e))
		}
	}
}

func removeKey(t *btree.BTreeG[item], c record.Cell) {
	c.Field = nil
	var gone []item
	t.Ascend(item{Cell: c}, func(i item) bool {
		if i.Table != c.Table || !bytes.Equal(i.Key, c.Key) {
			return false
		}
		gone = append(gone, i)
		return true
	})
	for _, i := range gone {
		t.Delete(i)
	}
}

// clone copies an edit's bytes into one allocation.
func clone(e *topology.Edit) item {
	b := make([]byte, 0, len(e.Key)+len(e.Field)+len(e.State))
	keep := func(p []byte) []byte {
		at := len(b)
		b = append(b, p...)
		return b[at:len(b):len(b)]
	}
	return item{
		Cell:  record.Cell{Table: e.Table, Key: keep(e.Key), Field: keep(e.Field)},
		state: keep(e.State),
	}
}

// Applied is the position up to which records are visible.
func (m *Memory) Applied() record.LSN {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.applied
}

// Get is [topology.Store.Get].
func (m *Memory) Get(c record.Cell) ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return get(m.cells, c), nil
}

func get(t *btree.BTreeG[item], c record.Cell) []byte {
	i, ok := t.Get(item{Cell: c})
	if !ok {
		return nil
	}
	return append([]byte{}, i.state...)
}

// Flush is [topology.Store.Flush]: as durable as it gets at once.
func (m *Memory) Flush(ctx context.Context) (record.LSN, error) {
	return m.Applied(), ctx.Err()
}

// Snapshot is [topology.Store.Snapshot]. It copies nothing until one of the two
// changes.
func (m *Memory) Snapshot() (topology.Snapshot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &memorySnapshot{cells: m.cells.Copy(), applied: m.applied, from: m.from}, nil
}

type memorySnapshot struct {
	cells   *btree.BTreeG[item] // nobody changes it
	applied record.LSN
	from    string
	closed  atomic.Bool
}

func (s *memorySnapshot) Applied() record.LSN { return s.applied }

func (s *memorySnapshot) Installed() (string, error) {
	if s.closed.Load() {
		return "", topology.ErrClosed
	}
	return s.from, nil
}

func (s *memorySnapshot) Get(c record.Cell) ([]byte, error) {
	if s.closed.Load() {
		return nil, topology.ErrClosed
	}
	return get(s.cells, c), nil
}

func (s *memorySnapshot) Scan(from, to record.Cell) iter.Seq2[topology.Edit, error] {
	return func(yield func(topology.Edit, error) bool) {
		if s.closed.Load() {
			yield(topology.Edit{}, topology.ErrClosed)
			return
		}
		s.cells.Ascend(item{Cell: from}, func(i item) bool {
			return compareCells(i.Cell, to) < 0 && yield(topology.Edit{Cell: i.Cell, State: i.state}, nil)
		})
	}
}

func (s *memorySnapshot) Close() error {
	s.closed.Store(true)
	return nil
}

// memoryStage is a tree that grows beside the store's.
type memoryStage struct {
	m      *Memory
	id     string
	cells  *btree.BTreeG[item]
	mark   []byte
	resume []byte // the mark as it was when the stage was opened
	closed bool
}

// Stage is [topology.Store.Stage].
func (m *Memory) Stage(id string) (topology.Stage, error) {
	if len(id) > stageIDBytesMax {
		return nil, fmt.Errorf("stage id of %d bytes, at most %d: %w", len(id), stageIDBytesMax, topology.ErrTooLarge)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &memoryStage{m: m, id: id, cells: newTree()}
	if last := m.stage; last != nil {
		last.closed = true
		if last.id == id {
			s.cells, s.mark, s.resume = last.cells, last.mark, last.mark
		}
	}
	m.stage = s
	return s, nil
}

func (s *memoryStage) Resume() []byte { return s.resume }

func (s *memoryStage) Put(mark []byte, edits []topology.Edit) error {
	if err := checkSize(edits); err != nil {
		return err
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if s.closed {
		return topology.ErrClosed
	}
	edit(s.cells, edits)
	s.mark = append([]byte{}, mark...)
	return nil
}

func (s *memoryStage) Install(lsn record.LSN) error {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if s.closed {
		return topology.ErrClosed
	}
	s.closed = true
	s.m.cells, s.m.applied, s.m.stage, s.m.from = s.cells, lsn, nil, s.id
	return nil
}

func (s *memoryStage) Close() error {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	s.closed = true
	return nil
}
