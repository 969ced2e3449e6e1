package admin

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

// of is what a node of a site says of itself.
func of(site string, id topology.NodeID, role topology.Role, term uint64) Answer {
	s := topology.Status{Node: id, Cluster: "shop", Kind: "multi-leader", Role: role, Term: term, Policy: "first 1"}
	s.Site = site
	for i, name := range []string{"us", "eu", "ap"} {
		x := topology.SiteStatus{Site: name, Number: uint32(i + 1), Own: name == site, State: "idle"}
		if role == topology.RoleLeader && !x.Own {
			x.State, x.Behind.Records, x.Ahead.Records = "up", 2, 3
		}
		s.Sites = append(s.Sites, x)
	}
	if role == topology.RoleLeader {
		s.Peers = []topology.PeerStatus{{Node: topology.NodeID(site + "2"), Addr: site + "2:1", State: "replicate", Sync: true}}
	}
	return Answer{Addr: string(id) + ":1", Status: s}
}

func TestSitesAreShownEachWithItsLeaderAndLinks(t *testing.T) {
	o := OverviewOf([]Answer{
		of("eu", "eu1", topology.RoleLeader, 4), of("us", "us2", topology.RoleFollower, 2), of("us", "us1", topology.RoleLeader, 2),
		{Addr: "eu2:1", Err: topology.ErrUnavailable}, {Addr: "ap1:1", Err: topology.ErrUnavailable},
	})
	require.Equal(t, "shop", o.Cluster)
	require.Equal(t, "multi-leader", o.Topology)
	require.Empty(t, o.Leader, "no node leads all")
	var ids []topology.NodeID
	for _, m := range o.Members {
		ids = append(ids, m.Node)
		require.Equal(t, string(m.Node[:2]), m.Site)
	}
	require.Equal(t, []topology.NodeID{"us1", "us2", "eu1", "eu2"}, ids, "by site, the leader first")
	require.Equal(t, "leads", o.Members[0].State)
	require.Equal(t, "it does not answer", o.Members[3].Problem)
	require.Len(t, o.Sites, 3)
	us, ap := o.Sites[0], o.Sites[2]
	require.Equal(t, topology.NodeID("us1"), us.Leader)
	require.EqualValues(t, 2, us.Term)
	require.Equal(t, topology.NodeID("eu1"), o.Sites[1].Leader)
	require.EqualValues(t, 4, o.Sites[1].Term)
	require.Equal(t, []Site{
		{Site: "eu", Number: 2, State: "up", Behind: Lag{Records: 2}, Ahead: Lag{Records: 3}},
		{Site: "ap", Number: 3, State: "up", Behind: Lag{Records: 2}, Ahead: Lag{Records: 3}},
	}, us.Links)
	require.Equal(t, Group{Site: "ap", Number: 3}, ap)
	require.Equal(t, []Silent{{Address: "ap1:1", Problem: topology.ErrUnavailable.Error()}}, o.Silent)
}
