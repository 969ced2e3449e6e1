package triad_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/control/raft"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/singleleader"
	"github.com/triad-kv/triad/topology"
)

// TestNodesLendTheirVotersALog runs whole nodes, whose group document voters keep in
// a log beside the node's own, over a restart.
func TestNodesLendTheirVotersALog(t *testing.T) {
	for name, ids := range map[string][]topology.NodeID{"one": {"a"}, "three": {"a", "b", "c"}} {
		t.Run(name, func(t *testing.T) {
			disks := map[topology.NodeID]vfs.FS{}
			listeners := map[topology.NodeID]net.Listener{}
			var list []triad.Member
			for _, id := range ids {
				disks[id] = vfs.NewMem()
			}
			listen := func() {
				list = nil
				for _, id := range ids {
					l, err := net.Listen("tcp", "127.0.0.1:0")
					require.NoError(t, err)
					listeners[id] = l
					list = append(list, triad.Member{ID: id, Addr: l.Addr().String()})
				}
			}
			run := func() (all []*triad.Node, stop func()) {
				listen()
				done := make(chan error, len(ids))
				for _, id := range ids {
					n, err := triad.Open(triad.Config{
						ID: id, Dir: "data", FS: disks[id], Listener: listeners[id], Members: list,
						Control:  raft.New(raft.Options{Voters: ids, Heartbeat: raft.HeartbeatFast}),
						Topology: singleleader.New(singleleader.Options{Sync: quorum.All()}),
						Limits:   triad.Limits{BootstrapWait: 200 * time.Millisecond},
					})
					require.NoError(t, err)
					all = append(all, n)
					go func() { done <- n.Run(context.Background()) }()
				}
				return all, func() {
					for _, n := range all {
						require.NoError(t, n.Close())
					}
					for range all {
						require.NoError(t, <-done)
					}
				}
			}
			put := func(all []*triad.Node, value string) {
				require.Eventually(t, func() bool {
					for _, n := range all { // whoever leads
						ctx, cancel := context.WithTimeout(t.Context(), time.Second)
						_, err := n.Put(ctx, triad.DefaultTable, []byte("k"), []byte(value))
						cancel()
						if err == nil {
							return true
						}
					}
					return false
				}, patience, 10*time.Millisecond)
			}
			for _, value := range []string{"first", "second"} {
				all, stop := run()
				put(all, value)
				for _, n := range all {
					require.Eventually(t, func() bool {
						got, err := n.Get(t.Context(), triad.DefaultTable, []byte("k"), triad.Any())
						return err == nil && string(got.Value) == value
					}, patience, 10*time.Millisecond)
				}
				stop()
			}
		})
	}
}

// TestANodeThatIsClosedHandsOver closes the leader while a writer goes on, from node
// to node as it is told.
func TestANodeThatIsClosedHandsOver(t *testing.T) {
	ids := []topology.NodeID{"a", "b", "c"}
	var list []triad.Member
	listeners := map[topology.NodeID]net.Listener{}
	for _, id := range ids {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		listeners[id], list = l, append(list, triad.Member{ID: id, Addr: l.Addr().String()})
	}
	nodes := map[topology.NodeID]*triad.Node{}
	done := make(chan error, len(ids))
	for _, id := range ids {
		n, err := triad.Open(triad.Config{
			ID: id, Dir: "data", FS: vfs.NewMem(), Listener: listeners[id], Members: list,
			Control: raft.New(raft.Options{Voters: ids, Heartbeat: raft.HeartbeatFast}),
			// Nobody finds a leader dead within the test: a leader that is followed handed over.
			Topology: singleleader.New(singleleader.Options{Sync: quorum.First(1, "a", "b", "c"), FailAfter: time.Hour, RetryEvery: 10 * time.Millisecond}),
			Limits:   triad.Limits{BootstrapWait: 200 * time.Millisecond, HandoverWait: 4 * time.Second},
		})
		require.NoError(t, err)
		nodes[id] = n
		go func() { done <- n.Run(context.Background()) }()
	}
	require.Eventually(t, func() bool {
		_, err := nodes["a"].Put(t.Context(), triad.DefaultTable, []byte("k"), []byte("1"))
		return err == nil && nodes["b"].Status().Sync
	}, patience, 10*time.Millisecond)
	require.NoError(t, nodes["a"].Close())
	s := nodes["b"].Status()
	require.Equal(t, topology.RoleLeader, s.Role, "when a has ended, b leads already")
	got, err := nodes["b"].Get(t.Context(), triad.DefaultTable, []byte("k"))
	require.NoError(t, err)
	require.Equal(t, "1", string(got.Value))
	require.NoError(t, nodes["b"].Close())
	require.NoError(t, nodes["c"].Close())
	for range ids {
		require.NoError(t, <-done)
	}
}

