package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/triad-kv/triad/internal/store"
	"github.com/triad-kv/triad/internal/wal"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// pair is two ends of a stream in memory. breakAfter ends it after that many
// messages of the first end.
type pipe struct {
	in, out chan []byte
	done    chan struct{}
	once    *sync.Once
	left    *int
	sent    int // bytes
	watch   func([]byte)
}

func pair(breakAfter, room int) (*pipe, *pipe) {
	a, b := make(chan []byte, room), make(chan []byte, room)
	done, once := make(chan struct{}), new(sync.Once)
	return &pipe{in: a, out: b, done: done, once: once, left: &breakAfter}, &pipe{in: b, out: a, done: done, once: once}
}

func (p *pipe) Peer() topology.Peer { return topology.Peer{ID: "a", Life: 1} }
func (p *pipe) Close() error        { p.once.Do(func() { close(p.done) }); return nil }

func (p *pipe) Send(parts ...[]byte) error {
	var m []byte
	for _, b := range parts {
		m = append(m, b...)
	}
	p.sent += len(m)
	if p.watch != nil {
		p.watch(m)
	}
	if p.left != nil && *p.left > 0 {
		if *p.left--; *p.left == 0 {
			return errors.Join(errors.New("the connection broke"), p.Close())
		}
	}
	select {
	case p.out <- m:
		return nil
	case <-p.done:
		return io.ErrClosedPipe
	}
}

func (p *pipe) Recv() ([]byte, error) {
	select {
	case m := <-p.in:
		return m, nil
	case <-p.done:
		return nil, io.EOF
	}
}

// taker is a sink that takes everything: an empty node.
type taker struct {
	store *store.Memory
	wake  func()

	mu       sync.Mutex
	end      record.LSN
	messages int
	largest  int
	installs int
	carried  int // bytes that the last connection brought
	beats    int
	seen     func(*Append)  // of all that arrives; may be nil
	watch    func([]byte)   // of all that the sender sends; may be nil
	place    topology.Store // nil: store
	deaf     bool           // it never says what it has
}

func (k *taker) Begin(context.Context, topology.Peer, Begin) (Tail, error) { return Tail{Term: 1}, nil }
func (k *taker) Cut(_ context.Context, c Cut) (Tail, error) {
	return Tail{Term: 1, Last: Place{1, k.end}}, nil
}

func (k *taker) Append(_ context.Context, a *Append) error {
	k.mu.Lock()
	if k.seen != nil {
		k.seen(a)
	}
	if len(a.Entries) == 0 {
		k.beats++
	} else {
		k.messages++
		k.largest = max(k.largest, len(a.Entries))
		k.end = a.Entries[len(a.Entries)-1].LSN
	}
	k.mu.Unlock()
	k.wake()
	return nil
}

func (k *taker) Install(_ context.Context, o Offer, s topology.Stage) (Tail, error) {
	if err := s.Install(o.LSN); err != nil {
		return Tail{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.installs++
	k.end = o.LSN
	return Tail{Term: 1, Last: Place{1, o.LSN}}, nil
}

func (k *taker) Ack() Ack {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.deaf {
		return Ack{Term: 1}
	}
	return Ack{Term: 1, Written: k.end, Flushed: k.end, Applied: k.end}
}

// testSource is a log of n records and a store that shows them all.
func testSource(t *testing.T, n int) (*wal.Log, *store.Memory) { return sourceOn(t, vfs.NewMem(), n) }

func sourceOn(t *testing.T, fs vfs.FS, n int) (*wal.Log, *store.Memory) {
	log, err := wal.Open(wal.Options{FS: fs, Dir: "/log", Node: "a", Cluster: [16]byte{1}, SegmentBytes: 16 << 10, TailBytes: 1})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- log.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done; _ = log.Close() })
	st := store.NewMemory()
	enc := record.NewEncoder()
	for i := 1; i <= n; i++ {
		key := fmt.Appendf(nil, "k%05d", i)
		r := record.Record{Dot: version.Dot{Origin: version.Origin{ID: 1, Incarnation: 1}, Seq: uint64(i)}, Term: 1,
			Mutations: []record.Mutation{{Table: 16, Op: record.OpPut, Key: key, Value: make([]byte, 100)}}}
		lsn, err := log.Append(1, r)
		require.NoError(t, err)
		s := record.State{Siblings: []record.Version{{Dot: r.Dot, Value: r.Mutations[0].Value}}}
		require.NoError(t, st.Apply(lsn, []topology.Edit{{Cell: record.Cell{Table: 16, Key: key}, State: enc.AppendState(nil, &s)}}))
	}
	require.NoError(t, log.Flushed(ctx, record.LSN(n)))
	return log, st
}

