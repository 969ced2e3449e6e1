package triad

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// fake is a topology of one node: it appends, flushes and applies under one lock,
// and can be told to lead or not and to fail.
type fake struct {
	env     topology.Env
	mu      sync.Mutex
	encoder *record.Encoder
	applied record.LSN
	term    atomic.Uint64
	ended   chan struct{} // closed when Run has returned
	fail    chan error    // ends Run

	follows   atomic.Bool      // refuses writes, and says so in its status
	watches   atomic.Bool      // says so in its status alone
	undecided atomic.Bool      // knows no leader yet
	asked     atomic.Int64     // writes, refused ones too
	before    func(key []byte) // is called before a read
	refuse    func(b recordBatch) error
	reads     []topology.ReadOptions
	writes    []record.Batch
	options   []topology.WriteOptions
}

type recordBatch = record.Batch

// fakes returns a builder of fake engines and where the last one is found.
func fakes() (topology.Builder, *atomic.Pointer[fake]) {
	var at atomic.Pointer[fake]
	return func(env topology.Env) (topology.Engine, error) {
		f := &fake{env: env, encoder: record.NewEncoder(), ended: make(chan struct{}), fail: make(chan error, 1)}
		f.term.Store(1)
		s, err := env.Store.Snapshot()
		if err != nil {
			return nil, err
		}
		f.applied = s.Applied()
		if err := s.Close(); err != nil {
			return nil, err
		}
		at.Store(f)
		return f, f.replay()
	}, &at
}