func TestALimitOfHandingOverIsChecked(t *testing.T) {
	for wait, says := range map[time.Duration]string{-time.Second: "limits.handover_wait: -1000000000 is negative", 5 * time.Second: "limits.handover_wait: 5s is more than 4s"} {
		_, err := triad.Open(triad.Config{ID: "a", Dir: "data", FS: vfs.NewMem(), Topology: singleleader.New(singleleader.Options{}), Limits: triad.Limits{HandoverWait: wait}})
		require.ErrorContains(t, err, says)
	}
}

func TestAVoterNeedsItsPlaceInTheDirectory(t *testing.T) {
	fs := vfs.NewMem()
	config := triad.Config{
		ID: "a", Dir: "data", FS: fs, Control: raft.New(raft.Options{Voters: []topology.NodeID{"a"}}),
		Topology: singleleader.New(singleleader.Options{}),
	}
	n, err := triad.Open(config)
	require.NoError(t, err)
	require.NoError(t, n.Close())
	require.NoError(t, fs.RemoveAll("data/control"))
	_, err = triad.Open(config)
	require.Error(t, err)
	require.ErrorContains(t, err, "control")
}

// TestTwoNodesWithDataAndAWitnessOutliveOne kills the leader of two nodes with data: the
// other is elected with the vote of a witness that keeps nothing, and writes go on with
// a minimum of one; what was acknowledged is there, and is where the first comes back.
func TestTwoNodesWithDataAndAWitnessOutliveOne(t *testing.T) {
	ids := []topology.NodeID{"a", "b", "w"}
	disks, listeners := map[topology.NodeID]vfs.FS{}, map[topology.NodeID]net.Listener{}
	var list []triad.Member
	for _, id := range ids {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		disks[id], listeners[id] = vfs.NewMem(), l
		list = append(list, triad.Member{ID: id, Addr: l.Addr().String()})
	}
	nodes := map[topology.NodeID]*triad.Node{}
	start := func(id topology.NodeID) (stop func()) {
		n, err := triad.Open(triad.Config{
			ID: id, Dir: "data", FS: disks[id], Listener: listeners[id], Members: list,
			Control: raft.New(raft.Options{Voters: ids, Heartbeat: raft.HeartbeatFast}),
			Topology: singleleader.New(singleleader.Options{
				Sync: quorum.First(1), MinInSync: 1, Witnesses: []topology.NodeID{"w"}, FailAfter: 200 * time.Millisecond,
			}),
			Limits: triad.Limits{BootstrapWait: 200 * time.Millisecond},
		})
		require.NoError(t, err)
		nodes[id] = n
		done := make(chan error, 1)
		go func() { done <- n.Run(context.Background()) }()
		return func() {
			require.NoError(t, n.Close())
			require.NoError(t, <-done)
			delete(nodes, id)
		}
	}
	stops := map[topology.NodeID]func(){}
	for _, id := range ids {
		stops[id] = start(id)
	}
	led := func(by ...topology.NodeID) (leader topology.NodeID) {
		require.Eventually(t, func() bool {
			for _, id := range by {
				if s := nodes[id].Status(); s.Role == topology.RoleLeader {
					leader = id
					return true
				}
			}
			return false
		}, patience, 5*time.Millisecond)
		return leader
	}
	put := func(at topology.NodeID, key string) {
		require.Eventually(t, func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := nodes[at].Put(ctx, triad.DefaultTable, []byte(key), []byte("v"))
			return err == nil
		}, patience, 5*time.Millisecond)
	}
	first := led("a", "b")
	other := map[topology.NodeID]topology.NodeID{"a": "b", "b": "a"}[first]
	require.Eventually(t, func() bool { return nodes[other].Status().Sync }, patience, 5*time.Millisecond)
	put(first, "acknowledged")

	w := nodes["w"]
	require.Eventually(t, func() bool { s := w.Status(); return s.Role == topology.RoleWitness && s.Leader == first }, patience, 5*time.Millisecond)
	_, err := w.Put(t.Context(), triad.DefaultTable, []byte("k"), []byte("v"))
	require.ErrorIs(t, err, topology.ErrNotLeader)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	require.ErrorContains(t, err, "a witness keeps no data")
	_, err = w.Get(t.Context(), triad.DefaultTable, []byte("acknowledged"), triad.Any())
	require.ErrorIs(t, err, topology.ErrNotLeader)
	require.Zero(t, w.Status().End, "it keeps nothing")

	stops[first]()
	require.Equal(t, other, led(other))
	put(other, "alone")
	got, err := nodes[other].Get(t.Context(), triad.DefaultTable, []byte("acknowledged"))
	require.NoError(t, err)
	require.Equal(t, "v", string(got.Value))

	l, err := net.Listen("tcp", listeners[first].Addr().String())
	require.NoError(t, err)
	listeners[first] = l
	stops[first] = start(first)
	require.Eventually(t, func() bool {
		_, err := nodes[first].Get(t.Context(), triad.DefaultTable, []byte("alone"), triad.Any())
		return err == nil && nodes[first].Status().Sync
	}, patience, 5*time.Millisecond)
	for _, id := range ids {
		stops[id]()
	}
}

