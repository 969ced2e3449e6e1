package placement_test

import (
	"fmt"

	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

func ExampleMap_Plan() {
	m, err := placement.New(1, []topology.NodeID{"a", "b", "c", "d"}, 64, 3, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	to := m.Layout()
	to.Nodes = append([]placement.Node{{ID: "e", Weight: 1, Numbers: 257}}, to.Nodes...)
	plan, err := m.Plan(to)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(plan.Moves), "partitions of", m.Partitions(), "move")
	for _, l := range plan.Loads(func(int) uint64 { return 1 << 20 }) {
		fmt.Printf("%s: %d to %d, receives %d MiB\n", l.ID, l.Before, l.After, l.Receives>>20)
	}

	first := plan.Moves[0]
	m, _ = plan.Begin().Step(first.Partition)
	need, _ := m.Part(first.Partition).WriteNeed(quorum.MustParseExpr("quorum"), "")
	acks := need.Tally()
	fmt.Println("a write waits for", acks.Lacks())
	// Output:
	// 34 partitions of 64 move
	// a: 48 to 40, receives 0 MiB
	// b: 44 to 35, receives 0 MiB
	// c: 49 to 41, receives 0 MiB
	// d: 51 to 42, receives 0 MiB
	// e: 0 to 34, receives 34 MiB
	// a write waits for 2 more of a, d, b and 2 more of a, d, e
}

func ExampleMap_Locate() {
	m, err := placement.New(1, []topology.NodeID{"a", "b", "c", "d"}, 64, 3, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	at := m.Locate([]byte("user:1"))
	for _, n := range at.Replicas {
		fmt.Println(at.Part.ID, n.ID)
	}
	// Output:
	// 2 a
	// 2 d
	// 2 c
}
