package raft

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

func names(ids ...topology.NodeID) []topology.NodeID { return ids }

// votes waits until the servers at p are those of these nodes, all of them voters.
func votes(t testing.TB, p *running, ids ...topology.NodeID) {
	t.Helper()
	eventually(t, "the voters are others", func() bool {
		f := p.sits().raft.GetConfiguration()
		if f.Error() != nil || len(f.Configuration().Servers) != len(ids) {
			return false
		}
		for _, s := range f.Configuration().Servers {
			found := false
			for _, id := range ids {
				found = found || nodeOf(s.ID) == id && s.Suffrage == 0
			}
			if !found {
				return false
			}
		}
		return true
	})
}

func TestAVoterIsReplacedByAnother(t *testing.T) {
	r := newRig(t, Options{Voters: voters(3)}, "a", "b", "c", "d", "x")
	all := map[topology.NodeID]*running{}
	for _, id := range names("a", "b", "c", "x") {
		all[id] = r.start(id)
	}
	put(t, all["x"], "group", 0, "one")
	r.options.Voters = names("a", "b", "d")
	d := r.start("d")
	_, err := d.Load(within(t, patience), "group")
	require.ErrorIs(t, err, topology.ErrDenied, "it is no voter as far as the others know")

	require.NoError(t, all["x"].Elect(within(t, patience), names("d", "c", "b", "a")))
	eventually(t, "d votes", func() bool { return d.Report().Votes })
	require.NoError(t, all["x"].Elect(within(t, patience), names("a", "b", "d")))
	votes(t, d, "a", "b", "d")
	eventually(t, "c is a client", func() bool { return all["c"].sits() == nil })
	require.NoError(t, all["b"].stop())
	eventually(t, "it is known to be so", func() bool { _, settled := all["x"].Electors(); return settled })
	put(t, all["c"], "group", 1, "two") // a and d are two of three
	eventually(t, "c hears of it as a client", func() bool { g, _ := all["c"].Latest("group"); return g.Version == 2 })

	require.NoError(t, all["c"].stop())
	r.options.Voters = voters(3)
	all["c"] = r.start("c")
	require.Equal(t, "two", string(read(t, all["c"], "group").Body), "it is a client after a restart")
	eventually(t, "and knows it", func() bool { return all["c"].sits() == nil })
	require.NoError(t, all["a"].stop())
	r.options.Voters = names("a", "b", "d")
	all["a"] = r.start("a") // its configuration may name the new ones now
	put(t, all["a"], "group", 2, "three")
	require.Equal(t, names("a", "b", "d"), all["a"].Report().Voters)
}

func TestTheLeaderOfTheVotersIsRemovedAndComesBack(t *testing.T) {
	r := newRig(t, Options{Voters: voters(3)}, "a", "b", "c")
	all := r.all()
	put(t, all["a"], "group", 0, "one")
	old := leader(t, all["a"], all["b"], all["c"])
	var rest []topology.NodeID
	for _, id := range voters(3) {
		if id != old.self.node {
			rest = append(rest, id)
		}
	}
	require.NoError(t, old.Elect(within(t, patience), rest))
	votes(t, all[rest[0]], rest...)
	eventually(t, "it is a client", func() bool { return old.sits() == nil })
	put(t, old, "group", 1, "two")

	require.NoError(t, old.Elect(within(t, patience), voters(3)))
	require.NoError(t, old.stop())
	back := r.start(old.self.node)
	eventually(t, "it votes again, from the same directory", func() bool { return back.Report().Votes })
	require.Equal(t, old.self, back.self)
	votes(t, back, voters(3)...)
}

func TestAVoterThatWasRemovedWhileItWasAwayFindsOut(t *testing.T) {
	r := newRig(t, Options{Voters: voters(3)}, "a", "b", "c")
	all := r.all()
	put(t, all["a"], "group", 0, "one")
	eventually(t, "c votes", func() bool { return all["c"].Report().Votes })
	require.NoError(t, all["c"].stop())
	require.NoError(t, all["a"].Elect(within(t, patience), names("a", "b")))
	votes(t, all["a"], "a", "b")
	c := r.start("c")
	eventually(t, "c is a client", func() bool { return electing{c.Control}.isDismissed() && c.sits() == nil })
	require.Equal(t, "one", string(read(t, c, "group").Body))
	put(t, c, "group", 1, "two")
}

func TestNoVoterIsRemovedWithoutAMajorityOfThoseWhoStay(t *testing.T) {
	r := newRig(t, Options{Voters: voters(3)}, "a", "b", "c")
	all := r.all()
	put(t, all["a"], "group", 0, "one")
	at := leader(t, all["a"], all["b"], all["c"])
	var away, stays *running
	for _, p := range all {
		switch {
		case p == at:
		case away == nil:
			away = p
		default:
			stays = p
		}
	}
	require.NoError(t, away.stop())
	require.NoError(t, at.Elect(within(t, patience), names(at.self.node, away.self.node)))
	require.ErrorIs(t, at.sits().dismiss(within(t, patience)), topology.ErrUnavailable)
	require.Contains(t, servers(at), stays.self.id())
	put(t, at, "group", 1, "two")
	r.start(away.self.node)
	eventually(t, "it is removed once the others answer", func() bool { return stays.sits() == nil })
}

func TestWhoMayVoteIsChecked(t *testing.T) {
	r := newRig(t, Options{Voters: voters(1)}, "a")
	a := r.start("a")
	put(t, a, "group", 0, "one")
	for want, ids := range map[error][]topology.NodeID{
		topology.ErrConflict:  {},
		topology.ErrTooLarge:  {"a", "b", "c", "d", "e", "f"},
		topology.ErrMalformed: {"a", "a"},
	} {
		err := a.Elect(within(t, patience), ids)
		require.ErrorIs(t, err, want)
		require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	}
	require.NoError(t, a.Elect(within(t, patience), names("a")), "they are that already")
	now, settled := a.Electors()
	require.Equal(t, names("a"), now)
	require.True(t, settled)
	d, _ := a.Latest(topology.DocumentVoters)
	require.Zero(t, d.Version)
	stranger := server{"x", 7}
	require.ErrorIs(t, a.sits().admit(within(t, patience), stranger, question{server: stranger.String()}), topology.ErrDenied)
	require.Len(t, servers(a), 1)
}
