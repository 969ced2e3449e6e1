package multileader

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

func (n *node) remove(key string) (topology.Receipt, error) {
	b := batchOf(key, "")
	b.Mutations[0].Op, b.Mutations[0].Value = record.OpDelete, nil
	return n.Write(n.c.t.Context(), b, topology.WriteOptions{})
}

// held returns how many cells of the default table a node keeps.
func (n *node) held() (cells int) {
	view, err := n.store.Snapshot()
	require.NoError(n.c.t, err)
	defer view.Close()
	for _, err := range view.Scan(record.Cell{Table: record.TableDefault}, record.Cell{Table: record.TableDefault + 1}) {
		require.NoError(n.c.t, err)
		cells++
	}
	return cells
}

// quick has sites tell often what they have.
func quick(o Options) Options {
	o.CutEvery = 5 * time.Millisecond
	return o
}

func TestDeletesGoOnceEverySiteHasThem(t *testing.T) {
	c := newCluster(t, quick(Options{Group: groupOf(quorum.First(1))}), 2, "us", "eu", "ap")
	c.startAll()
	for i := range 40 {
		_, err := c.nodes["us1"].put(fmt.Sprint("k", i), "v")
		require.NoError(t, err)
	}
	us := c.nodes["us1"]
	eventually(t, "us knows what all have", func() bool { return len(us.machine.cuts.shown.Load().by) == 3 })
	c.apart("us", "ap", true)
	c.apart("eu", "ap", true)
	var last topology.Receipt
	for i := range 39 {
		var err error
		last, err = c.nodes["eu1"].remove(fmt.Sprint("k", i))
		require.NoError(t, err)
	}
	require.NoError(t, c.nodes["us1"].wait(last.Token))
	for i := range 2 { // us says twice that it has the deletes
		w, err := us.put(fmt.Sprint("more", i), "v")
		require.NoError(t, err)
		eventually(t, "us says so", func() bool {
			cut := us.machine.cuts.shown.Load().by[us.own()]
			return cut != nil && cut.Has.Has(w.Dot)
		})
	}
	require.Equal(t, 42, us.held(), "ap has not heard of the deletes: they hold")
	c.apart("us", "ap", false)
	c.apart("eu", "ap", false)
	for id, n := range c.nodes {
		eventually(t, string(id)+" forgets what is deleted everywhere", func() bool { return n.held() == 3 })
	}
	c.converged()
}

func TestADeadLifeIsPassedOnceAllHaveTheSameOfIt(t *testing.T) {
	c := newCluster(t, quick(Options{}), 1, "us", "eu")
	c.startAll()
	_, err := c.nodes["us1"].put("k", "v")
	require.NoError(t, err)
	c.converged()
	c.nodes["us1"].stop()
	require.NoError(t, c.nodes["us1"].fs.RemoveAll("/us1"))
	time.Sleep(1100 * time.Millisecond)
	c.nodes["us1"].start()
	c.leads("us1")
	_, err = c.nodes["eu1"].remove("k")
	require.NoError(t, err)
	for id, n := range c.nodes {
		eventually(t, string(id)+" forgets what is deleted everywhere", func() bool { return n.held() == 0 })
	}
	c.converged()
}

func TestWhatIsStable(t *testing.T) {
	us, old, eu := version.Origin{ID: 1, Incarnation: 2}, version.Origin{ID: 1, Incarnation: 1}, version.Origin{ID: 2, Incarnation: 1}
	has := func(seqs ...uint64) (v version.Vector) {
		for i, o := range []version.Origin{old, us, eu} {
			v = v.With(o, seqs[i])
		}
		return v
	}
	both := []uint32{1, 2}
	for name, x := range map[string]struct {
		cuts    map[version.Origin]*core.Cut
		applied version.Vector
		stable  version.Vector
		why     string
	}{
		"a site is silent":          {map[version.Origin]*core.Cut{us: {Has: has(0, 3, 3)}}, has(0, 3, 3), nil, "site 2 has not said"},
		"the least of both":         {map[version.Origin]*core.Cut{us: {Has: has(0, 9, 2)}, eu: {Has: has(0, 4, 5)}}, has(0, 9, 5), has(0, 4, 2), ""},
		"a life that may write":     {map[version.Origin]*core.Cut{us: {Has: has(7, 9, 2)}, eu: {Has: has(7, 4, 5)}}, has(7, 9, 5), nil, "not known to write no more"},
		"a life of which eu lacks":  {map[version.Origin]*core.Cut{us: {Has: has(7, 9, 2), Dead: []version.Origin{old}}, eu: {Has: has(6, 4, 5)}}, has(7, 9, 5), nil, "site 2 has not said that it has all"},
		"a life of which eu has it": {map[version.Origin]*core.Cut{us: {Has: has(7, 9, 2), Dead: []version.Origin{old}}, eu: {Has: has(7, 4, 5)}}, has(7, 9, 5), has(7, 4, 2), ""},
		"a life of which eu has more": {
			map[version.Origin]*core.Cut{us: {Has: has(7, 9, 2), Dead: []version.Origin{old}}, eu: {Has: has(8, 4, 5)}}, has(7, 9, 5), nil, "site 2 has not said that it has all",
		},
	} {
		t.Run(name, func(t *testing.T) {
			stable, ok, why := core.Stable(both, x.cuts, x.applied)
			require.Equal(t, x.why == "", ok)
			require.Equal(t, x.stable, stable)
			require.Contains(t, why, x.why)
		})
	}
}

func TestAnOwnCutIsTakenAlone(t *testing.T) {
	c := newCluster(t, Options{CutEvery: -1}, 1, "us")
	c.startAll()
	us := c.nodes["us1"]
	_, err := us.put("k", "v")
	require.NoError(t, err)
	require.True(t, us.loop.call(func() { us.step(core.Event{Kind: core.EvCut, Cut: &core.Cut{Members: []uint32{1}}}) }))
	eventually(t, "the cut is applied", func() bool { return us.group.Applied() == us.log.Bounds().End && us.log.Bounds().End >= 4 })
	m := newMachine(&lens{store: us.store}, nil)
	m.place.own = us.own()
	var rec record.Record
	for e, err := range us.log.Read(t.Context(), 1) {
		require.NoError(t, err)
		require.NoError(t, record.Decode(e.Bytes, &rec))
		_, err := m.Take(e, &rec)
		if core.CutOf(&rec) == nil {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, singleleader.ErrApplyFirst)
		m.Applied()
		_, err = m.Take(e, &rec)
		require.NoError(t, err)
	}
}

func TestItIsSaidWhoHoldsBackWhatCouldGo(t *testing.T) {
	c := newCluster(t, quick(Options{}), 1, "us", "eu")
	c.nodes["us1"].start()
	c.leads("us1")
	us := c.nodes["us1"]
	_, err := us.put("k", "v")
	require.NoError(t, err)
	eventually(t, "us says who is silent", func() bool {
		return slices.ContainsFunc(us.Status().Warnings, func(w string) bool { return strings.Contains(w, "site 2 has not said what it has") })
	})
	c.nodes["eu1"].start()
	c.leads("eu1")
	_, err = us.put("k", "w")
	require.NoError(t, err)
	eventually(t, "eu has spoken", func() bool {
		s := us.Status()
		return len(s.Warnings) == 0 && !s.Sites[1].Said.IsZero()
	})
}
