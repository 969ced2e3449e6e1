package triad

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/triad-kv/triad/internal/home"
	"github.com/triad-kv/triad/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

var key, value = []byte("k"), []byte("v")

func TestALoneNodeNeedsADirectoryAndATopology(t *testing.T) {
	n, _ := start(t, Config{})
	r, err := n.Put(t.Context(), DefaultTable, key, value)
	require.NoError(t, err)
	require.Equal(t, uint64(1), r.Dot.Seq)
	got, err := n.Get(t.Context(), DefaultTable, key)
	require.NoError(t, err)
	require.Equal(t, value, got.Value)
	require.Equal(t, r.Dot, got.Dot)
	require.Equal(t, r.Token, got.Token)
	require.Nil(t, n.Addr())
	require.Equal(t, topology.NodeID("a"), n.ID())
}

func TestANodeFindsWhatItWroteBefore(t *testing.T) {
	for name, memory := range map[string]bool{"on disk": false, "in memory, from the log": true} {
		t.Run(name, func(t *testing.T) {
			disk := vfs.NewMem()
			n, _, end := launch(t, Config{FS: disk, Memory: memory})
			_, err := n.Put(t.Context(), DefaultTable, key, value)
			require.NoError(t, err)
			require.NoError(t, end())
			n, _ = start(t, Config{FS: disk, Memory: memory})
			got, err := n.Get(t.Context(), DefaultTable, key)
			require.NoError(t, err)
			require.Equal(t, value, got.Value)
		})
	}
}

func TestASecondNodeOnADirectoryIsRefusedAndTheFirstGoesOn(t *testing.T) {
	disk := vfs.NewMem()
	n, _ := start(t, Config{FS: disk})
	build, _ := fakes()
	_, err := Open(Config{Dir: "data/a", FS: disk, Topology: build})
	require.ErrorIs(t, err, home.ErrLocked)
	_, err = n.Put(t.Context(), DefaultTable, key, value)
	require.NoError(t, err)
}

func TestAnExpiredCallDoesNothing(t *testing.T) {
	n, f := start(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := n.Put(ctx, DefaultTable, key, value)
	require.ErrorIs(t, err, topology.ErrTimeout)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	_, err = n.Get(ctx, DefaultTable, key)
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, f.writes)
	require.Empty(t, f.reads)
}

func TestErrorsNameOperationTableAndKey(t *testing.T) {
	n, f := start(t, Config{})
	shared := &topology.Error{Node: "z", Outcome: topology.Unknown, Err: topology.ErrUnavailable}
	f.refuse = func(recordBatch) error { return shared }
	_, err := n.Put(t.Context(), DefaultTable, key, value)
	var e *topology.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, topology.Error{Op: "put", Node: "z", Table: "default", Key: key, Outcome: topology.Unknown, Err: topology.ErrUnavailable}, *e)
	require.Empty(t, shared.Op, "the engine's error is not changed")

	_, err = n.Get(t.Context(), DefaultTable, []byte("absent"))
	require.ErrorIs(t, err, topology.ErrNotFound)
	require.EqualError(t, err, `get default/"absent" at a: not found (not applied)`)
}

func TestAFollowersRefusalNamesTheLeader(t *testing.T) {
	n, f := start(t, Config{})
	f.follows.Store(true)
	for name, do := range map[string]func() error{
		"a write":            func() error { _, err := n.Put(t.Context(), DefaultTable, key, value); return err },
		"a table's creation": func() error { return n.CreateTable(t.Context(), Table{Name: "t"}) },
	} {
		t.Run(name, func(t *testing.T) {
			err := do()
			require.ErrorIs(t, err, topology.ErrNotLeader)
			var e *topology.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, topology.NodeID("b"), e.Leader)
			require.Equal(t, "b:1", e.Addr)
			require.Equal(t, topology.NotApplied, e.Outcome)
		})
	}
}

func TestCallsWaitForRunAndEndWithClose(t *testing.T) {
	build, _ := fakes()
	n, err := Open(Config{Dir: "data/a", FS: vfs.NewMem(), Topology: build})
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		_, err := n.Put(context.Background(), DefaultTable, key, value)
		done <- err
	}()
	require.NoError(t, n.Close())
	err = <-done
	require.ErrorIs(t, err, topology.ErrClosed)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	require.ErrorIs(t, n.Run(t.Context()), topology.ErrClosed)
	require.NoError(t, n.Close(), "Close may be called again")
}

func TestRunRunsOnce(t *testing.T) {
	n, _ := start(t, Config{})
	_, err := n.Put(t.Context(), DefaultTable, key, value) // so that Run runs
	require.NoError(t, err)
	require.ErrorIs(t, n.Run(t.Context()), topology.ErrConflict)
}

func TestNothingIsAnsweredAfterClose(t *testing.T) {
	n, _, end := launch(t, Config{})
	require.NoError(t, end())
	_, err := n.Get(t.Context(), DefaultTable, key)
	require.ErrorIs(t, err, topology.ErrClosed)
	require.Equal(t, topology.RoleFailed, n.Status().Role)
	for _, err := range n.Scan(t.Context(), DefaultTable, nil, nil) {
		require.ErrorIs(t, err, topology.ErrClosed)
	}
}

func TestAFailureOfTheEngineEndsTheNodeWithTheReason(t *testing.T) {
	n, f, end := launch(t, Config{})
	_, err := n.Put(t.Context(), DefaultTable, key, value)
	require.NoError(t, err)
	reason := errors.New("the engine broke")
	f.fail <- reason
	require.Eventually(t, func() bool { return n.Status().Failure != "" }, patience, time.Millisecond)
	_, err = n.Put(t.Context(), DefaultTable, key, value)
	require.ErrorIs(t, err, topology.ErrFailed)
	require.ErrorIs(t, err, reason)
	require.ErrorIs(t, end(), reason)
}

