package raft

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

func voters(n int) []topology.NodeID { return []topology.NodeID{"a", "b", "c", "d", "e"}[:n] }

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func put(t testing.TB, c topology.Control, name string, version uint64, body string) topology.Document {
	t.Helper()
	d, err := c.Swap(within(t, patience), topology.Document{Name: name, Version: version, Body: []byte(body)})
	require.NoError(t, err)
	return d
}

func read(t testing.TB, c topology.Control, name string) topology.Document {
	t.Helper()
	d, err := c.Load(within(t, patience), name)
	require.NoError(t, err)
	return d
}

func TestVotersAgreeAndClientsAsk(t *testing.T) {
	r := newRig(t, Options{Voters: voters(3)}, "a", "b", "c", "x")
	all := r.all()
	d := put(t, all["b"], "group", 0, "one")
	for _, p := range all {
		require.Equal(t, d, read(t, p, "group"))
	}
	d = put(t, all["x"], "group", 1, "two")
	for id, p := range all {
		eventually(t, string(id)+" hears of it", func() bool {
			have, _ := p.Latest("group")
			return have.Version == d.Version
		})
	}
}

// raft would tell the voters that follow of the last entry in an hour, or when another one
// leads.
func TestAVoterHearsOfAChangeFromWhoLeads(t *testing.T) {
	r := newRig(t, Options{Voters: voters(3), commitEvery: time.Hour}, "a", "b", "c")
	all := r.all()
	version := uint64(0)
	hear := func() bool {
		at := leader(t, all3(all)...)
		term := at.Report().Term
		version = put(t, all["a"], "group", version, "body").Version
		var heard bool
		eventually(t, "all hear of it, or another one leads", func() bool {
			heard = true
			for _, p := range all {
				d, _ := p.Latest("group")
				heard = heard && d.Version == version
			}
			return heard || at.Report().Term != term
		})
		return heard && at.Report().Term == term
	}
	eventually(t, "all hear of a change while one leads", hear)
	at := leader(t, all3(all)...)
	for _, p := range all {
		p.Steer(at.self.node)
	}
	eventually(t, "another one leads", func() bool { return leader(t, all3(all)...) != at })
	for _, p := range all {
		p.Steer("")
	}
	eventually(t, "all hear of a change while that one leads", hear)
}

func TestAllVotersRestart(t *testing.T) {
	r := newRig(t, Options{Voters: voters(3)}, "a", "b", "c")
	all := r.all()
	d := put(t, all["a"], "group", 0, "one")
	for range 2 {
		for _, p := range all {
			require.NoError(t, p.stop())
		}
		all = r.all()
		require.Equal(t, d, read(t, all["c"], "group"))
	}
}
