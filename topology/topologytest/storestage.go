package topologytest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// storeCase runs one examination on a store of its own.
type storeCase func(name string, test func(*testing.T, StoreUnderTest))

func testStages(run storeCase) {
	run("a new stage has no mark", stageNew)
	run("staged cells are not seen before Install", stageInvisible)
	run("Install replaces everything", stageInstall)
	run("Install may go back", stageInstallBack)
	run("a stage resumes after its last chunk", stageResume)
	run("a stage of another id discards the first", stageDiscard)
	run("a stage that was opened again ends the first", stageReopened)
	run("an installed or closed stage takes no more", stageOver)
	run("the next stage begins anew after an Install", stageAfterInstall)
	run("a store knows which stage it began with", stageInstalled)
	run("a snapshot outlives an Install", stageSnapshot)
	run("chunks may come in any order and remove", stageUnordered)
	run("a chunk or an id that is too large is refused", stageTooLarge)
}

func testStageCrashes(run storeCase) {
	run("an Install is durable", crashInstalled)
	run("a stage resumes after a crash", crashStaged)
	run("a crash without an Install keeps the store", crashNotInstalled)
}

func stage(t *testing.T, s topology.Store, id string) topology.Stage {
	t.Helper()
	st, err := s.Stage(id)
	require.NoError(t, err)
	return st
}

func stageNew(t *testing.T, s StoreUnderTest) {
	st := stage(t, s, "a")
	require.Nil(t, st.Resume())
	require.NoError(t, st.Close())
	require.NoError(t, st.Close(), "closing twice")
}

func stageInvisible(t *testing.T, s StoreUnderTest) {
	require.NoError(t, s.Apply(1, []topology.Edit{set("a", "", "old")}))
	st := stage(t, s, "s")
	require.NoError(t, st.Put([]byte("m"), []topology.Edit{set("a", "", "new"), set("b", "", "new")}))
	requireState(t, s, at("a", ""), "old")
	requireAbsent(t, s, at("b", ""))
	require.Equal(t, record.LSN(1), applied(t, s))
	require.NoError(t, st.Close())
}

func stageInstall(t *testing.T, s StoreUnderTest) {
	require.NoError(t, s.Apply(1, []topology.Edit{set("a", "", "old"), set("b", "", "old")}))
	st := stage(t, s, "s")
	require.NoError(t, st.Put([]byte("1"), []topology.Edit{set("a", "", "new")}))
	require.NoError(t, st.Put([]byte("2"), []topology.Edit{set("c", "f", "new")}))
	require.NoError(t, s.Apply(2, []topology.Edit{set("d", "", "meanwhile")}))
	require.NoError(t, st.Install(9))
	require.Equal(t, []topology.Edit{set("a", "", "new"), set("c", "f", "new")}, scanAll(t, s))
	require.Equal(t, record.LSN(9), applied(t, s))
	require.Error(t, s.Apply(8, nil))
	require.NoError(t, s.Apply(10, []topology.Edit{set("e", "", "later")}))
	requireState(t, s, at("e", ""), "later")
	lsn, err := s.Flush(t.Context())
	require.NoError(t, err)
	require.Equal(t, record.LSN(10), lsn)
}

func stageInstallBack(t *testing.T, s StoreUnderTest) {
	require.NoError(t, s.Apply(9, []topology.Edit{set("a", "", "old")}))
	st := stage(t, s, "s")
	require.NoError(t, st.Install(4))
	require.Empty(t, scanAll(t, s))
	require.NoError(t, s.Apply(5, []topology.Edit{set("a", "", "again")}))
	require.Equal(t, record.LSN(5), applied(t, s))
}

func stageInstalled(t *testing.T, s StoreUnderTest) {
	requireInstalled(t, s, "")
	st := stage(t, s, "first")
	require.NoError(t, st.Put([]byte("m"), []topology.Edit{set("a", "", "1")}))
	requireInstalled(t, s, "")
	require.NoError(t, st.Install(4))
	requireInstalled(t, s, "first")
	require.NoError(t, s.Apply(5, []topology.Edit{set("a", "", "2")}))
	require.NoError(t, stage(t, s, "dropped").Close())
	requireInstalled(t, s, "first")
	require.NoError(t, stage(t, s, "second").Install(5))
	requireInstalled(t, s, "second")
}

