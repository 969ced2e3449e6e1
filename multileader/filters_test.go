package multileader

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// people is a table that some sites of a test do not hold.
const people = "people"

func personOf(key, value string) record.Batch {
	b := batchOf(key, value)
	b.Mutations[0].Table = kind.Named(people)
	return b
}

func (n *node) putPerson(key, value string) (topology.Receipt, error) {
	return n.Write(n.c.t.Context(), personOf(key, value), topology.WriteOptions{})
}

func (n *node) person(key string, o topology.ReadOptions) (string, error) {
	r, err := n.Read(n.c.t.Context(), kind.Named(people), []byte(key), o)
	if err != nil {
		return "", err
	}
	return string(r.Cells[0].Value), nil
}

// peopleCells counts the cells of the table that a node has on its disk.
func peopleCells(n *node) (cells int) {
	for k := range n.cells(false) {
		if strings.HasPrefix(k, fmt.Sprint(kind.Named(people), " ")) {
			cells++
		}
	}
	return cells
}

func heldBy(o Options, sites ...string) Options {
	o.Filters = append(o.Filters, Filter{Table: people, Sites: sites})
	return o
}

func after(w topology.Receipt) topology.ReadOptions {
	return topology.ReadOptions{Guarantee: topology.ReadSession, After: w.Token}
}

// refusedThere checks that an error says that a site does not hold the table, and which do.
func refusedThere(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, topology.ErrUnsupported)
	require.ErrorContains(t, err, "site ap does not hold table people")
	require.ErrorContains(t, err, "us or eu")
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
}

func TestASiteWithoutATableHoldsTheRest(t *testing.T) {
	c := newCluster(t, heldBy(quick(Options{Group: groupOf(quorum.First(1))}), "us", "eu"), 2, "us", "eu", "ap")
	c.startAll()
	us, eu, ap := c.nodes["us1"], c.nodes["eu1"], c.nodes["ap1"]
	for i := range 20 {
		_, err := us.putPerson(fmt.Sprint("k", i), "v")
		require.NoError(t, err)
	}
	both := personOf("both", "1")
	both.Mutations = append(both.Mutations, batchOf("both", "1").Mutations...)
	w, err := us.Write(t.Context(), both, topology.WriteOptions{})
	require.NoError(t, err)
	got, err := eu.person("both", after(w))
	require.NoError(t, err)
	require.Equal(t, "1", got)
	w, err = eu.put("both", "2")
	require.NoError(t, err)
	got, err = c.nodes["ap2"].get("both", after(w))
	require.NoError(t, err, "a session that has seen the table goes on where it is not")
	require.Equal(t, "2", got)

	_, err = ap.person("both", topology.ReadOptions{})
	refusedThere(t, err)
	_, err = ap.putPerson("both", "3")
	refusedThere(t, err)
	both.Mutations[1].Value = []byte("3")
	_, err = ap.Write(t.Context(), both, topology.WriteOptions{})
	refusedThere(t, err)
	for _, err := range ap.Scan(t.Context(), kind.Named(people), nil, nil, topology.ReadOptions{}) {
		refusedThere(t, err)
	}
	b := batchOf("k", "v")
	b.Conditions = []record.Condition{{Cell: record.Cell{Table: kind.Named(people), Key: []byte("both")}, Absent: true}}
	_, err = ap.Write(t.Context(), b, topology.WriteOptions{})
	refusedThere(t, err)
	_, err = ap.Verify(t.Context(), topology.VerifyOptions{Tables: []record.TableID{kind.Named(people)}})
	refusedThere(t, err)

	c.takesOver("ap2")
	for i := range 20 { // what ap leaves out it has told that it has: deletes go
		b := personOf(fmt.Sprint("k", i), "")
		b.Mutations[0].Op, b.Mutations[0].Value = record.OpDelete, nil
		_, err = eu.Write(t.Context(), b, topology.WriteOptions{})
		require.NoError(t, err)
	}
	eventually(t, "deletes go", func() bool { return peopleCells(us) == 1 && peopleCells(eu) == 1 })
	c.converged()
	require.Zero(t, peopleCells(c.nodes["ap1"])+peopleCells(c.nodes["ap2"]))
	eventually(t, "its status says what is left out", func() bool {
		s := statusOf(c.nodes["ap2"], "ap")
		return len(s.Without) == 1 && s.Without[0] == topology.SkippedTable{Table: people, Records: 41}
	})
	require.Equal(t, []topology.SkippedTable{{Table: people}}, statusOf(us, "ap").Without)
	require.Empty(t, statusOf(us, "eu").Without)
	for _, id := range []topology.NodeID{"us1", "ap2"} {
		v := verified(t, c.nodes[id], topology.VerifyOptions{})
		for _, p := range v.Peers {
			require.Zero(t, p.Differ, "%+v", p)
		}
	}
	require.Empty(t, us.Status().Warnings)
}

