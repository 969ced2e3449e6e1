package multileader

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/check"
	"github.com/triad-kv/triad/internal/sim/history"
	"github.com/triad-kv/triad/internal/sim/load"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// The tests of this file show what several sites do not promise. In each the checker of
// the stronger promise finds the violation, and those of the promises that were made
// find none.

// told is one client in each site, which writes down what it is told.
type told struct {
	*cluster
	sessions map[string]*load.Engine
	written  *history.Recorder
}

// newTold starts sites of one node.
func newTold(t *testing.T, sites ...string) *told {
	s := &told{cluster: newCluster(t, Options{}, 1, sites...), sessions: map[string]*load.Engine{}, written: history.NewRecorder(nil)}
	for _, site := range sites {
		s.sessions[site] = &load.Engine{At: func(string) (topology.Engine, string) {
			n := s.nodes[topology.NodeID(site+"1")]
			return n.engine, string(n.id)
		}}
	}
	s.startAll()
	return s
}

func (s *told) do(site string, op history.Op) history.Op {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
	defer cancel()
	op.Client = uint64(1 + slices.IndexFunc(s.opts.Sites, func(x Site) bool { return x.Name == site }))
	op.Session = op.Client
	op = s.written.End(s.sessions[site].Do(ctx, s.written.Begin(op)))
	require.Equal(s.t, history.Applied, op.Outcome, "%v", op)
	return op
}

func (s *told) put(site, key, value string) history.Op {
	s.t.Helper()
	return s.do(site, history.Op{Kind: history.Put, Key: key, Value: value})
}

// get reads and returns what that shows, empty for nothing.
func (s *told) get(site, key string, g history.Guarantee) string {
	s.t.Helper()
	v, _ := s.do(site, history.Op{Kind: history.Get, Key: key, Want: history.Request{Guarantee: g}}).Only()
	return v
}

// alone parts every site from every other, or joins them all again.
func (s *told) alone(yes bool) {
	for i, a := range s.opts.Sites {
		for _, b := range s.opts.Sites[i+1:] {
			s.apart(a.Name, b.Name, yes)
		}
	}
}

// healed joins the sites and waits until all hold the same.
func (s *told) healed() (finals []check.Final) {
	s.t.Helper()
	s.alone(false)
	s.converged()
	for _, m := range s.list {
		f, err := load.Final(s.t.Context(), string(m.ID), s.nodes[m.ID].engine)
		require.NoError(s.t, err)
		finals = append(finals, f)
	}
	return finals
}

// heldTo judges what was told. Over sites the promise is that all see the same in the
// end; one asks too much who holds them to the rules of one leader.
func (s *told) heldTo(rules check.Rules, finals ...check.Final) *check.Case {
	s.t.Helper()
	c, err := check.New(rules, s.written.Ops(), finals...)
	require.NoError(s.t, err)
	return c
}

// dropped are the dots of all values that a site lists as shown no more.
func (s *told) dropped(site string) map[version.Dot]string {
	lost := map[version.Dot]string{}
	for x, err := range s.nodes[topology.NodeID(site+"1")].Conflicts(s.t.Context(), 0) {
		require.NoError(s.t, err)
		for _, v := range x.Losers {
			lost[v.Dot] = string(v.Value)
		}
	}
	return lost
}

// One site has acknowledged what another does not show yet: the newest, asked for in a
// site, is the newest there.
func TestSitesTogetherAreNotLinearizable(t *testing.T) {
	s := newTold(t, "us", "eu")
	s.alone(true)
	s.put("us", "k", "v")
	require.Empty(t, s.get("eu", "k", history.Linearizable))
	finals := s.healed()
	require.Equal(t, "v", s.get("eu", "k", history.Linearizable))
	require.NotEmpty(t, s.heldTo(check.Rules{}, finals...).Linearizable(0).Broken())
	made := s.heldTo(check.Rules{Sites: true}, finals...)
	require.Empty(t, made.ReadYourWrites().And(made.MonotonicReads()).And(made.Nowhere()).And(made.Kept()).And(made.Converged()).Broken())
}

// Two sites hand out the same name, and two compare-and-sets succeed over one value: a
// condition holds where it was judged. Both sites list what that cost.
func TestAConditionHoldsInItsSiteAlone(t *testing.T) {
	s := newTold(t, "us", "eu")
	s.put("us", "stock", "full")
	s.healed()
	require.Equal(t, "full", s.get("eu", "stock", history.Session))
	s.alone(true)
	for _, site := range []string{"us", "eu"} {
		s.do(site, history.Op{Kind: history.CompareAndSet, Key: "name", Value: "taken in " + site})
		s.do(site, history.Op{Kind: history.CompareAndSet, Key: "stock", Expect: "full", Value: "sold in " + site})
	}
	finals := s.healed()
	require.Equal(t, s.get("us", "name", history.Session), s.get("eu", "name", history.Session))
	strong := s.heldTo(check.Rules{}, finals...).Linearizable(0)
	require.Len(t, strong.Violations, 2, "the name, and the stock")
	made := s.heldTo(check.Rules{Sites: true}, finals...)
	require.Empty(t, made.ReadYourWrites().And(made.MonotonicReads()).And(made.Nowhere()).And(made.Kept()).And(made.Converged()).Broken())
	require.Len(t, s.dropped("us"), 2)
	require.Equal(t, s.dropped("us"), s.dropped("eu"))
}