func requireInstalled(t *testing.T, s topology.Store, want string) {
	t.Helper()
	snap, err := s.Snapshot()
	require.NoError(t, err)
	id, err := snap.Installed()
	require.NoError(t, err)
	require.Equal(t, want, id)
	require.NoError(t, snap.Close())
}

func stageResume(t *testing.T, s StoreUnderTest) {
	st := stage(t, s, "s")
	require.NoError(t, st.Put([]byte{}, []topology.Edit{set("a", "", "1")}))
	require.NoError(t, st.Close())
	st = stage(t, s, "s")
	require.Equal(t, []byte{}, st.Resume(), "an empty mark is a mark")
	mark := []byte("second\x00")
	require.NoError(t, st.Put(mark, []topology.Edit{set("b", "", "2")}))
	require.NoError(t, st.Put(mark, nil))
	mark[0] = 'X'
	require.NoError(t, st.Close())
	st = stage(t, s, "s")
	require.Equal(t, "second\x00", string(st.Resume()))
	require.NoError(t, st.Install(3))
	require.Equal(t, []topology.Edit{set("a", "", "1"), set("b", "", "2")}, scanAll(t, s))
}

func stageDiscard(t *testing.T, s StoreUnderTest) {
	st := stage(t, s, "first")
	require.NoError(t, st.Put([]byte("m"), []topology.Edit{set("a", "", "1")}))
	require.NoError(t, st.Close())
	st = stage(t, s, "other/../\x00 id")
	require.Nil(t, st.Resume())
	require.NoError(t, st.Close())
	st = stage(t, s, "first")
	require.Nil(t, st.Resume())
	require.NoError(t, st.Install(1))
	require.Empty(t, scanAll(t, s))
}

func stageReopened(t *testing.T, s StoreUnderTest) {
	first := stage(t, s, "s")
	require.NoError(t, first.Put([]byte("m"), []topology.Edit{set("a", "", "1")}))
	second := stage(t, s, "s")
	require.Equal(t, "m", string(second.Resume()))
	require.ErrorIs(t, first.Put([]byte("n"), nil), topology.ErrClosed)
	require.ErrorIs(t, first.Install(1), topology.ErrClosed)
	require.NoError(t, first.Close())
	require.NoError(t, second.Install(1))
	requireState(t, s, at("a", ""), "1")
}

func stageOver(t *testing.T, s StoreUnderTest) {
	st := stage(t, s, "s")
	require.NoError(t, st.Install(1))
	require.ErrorIs(t, st.Put([]byte("m"), nil), topology.ErrClosed)
	require.ErrorIs(t, st.Install(2), topology.ErrClosed)
	require.NoError(t, st.Close())
	st = stage(t, s, "t")
	require.NoError(t, st.Close())
	require.ErrorIs(t, st.Put([]byte("m"), nil), topology.ErrClosed)
	require.ErrorIs(t, st.Install(2), topology.ErrClosed)
	require.Equal(t, record.LSN(1), applied(t, s))
}

func stageAfterInstall(t *testing.T, s StoreUnderTest) {
	for i := range 3 {
		st := stage(t, s, "same id")
		require.Nil(t, st.Resume())
		require.NoError(t, st.Put([]byte("m"), []topology.Edit{set(fmt.Sprint(i), "", "x")}))
		require.NoError(t, st.Install(record.LSN(i)))
		require.Equal(t, []topology.Edit{set(fmt.Sprint(i), "", "x")}, scanAll(t, s))
	}
}

func stageSnapshot(t *testing.T, s StoreUnderTest) {
	require.NoError(t, s.Apply(1, []topology.Edit{set("a", "", "old")}))
	before, err := s.Snapshot()
	require.NoError(t, err)
	for i := range 2 {
		st := stage(t, s, fmt.Sprint(i))
		require.NoError(t, st.Put([]byte("m"), []topology.Edit{set("a", "", fmt.Sprint(i))}))
		require.NoError(t, st.Install(record.LSN(i+2)))
	}
	require.NoError(t, s.Apply(5, []topology.Edit{set("b", "", "x")}))
	require.Equal(t, record.LSN(1), before.Applied())
	requireState(t, before, at("a", ""), "old")
	require.Equal(t, []topology.Edit{set("a", "", "old")}, scan(t, before, record.Cell{}, end))
	for range before.Scan(record.Cell{}, end) { // a scan that closes what it reads
		require.NoError(t, before.Close())
	}
	requireState(t, s, at("a", ""), "1")
}