// counts waits until a site has all that another one has written, and the snapshot that
// this took is in its place.
func (c *cluster) counts(of, at *node) {
	c.t.Helper()
	w, err := of.put("last", "v")
	require.NoError(c.t, err)
	require.NoError(c.t, at.wait(w.Token))
	c.settled()
}

func statusOf(n *node, site string) topology.SiteStatus {
	all := n.Status().Sites
	return all[slices.IndexFunc(all, func(s topology.SiteStatus) bool { return s.Site == site })]
}

// In a ring, what a site does not hold goes the other way round, and what it has of a
// record it does not pass on as the whole.
func TestWhatARingPassesOnIsWhole(t *testing.T) {
	c := newCluster(t, heldBy(Options{Links: Links{Shape: Ring}, CutEvery: -1}, "us", "eu", "ap"), 1, "us", "eu", "ap", "sa")
	c.startAll()
	var last topology.Receipt
	for i := range 30 {
		for _, id := range []topology.NodeID{"us1", "ap1"} {
			_, err := c.nodes[id].putPerson(fmt.Sprint(id, i%5), fmt.Sprint(i))
			require.NoError(t, err)
			last, err = c.nodes[id].put(fmt.Sprint(id, i%5), fmt.Sprint(i))
			require.NoError(t, err)
		}
	}
	require.NoError(t, c.nodes["sa1"].wait(last.Token))
	c.converged()
	for _, id := range []topology.NodeID{"us1", "eu1", "ap1"} {
		require.Equal(t, 10, peopleCells(c.nodes[id]), id)
	}
	require.Zero(t, peopleCells(c.nodes["sa1"]))
	require.Zero(t, c.nodes["ap1"].counts().Lacking)
}

func TestASnapshotLeavesOutWhatASiteDoesNotHold(t *testing.T) {
	c := tiny(newCluster(t, heldBy(Options{CutEvery: -1, Group: groupOf(quorum.First(1))}, "us", "eu"), 2, "us", "eu", "ap"))
	c.startAll()
	us, ap := c.nodes["us1"], c.nodes["ap1"]
	for i := range 30 {
		_, err := us.putPerson(fmt.Sprint("k", i), "v")
		require.NoError(t, err)
	}
	c.converged()
	c.apart("us", "ap", true)
	c.apart("eu", "ap", true)
	for i := range 30 {
		_, err := us.putPerson(fmt.Sprint("k", i), "newer")
		require.NoError(t, err)
	}
	us.fill(200, "v")
	c.dropped("us")
	c.dropped("eu")
	c.apart("us", "ap", false)
	c.apart("eu", "ap", false)
	eventually(t, "ap takes a snapshot", func() bool { return ap.counts().Fetched > 0 })
	c.counts(us, ap)
	c.converged()
	require.Zero(t, peopleCells(ap)+peopleCells(c.nodes["ap2"]))
	require.NotZero(t, c.nodes["ap2"].machine.skips.shown.Load().by[kind.Named(people)].snapshots)

	// One that holds the table takes it of one that does, though ap has as much.
	c.apart("us", "eu", true)
	c.apart("eu", "ap", true)
	_, err := us.putPerson("k0", "newest")
	require.NoError(t, err)
	us.fill(200, "newer")
	c.dropped("us")
	c.dropped("ap")
	c.apart("eu", "ap", false)
	eu := c.nodes["eu1"]
	eventually(t, "eu sees what ap has", func() bool {
		var behind uint64
		for _, s := range eu.Status().Sites {
			behind += s.Behind.Records
		}
		return behind > 0
	})
	require.Zero(t, eu.counts().Fetched)
	c.apart("us", "eu", false)
	c.counts(us, eu)
	c.converged()
	got, err := eu.person("k0", topology.ReadOptions{})
	require.NoError(t, err)
	require.Equal(t, "newest", got)
}