// A count that is read and written back loses what the other site counted meanwhile,
// where the last writer wins. In a table of counters it does not: that is
// TestSitesCountAndCollectTogether of the root.
func TestACountThatIsWrittenBackLosesWhatOthersCounted(t *testing.T) {
	s := newTold(t, "us", "eu")
	s.alone(true)
	for range 3 {
		s.do("us", history.Op{Kind: history.Increment, Key: "n", Amount: 1})
	}
	s.do("eu", history.Op{Kind: history.Increment, Key: "n", Amount: 10})
	finals := s.healed()
	require.NotEmpty(t, s.heldTo(check.Rules{}, finals...).Counters().Broken())
	made := s.heldTo(check.Rules{Sites: true}, finals...)
	require.Empty(t, made.Kept().And(made.Converged()).Broken())
	require.Len(t, s.dropped("us"), 1)
	require.Contains(t, []string{"3", "10"}, s.get("us", "n", history.Session))
}

// What moves between keys stays whole within a write, and not over several: two sites
// that move from and to one key leave one of them half undone.
func TestMovesInTwoSitesDoNotKeepTheirSum(t *testing.T) {
	s := newTold(t, "us", "eu")
	for _, k := range []string{"acc/0", "acc/1", "acc/2"} {
		s.put("us", k, "100")
	}
	s.healed()
	require.Equal(t, "100", s.get("eu", "acc/2", history.Session))
	s.alone(true)
	s.do("us", history.Op{Kind: history.Transfer, Key: "acc/0", To: "acc/1", Amount: 10})
	s.do("eu", history.Op{Kind: history.Transfer, Key: "acc/1", To: "acc/2", Amount: 20})
	finals := s.healed()
	rules := check.Rules{Sites: true, Counting: []string{"acc/"}}
	require.NotEmpty(t, s.heldTo(rules, finals...).Bank("acc/", 3, 100).Broken())
	require.Empty(t, s.heldTo(rules, finals...).Converged().Broken())
	require.Len(t, s.dropped("us"), 1, "the move that lost acc/1")
}

// What the last writer's win discards is what is listed, to the write: of each site the
// last write of a key, where another site has written it later without having seen it.
// What a site overwrote itself was seen, and is no loss; it stands in the list of a site
// to which it came first, before what overwrote it.
func TestWhatIsDiscardedIsWhatIsListed(t *testing.T) {
	s := newTold(t, "us", "eu", "ap")
	last := map[string][]history.Op{} // by key, the last write of each site
	overwritten := map[version.Dot]bool{}
	s.alone(true)
	n := 0
	write := func(site, key string, times int) {
		var op history.Op
		for i := range times {
			if i > 0 {
				overwritten[op.Place.Dot] = true
			}
			n++
			op = s.put(site, key, fmt.Sprint(site, " ", n))
		}
		last[key] = append(last[key], op)
	}
	write("us", "one site", 3)
	write("us", "two sites", 2)
	write("ap", "two sites", 1)
	write("us", "all", 1)
	write("eu", "all", 3)
	write("ap", "all", 2)
	finals := s.healed()
	want := map[version.Dot]string{}
	for _, ops := range last {
		slices.SortFunc(ops, func(a, b history.Op) int {
			return version.CompareWrites(a.Place.Time, a.Place.Dot, b.Place.Time, b.Place.Dot)
		})
		for _, op := range ops[:len(ops)-1] {
			want[op.Place.Dot] = op.Value
		}
	}
	for _, site := range []string{"us", "eu", "ap"} {
		listed := s.dropped(site)
		maps.DeleteFunc(listed, func(dot version.Dot, _ string) bool { return overwritten[dot] })
		require.Equal(t, want, listed, site)
	}
	made := s.heldTo(check.Rules{Sites: true}, finals...)
	require.Empty(t, made.Kept().And(made.Nowhere()).And(made.Converged()).Broken())
	require.Len(t, want, 3)
}

// A site that burns takes with it what it had not sent: as many records as its status
// said that the others lacked.
func TestASiteThatBurnsTakesWhatItHadNotSent(t *testing.T) {
	s := newTold(t, "us", "eu", "ap")
	ahead := func() (n uint64) {
		for _, x := range s.nodes["us1"].Status().Sites {
			n = max(n, x.Ahead.Records)
		}
		return n
	}
	sent := s.put("us", "sent", "v")
	eventually(t, "us knows that all have it", func() bool {
		st := &s.nodes["us1"].stats
		st.mu.Lock()
		defer st.mu.Unlock()
		return !slices.ContainsFunc(st.peers, func(p peerStats) bool { return !p.marks.Has(sent.Place.Dot) })
	})
	s.alone(true)
	for _, k := range []string{"a", "b", "c"} {
		s.put("us", k, "v")
	}
	eventually(t, "us says what it alone has", func() bool { return ahead() == 3 })
	s.nodes["us1"].stop()
	s.apart("eu", "ap", false)
	finals := make([]check.Final, 0, 2)
	for _, id := range []topology.NodeID{"eu1", "ap1"} {
		f, err := load.Final(t.Context(), string(id), s.nodes[id].engine)
		require.NoError(t, err)
		finals = append(finals, f)
	}
	c := s.heldTo(check.Rules{Sites: true}, finals...)
	require.NotEmpty(t, c.Kept().Broken())
	require.Len(t, c.Lost(finals[0]), 3)
	require.Empty(t, c.Converged().And(c.Nowhere()).Broken())
}
