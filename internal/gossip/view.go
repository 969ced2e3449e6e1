package gossip

import (
	"cmp"
	"slices"

	"github.com/hashicorp/serf/serf"

	"github.com/triad-kv/triad/topology"
)

// viewOf makes the next view: the members of the last one, by what serf knows
// of them, and the strangers. self is this node as it is. Whoever is not heard
// of any more is as it was last.
func viewOf(last topology.View, self topology.Member, cluster clusterID, heard []serf.Member) topology.View {
	v := topology.View{Members: slices.Clone(last.Members)}
	at := func(id topology.NodeID) (int, bool) {
		return slices.BinarySearchFunc(v.Members, id, func(m topology.Member, id topology.NodeID) int { return cmp.Compare(m.ID, id) })
	}
	for _, h := range heard {
		t, err := decodeTags(h.Tags)
		if err != nil {
			continue
		}
		m := topology.Member{ID: topology.NodeID(h.Name), Addr: t.peers, Site: t.site, Liveness: livenessOf(h.Status)}
		i, named := at(m.ID)
		switch foreign := cluster != (clusterID{}) && t.cluster != (clusterID{}) && t.cluster != cluster; {
		case m.ID == self.ID:
		case !named && len(v.Strangers) < StrangersMax:
			v.Strangers = append(v.Strangers, m)
		case named && !foreign:
			if site := v.Members[i].Site; site != "" {
				m.Site = site
			}
			v.Members[i] = m
		}
	}
	if i, ok := at(self.ID); ok {
		v.Members[i] = self
	}
	slices.SortFunc(v.Strangers, func(a, b topology.Member) int { return cmp.Compare(a.ID, b.ID) })
	return v
}

func livenessOf(s serf.MemberStatus) topology.Liveness {
	switch s {
	case serf.StatusAlive, serf.StatusLeaving: // until it has said goodbye it is there
		return topology.LivenessAlive
	case serf.StatusFailed:
		return topology.LivenessFailed
	case serf.StatusLeft:
		return topology.LivenessLeft
	}
	return topology.LivenessUnknown
}

func equal(a, b topology.View) bool {
	return slices.Equal(a.Members, b.Members) && slices.Equal(a.Strangers, b.Strangers)
}