// What a site without the table has written, and its log has dropped, comes with its
// snapshot to one that holds it, whose own cells of the table stay.
func TestASnapshotOfASiteThatHoldsLessBringsTheRest(t *testing.T) {
	c := tiny(newCluster(t, heldBy(Options{CutEvery: -1}, "us"), 1, "us", "ap"))
	c.startAll()
	us, ap := c.nodes["us1"], c.nodes["ap1"]
	_, err := us.putPerson("before", "v")
	require.NoError(t, err)
	c.converged()
	c.apart("us", "ap", true)
	_, err = us.putPerson("meanwhile", "v")
	require.NoError(t, err)
	ap.fill(200, "of ap")
	c.dropped("ap")
	c.apart("us", "ap", false)
	eventually(t, "us takes the snapshot", func() bool { return us.counts().Fetched > 0 })
	c.counts(ap, us)
	c.converged()
	for _, key := range []string{"before", "meanwhile"} {
		got, err := us.person(key, topology.ReadOptions{})
		require.NoError(t, err)
		require.Equal(t, "v", got)
	}
	require.Equal(t, 2, peopleCells(us))
	require.Empty(t, us.machine.skips.shown.Load().by, "us lacks nothing")
}

// What was left out of a site is nowhere in it: a configuration that has it hold the table
// from now on is refused, by every node that leads or follows there.
func TestATableThatWasLeftOutIsNotHeldLater(t *testing.T) {
	c := newCluster(t, heldBy(Options{}, "us", "eu"), 1, "us", "eu", "ap")
	c.startAll()
	w, err := c.nodes["us1"].putPerson("k", "v")
	require.NoError(t, err)
	require.NoError(t, c.nodes["ap1"].wait(w.Token))
	c.nodes["ap1"].stop()
	c.unlike = map[string]func(*Options){"ap": func(o *Options) { o.Filters = nil }}
	err = c.nodes["ap1"].tryStart()
	require.ErrorIs(t, err, topology.ErrConflict)
	require.ErrorContains(t, err, "site ap holds table")
	require.ErrorContains(t, err, "empty directories")
	c.unlike = nil
	c.nodes["ap1"].start()
	c.leads("ap1")

	// The other way round it goes on, and what it held stays on its disk, unseen.
	c.nodes["eu1"].stop()
	c.unlike = map[string]func(*Options){"eu": func(o *Options) { o.Filters = []Filter{{Table: people, Sites: []string{"us"}}} }}
	c.nodes["eu1"].start()
	c.leads("eu1")
	_, err = c.nodes["eu1"].person("k", topology.ReadOptions{})
	require.ErrorContains(t, err, "ask a node of us")
	require.Contains(t, strings.Join(c.nodes["eu1"].Status().Warnings, "\n"), "does not hold it any more")
}

// A site whose configuration says that another one holds less than that one does leaves out
// what then comes from others; both say so.
func TestSitesThatAreNotConfiguredAlikeSaySo(t *testing.T) {
	c := newCluster(t, Options{}, 1, "us", "eu", "ap")
	c.unlike = map[string]func(*Options){"us": func(o *Options) { *o = heldBy(*o, "us", "eu") }}
	c.startAll()
	us, ap := c.nodes["us1"], c.nodes["ap1"]
	d := kind.Definition{ID: kind.Named(people), Kind: record.KindBytes}
	w, err := us.Write(t.Context(), record.Batch{Mutations: []record.Mutation{
		{Table: record.TableSystem, Key: []byte(kind.DefinitionPrefix + people), Op: record.OpPut, Kind: record.KindBytes, Value: d.Encode()},
	}}, topology.WriteOptions{})
	require.NoError(t, err)
	require.NoError(t, ap.wait(w.Token))
	c.apart("eu", "ap", true)
	w, err = us.putPerson("k", "v")
	require.NoError(t, err)
	eventually(t, "ap sees that something is left out", func() bool {
		return ap.counts().Lacking > 0 && strings.Contains(statusOf(ap, "us").Problem, "not configured alike")
	})
	eventually(t, "us sees that ap holds it", func() bool {
		return strings.Contains(statusOf(us, "ap").Problem, "table people is held there, and by this site's configuration it is not")
	})
	c.apart("eu", "ap", false)
	require.NoError(t, ap.wait(w.Token))
	got, err := ap.person("k", topology.ReadOptions{})
	require.NoError(t, err)
	require.Equal(t, "v", got)
}

