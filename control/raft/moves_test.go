package raft

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

func all3(all map[topology.NodeID]*running) []*running {
	return []*running{all["a"], all["b"], all["c"]}
}

func TestALeaderWhoseDiskHangsHandsOver(t *testing.T) {
	r, _, logs := crookedRig(t, Options{Voters: voters(3)}, voters(3)...)
	all := r.all()
	put(t, all["a"], "group", 0, "one")
	at := leader(t, all3(all)...)
	release := sync.OnceFunc(logs[at.self.node].hold())
	defer release()
	var other *running
	for _, p := range all {
		if p != at {
			other = p
		}
	}
	// The leader takes this one and cannot make it durable; the next leader does.
	d := put(t, other, "group", 1, "two")
	require.NotEqual(t, at.self.node, other.sits().leader())
	eventually(t, "it says what is wrong", func() bool { return at.Report().Problem != "" }) // others may have been faster
	release()
	require.Equal(t, d, read(t, at, "group"))
	eventually(t, "it is well again", func() bool { return at.Report().Problem == "" })
}

func TestTheLeadIsSteeredAway(t *testing.T) {
	r := newRig(t, Options{Voters: voters(3)}, voters(3)...)
	all := r.all()
	for range 3 {
		at := leader(t, all3(all)...)
		for _, p := range all {
			p.Steer(at.self.node)
		}
		eventually(t, "another one leads", func() bool { return leader(t, all3(all)...) != at })
	}
	for _, p := range all {
		p.Steer("")
	}
	put(t, all["a"], "group", 0, "one")
}

func TestALeaderThatIsAloneIsSteeredNowhere(t *testing.T) {
	r := newRig(t, Options{Voters: voters(1)}, "a")
	a := r.start("a")
	a.Steer("a")
	for v := range uint64(20) {
		put(t, a, "group", v, "x")
	}
}

func TestARegistrationIsKeptWithoutAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{Voters: voters(3), Heartbeat: heartbeatDefault}, "a", "b", "c", "x")
		all := r.all()
		g, err := all["x"].Register(within(t, time.Hour), "x")
		require.NoError(t, err)
		at := leader(t, all3(all)...)
		before := at.Report()
		time.Sleep(10 * time.Minute) // of the bubble
		after := at.Report()
		require.Equal(t, before.Term, after.Term)
		require.Equal(t, before.Last, after.Last, "something was written")
		select {
		case <-g.Lost():
			t.Fatal("the registration is lost")
		default:
		}
		// Cut off for longer than it lasts, it is gone, and its holder hears of it.
		for _, v := range voters(3) {
			r.net.Cut("x", string(v))
		}
		time.Sleep(time.Minute)
		second, err := all["b"].Register(within(t, time.Hour), "x")
		require.NoError(t, err)
		require.Greater(t, second.Number(), g.Number())
		r.net.HealAll()
		time.Sleep(time.Minute)
		select {
		case <-g.Lost():
		default:
			t.Fatal("nobody has told the holder")
		}
		require.NoError(t, second.Close())
		for _, p := range all {
			require.NoError(t, p.stop())
		}
	})
}

func TestASnapshotIsInstalledWhereTheLogIsGone(t *testing.T) {
	r := newRig(t, Options{Voters: voters(3), snapshotEvery: 8}, voters(3)...)
	all := r.all()
	version := uint64(0)
	more := func(n int) {
		for range n {
			version = put(t, all["a"], "group", version, "body").Version
		}
	}
	more(3)
	require.NoError(t, all["c"].stop())
	eventually(t, "the log that c has is dropped", func() bool {
		more(20)
		for _, id := range []topology.NodeID{"a", "b"} {
			if first, _ := all[id].disk.logs.bounds(); first < 20 {
				return false
			}
		}
		return true
	})
	all["c"] = r.start("c")
	eventually(t, "c has caught up", func() bool { d, _ := all["c"].Latest("group"); return d.Version == version })
	// A snapshot may hold all that was written, and then its log stays empty until more is.
	eventually(t, "its log has begun anew behind the snapshot", func() bool {
		more(1)
		first, _ := all["c"].disk.logs.bounds()
		return first > 10
	})
	require.NoError(t, all["b"].stop())
	more(5)
	for _, p := range []*running{all["a"], all["c"]} {
		require.NoError(t, p.stop())
	}
	all = r.all()
	require.Equal(t, version, read(t, all["c"], "group").Version)
}