// connect runs one connection to its end.
func connect(t *testing.T, s *Sender, k *taker, breakAfter int, enough func() bool) error {
	room := 64
	if k.watch != nil {
		room = 1 // what is on its way would be weighed too
	}
	a, b := pair(breakAfter, room)
	a.watch = k.watch
	place := k.place
	if place == nil {
		place = k.store
	}
	r := NewReceiver(ReceiverConfig{From: a.Peer(), Stream: b, Store: place, Sink: k})
	k.wake = r.Wake
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var g errgroup.Group
	g.Go(func() error { return s.Run(ctx, a) })
	g.Go(func() error { _ = r.Run(ctx); return nil })
	g.Go(func() error {
		for !enough() {
			select {
			case <-a.done:
				return nil
			case <-time.After(time.Millisecond):
			}
		}
		return a.Close()
	})
	err := g.Wait()
	k.carried = a.sent
	require.NoError(t, ctx.Err(), "the stream got stuck")
	return err
}

func newTestSender(log *wal.Log, st topology.Store, l Limits) *Sender {
	return NewSender(SenderConfig{
		Begin: Begin{Group: "main", Term: 1}, Log: log, Store: st, Limits: l,
		Riding: func() Riding { return Riding{Commit: log.Bounds().End} },
		Acked:  func(Ack) {},
	})
}

func (k *taker) has(lsn record.LSN) func() bool {
	return func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.end >= lsn
	}
}

func TestALogIsShippedInBatchesWithinTheirLimit(t *testing.T) {
	log, st := testSource(t, 500)
	s := newTestSender(log, st, Limits{BatchBytesMax: 2 << 10, WindowBytesMax: 4 << 10})
	k := &taker{store: store.NewMemory()}
	_ = connect(t, s, k, 0, k.has(500))
	require.EqualValues(t, 500, k.end)
	require.Greater(t, k.messages, 500/15)
	require.Less(t, k.largest, 16)
	require.NoError(t, s.Close())
}

func TestASnapshotGoesOnWhereItsConnectionBroke(t *testing.T) {
	log, st := testSource(t, 1000)
	require.NoError(t, log.Truncate(topology.Range{First: 900, Last: 1000}))
	require.Greater(t, log.Bounds().First, record.LSN(1))
	s := newTestSender(log, st, Limits{ChunkBytesMax: 8 << 10})
	k := &taker{store: store.NewMemory()}
	require.Error(t, connect(t, s, k, 8, k.has(1000)))
	require.Zero(t, k.installs)

	st2, err := k.store.Stage(s.snap.id)
	require.NoError(t, err)
	require.NotNil(t, st2.Resume(), "some chunks had arrived, and are kept")
	require.NoError(t, st2.Close())
	_ = connect(t, s, k, 0, k.has(1000))
	require.Equal(t, 1, k.installs)

	a, err := st.Snapshot()
	require.NoError(t, err)
	defer a.Close()
	b, err := k.store.Snapshot()
	require.NoError(t, err)
	defer b.Close()
	require.Equal(t, a.Applied(), b.Applied())
	n, size := 0, 0
	for e, err := range a.Scan(record.Cell{}, record.Cell{Table: 17}) {
		require.NoError(t, err)
		got, err := b.Get(e.Cell)
		require.NoError(t, err)
		require.Equal(t, e.State, got)
		n++
		size += len(e.Key) + len(e.State)
	}
	require.Equal(t, 1000, n)
	require.Less(t, k.carried, size, "what had arrived is not sent again")
	require.NoError(t, s.Close())
}

// What an earlier leader's follower says counts for nothing, and ends the stream (S7).
func TestAnAckOfAnotherTermEndsTheStream(t *testing.T) {
	log, st := testSource(t, 3)
	s := newTestSender(log, st, Limits{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.c.Acked = func(Ack) { cancel() }
	a, b := pair(0, 64)
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, a) }()
	w := pack.NewWriter(nil)
	for _, m := range []interface{ encode(*pack.Writer) }{&Tail{Term: 1}, &Ack{Term: 2, Written: 3, Flushed: 3}} {
		_, err := b.Recv() // the beginning; then the cut
		require.NoError(t, err)
		m.encode(w)
		require.NoError(t, b.Send(w.Bytes()))
	}
	require.ErrorContains(t, <-done, "ack of term 2 in term 1")
}

func TestAChunkThatDoesNotAddUpIsRefused(t *testing.T) {
	e := topology.Edit{Cell: record.Cell{Table: 16, Key: []byte("k")}, State: []byte{1}}
	m := Mark{}.With(e)
	m.Last = e.Cell
	got, err := Mark{}.Over(&Chunk{Mark: m, Edits: []topology.Edit{e}})
	require.NoError(t, err)
	require.Equal(t, m, got)
	m.Sum++
	_, err = Mark{}.Over(&Chunk{Mark: m, Edits: []topology.Edit{e}})
	require.ErrorIs(t, err, errSnapshot)
	m.Sum--
	m.Count++
	_, err = Mark{}.Over(&Chunk{Mark: m, Edits: []topology.Edit{e}})
	require.ErrorIs(t, err, errSnapshot)
}
