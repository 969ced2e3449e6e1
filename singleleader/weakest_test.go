package singleleader

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/check"
	"github.com/triad-kv/triad/internal/sim/history"
	"github.com/triad-kv/triad/internal/sim/load"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// finals are what those nodes hold in the end.
func (s *told) finals(ids ...topology.NodeID) (out []check.Final) {
	s.t.Helper()
	for _, id := range ids {
		f, err := load.Final(s.t.Context(), string(id), s.nodes[id].engine)
		require.NoError(s.t, err)
		out = append(out, f)
	}
	return out
}

// PW1 under durability received: what was answered before any fsync is gone with the
// power of all who had it. What had been flushed is there.
func TestAWriteThatWasOnlyReceivedIsLostWithThePower(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.First(1, "b"), Durability: topology.Received}, "a", "b")
	disks := map[topology.NodeID]*syncsHang{}
	for _, id := range []topology.NodeID{"a", "b"} {
		disks[id] = newSyncsHang(c.nodes[id])
	}
	c.startAll()
	c.leads("a")
	s := newTold(c)
	flushed := s.put("a", "flushed", "v")
	c.applied(record.LSN(flushed.Place.LSN), "a", "b")
	for _, d := range disks {
		d.armed.Store(true)
	}
	s.put("a", "received", "v")
	left := map[topology.NodeID]vfs.FS{} // the power fails everywhere
	for id, d := range disks {
		left[id] = d.mem.CrashClone(vfs.CrashCloneCfg{})
	}
	for id, d := range disks {
		d.release()
		c.nodes[id].stop()
		c.nodes[id].fs = left[id]
	}
	c.startAll()
	c.leads("a")
	next := s.put("a", "next", "v")
	c.applied(record.LSN(next.Place.LSN), "a", "b")
	finals := s.finals("a", "b")
	require.NotEmpty(t, s.heldTo("", check.Rules{Lossy: true}, finals...).Kept().Broken())
	for _, f := range finals {
		lost := s.heldTo("", check.Rules{Lossy: true}, finals...).Lost(f)
		require.Len(t, lost, 1)
		require.Equal(t, "received", lost[0].Key)
	}
	judged := s.heldTo("", check.Rules{Lossy: true}, finals...)
	require.Empty(t, judged.Converged().And(judged.Nowhere()).Broken())
}

// PS3 with a minimum below the policy: a leader that went on alone has what it
// acknowledged meanwhile on its own disk alone. Its status says so, and each answer who
// has it; nobody else leads without force, and force loses just that.
func TestWhatALeaderAcknowledgedAloneIsLostWithItsDisk(t *testing.T) {
	c := newAgreed(t, Options{Sync: quorum.First(1, "a", "b"), MinInSync: 1}, "a", "b")
	c.startAll()
	c.inSync(c.leader(), "a", "b")
	s := newTold(c)
	s.put("a", "both", "v")
	r, err := c.nodes["a"].put("also", "v")
	require.NoError(t, err)
	require.ElementsMatch(t, []topology.NodeID{"a", "b"}, r.Durable)
	c.applied(r.LSN, "b")
	require.NotContains(t, strings.Join(c.nodes["a"].Status().Warnings, "\n"), "on fewer disks")
	c.nodes["b"].stop()
	c.inSync("a", "a")
	s.put("a", "alone", "v")
	r, err = c.nodes["a"].put("too", "v")
	require.NoError(t, err)
	require.Equal(t, []topology.NodeID{"a"}, r.Durable, "who reads his receipts knows")
	require.Contains(t, strings.Join(c.nodes["a"].Status().Warnings, "\n"), "1 of 2 in sync: what is acknowledged now is on fewer disks than first 1 (a, b) says, since 2")

	c.nodes["a"].stop() // with its disk
	c.start("b")
	eventually(t, "b knows its group", func() bool { _, version := c.nodes["b"].council.known(); return version > 0 })
	_, _, stands := c.nodes["b"].council.due(time.Now().Add(time.Hour))
	require.False(t, stands)
	_, err = c.nodes["b"].Promote(t.Context(), false)
	require.ErrorIs(t, err, topology.ErrUnavailable)
	_, err = c.nodes["b"].Promote(t.Context(), true)
	require.NoError(t, err)
	require.Equal(t, topology.NodeID("b"), c.leader("a"))
	finals := s.finals("b")
	judged := s.heldTo("", check.Rules{Lossy: true}, finals...)
	require.NotEmpty(t, judged.Kept().Broken())
	lost := judged.Lost(finals[0])
	require.Len(t, lost, 1)
	require.Equal(t, "alone", lost[0].Key)
}

