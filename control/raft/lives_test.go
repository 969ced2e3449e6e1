package raft

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

// servers returns what a voter believes to be the configuration.
func servers(p *running) map[raft.ServerID]raft.ServerSuffrage {
	all := map[raft.ServerID]raft.ServerSuffrage{}
	if s := p.sits(); s != nil {
		if f := s.raft.GetConfiguration(); f.Error() == nil {
			for _, v := range f.Configuration().Servers {
				all[v.ID] = v.Suffrage
			}
		}
	}
	return all
}

func TestAVoterWhoseDirectoryWasLostComesBackAsAnotherServer(t *testing.T) {
	r := newRig(t, Options{Voters: voters(3)}, "a", "b", "c")
	all := r.all()
	d := put(t, all["a"], "group", 0, "one")
	old := all["c"].self
	eventually(t, "c has the document", func() bool { have, _ := all["c"].Latest("group"); return have.Version == 1 })
	require.NoError(t, all["c"].stop())
	lost := r.disks["c"]

	r.disks["c"] = vfs.NewMem()
	all["c"] = r.start("c")
	require.NotEqual(t, old, all["c"].self)
	eventually(t, "c has a vote again, and its predecessor has none", func() bool {
		for _, p := range all {
			at := servers(p)
			if s, ok := at[all["c"].self.id()]; len(at) != 3 || !ok || s != raft.Voter {
				return false
			}
			if _, there := at[old.id()]; there {
				return false
			}
		}
		return all["c"].Report().Votes
	})
	require.Equal(t, d, read(t, all["c"], "group"))

	// It counts: with it, one of the others may go.
	require.NoError(t, all["b"].stop())
	d = put(t, all["c"], "group", 1, "two")
	// And it remembers so over a restart.
	require.NoError(t, all["c"].stop())
	all["b"] = r.start("b")
	all["c"] = r.start("c")
	require.Equal(t, d, read(t, all["c"], "group"))
	eventually(t, "c has its vote", func() bool { return all["c"].Report().Votes })

	// The directory that was lost turns up again, in place of the new one.
	require.NoError(t, all["c"].stop())
	r.disks["c"] = lost
	back := r.start("c")
	require.Equal(t, old, back.self)
	require.Equal(t, d, read(t, back, "group"), "it has no vote, and asks the others")
	for _, id := range []topology.NodeID{"a", "b"} {
		require.NotContains(t, servers(all[id]), old.id())
	}
	put(t, back, "group", 2, "three")
	require.NotContains(t, servers(all["a"]), old.id(), "nor does it ask to be admitted")
}

func TestAFounderWhoseDirectoryWasLostFoundsNothingAnew(t *testing.T) {
	r := newRig(t, Options{Voters: voters(3)}, "a", "b", "c")
	all := r.all()
	d := put(t, all["a"], "group", 0, "one")
	require.NoError(t, all["a"].stop())
	r.disks["a"] = vfs.NewMem()
	all["a"] = r.start("a")
	require.Equal(t, d, read(t, all["a"], "group"))
	eventually(t, "a votes again", func() bool { return all["a"].Report().Votes })
	require.Equal(t, all["b"].founding.group, all["a"].founding.group)
}

func TestNobodyFoundsBeforeAllVotersHaveAnswered(t *testing.T) {
	r := newRig(t, Options{Voters: voters(3)}, "a", "b", "c")
	a, b := r.start("a"), r.start("b")
	ctx := within(t, 10*r.options.Heartbeat)
	_, err := a.Swap(ctx, topology.Document{Name: "group"})
	require.ErrorIs(t, err, topology.ErrTimeout)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	require.Empty(t, founder{b.Control}.hello().group)
	r.start("c")
	put(t, a, "group", 0, "one")
}

func TestNodesThatNameOtherVotersAreRefused(t *testing.T) {
	r := newRig(t, Options{Voters: voters(3)}, "a", "b", "c", "x")
	r.start("a")
	r.start("b")
	r.options.Voters = []topology.NodeID{"a", "b", "x"}
	for _, id := range []topology.NodeID{"c", "x"} {
		p := r.start(id)
		_, err := p.Load(within(t, patience), "group")
		require.ErrorIs(t, err, topology.ErrDenied)
		require.ErrorContains(t, err, "names the voters [a b x]")
		require.ErrorContains(t, err, "names [a b c]")
		eventually(t, "its report says so", func() bool { return p.Report().Problem != "" })
	}
}

func TestVotersAreNotExchangedInAConfiguration(t *testing.T) {
	r := newRig(t, Options{Voters: voters(1)}, "a", "b", "c")
	a := r.start("a")
	put(t, a, "group", 0, "one")
	require.NoError(t, a.stop())
	r.options.Voters = voters(3)
	_, err := r.try("a")
	require.ErrorContains(t, err, "names the voters [a b c]")
	require.ErrorContains(t, err, "a group of [a]")
}

func TestClientsStayWithTheirGroup(t *testing.T) {
	r := newRig(t, Options{Voters: voters(1)}, "a", "x")
	a, x := r.start("a"), r.start("x")
	put(t, x, "group", 0, "one")
	eventually(t, "x hears of it", func() bool { d, _ := x.Latest("group"); return d.Version == 1 })
	require.NoError(t, a.stop())
	r.disks["a"] = vfs.NewMem() // a group of one is lost with its directory
	a = r.start("a")
	put(t, a, "group", 0, "of another group")
	require.NoError(t, x.stop())
	x = r.start("x")
	_, err := x.Load(within(t, patience), "group")
	require.ErrorIs(t, err, topology.ErrDenied)
	require.ErrorContains(t, err, "founded")
}

func TestAVoterThatHasLostItsLogDoesNotGoOn(t *testing.T) {
	r := newRig(t, Options{Voters: voters(1)}, "a")
	a := r.start("a")
	put(t, a, "group", 0, "one")
	require.NoError(t, a.stop())
	r.wrap["a"] = func(l topology.GroupLog) topology.GroupLog { return emptied{l} }
	a = r.start("a")
	require.ErrorIs(t, <-ended(a), topology.ErrFailed)
}

// emptied is a log that has lost everything.
type emptied struct{ topology.GroupLog }

func (emptied) Bounds() topology.Bounds { return topology.Bounds{First: 1} }

// ended returns the reason for which a process ends by itself.
func ended(p *running) <-chan error {
	c := make(chan error, 1)
	<-p.done
	c <- p.stop()
	return c
}
