package raft

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/internal/wal"
	"github.com/triad-kv/triad/topology"
)

// openStore opens a log store over a real log, which runs until the test ends or
// stop is called.
func openStore(t testing.TB, fs vfs.FS) (*logStore, func()) {
	l, err := wal.Open(wal.Options{FS: fs, Dir: "log", Cluster: testCluster, Node: "a", SegmentBytes: 8 << 10, FirstSegmentBytes: 8 << 10})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		<-done
		_ = l.Close()
	})
	t.Cleanup(stop)
	return newLogStore(l), stop
}

func entry(index, term uint64) *raft.Log {
	return &raft.Log{Index: index, Term: term, Type: raft.LogCommand, Data: fmt.Appendf(nil, "%d in %d", index, term)}
}

func entries(from, to, term uint64) (all []*raft.Log) {
	for i := from; i <= to; i++ {
		all = append(all, entry(i, term))
	}
	return all
}

// holds returns the terms of what a store holds, from its first index on.
func holds(t testing.TB, l *logStore) (first uint64, terms []uint64) {
	t.Helper()
	first, err := l.FirstIndex()
	require.NoError(t, err)
	last, err := l.LastIndex()
	require.NoError(t, err)
	for i := first; i != 0 && i <= last; i++ {
		var g raft.Log
		require.NoError(t, l.GetLog(i, &g))
		require.Equal(t, *entry(i, g.Term), g)
		terms = append(terms, g.Term)
	}
	return first, terms
}

func requireHolds(t testing.TB, l *logStore, first uint64, terms ...uint64) {
	t.Helper()
	at, have := holds(t, l)
	require.Equal(t, first, at)
	require.Equal(t, terms, have)
}

func TestIndicesAreLSNsAlsoBehindAJump(t *testing.T) {
	fs := vfs.NewMem()
	l, stop := openStore(t, fs)
	requireHolds(t, l, 0)
	require.NoError(t, l.StoreLogs(entries(1, 5, 1)))
	requireHolds(t, l, 1, 1, 1, 1, 1, 1)

	// A tail of an older term gives way.
	require.NoError(t, l.DeleteRange(4, 5))
	require.NoError(t, l.StoreLogs(entries(4, 6, 3)))
	requireHolds(t, l, 1, 1, 1, 1, 3, 3, 3)
	require.NoError(t, l.StoreLogs(entries(6, 6, 4)), "also where nobody has dropped it before")
	requireHolds(t, l, 1, 1, 1, 1, 3, 3, 4)

	// The head goes.
	require.NoError(t, l.DeleteRange(1, 2))
	requireHolds(t, l, 3, 1, 3, 3, 4)
	require.ErrorIs(t, l.GetLog(2, &raft.Log{}), raft.ErrLogNotFound)
	require.ErrorIs(t, l.GetLog(7, &raft.Log{}), raft.ErrLogNotFound)
	require.ErrorIs(t, l.DeleteRange(4, 4), topology.ErrUnsupported)
	require.NoError(t, l.DeleteRange(100, 200))

	// A snapshot is installed: everything goes, and the next index is far away.
	require.NoError(t, l.DeleteRange(3, 6))
	requireHolds(t, l, 0)
	require.NoError(t, l.StoreLogs(entries(1000, 1001, 7)))
	requireHolds(t, l, 1000, 7, 7)
	stop()
	l, stop = openStore(t, fs)
	requireHolds(t, l, 1000, 7, 7)

	// A crash may leave what the snapshot replaces; the gap behind it drops it.
	require.NoError(t, l.StoreLogs(entries(2000, 2000, 9)))
	requireHolds(t, l, 2000, 9)
	stop()
	l, _ = openStore(t, fs)
	requireHolds(t, l, 2000, 9)
	require.True(t, l.IsMonotonic())
}

func TestAnEntryKeepsAllItsFields(t *testing.T) {
	l, _ := openStore(t, vfs.NewMem())
	want := raft.Log{Index: 1, Term: 2, Type: raft.LogBarrier, Data: []byte("d"), Extensions: []byte("x"), AppendedAt: time.Unix(5, 6)}
	require.NoError(t, l.StoreLog(&want))
	var got raft.Log
	require.NoError(t, l.GetLog(1, &got))
	require.Equal(t, want, got)
}