func TestAFailureOfTheDiskEndsTheNodeWithTheReason(t *testing.T) {
	for _, place := range []string{"log", "store", "stable"} {
		t.Run(place, func(t *testing.T) {
			var broken atomic.Bool
			disk := errorfs.Wrap(vfs.NewMem(), injector(func(op errorfs.Op) error {
				if broken.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && strings.Contains(op.Path, "a/"+place) {
					return syscall.EIO
				}
				return nil
			}))
			build, _ := fakes()
			n, err := Open(Config{Dir: "data/a", FS: disk, Topology: build, Limits: Limits{LogSegmentBytes: 32 << 10, RetainEvery: time.Millisecond}})
			require.NoError(t, err)
			done := make(chan error, 1)
			go func() { done <- n.Run(context.Background()) }()
			_, err = n.Put(t.Context(), DefaultTable, key, value)
			require.NoError(t, err)
			broken.Store(true)
			_, _ = n.Put(t.Context(), DefaultTable, key, make([]byte, 40<<10)) // gives the log something to write, and the store to flush
			_ = n.home.Save("document", value)
			err = <-done
			require.ErrorIs(t, err, syscall.EIO)
			_, err = n.Get(t.Context(), DefaultTable, key)
			require.ErrorIs(t, err, topology.ErrFailed)
			_ = n.Close() // tells of the disk again
		})
	}
}

func TestAFailureOfTheStoreIsTheReason(t *testing.T) {
	n, _, end := launch(t, Config{})
	<-n.gate.open
	n.disks.fault <- topology.ErrStoreFailed
	<-n.gate.shut
	require.ErrorIs(t, end(), topology.ErrStoreFailed)
}

// closing notes that it was closed.
type closing struct{ done atomic.Bool }

func (c *closing) Close() error { c.done.Store(true); return nil }

func TestNothingIsClosedUnderACall(t *testing.T) {
	n, f, end := launch(t, Config{})
	var last closing
	n.closes = append(n.closes, &last) // is closed first
	reading := make(chan struct{})
	f.before = func([]byte) {
		close(reading)
		<-n.gate.shut
		for range 1000 {
			runtime.Gosched()
			if last.done.Load() {
				t.Error("closed under a call")
			}
		}
	}
	done := make(chan error, 1)
	go func() { _, err := n.Get(context.Background(), DefaultTable, key); done <- err }()
	<-reading
	require.NoError(t, end())
	require.ErrorIs(t, <-done, topology.ErrNotFound)
	require.True(t, last.done.Load())
}

type injector func(errorfs.Op) error

func (injector) String() string                   { return "injector" }
func (i injector) MaybeError(op errorfs.Op) error { return i(op) }

func TestStatusSaysWhoAndWhatToKnow(t *testing.T) {
	n, _ := start(t, Config{ID: "n1", Cluster: "shop"})
	_, err := n.Put(t.Context(), DefaultTable, key, value)
	require.NoError(t, err)
	s := n.Status()
	require.Equal(t, topology.NodeID("n1"), s.Node)
	require.Equal(t, "shop", s.Cluster)
	require.Equal(t, "fake", s.Kind)
	require.Empty(t, s.Failure)
	require.Empty(t, s.Warnings)
}

func TestAbilitiesAreForwarded(t *testing.T) {
	n, f := start(t, Config{})
	r, err := n.Put(t.Context(), DefaultTable, key, value)
	require.NoError(t, err)
	require.NoError(t, n.Wait(t.Context(), r.Token))
	r.Token.LSN++
	require.ErrorIs(t, n.Wait(t.Context(), r.Token), topology.ErrTimeout)
	_, err = n.Promote(t.Context(), false)
	require.ErrorIs(t, err, topology.ErrUnavailable)
	p, err := n.Promote(t.Context(), true)
	require.NoError(t, err)
	require.Equal(t, uint64(2), p.Term)
	require.Same(t, f, n.Engine())
}

// bare hides every ability of an engine.
type bare struct{ topology.Engine }

func TestAbilitiesThatAreNotThereAreRefused(t *testing.T) {
	build, _ := fakes()
	n, _ := start(t, Config{Topology: func(env topology.Env) (topology.Engine, error) {
		e, err := build(env)
		return bare{e}, err
	}})
	require.ErrorIs(t, n.Wait(t.Context(), topology.Token{}), topology.ErrUnsupported)
	_, err := n.Promote(t.Context(), true)
	require.ErrorIs(t, err, topology.ErrUnsupported)
	_, err = n.Tables(t.Context())
	require.ErrorIs(t, err, topology.ErrUnsupported)
	for _, err := range n.Scan(t.Context(), DefaultTable, nil, nil) {
		require.ErrorIs(t, err, topology.ErrUnsupported)
	}
}

func TestWhatWasPutAsideIsListed(t *testing.T) {
	n, f := start(t, Config{})
	_, err := n.Put(t.Context(), DefaultTable, key, value)
	require.NoError(t, err)
	kept, err := f.env.Sidelog.Keep("a test", f.env.Log.Read(t.Context(), 1))
	require.NoError(t, err)
	all, err := n.Operator().Kept()
	require.NoError(t, err)
	require.Equal(t, []topology.Kept{kept}, all)
	for e, err := range n.Operator().KeptEntries(kept.Name) {
		require.NoError(t, err)
		r, err := e.Record()
		require.NoError(t, err)
		require.Equal(t, value, r.Mutations[0].Value)
	}
}