func stageUnordered(t *testing.T, s StoreUnderTest) {
	m := model{}
	r := rand.New(rand.NewPCG(3, 3))
	st := stage(t, s, "s")
	for i := range 30 {
		es := randomEdits(r, i)
		m.apply(es)
		require.NoError(t, st.Put(fmt.Append(nil, i), es))
	}
	require.NoError(t, st.Install(1))
	require.Equal(t, append([]topology.Edit{}, m...), scanAll(t, s))
}

func stageTooLarge(t *testing.T, s StoreUnderTest) {
	_, err := s.Stage(strings.Repeat("x", 1<<20))
	require.ErrorIs(t, err, topology.ErrTooLarge)
	st := stage(t, s, "s")
	es := make([]topology.Edit, 64)
	state := make([]byte, record.ValueBytesMax)
	for i := range es {
		es[i] = topology.Edit{Cell: at("k", fmt.Sprint(i)), State: state}
	}
	require.ErrorIs(t, st.Put([]byte("m"), es), topology.ErrTooLarge)
	require.NoError(t, st.Close())
	require.Nil(t, stage(t, s, "s").Resume())
}

// randomEdits are edits to a few keys with nasty names, so that they meet.
func randomEdits(r *rand.Rand, tag int) []topology.Edit {
	names := odd[:8+r.IntN(len(odd)-8)]
	es := make([]topology.Edit, 1+r.IntN(12))
	for i := range es {
		e := topology.Edit{Cell: record.Cell{
			Table: record.TableID(r.IntN(3)),
			Key:   []byte(names[r.IntN(len(names))]),
			Field: []byte(names[r.IntN(len(names))]),
		}}
		switch r.IntN(8) {
		case 0:
			e.Whole = true
		case 1, 2:
		default:
			e.State = fmt.Appendf(nil, "%d.%d", tag, i)
		}
		es[i] = e
	}
	return es
}

func storeModel(t *testing.T, s StoreUnderTest) {
	type moment struct {
		topology.Snapshot
		cells []topology.Edit
	}
	r := rand.New(rand.NewPCG(4, 4))
	m := model{}
	var held []moment
	for lsn := record.LSN(1); lsn <= 400; lsn++ {
		es := randomEdits(r, int(lsn))
		require.NoError(t, s.Apply(lsn, es))
		m.apply(es)
		switch r.IntN(40) {
		case 0:
			flushed, err := s.Flush(t.Context())
			require.NoError(t, err)
			require.Equal(t, lsn, flushed)
		case 1:
			snap, err := s.Snapshot()
			require.NoError(t, err)
			held = append(held, moment{snap, m.between(record.Cell{}, end)})
		case 2:
			require.Equal(t, m.between(record.Cell{}, end), scanAll(t, s))
		}
		c := es[r.IntN(len(es))].Cell
		got, err := s.Get(c)
		require.NoError(t, err)
		if want := m.between(c, record.Cell{Table: c.Table, Key: c.Key, Field: append(bytes.Clone(c.Field), 0)}); len(want) > 0 {
			require.Equal(t, string(want[0].State), string(got))
		} else {
			require.Nil(t, got)
		}
	}
	for _, h := range held {
		require.Equal(t, h.cells, scan(t, h, record.Cell{}, end))
		require.NoError(t, h.Close())
	}
}

func crashFlushed(t *testing.T, s StoreUnderTest) {
	require.NoError(t, s.Apply(3, []topology.Edit{set("a", "", "1"), set("b", "", "1")}))
	lsn, err := s.Flush(t.Context())
	require.NoError(t, err)
	require.Equal(t, record.LSN(3), lsn)
	s = s.Crash(t)
	require.Equal(t, record.LSN(3), applied(t, s))
	require.Equal(t, []topology.Edit{set("a", "", "1"), set("b", "", "1")}, scanAll(t, s))
	require.NoError(t, s.Apply(4, []topology.Edit{remove("a", "")}))
	requireAbsent(t, s, at("a", ""))
}