func TestAWitnessNeedsAControlThatElectsAndAnEmptyDirectory(t *testing.T) {
	members := []triad.Member{{ID: "a", Addr: "127.0.0.1:1"}, {ID: "w", Addr: "127.0.0.1:2"}}
	fs := vfs.NewMem()
	_, err := triad.Open(triad.Config{
		ID: "w", Dir: "data", FS: fs, Listen: "127.0.0.1:0", Members: members, Leader: "a",
		Topology: singleleader.New(singleleader.Options{Witnesses: []topology.NodeID{"w"}}),
	})
	require.ErrorContains(t, err, "a witness votes where a control elects")

	alone, err := triad.Open(triad.Config{ID: "w", Dir: "other", FS: fs, Topology: singleleader.New(singleleader.Options{})})
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- alone.Run(context.Background()) }()
	_, err = alone.Put(t.Context(), triad.DefaultTable, []byte("k"), []byte("v"))
	require.NoError(t, err)
	require.NoError(t, alone.Close())
	require.NoError(t, <-done)
	_, err = triad.Open(triad.Config{
		ID: "w", Dir: "other", FS: fs, Control: raft.New(raft.Options{Voters: []topology.NodeID{"w"}}),
		Topology: singleleader.New(singleleader.Options{Witnesses: []topology.NodeID{"w"}}),
	})
	require.ErrorIs(t, err, topology.ErrConflict)
	require.ErrorContains(t, err, "give it an empty one")

	for _, o := range []singleleader.Options{
		{Sync: quorum.First(1), Witnesses: []topology.NodeID{"W!"}},
		{Sync: quorum.First(1), Witnesses: []topology.NodeID{"w"}, ReadReplicas: []topology.NodeID{"w"}},
		{Sync: quorum.Any(1), MinInSync: 1},
		{Sync: quorum.First(1), MinInSync: 3},
	} {
		_, err := singleleader.New(o)(topology.Env{})
		require.Error(t, err)
	}
}
