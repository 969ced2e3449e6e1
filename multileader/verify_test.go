package multileader

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// spoil makes the store of a node hold what nobody wrote, as a fault of a disk or of a
// program would, behind the back of its log.
func (n *node) spoil(t *testing.T, key string, vs ...record.Version) {
	t.Helper()
	n.stop()
	n.spoiled = []topology.Edit{{Cell: record.Cell{Table: record.TableDefault, Key: []byte(key)}}}
	if len(vs) > 0 {
		n.spoiled[0].State = record.NewEncoder().AppendState(nil, &record.State{Siblings: vs})
	}
	n.start()
}

func version1(seq uint64, value string) record.Version {
	return record.Version{Dot: version.Dot{Origin: version.Origin{ID: 1, Incarnation: 1}, Seq: seq}, Time: version.Timestamp(seq), Kind: record.KindBytes, Value: []byte(value)}
}

func verified(t *testing.T, n *node, o topology.VerifyOptions) topology.Verification {
	t.Helper()
	v, err := n.Verify(t.Context(), o)
	require.NoError(t, err)
	for _, p := range v.Peers {
		require.Empty(t, p.Problem, p.Node)
	}
	return v
}

// While all write, what is on its way is no difference, whichever node compares.
func TestSitesThatHoldTheSameVerify(t *testing.T) {
	c := newCluster(t, Options{Group: groupOf(quorum.First(1)), CutEvery: 5 * time.Millisecond}, 2, "us", "eu", "ap")
	c.startAll()
	for i := range 3000 {
		_, err := c.nodes["us1"].put(fmt.Sprint("k", i), "v")
		require.NoError(t, err)
		if i%500 == 0 {
			for _, id := range []topology.NodeID{"eu1", "ap1"} {
				_, err := c.nodes[id].put(fmt.Sprint("k", i), string(id))
				require.NoError(t, err)
			}
		}
	}
	c.converged()
	var ended atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; !ended.Load(); i++ {
			id := []topology.NodeID{"us1", "eu1", "ap1"}[i%3]
			b := batchOf(fmt.Sprint("k", i%50), fmt.Sprint(id, i))
			if i%7 == 0 {
				b.Mutations[0].Op, b.Mutations[0].Value = record.OpDelete, nil
			}
			_, _ = c.nodes[id].Write(t.Context(), b, topology.WriteOptions{})
		}
	}()
	for _, id := range []topology.NodeID{"us1", "eu2"} {
		v := verified(t, c.nodes[id], topology.VerifyOptions{})
		require.Len(t, v.Peers, 3, "a node of each other site, and the other one of its own")
		for _, p := range v.Peers {
			require.Zero(t, p.Differ, "%+v", p)
			require.Greater(t, p.Cells, uint64(2900))
		}
	}
	ended.Store(true)
	<-done
	for _, p := range verified(t, c.nodes["us1"], topology.VerifyOptions{}).Peers {
		require.Zero(t, p.Undecided)
	}
}