// Force from a minority: refused without the word, and with it what the others had
// acknowledged is lost there, under a term that nobody else takes. They do not give it up:
// who comes back with more refuses the leader, and says so.
func TestForceFromAMinorityLosesWhatWasAcknowledged(t *testing.T) {
	c := newCluster(t, Options{Sync: quorum.First(1, "b")}, "a", "b", "c")
	c.startAll()
	c.leads("a")
	s := newTold(c)
	kept := s.put("a", "kept", "v")
	c.applied(record.LSN(kept.Place.LSN), "a", "b", "c")
	c.nodes["c"].stop()
	s.put("a", "lost", "v")
	require.Equal(t, "v", s.get("a", "lost", history.Request{}))
	before := c.nodes["a"].Status().Term
	c.nodes["a"].stop()
	c.nodes["b"].stop()
	c.start("c")
	_, err := c.nodes["c"].Promote(t.Context(), false)
	require.ErrorIs(t, err, topology.ErrUnavailable)
	require.ErrorContains(t, err, "force")
	c.opts.Sync = quorum.Async() // the operator goes on with c alone
	c.nodes["c"].stop()
	c.start("c")
	p, err := c.nodes["c"].Promote(t.Context(), true)
	require.NoError(t, err)
	require.Greater(t, p.Term, before+1, "no leader that comes back takes the same")
	s.put("c", "next", "v")
	require.Empty(t, s.get("c", "lost", history.Request{}))
	finals := s.finals("c")
	judged := s.heldTo("", check.Rules{Lossy: true}, finals...)
	require.NotEmpty(t, judged.Kept().Broken())
	require.NotEmpty(t, judged.Linearizable(0).Broken())
	lost := judged.Lost(finals[0])
	require.Len(t, lost, 1)
	require.Equal(t, "lost", lost[0].Key)
	require.Empty(t, judged.Nowhere().Broken())
	rs, err := c.nodes["c"].Reigns(t.Context())
	require.NoError(t, err)
	require.Equal(t, "failover by force", rs[len(rs)-1].Cause)
}

// A lock that expires excludes nobody: its holder may sleep, and go on when another one
// holds it. What it hands out excludes: the place of the write in the log, which a
// resource holds against the greatest it has seen.
func TestALockWithoutAFencingTokenExcludesNobody(t *testing.T) {
	c := newCluster(t, Options{}, "a")
	c.startAll()
	c.leads("a")
	lock := func() (topology.Receipt, error) {
		b := batchOf("lock", "held")
		b.Mutations[0].Expires = version.TimestampAt(time.Now().Add(20 * time.Millisecond))
		b.Conditions = []record.Condition{{Cell: record.Cell{Table: record.TableDefault, Key: []byte("lock")}, Absent: true}}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return c.nodes["a"].Write(ctx, b, topology.WriteOptions{})
	}
	first, err := lock()
	require.NoError(t, err)
	var second topology.Receipt
	eventually(t, "it has expired while its holder sleeps", func() bool { second, err = lock(); return err == nil })

	// Both think they hold it: that of the first comes after that of the second.
	var unguarded []topology.Receipt
	var guarded []topology.Receipt
	greatest := record.LSN(0)
	for _, token := range []topology.Receipt{second, first} {
		unguarded = append(unguarded, token)
		if token.LSN >= greatest {
			greatest, guarded = token.LSN, append(guarded, token)
		}
	}
	require.Equal(t, []topology.Receipt{second, first}, unguarded, "the one that does not hold it any more has the last word")
	require.Equal(t, []topology.Receipt{second}, guarded)
	require.Greater(t, second.LSN, first.LSN)
}