// replay applies what the log has and the store does not.
func (f *fake) replay() error {
	if b := f.env.Log.Bounds(); b.End < b.First {
		return nil
	}
	for e, err := range f.env.Log.Read(context.Background(), f.applied+1) {
		if err != nil {
			return err
		}
		r, err := e.Record()
		if err == nil {
			err = f.apply(e.LSN, &r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *fake) apply(lsn record.LSN, r *record.Record) error {
	var edits []topology.Edit
	for _, m := range r.Mutations {
		e := topology.Edit{Cell: record.Cell{Table: m.Table, Key: m.Key, Field: m.Field}}
		if m.Op == record.OpPut {
			e.State = f.encoder.AppendState(nil, &record.State{Siblings: []record.Version{{Dot: r.Dot, Time: r.Time, Kind: m.Kind, Value: m.Value}}})
		} else {
			e.Whole = len(m.Field) == 0
		}
		edits = append(edits, e)
	}
	f.applied = lsn
	return f.env.Store.Apply(lsn, edits)
}

func (f *fake) Write(ctx context.Context, b record.Batch, o topology.WriteOptions) (topology.Receipt, error) {
	f.asked.Add(1)
	if err := b.Check(0); err != nil {
		return topology.Receipt{}, &topology.Error{Node: "a", Err: fmt.Errorf("%w: %w", topology.ErrMalformed, err)}
	}
	if f.follows.Load() {
		return topology.Receipt{}, &topology.Error{Node: "a", Err: topology.ErrNotLeader, Leader: "b", Addr: "b:1"}
	}
	select {
	case <-f.ended:
		return topology.Receipt{}, &topology.Error{Node: "a", Err: topology.ErrClosed}
	default:
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes, f.options = append(f.writes, b), append(f.options, o)
	if f.refuse != nil {
		if err := f.refuse(b); err != nil {
			return topology.Receipt{}, err
		}
	}
	for i := range b.Conditions {
		if err := f.holds(&b.Conditions[i]); err != nil {
			return topology.Receipt{}, &topology.Error{Node: "a", Err: err}
		}
	}
	lsn := f.env.Log.Bounds().End + 1
	r := record.Record{
		Dot:  version.Dot{Origin: version.Origin{ID: 1, Incarnation: 1}, Seq: uint64(lsn)},
		Time: f.env.Clock.Now(), Term: 1, Mutations: b.Mutations,
	}
	if _, err := f.env.Log.Append(1, r); err != nil {
		return topology.Receipt{}, &topology.Error{Node: "a", Err: err}
	}
	if err := f.env.Log.Flushed(ctx, lsn); err != nil {
		return topology.Receipt{}, &topology.Error{Node: "a", Outcome: topology.Unknown, Dot: r.Dot, Err: err}
	}
	if err := f.apply(lsn, &r); err != nil {
		return topology.Receipt{}, err
	}
	return topology.Receipt{Token: f.token(), Dot: r.Dot, LSN: lsn, Term: 1, Time: r.Time, Durability: topology.Applied}, nil
}

func (f *fake) token() topology.Token {
	return topology.Token{Origin: version.Origin{ID: 1, Incarnation: 1}, Term: 1, LSN: f.applied}
}

func (f *fake) holds(c *record.Condition) error {
	cells, err := f.cells(c.Cell)
	if err != nil {
		return err
	}
	held := false
	switch {
	case c.Absent:
		held = len(cells) == 0
	case c.Equal:
		held = len(cells) == 1 && bytes.Equal(cells[0].Value, c.Value)
	default:
		held = len(cells) == 1 && cells[0].Dot == c.Version
	}
	if !held {
		return topology.ErrConditionFailed
	}
	return nil
}

func (f *fake) cells(c record.Cell) ([]topology.CellReading, error) {
	b, err := f.env.Store.Get(c)
	if err != nil || b == nil {
		return nil, err
	}
	var s record.State
	err = record.DecodeState(b, &s)
	return []topology.CellReading{{Key: c.Key, Field: c.Field, Version: s.Siblings[0]}}, err
}

func (f *fake) Read(_ context.Context, table record.TableID, key []byte, o topology.ReadOptions) (topology.Reading, error) {
	if f.before != nil {
		f.before(key)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads = append(f.reads, o)
	r := topology.Reading{Token: f.token(), Served: "a", Guarantee: topology.ReadLinearizable}
	var err error
	if o.Whole {
		for c, serr := range f.scan(table, key, append(bytes.Clone(key), 0)) {
			c.Key, c.Field, c.Value = bytes.Clone(c.Key), bytes.Clone(c.Field), bytes.Clone(c.Value)
			r.Cells, err = append(r.Cells, c), errors.Join(err, serr)
		}
	} else {
		r.Cells, err = f.cells(record.Cell{Table: table, Key: key, Field: o.Field})
	}
	if err == nil && len(r.Cells) == 0 {
		err = &topology.Error{Node: "a", Err: topology.ErrNotFound}
	}
	return r, err
}

func (f *fake) Scan(_ context.Context, table record.TableID, from, to []byte, o topology.ReadOptions) iter.Seq2[topology.CellReading, error] {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads = append(f.reads, o)
	return f.scan(table, from, to)
}

func (f *fake) scan(table record.TableID, from, to []byte) iter.Seq2[topology.CellReading, error] {
	return func(yield func(topology.CellReading, error) bool) {
		s, err := f.env.Store.Snapshot()
		if err != nil {
			yield(topology.CellReading{}, err)
			return
		}
		defer func() { _ = s.Close() }()
		end := record.Cell{Table: table, Key: to}
		if len(to) == 0 {
			end = record.Cell{Table: table + 1}
		}
		for e, err := range s.Scan(record.Cell{Table: table, Key: from}, end) {
			var st record.State
			if err == nil {
				err = record.DecodeState(e.State, &st)
			}
			if err != nil {
				yield(topology.CellReading{}, err)
				return
			}
			if !yield(topology.CellReading{Key: e.Key, Field: e.Field, Version: st.Siblings[0]}, nil) {
				return
			}
		}
	}
}

func (f *fake) Wait(_ context.Context, t topology.Token) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t.LSN > f.applied {
		return topology.ErrTimeout
	}
	return nil
}

func (f *fake) Promote(_ context.Context, force bool) (topology.Promotion, error) {
	if !force {
		return topology.Promotion{}, topology.ErrUnavailable
	}
	return topology.Promotion{Term: f.term.Add(1), Leader: "a", Reached: []topology.NodeID{"a"}}, nil
}

func (f *fake) Term() uint64 { return f.term.Load() }

func (f *fake) Run(ctx context.Context) error {
	defer close(f.ended)
	select {
	case err := <-f.fail:
		return err
	case <-ctx.Done():
		return nil
	}
}

func (f *fake) Status() topology.Status {
	s := topology.Status{Kind: "fake", Role: topology.RoleLeader, Leader: "a", Term: f.term.Load()}
	if f.follows.Load() || f.watches.Load() {
		s.Role, s.Leader = topology.RoleFollower, "b"
	}
	if f.undecided.Load() {
		s.Role, s.Leader = topology.RoleCandidate, ""
	}
	return s
}

// start opens a node on a fake engine, runs it, and ends it with the test.
func start(t *testing.T, c Config) (*Node, *fake) {
	t.Helper()
	n, f, end := launch(t, c)
	<-n.gate.open
	t.Cleanup(func() { require.NoError(t, end()) })
	return n, f
}

// launch is start for a test that ends the node itself; end closes it and
// returns what Run returned.
func launch(t *testing.T, c Config) (n *Node, f *fake, end func() error) {
	t.Helper()
	build, at := fakes()
	if c.Topology == nil {
		c.Topology = build
	}
	if c.Dir == "" {
		c.Dir = "data/a"
	}
	if c.FS == nil {
		c.FS = vfs.NewMem()
	}
	if c.Limits.LogSegmentBytes == 0 {
		c.Limits.LogSegmentBytes = 64 << 10
	}
	n, err := Open(c)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- n.Run(context.Background()) }()
	var once sync.Once
	var ended error
	return n, at.Load(), func() error {
		once.Do(func() {
			ended = n.Close()
			if err := <-done; !errors.Is(err, topology.ErrClosed) { // closed before it ran
				ended = errors.Join(ended, err)
			}
		})
		return ended
	}
}
