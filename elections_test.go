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
