package transport

import (
	"testing"

	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/topology/topologytest"
)

func TestATransportKeepsItsContract(t *testing.T) {
	overBoth(t, func(t *testing.T, w wires) {
		topologytest.TestTransport(t, func(t *testing.T, ids ...topology.NodeID) topologytest.Transports {
			fw := w
			if _, ok := w.(memoryWires); ok {
				fw = memoryWires{NewNetwork()}
			}
			f := newFleet(t, fw)
			ts := topologytest.Transports{Nodes: map[topology.NodeID]topology.Transport{}, Client: f.client().Transport}
			for _, id := range ids {
				ts.Nodes[id] = f.node(id).Transport
			}
			return ts
		})
	})
}
