package etcd_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/control/etcd"
	"github.com/triad-kv/triad/topology"
)

// restored keeps a copy of a member as it is now, and returns what brings the
// member back to it.
func restored(t *testing.T, m *member) (restore func()) {
	t.Helper()
	aside := t.TempDir()
	m.Kill()
	require.NoError(t, os.CopyFS(aside, os.DirFS(m.Dir)))
	ready(m)
	return func() {
		t.Helper()
		m.Kill()
		require.NoError(t, os.RemoveAll(m.Dir))
		require.NoError(t, os.CopyFS(m.Dir, os.DirFS(aside)))
		ready(m)
	}
}

func refused(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, topology.ErrStale)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	require.ErrorContains(t, err, "control/etcd", "it says what can be done")
}

func TestAnEtcdThatWasRestoredToAnOlderStateIsRefused(t *testing.T) {
	t.Parallel()
	m := servers(t, 1)[0]
	o := etcd.Options{Endpoints: []string{m.Client}, Review: 50 * time.Millisecond}
	stable := newMemory()
	c, stop := running(t, stable, o)
	swap(t, c, 0, "one")
	restore := restored(t, m)
	swap(t, c, 1, "two")
	swap(t, c, 2, "three")
	until(t, c, "group", 3)
	restore()

	knows := func(c topology.Control) {
		t.Helper()
		_, err := c.Load(t.Context(), "group")
		refused(t, err)
		for _, version := range []uint64{1, 3} {
			_, err = c.Swap(t.Context(), topology.Document{Name: "group", Version: version})
			refused(t, err)
		}
	}
	knows(c)
	d, stale := c.Latest("group")
	require.Equal(t, "three", string(d.Body))
	require.True(t, isOpen(stale))
	stop()
	again, stop := running(t, stable, o)
	knows(again)

	// Who has seen nothing believes it, and goes on; who knows sees that it is
	// another history, below, at and above what was seen.
	fresh, _ := running(t, newMemory(), o)
	for v := range uint64(4) {
		swap(t, fresh, 1+v, "other")
		knows(again)
	}
	d, _ = again.Latest("group")
	require.Zero(t, d.Version, "nothing of the other history is shown")
	stop()

	// An operator's word: what was seen is forgotten.
	stable.forget()
	forgot, _ := running(t, stable, o)
	require.Equal(t, uint64(5), load(t, forgot).Version)
}

func TestNumbersDoNotGoBackWithEtcd(t *testing.T) {
	t.Parallel()
	m := servers(t, 1)[0]
	o := etcd.Options{Endpoints: []string{m.Client}}
	c, _ := running(t, newMemory(), o)
	require.NoError(t, register(t, c, "n").Close())
	restore := restored(t, m)
	require.NoError(t, register(t, c, "n").Close())
	restore()
	_, err := c.Register(t.Context(), "n")
	refused(t, err)
}

func TestADocumentThatIsDeletedByHandIsRefused(t *testing.T) {
	t.Parallel()
	m := servers(t, 1)[0]
	c, _ := running(t, newMemory(), etcd.Options{Endpoints: []string{m.Client}})
	swap(t, c, 0, "one")
	until(t, c, "group", 1)
	_, err := raw(t, m.Client).Delete(t.Context(), "/triad/triad/document/group")
	require.NoError(t, err)
	_, err = c.Load(t.Context(), "group")
	refused(t, err)
	d, stale := c.Latest("group")
	require.Equal(t, "one", string(d.Body))
	require.True(t, isOpen(stale))
}

