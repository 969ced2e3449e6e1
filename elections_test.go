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
