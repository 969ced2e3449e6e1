package call

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

func init() {
	n := topology.RingNode{ID: "a", Addr: "h:1", Site: "eu", Rack: "r", Weight: 2}
	moves := []topology.RingMove{{Partition: 3, Stage: "copying", Old: []topology.NodeID{"a"}, New: []topology.NodeID{"b"}, Waits: "w"}}
	messages["ring order"] = form(RingOrder{Change: topology.RingChange{Add: []topology.RingNode{n}, Remove: []topology.NodeID{"b"}, Weigh: []topology.RingNode{{ID: "c", Weight: 3}}, Copies: 4}, Epoch: 7},
		func(m RingOrder) []byte { return m.Encode() }, DecodeRingOrder)
	messages["ring cancel"] = form(RingOrder{Change: topology.RingChange{Cancel: true}}, func(m RingOrder) []byte { return m.Encode() }, DecodeRingOrder)
	messages["ring"] = form(topology.Ring{
		Epoch: 7, Partitions: 32, Copies: 3, Moving: true, Moves: moves, Problem: "p",
		Nodes: []topology.RingPart{{RingNode: n, First: 1, Holds: 2, Share: 0.25, Even: 1.5, Joins: 3, Leaves: 4, Reached: true, Epoch: 6, Filling: "f"}},
	}, EncodeRing, DecodeRing)
	messages["ring plan"] = form(topology.RingPlan{Epoch: 7, Moves: moves, Loads: []topology.RingLoad{{RingNode: n, Before: 1, After: 2, Gains: 3, Sheds: 4, Receives: 5, Sends: 6}}}, EncodeRingPlan, DecodeRingPlan)
	messages["located"] = form(Located{Table: "t", Key: []byte("k")}, func(m Located) []byte { return m.Encode() }, DecodeLocated)
	messages["ring place"] = form(topology.RingPlace{Epoch: 7, Partition: 3, Stage: "reading", Replicas: []topology.RingNode{n}, Writers: []topology.RingNode{n, {ID: "b"}}}, EncodeRingPlace, DecodeRingPlace)
	messages["handoffs"] = form([]topology.Handoff{{From: "a", To: "b", Records: 1, Bytes: 2, Age: time.Second, More: true, Reached: true}}, EncodeHandoffs, DecodeHandoffs)
}

func TestALocatedKeyIsAKey(t *testing.T) {
	l := Located{Table: "t"}
	_, err := DecodeLocated(l.Encode())
	require.ErrorIs(t, err, topology.ErrMalformed)
}
