package singleleader

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// mistaken is a group in which somebody has removed every key by mistake; d shows the
// state of an hour ago, which is nothing, and has all of it in its log.
type mistaken struct {
	*testCluster
	good   topology.Receipt // the last write before the mistake
	bad    topology.Receipt // the last of it
	keys   int
	leader topology.NodeID
}

func newMistaken(t *testing.T, o Options, agrees bool) *mistaken {
	o.ReadReplicas = []topology.NodeID{"d"}
	o.FailAfter = 300 * time.Millisecond
	c := newCluster(t, o, "a", "b", "c", "d")
	if agrees {
		a := newAgreed(t, o, "a")
		c.agreed, c.opts.FailAfter = a.agreed, a.opts.FailAfter
	}
	c.nodes["d"].late = time.Hour
	m := &mistaken{testCluster: c, keys: 20, leader: "a"}
	c.startAll()
	c.leads("a")
	for i := range m.keys {
		m.good = c.write("a", fmt.Sprint("k", i), fmt.Sprint("v", i))
	}
	eventually(t, "the next entry is of a later millisecond", func() bool {
		return time.Now().After(m.good.Time.Time().Add(2 * time.Millisecond))
	})
	for i := range m.keys {
		var err error
		m.bad, err = c.nodes["a"].Write(t.Context(), record.Batch{Mutations: []record.Mutation{{Table: record.TableDefault, Key: []byte(fmt.Sprint("k", i)), Op: record.OpDelete}}}, topology.WriteOptions{})
		require.NoError(t, err)
	}
	c.applied(m.bad.LSN, "a", "b", "c")
	eventually(t, "d has it all, and shows nothing of it", func() bool {
		s := c.nodes["d"].Status()
		return s.End >= m.bad.LSN && s.Commit >= m.bad.LSN && s.Applied == 0
	})
	return m
}

// restored checks that those show what was there before the mistake, and kept it aside.
func (m *mistaken) restored(p topology.Restoration, ids ...topology.NodeID) {
	m.t.Helper()
	for _, id := range ids {
		n := m.nodes[id]
		eventually(m.t, fmt.Sprintf("%s goes on behind entry %d", id, p.At), func() bool {
			s := n.Status()
			return s.Term >= p.Term && s.Applied >= p.Start && s.Rewound > 0
		})
		for i := range m.keys {
			v, err := n.get(fmt.Sprint("k", i))
			require.NoError(m.t, err, "%s at %s", fmt.Sprint("k", i), id)
			require.Equal(m.t, fmt.Sprint("v", i), v)
		}
		kept, err := n.side.List()
		require.NoError(m.t, err)
		require.NotEmpty(m.t, kept)
		require.Equal(m.t, m.bad.LSN, kept[0].Last, id)
		require.Equal(m.t, p.At+1, kept[0].First, id)
		require.Equal(m.t, p.Records, kept[0].Records, id)
		require.ErrorIs(m.t, n.Wait(m.t.Context(), m.bad.Token), topology.ErrRewound, "who has seen the mistake is told at %s", id)
		require.NoError(m.t, n.Wait(m.t.Context(), m.good.Token), id)
	}
}

func TestADelayedReplicaLeadsFromBeforeAMistake(t *testing.T) {
	for name, o := range map[string]struct {
		sync   quorum.Policy
		agrees bool
	}{
		"first by hand": {quorum.First(1, "b", "c"), false},
		"any by hand":   {quorum.Any(1, "b", "c"), false},
		"async by hand": {quorum.Async(), false},
		"first elected": {quorum.First(1, "a", "b", "c"), true},
		"any elected":   {quorum.Any(1, "a", "b", "c"), true},
		"all elected":   {quorum.All(), true},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMistaken(t, Options{Sync: o.sync}, o.agrees)
			d := m.nodes["d"]
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			plan, err := d.Restore(ctx, topology.Point{Time: m.good.Time.Time().Add(time.Millisecond)}, 0)
			require.NoError(t, err)
			require.Equal(t, m.good.LSN, plan.At)
			require.Equal(t, m.good.Time.Time(), plan.Time)
			require.EqualValues(t, m.keys, plan.Records)
			require.Equal(t, m.bad.LSN, plan.Last)
			require.Equal(t, m.bad.Time.Time(), plan.Newest)
			require.Zero(t, plan.Term, "asked alone it changes nothing")
			_, err = d.Restore(ctx, topology.Point{LSN: plan.At}, plan.Records-1)
			require.ErrorIs(t, err, topology.ErrConflict)
			require.ErrorContains(t, err, fmt.Sprintf("to go on behind entry %d gives up %d records, %d to %d, and %d may be", plan.At, plan.Records, plan.At+1, plan.Last, plan.Records-1))
			require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))

			p, err := d.Restore(ctx, topology.Point{LSN: plan.At}, plan.Records)
			require.NoError(t, err)
			require.EqualValues(t, "d", p.Leader)
			require.Equal(t, plan.At+1, p.Start)
			m.restored(p, "a", "b", "c", "d")
			m.write("d", "k", "after", "a", "b", "c", "d")
			rs, err := m.nodes["b"].Reigns(t.Context())
			require.NoError(t, err)
			cause := fmt.Sprintf("restore to a point of the past; what came after entry %d was given up", plan.At)
			require.True(t, slices.ContainsFunc(rs, func(r topology.Reign) bool { return r.Term == p.Term && r.Start == p.Start && r.Cause == cause }), "%+v", rs)
			require.Zero(t, d.Status().Delay, "who may have to lead is not late")
		})
	}
}