func crashFlushedTwice(t *testing.T, s StoreUnderTest) {
	for range 3 {
		require.NoError(t, s.Apply(1, []topology.Edit{set("a", "", "1")}))
		_, err := s.Flush(t.Context())
		require.NoError(t, err)
		s = s.Crash(t)
		lsn, err := s.Flush(t.Context())
		require.NoError(t, err)
		require.Equal(t, record.LSN(1), lsn)
		s = s.Crash(t)
		requireState(t, s, at("a", ""), "1")
	}
}

func crashFlushedSame(t *testing.T, s StoreUnderTest) {
	for _, state := range []string{"1", "2"} {
		require.NoError(t, s.Apply(1, []topology.Edit{set("a", "", state)}))
		_, err := s.Flush(t.Context())
		require.NoError(t, err)
	}
	requireState(t, s.Crash(t), at("a", ""), "2")
}

// crashConsistent crashes a store again and again: what comes back is what the
// model was at the position that comes back, and that is not before the last
// flush. The rest is applied again, as it is from a log.
func crashConsistent(t *testing.T, s StoreUnderTest) {
	r := rand.New(rand.NewPCG(5, 5))
	log := [][]topology.Edit{nil}
	past := []model{nil}
	flushed := record.LSN(0)
	for range 12 {
		for range 1 + r.IntN(40) {
			lsn := len(log)
			log = append(log, randomEdits(r, lsn))
			m := append(model{}, past[lsn-1]...)
			m.apply(log[lsn])
			past = append(past, m)
			require.NoError(t, s.Apply(record.LSN(lsn), log[lsn]))
			if r.IntN(15) == 0 {
				var err error
				flushed, err = s.Flush(t.Context())
				require.NoError(t, err)
				require.Equal(t, record.LSN(lsn), flushed)
			}
		}
		s = s.Crash(t)
		back := applied(t, s)
		require.GreaterOrEqual(t, back, flushed)
		require.Less(t, int(back), len(past))
		require.Equal(t, past[back].between(record.Cell{}, end), scanAll(t, s))
		for lsn := int(back) + 1; lsn < len(log); lsn++ {
			require.NoError(t, s.Apply(record.LSN(lsn), log[lsn]))
		}
	}
}

func crashInstalled(t *testing.T, s StoreUnderTest) {
	require.NoError(t, s.Apply(9, []topology.Edit{set("a", "", "old")}))
	_, err := s.Flush(t.Context())
	require.NoError(t, err)
	st := stage(t, s, "s")
	require.NoError(t, st.Put([]byte("1"), []topology.Edit{set("b", "", "new")}))
	require.NoError(t, st.Install(4))
	s = s.Crash(t)
	require.Equal(t, record.LSN(4), applied(t, s))
	require.Equal(t, []topology.Edit{set("b", "", "new")}, scanAll(t, s))
	requireInstalled(t, s, "s")
	require.Nil(t, stage(t, s, "s").Resume())
}

func crashStaged(t *testing.T, s StoreUnderTest) {
	var want model
	r := rand.New(rand.NewPCG(6, 6))
	for i := range 10 {
		st := stage(t, s, "s")
		if i > 0 {
			require.Equal(t, fmt.Sprint(i-1), string(st.Resume()))
		}
		es := randomEdits(r, i)
		require.NoError(t, st.Put(fmt.Append(nil, i), es))
		want.apply(es)
		s = s.Crash(t)
	}
	require.Empty(t, scanAll(t, s))
	require.NoError(t, stage(t, s, "s").Install(7))
	require.Equal(t, append([]topology.Edit{}, want...), scanAll(t, s))
}

func crashNotInstalled(t *testing.T, s StoreUnderTest) {
	require.NoError(t, s.Apply(2, []topology.Edit{set("a", "", "old")}))
	_, err := s.Flush(t.Context())
	require.NoError(t, err)
	require.NoError(t, stage(t, s, "s").Put([]byte("1"), []topology.Edit{set("a", "", "new")}))
	s = s.Crash(t)
	requireState(t, s, at("a", ""), "old")
	require.Equal(t, record.LSN(2), applied(t, s))
	requireInstalled(t, s, "")
	require.Nil(t, stage(t, s, "other").Resume())
}