func TestAnEntryThatIsAnotherBackendsIsRefused(t *testing.T) {
	l, _ := openStore(t, vfs.NewMem())
	e := l.encode(entry(1, 1))
	for name, change := range map[string]func(){
		"its place":   func() { e.LSN = 2 },
		"its term":    func() { e.Term = 2 },
		"no record":   func() { e.Bytes = []byte{0xc0} },
		"of no group": func() { e.Bytes = nil },
	} {
		t.Run(name, func(t *testing.T) {
			e = l.encode(entry(1, 1))
			change()
			require.Error(t, decodeStored(e, &raft.Log{}))
		})
	}
}

// spot is an entry as a model knows it.
type spot struct{ index, term uint64 }

// ordeal is what a store has promised at a moment.
type ordeal struct {
	before, after map[spot]bool // around the call that is under way
	dropped       map[spot]bool // at the head: their segment may still be there
}

// wreck is what a crash leaves.
type wreck struct {
	fs *crashfs.FS
	at string
	ordeal
}

func (w wreck) judge(t *testing.T) {
	l, stop := openStore(t, w.fs)
	defer stop()
	first, terms := holds(t, l)
	found := map[spot]bool{}
	for i, term := range terms {
		s := spot{first + uint64(i), term}
		found[s] = true
		require.True(t, w.before[s] || w.after[s] || w.dropped[s], "%s: %v is there", w.at, s)
	}
	for s := range w.before {
		require.True(t, found[s] || !w.after[s], "%s: %v is lost", w.at, s)
	}
}

func TestACrashAtEveryCallKeepsWhatWasStored(t *testing.T) {
	var mu sync.Mutex
	var all []wreck
	now := ordeal{before: map[spot]bool{}, after: map[spot]bool{}, dropped: map[spot]bool{}}
	disk, rng := crashfs.New(), rand.New(rand.NewPCG(3, 4))
	l, stop := openStore(t, disk)
	disk.Before(func(c crashfs.Call) error {
		mu.Lock()
		defer mu.Unlock()
		for _, s := range crashfs.Survivals {
			all = append(all, wreck{disk.Crash(s, rng, c), fmt.Sprintf("%v before %v", s, c), now})
		}
		return nil
	})
	model := map[spot]bool{}
	step := func(call func() error, change func(was spot) bool, add ...*raft.Log) {
		next, dropped := map[spot]bool{}, map[spot]bool{}
		mu.Lock()
		for s := range now.dropped {
			dropped[s] = true
		}
		for s := range model {
			if change(s) {
				next[s] = true
			} else {
				dropped[s] = true
			}
		}
		for _, g := range add {
			next[spot{g.Index, g.Term}] = true
		}
		now = ordeal{model, next, now.dropped}
		mu.Unlock()
		require.NoError(t, call())
		mu.Lock()
		model, now = next, ordeal{next, next, dropped}
		mu.Unlock()
	}
	keep := func(f func(index uint64) bool) func(spot) bool { return func(s spot) bool { return f(s.index) } }
	store := func(from, to, term uint64, stays func(uint64) bool) {
		es := entries(from, to, term)
		step(func() error { return l.StoreLogs(es) }, keep(stays), es...)
	}
	drop := func(low, high uint64) {
		step(func() error { return l.DeleteRange(low, high) }, keep(func(i uint64) bool { return i < low || i > high }))
	}
	always := func(uint64) bool { return true }
	store(1, 3, 1, always)
	store(4, 60, 1, always)
	drop(50, 60)
	store(50, 52, 2, always)
	drop(1, 20)
	store(53, 200, 2, always)
	drop(1, 150)
	drop(151, 200)
	store(500, 502, 5, always)
	store(900, 901, 6, func(uint64) bool { return false })
	store(902, 902, 6, always)
	disk.Before(nil)
	stop()

	require.NotEmpty(t, all)
	for _, i := range crashfs.Sample(t, len(all), 300, 7) {
		all[i].judge(t)
	}
}

// memory is a stable in memory.
type memory map[string][]byte

func (m memory) Save(name string, value []byte) error {
	m[name] = append([]byte{}, value...)
	return nil
}

func (m memory) Load(name string) ([]byte, error) { return m[name], nil }