// A cell that a site holds otherwise than the writes it has taken make it, one that is
// gone and one that nobody wrote are found, and replaced by what a site that is named
// holds, at every node. What was replaced is listed.
func TestWhatASiteHoldsWronglyIsFoundAndRepaired(t *testing.T) {
	c := newCluster(t, Options{}, 1, "us", "eu")
	c.startAll()
	for i := range 2000 {
		_, err := c.nodes["us1"].put(fmt.Sprint("k", i), "v")
		require.NoError(t, err)
	}
	c.converged()
	eu := c.nodes["eu1"]
	eu.spoil(t, "k7", version1(1, "other"))
	eu.spoil(t, "k9")
	eu.spoil(t, "never", version1(2, "written"))
	c.leads("eu1")
	for _, id := range []topology.NodeID{"us1", "eu1"} {
		v := verified(t, c.nodes[id], topology.VerifyOptions{Tables: []record.TableID{record.TableDefault}})
		require.Len(t, v.Differences, 3)
		require.Equal(t, 3, v.Peers[0].Differ)
		keys := map[string]bool{}
		for _, d := range v.Differences {
			keys[string(d.Cell.Key)] = true
			require.False(t, d.Repaired)
		}
		require.Equal(t, map[string]bool{"k7": true, "k9": true, "never": true}, keys)
	}
	_, err := eu.Verify(t.Context(), topology.VerifyOptions{From: "eu"})
	require.ErrorIs(t, err, topology.ErrMalformed)
	v := verified(t, eu, topology.VerifyOptions{From: "us"})
	require.Len(t, v.Differences, 3)
	for _, d := range v.Differences {
		require.True(t, d.Repaired, string(d.Cell.Key))
	}
	c.converged()
	require.Empty(t, verified(t, c.nodes["us1"], topology.VerifyOptions{}).Differences)
	replaced := map[string]string{}
	for x, err := range eu.Conflicts(t.Context(), 0) {
		require.NoError(t, err)
		replaced[string(x.Cell.Key)] = string(x.Losers[0].Value)
	}
	require.Equal(t, map[string]string{"k7": "other", "never": "written"}, replaced)
	eu.stop()
	eu.start()
	c.leads("eu1")
	c.converged()
}

// A cell that is written to after it was looked at is left as it is.
func TestARepairIsOfWhatWasSeen(t *testing.T) {
	c := newCluster(t, Options{}, 1, "us", "eu")
	c.startAll()
	_, err := c.nodes["us1"].put("k", "v")
	require.NoError(t, err)
	c.converged()
	eu := c.nodes["eu1"]
	eu.spoil(t, "k", version1(1, "other"))
	c.leads("eu1")
	v := verified(t, eu, topology.VerifyOptions{})
	require.Len(t, v.Differences, 1)
	_, err = eu.put("k", "newer")
	require.NoError(t, err)
	require.NoError(t, eu.repair(t.Context(), &v, "us"))
	require.False(t, v.Differences[0].Repaired)
	got, err := eu.get("k", topology.ReadOptions{})
	require.NoError(t, err)
	require.Equal(t, "newer", got)
	c.converged()
}

// A node that does not answer is named, and the others are compared with.
func TestWhoCanNotBeComparedWithIsNamed(t *testing.T) {
	c := newCluster(t, Options{}, 1, "us", "eu", "ap")
	c.startAll()
	c.nodes["ap1"].stop()
	v, err := c.nodes["us1"].Verify(t.Context(), topology.VerifyOptions{})
	require.NoError(t, err)
	require.Len(t, v.Peers, 2)
	require.Empty(t, v.Peers[0].Problem)
	require.NotEmpty(t, v.Peers[1].Problem)
	_, err = c.nodes["us1"].Verify(t.Context(), topology.VerifyOptions{Tables: []record.TableID{record.TableLosers}})
	require.ErrorIs(t, err, topology.ErrMalformed, "that is of one site")
	_, err = c.nodes["us1"].Verify(t.Context(), topology.VerifyOptions{From: "mars"})
	require.ErrorIs(t, err, topology.ErrMalformed)
}

// The leader of the site with the smaller number compares by itself, and its status says
// what differs, until it does not.
func TestWhatDiffersIsInTheStatus(t *testing.T) {
	c := newCluster(t, Options{VerifyEvery: 5 * time.Millisecond}, 1, "us", "eu")
	c.startAll()
	_, err := c.nodes["us1"].put("k", "v")
	require.NoError(t, err)
	c.converged()
	c.nodes["eu1"].spoil(t, "k")
	c.leads("eu1")
	warned := func() bool {
		return slices.Contains(c.nodes["us1"].Status().Warnings, "1 cells differ from what eu1 of site eu holds: `triad verify` names them")
	}
	eventually(t, "it is said", warned)
	verified(t, c.nodes["eu1"], topology.VerifyOptions{From: "us"})
	eventually(t, "it is said no more", func() bool { return !warned() })
}
