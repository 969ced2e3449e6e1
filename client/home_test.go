package client

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/topology"
)

func TestWritesGoToTheLeaderOfTheSiteThatWasNamed(t *testing.T) {
	k := cluster{addrs: &addresses{given: []string{"us2:1"}, all: []string{"us2:1"}}}
	said := func(self, leader string, term uint64) {
		m := call.Members{Self: topology.NodeID(self), Leader: topology.NodeID(leader), Term: term, Apart: true}
		for _, id := range []string{"ap1", "eu1", "us1", "us2"} {
			m.All = append(m.All, call.Member{ID: topology.NodeID(id), Addr: id + ":1", Site: id[:2]})
		}
		k.take(self+":1", &m, 1)
	}
	said("eu1", "eu1", 7)
	require.Empty(t, k.leads(), "nothing is known of the client's own site yet")
	said("us2", "us1", 1)
	require.Equal(t, "us1:1", k.leads())
	said("eu1", "eu1", 8)
	require.Equal(t, "us1:1", k.leads(), "a later term of another site")
	said("us2", "us2", 2)
	require.Equal(t, "us2:1", k.leads())
	require.Equal(t, []string{"us2:1", "us1:1", "ap1:1", "eu1:1"}, k.everywhere(), "its own site first")
}

func TestWhereOneNodeLeadsAllItsSiteDoesNotMatter(t *testing.T) {
	k := cluster{addrs: &addresses{given: []string{"us1:1"}, all: []string{"us1:1"}}}
	all := []call.Member{{ID: "eu1", Addr: "eu1:1", Site: "eu"}, {ID: "us1", Addr: "us1:1", Site: "us"}}
	k.take("us1:1", &call.Members{Self: "us1", Leader: "eu1", Term: 1, All: all}, 1)
	require.Equal(t, "eu1:1", k.leads())
}