func TestAVoteIsDurableWholeOrNotAtAll(t *testing.T) {
	m := memory{}
	s, err := openStableStore(m)
	require.NoError(t, err)
	vote := func(term uint64, who string) {
		require.NoError(t, s.SetUint64([]byte(keyVoteTerm), term))
		require.NoError(t, s.Set([]byte(keyVoteFor), []byte(who)))
	}
	check := func(term, voteTerm uint64, who string) {
		t.Helper()
		reopened, err := openStableStore(m)
		require.NoError(t, err)
		for _, s := range []*stableStore{s, reopened} {
			n, err := s.GetUint64([]byte(keyTerm))
			require.NoError(t, err)
			require.Equal(t, term, n)
			n, err = s.GetUint64([]byte(keyVoteTerm))
			require.NoError(t, err)
			require.Equal(t, voteTerm, n)
			b, err := s.Get([]byte(keyVoteFor))
			require.NoError(t, err)
			require.Equal(t, who, string(b))
		}
	}
	check(0, 0, "")
	require.NoError(t, s.SetUint64([]byte(keyTerm), 4))
	vote(4, "a@1")
	check(4, 4, "a@1")
	require.NoError(t, s.SetUint64([]byte(keyTerm), 5))
	require.NoError(t, s.SetUint64([]byte(keyVoteTerm), 5)) // and a crash before the second call
	check(5, 4, "a@1")
	vote(5, "b@2")
	check(5, 5, "b@2")
	require.ErrorIs(t, s.Set([]byte("other"), nil), topology.ErrUnsupported)
	require.ErrorIs(t, s.SetUint64([]byte("other"), 1), topology.ErrUnsupported)
}

func TestTheNewestSnapshotIsKept(t *testing.T) {
	m := memory{}
	s, err := openSnapshotStore(m)
	require.NoError(t, err)
	list, err := s.List()
	require.NoError(t, err)
	require.Empty(t, list)
	conf := raft.Configuration{Servers: []raft.Server{{ID: "a@1", Address: "a@1"}, {ID: "b@2", Address: "b@2", Suffrage: raft.Nonvoter}}}
	take := func(index uint64, body string) {
		sink, err := s.Create(1, index, 3, conf, 2, nil)
		require.NoError(t, err)
		_, err = io.WriteString(sink, body)
		require.NoError(t, err)
		require.NoError(t, sink.Close())
		require.NoError(t, sink.Close())
	}
	take(10, "ten")
	take(20, "twenty")
	canceled, err := s.Create(1, 30, 3, conf, 2, nil)
	require.NoError(t, err)
	require.NoError(t, canceled.Cancel())
	require.NoError(t, canceled.Close())
	for _, s := range []*snapshotStore{s, func() *snapshotStore { s, err := openSnapshotStore(m); require.NoError(t, err); return s }()} {
		list, err := s.List()
		require.NoError(t, err)
		require.Len(t, list, 1)
		meta, body, err := s.Open(list[0].ID)
		require.NoError(t, err)
		require.Equal(t, &raft.SnapshotMeta{Version: 1, ID: "3-20", Index: 20, Term: 3, Configuration: conf, ConfigurationIndex: 2, Size: 6}, meta)
		b, err := io.ReadAll(body)
		require.NoError(t, err)
		require.Equal(t, "twenty", string(b))
		_, _, err = s.Open("3-10")
		require.ErrorIs(t, err, topology.ErrNotFound)
	}
	sink, err := s.Create(1, 40, 3, conf, 2, nil)
	require.NoError(t, err)
	_, err = sink.Write(make([]byte, snapshotBytesMax+1))
	require.ErrorIs(t, err, topology.ErrTooLarge)
}

// A term that cannot be noted must not take the program down, as raft would have it:
// the voter ends, and says why.
func TestATermThatCannotBeNotedEndsTheGoroutineAndNotTheProgram(t *testing.T) {
	for cause, ends := range map[error]bool{topology.ErrFailed: true, topology.ErrDiskFull: false} {
		refusing := &refusingStable{err: cause}
		s, err := openStableStore(refusing)
		require.NoError(t, err)
		done := make(chan struct{})
		noted := false
		go func() {
			defer close(done)
			_ = s.SetUint64([]byte(keyTerm), 7)
			noted = true
		}()
		if ends {
			require.ErrorIs(t, <-s.failed, cause)
		} else {
			<-refusing.asked()
			close(s.closes)
		}
		<-done
		require.False(t, noted)
	}
}

// refusingStable saves nothing.
type refusingStable struct {
	err   error
	once  sync.Once
	first chan struct{}
}

func (r *refusingStable) asked() chan struct{} {
	r.once.Do(func() { r.first = make(chan struct{}, 1) })
	return r.first
}

func (r *refusingStable) Save(string, []byte) error {
	select {
	case r.asked() <- struct{}{}:
	default:
	}
	return r.err
}

func (r *refusingStable) Load(string) ([]byte, error) { return nil, nil }