// Ap is given up, and what it wrote last to the table is known to eu alone, without what it
// said. What else it wrote counts; us, who holds the table, does not wait for the rest.
func TestWhatNoHolderHasOfAnEvictedSiteIsLostAndNotWaitedFor(t *testing.T) {
	c := newCluster(t, heldBy(quick(Options{}), "us", "ap"), 1, "us", "eu", "ap")
	c.startAll()
	us, eu, ap := c.nodes["us1"], c.nodes["eu1"], c.nodes["ap1"]
	_, err := ap.putPerson("known", "v")
	require.NoError(t, err)
	c.converged()
	c.apart("us", "ap", true)
	_, err = ap.putPerson("lost", "v")
	require.NoError(t, err)
	both := personOf("both", "v")
	both.Mutations = append(both.Mutations, batchOf("both", "v").Mutations...)
	_, err = ap.Write(t.Context(), both, topology.WriteOptions{})
	require.NoError(t, err)
	last, err := ap.put("last", "v")
	require.NoError(t, err)
	require.NoError(t, eu.wait(last.Token))
	ap.stop()
	_, err = us.get("last", topology.ReadOptions{})
	require.ErrorIs(t, err, topology.ErrNotFound, "eu does not pass on what it has in part")
	require.NoError(t, us.EvictSite(c.ctx(), "ap", false))
	c.stands("us", "ap", core.Evicted)
	require.Contains(t, us.roster().Cause, "the last that it wrote to 1 tables")
	require.NoError(t, us.wait(last.Token))
	for _, key := range []string{"last", "both"} {
		got, err := us.get(key, topology.ReadOptions{})
		require.NoError(t, err)
		require.Equal(t, "v", got)
	}
	got, err := us.person("known", topology.ReadOptions{})
	require.NoError(t, err)
	require.Equal(t, "v", got)
	for _, key := range []string{"lost", "both"} {
		_, err = us.person(key, topology.ReadOptions{})
		require.ErrorIs(t, err, topology.ErrNotFound)
	}
	us.stop()
	us.start()
	c.leads("us1")
	_, err = us.putPerson("lost", "again")
	require.NoError(t, err)
	c.converged()
}

func TestFiltersThatCanNotBeAreRefused(t *testing.T) {
	sites := []Site{{"us", 1}, {"eu", 2}, {"ap", 3}}
	for want, o := range map[string]Options{
		"no site holds table":               {Sites: sites, Filters: []Filter{{Table: "t"}}},
		"said twice":                        {Sites: sites, Filters: []Filter{{Table: "t", Sites: []string{"us"}}, {Table: "t", Sites: []string{"us"}}}},
		`"U" is no site's name`:             {Sites: sites, Filters: []Filter{{Table: "t", Sites: []string{"us", "U"}}}},
		"none of the sites that hold it":    {Sites: sites, Filters: []Filter{{Table: "t", Sites: []string{"sa"}}}},
		"between us and [ap]":               {Sites: sites, Links: Links{Shape: Star, Hub: "eu"}, Filters: []Filter{{Table: "t", Sites: []string{"us", "ap"}}}},
		"nobody writes to it":               {Sites: sites, ReadOnly: []string{"us"}, Filters: []Filter{{Table: "t", Sites: []string{"us"}}}},
		"no site takes writes":              {Sites: sites, ReadOnly: []string{"us", "eu", "ap"}},
		`read-only: "us" is no site's name`: {Sites: sites, ReadOnly: []string{"us", "us"}},
		"at most 1024":                      {Sites: sites, Filters: make([]Filter, filtersMax+1)},
	} {
		require.ErrorContains(t, o.Check("us"), want)
	}
	o := Options{Sites: sites, Filters: []Filter{{Table: "t", Sites: []string{"us", "eu", "later"}}}}
	require.NoError(t, o.Check("us"))
	require.True(t, o.Fed("ap"))
	o.Filters = []Filter{{Table: "t", Sites: []string{"us"}}}
	require.True(t, o.Fed("us"), "nobody else writes to it")
	o.Filters = []Filter{{Table: "t", Sites: []string{"us", "eu"}}, {Table: "u", Sites: []string{"us", "ap"}}}
	require.False(t, o.Fed("us"))
	require.True(t, o.Fed("ap"))
}

func TestTheLastSiteOfATableDoesNotRetire(t *testing.T) {
	c := newCluster(t, heldBy(Options{ReadOnly: []string{"ap"}}, "eu"), 1, "us", "eu", "ap")
	c.startAll()
	err := c.nodes["us1"].RetireSite(c.ctx(), "eu")
	require.ErrorIs(t, err, topology.ErrConflict)
	require.ErrorContains(t, err, "the last site that holds table people")
	require.NoError(t, c.nodes["eu1"].RetireSite(c.ctx(), "us"))
	c.stands("eu", "us", core.Retired)
	err = c.nodes["ap1"].RetireSite(c.ctx(), "eu")
	require.ErrorContains(t, err, "the last site that")
}