func TestAnotherClusterOfEtcdIsRefused(t *testing.T) {
	t.Parallel()
	one, other := servers(t, 1)[0], servers(t, 1)[0]
	stable := newMemory()
	c, stop := running(t, stable, etcd.Options{Endpoints: []string{one.Client}})
	swap(t, c, 0, "one")
	stop()
	for name, c := range map[string]topology.Control{
		"of what answered first":  on(t, stable, etcd.Options{Endpoints: []string{other.Client}}),
		"of what the options pin": on(t, newMemory(), etcd.Options{Endpoints: []string{other.Client}, ClusterID: clusterOf(t, one)}),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.Load(t.Context(), "group")
			refused(t, err)
			_, err = c.Load(t.Context(), "tables")
			refused(t, err)
			_, err = c.Swap(t.Context(), topology.Document{Name: "group"})
			refused(t, err)
			_, err = c.Register(t.Context(), "n")
			refused(t, err)
		})
	}
	pinned := on(t, stable, etcd.Options{Endpoints: []string{one.Client}, ClusterID: clusterOf(t, one)})
	require.Equal(t, "one", string(load(t, pinned).Body))
}

func clusterOf(t *testing.T, m *member) uint64 {
	t.Helper()
	s, err := raw(t, m.Client).Status(t.Context(), m.Client)
	require.NoError(t, err)
	return s.Header.ClusterId
}

func TestCompactedHistoryIsReadAnew(t *testing.T) {
	t.Parallel()
	m := servers(t, 1)[0]
	p := newProxy(t, m.Client)
	c, _ := running(t, newMemory(), etcd.Options{Endpoints: []string{p.at()}, Review: time.Hour})
	swap(t, c, 0, "one")
	until(t, c, "group", 1)
	direct := on(t, newMemory(), etcd.Options{Endpoints: []string{m.Client}})
	for round := range uint64(3) {
		p.freeze(true)
		etcds := raw(t, m.Client)
		for v := range uint64(10) {
			swap(t, direct, 1+round*10+v, fmt.Sprint(round, v))
		}
		there, err := etcds.Get(t.Context(), "any")
		require.NoError(t, err)
		_, err = etcds.Compact(t.Context(), there.Header.Revision)
		require.NoError(t, err)
		p.cut() // what was on its way is lost
		p.freeze(false)
		require.Equal(t, fmt.Sprint(round, 9), string(until(t, c, "group", 11+round*10).Body))
	}
}

func TestWhatWasSeenIsDurableBeforeItIsShown(t *testing.T) {
	t.Parallel()
	m := servers(t, 1)[0]
	o := etcd.Options{Endpoints: []string{m.Client}}
	stable := newMemory()
	c := on(t, stable, o)
	swap(t, c, 0, "one")

	stable.failing(context.DeadlineExceeded) // any error will do
	_, err := c.Swap(t.Context(), topology.Document{Name: "group", Version: 1, Body: []byte("two")})
	require.ErrorIs(t, err, topology.ErrFailed)
	require.Equal(t, topology.Unknown, topology.OutcomeOf(err), "etcd has it")
	_, err = c.Load(t.Context(), "group")
	require.ErrorIs(t, err, topology.ErrFailed)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	d, stale := c.Latest("group")
	require.Equal(t, "one", string(d.Body))
	require.True(t, isOpen(stale))

	stable.failing(nil)
	require.Equal(t, "two", string(load(t, c).Body))
	closes(t, stale, "the older version")
	saves := stable.saved()
	load(t, c)
	load(t, c)
	require.Equal(t, saves, stable.saved(), "what was seen already is not saved again")
}

func TestMarksThatCannotBeReadAreAnError(t *testing.T) {
	t.Parallel()
	for _, b := range [][]byte{{}, []byte("not marks"), {0x93, 2, 0, 0x90}} {
		stable := newMemory()
		require.NoError(t, stable.Save("control/etcd", b))
		_, err := etcd.New(etcd.Options{})(topology.ControlEnv{Self: "a", Stable: stable})
		require.ErrorContains(t, err, "control/etcd", "amnesia is never silent")
	}
	_, err := etcd.New(etcd.Options{})(topology.ControlEnv{Self: "a"})
	require.Error(t, err, "without a place for them")
}