// What was given up stays so, whoever was away, and whoever leads.
func TestWhoWasAwayGivesUpWhatARestoreGaveUp(t *testing.T) {
	for name, agrees := range map[string]bool{"by hand": false, "elected": true} {
		t.Run(name, func(t *testing.T) {
			m := newMistaken(t, Options{Sync: quorum.First(1, "b", "a", "c")}, agrees)
			m.nodes["a"].stop()
			if agrees {
				m.leader = m.testCluster.leader("a")
			}
			m.nodes["c"].stop()
			d := m.nodes["d"]
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			_, err := d.Restore(ctx, topology.Point{LSN: m.good.LSN}, 0)
			require.NoError(t, err)
			p, err := d.Restore(ctx, topology.Point{LSN: m.good.LSN}, 1000)
			require.NoError(t, err)
			m.write("d", "k", "after", "b", "d")
			if agrees {
				m.inSync("d", "b", "d")
				_, err = d.Switchover(ctx, "b")
			} else {
				m.start("c")
				m.applied(p.Start, "c")
				_, err = m.nodes["b"].Promote(ctx, false)
			}
			require.NoError(t, err)
			m.leads("b")
			m.start("a")
			if agrees {
				m.start("c")
			}
			r := m.write("b", "k2", "by the next leader", "a", "c", "d")
			for _, id := range []topology.NodeID{"a", "b", "c", "d"} {
				require.ErrorIs(t, m.nodes[id].Wait(t.Context(), m.bad.Token), topology.ErrRewound, id)
				v, err := m.nodes[id].get("k3", topology.ReadOptions{Guarantee: topology.ReadSession, After: r.Token})
				require.NoError(t, err)
				require.Equal(t, "v3", v)
			}
		})
	}
}

func TestARestoreOutlivesTheRestartOfItsLeader(t *testing.T) {
	m := newMistaken(t, Options{Sync: quorum.First(1, "a", "b", "c")}, true)
	m.nodes["b"].stop()
	m.nodes["c"].stop()
	m.nodes["a"].stop()
	d := m.nodes["d"]
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	p, err := d.Restore(ctx, topology.Point{LSN: m.good.LSN}, 1000)
	require.NoError(t, err)
	d.crash()
	d.start()
	eventually(t, "it leads again", func() bool { return d.Status().Role == topology.RoleLeader && d.Status().Term > p.Term })
	m.start("a", "b", "c")
	m.restored(p, "a", "b", "c")
	m.write("d", "k", "after", "a", "b", "c")
}

func TestAPointThatNobodyCanGoBackToIsRefused(t *testing.T) {
	m := newMistaken(t, Options{Sync: quorum.First(1, "b", "c")}, false)
	d := m.nodes["d"]
	refused := func(n *testNode, to topology.Point, sentinel error, why string) {
		t.Helper()
		_, err := n.Restore(t.Context(), to, 1000)
		require.ErrorIs(t, err, sentinel)
		require.ErrorContains(t, err, why)
		require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	}
	refused(m.nodes["a"], topology.Point{LSN: m.good.LSN}, topology.ErrConflict, "commits may count this node")
	refused(m.nodes["b"], topology.Point{LSN: m.good.LSN}, topology.ErrConflict, "commits may count this node")
	refused(d, topology.Point{}, topology.ErrMalformed, "neither an entry nor a time")
	refused(d, topology.Point{LSN: m.bad.LSN + 100}, topology.ErrConflict, "is not known to be committed")
	refused(d, topology.Point{LSN: m.bad.LSN}, topology.ErrConflict, "there is nothing to give up")
	refused(d, topology.Point{Time: time.Now().Add(time.Hour)}, topology.ErrConflict, "there is nothing to give up")
	d.stop()
	d.late = time.Nanosecond
	d.start()
	m.applied(m.bad.LSN, "d")
	refused(d, topology.Point{LSN: m.good.LSN}, topology.ErrConflict, "shows everything up to entry")
	refused(d, topology.Point{Time: m.good.Time.Time()}, topology.ErrConflict, "shows entry")
	require.EqualValues(t, 1, m.nodes["a"].Status().Term)
	m.write("a", "k", "nothing has happened", "b", "c", "d")
}
