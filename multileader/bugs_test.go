package multileader

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/check"
	"github.com/triad-kv/triad/internal/sim/history"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// The tests of this file are what went wrong in others that let several sites write;
// docs/testing.md has the whole list, with the tests that stand elsewhere.

// A delete does not fall back to what it deleted: put, put, delete in one site meets a
// put in another (ipfs/go-ds-crdt#238). Whichever is later wins, and the older put of
// the deleting site is not seen again.
func TestADeleteDoesNotFallBackToAnOlderValue(t *testing.T) {
	for _, later := range []string{"us", "eu"} {
		t.Run(later+" is later", func(t *testing.T) {
			s := newTold(t, "us", "eu")
			s.alone(true)
			s.put("us", "k", "us 1")
			s.put("us", "k", "us 2")
			after := s.put("eu", "k", "eu 1")
			want := ""
			del := s.do("us", history.Op{Kind: history.Delete, Key: "k"})
			for ordered(del, after) && later == "us" { // by the clocks of both
				del = s.do("us", history.Op{Kind: history.Delete, Key: "k"})
			}
			for n := 2; later == "eu" && (n == 2 || ordered(after, del)); n++ {
				want = fmt.Sprint("eu ", n)
				after = s.put("eu", "k", want)
			}
			finals := s.healed()
			for _, site := range []string{"us", "eu"} {
				require.Equal(t, want, s.get(site, "k", history.Session), site)
			}
			made := s.heldTo(check.Rules{Sites: true}, finals...)
			require.Empty(t, made.Kept().And(made.Nowhere()).And(made.Converged()).Broken())
		})
	}
}

// ordered reports whether the last writer wins with b against a.
func ordered(a, b history.Op) bool {
	return version.CompareWrites(a.Place.Time, a.Place.Dot, b.Place.Time, b.Place.Dot) < 0
}

// Equal values are two writes: with three sites, what they are called has to come
// together as well, or the third site keeps another one
// (vlcn-io/cr-sqlite#413, superfly/corrosion#352). Over a star, so that it is relayed
// (vlcn-io/cr-sqlite#30: who wrote it is kept on the way).
func TestEqualValuesComeTogetherAsOneWrite(t *testing.T) {
	s := newTold(t, "us", "eu", "ap")
	for _, m := range s.list {
		s.nodes[m.ID].stop()
	}
	s.opts.Links = Links{Shape: Star, Hub: "eu"}
	s.startAll()
	s.alone(true)
	var last topology.Receipt
	for _, site := range []string{"us", "ap", "eu"} {
		r, err := s.nodes[topology.NodeID(site+"1")].put("k", "equal")
		require.NoError(t, err)
		if version.CompareWrites(last.Time, last.Dot, r.Time, r.Dot) < 0 {
			last = r
		}
	}
	s.healed() // cell by cell, with dots and times
	n := s.nodes["us1"]
	r, err := n.Read(t.Context(), 1, []byte("k"), topology.ReadOptions{})
	require.NoError(t, err)
	require.Equal(t, last.Dot, r.Cells[0].Dot)
	require.Len(t, s.dropped("us"), 2)
}

// Two sites delete what a third has: the time of the delete has to come together too
// (cockroachdb/cockroach#143567), and nobody fails over what is not there any more
// (aws/pgactive#105).
func TestDeletesInTwoSitesComeTogether(t *testing.T) {
	s := newTold(t, "us", "eu", "ap")
	s.put("us", "k", "v")
	s.healed()
	s.alone(true)
	del := history.Op{Kind: history.Delete, Key: "k"}
	s.do("us", del)
	s.do("eu", del)
	s.do("eu", del)
	s.put("ap", "other", "v")
	finals := s.healed()
	for _, site := range []string{"us", "eu", "ap"} {
		require.Empty(t, s.get(site, "k", history.Session), site)
	}
	require.Empty(t, s.heldTo(check.Rules{Sites: true}, finals...).Converged().Broken())
	s.put("ap", "k", "again")
	s.healed()
	require.Equal(t, "again", s.get("us", "k", history.Session))
}

// A delete that meets an edit is a conflict, whichever wins, and is listed
// (couchbase/couchbase-lite-core#781, pouchdb/pouchdb#6810).
func TestADeleteThatMeetsAnEditIsListed(t *testing.T) {
	s := newTold(t, "us", "eu")
	s.put("us", "edited", "v")
	s.put("us", "deleted", "v")
	s.healed()
	require.Equal(t, "v", s.get("eu", "deleted", history.Session))
	s.alone(true)
	lost := s.do("us", history.Op{Kind: history.Delete, Key: "edited"})
	won := s.put("eu", "edited", "later 0")
	for n := 1; ordered(won, lost); n++ {
		won = s.put("eu", "edited", fmt.Sprint("later ", n))
	}
	lost = s.put("us", "deleted", "earlier")
	won = s.do("eu", history.Op{Kind: history.Delete, Key: "deleted"})
	for ordered(won, lost) {
		won = s.do("eu", history.Op{Kind: history.Delete, Key: "deleted"})
	}
	s.healed()
	for _, site := range []string{"us", "eu"} {
		removed := map[string]bool{} // what won
		for x, err := range s.nodes[topology.NodeID(site+"1")].Conflicts(t.Context(), 0) {
			require.NoError(t, err)
			require.Equal(t, topology.UpdateDelete, x.Type)
			require.Len(t, x.Winner, 1)
			removed[string(x.Cell.Key)] = x.Winner[0].Absent
		}
		require.Equal(t, map[string]bool{"edited": false, "deleted": true}, removed, site)
	}
}

// A site of which one node was away for long does not hand out a sequence twice, nor
// take its own records for another's when they come back to it over a relay
// (tarantool/tarantool#6709, #4003).
func TestWhatComesBackOverARelayIsNotTakenTwice(t *testing.T) {
	s := newTold(t, "us", "eu", "ap")
	for i := range 5 {
		s.put("us", fmt.Sprint("k", i), "before")
	}
	s.healed()
	n := s.nodes["us1"]
	end := n.log.Bounds().End
	n.crash()
	n.start()
	s.leads("us1")
	after := s.put("us", "k0", "after")
	s.healed()
	require.EqualValues(t, 6, after.Place.Dot.Seq)
	seen, _ := n.machine.seen.atLeast()
	require.Equal(t, uint64(6), seen.Get(after.Place.Dot.Origin))
	require.Less(t, uint64(n.log.Bounds().End-end), uint64(8), "nothing of the five was appended again")
}
