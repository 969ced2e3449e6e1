package quorum_test

import (
	"errors"
	"fmt"

	"github.com/triad-kv/triad/quorum"
)

func ExampleParse() {
	p, err := quorum.Parse("FIRST 1 (b, c)")
	fmt.Println(p, err)
	_, err = quorum.Parse("any 1 (b c)")
	fmt.Println(err)
	// Output:
	// first 1 (b, c) <nil>
	// invalid sync policy "any 1 (b c)": column 10: a comma or a closing parenthesis expected, found "c"
}

func ExampleRule_Commit() {
	rule, err := quorum.NewRule(quorum.Any(1, "b", "c"), "a", []string{"a", "b", "c"})
	if err != nil {
		fmt.Println(err)
		return
	}
	flushed := make([]uint64, rule.Len())
	flushed[rule.Index("a")] = 120 // the leader's own disk counts like any other
	flushed[rule.Index("b")] = 97
	flushed[rule.Index("c")] = 113
	fmt.Println(rule.Needed(), "of", rule.Members(), "have", rule.Commit(flushed))
	fmt.Println("an election asks", rule.Poll())
	// Output:
	// 2 of [a b c] have 113
	// an election asks 2
}

func ExampleNewRule_impossible() {
	_, err := quorum.NewRule(quorum.First(2), "a", []string{"a", "b"})
	fmt.Println(err)
	fmt.Println(errors.Is(err, quorum.ErrPolicy))
	// Output:
	// invalid sync policy: first 2 led by a: 2 are needed besides the leader, 1 are listed
	// true
}

func ExampleSet() {
	set, _ := quorum.Set(quorum.First(1, "c", "b"), "a", []string{"a", "b", "c"})
	fmt.Println(set)
	// Output: [a c]
}

func ExampleTally() {
	rule, _ := quorum.NewRule(quorum.Any(1), "a", []string{"a", "b", "c"})
	acks := rule.Tally()
	fmt.Println(acks.Yes("a"))
	fmt.Println(acks.No("b", errors.New("connection refused")))
	fmt.Println(acks.Yes("c"))
	for node, why := range acks.Reasons() {
		fmt.Println(node, why)
	}
	// Output:
	// pending
	// pending
	// reached
	// b connection refused
}

func ExampleBind() {
	replicas := []quorum.Replica[string]{
		{Node: "a", Site: "us"}, {Node: "b", Site: "us"}, {Node: "c", Site: "us"},
		{Node: "d", Site: "eu"}, {Node: "e", Site: "eu"}, {Node: "f", Site: "eu"},
	}
	need, _ := quorum.Bind(quorum.MustParseExpr("each_quorum"), replicas, "")
	acks := need.Tally()
	acks.Yes("a")
	acks.Yes("d")
	acks.Yes("b")
	fmt.Println(acks.Verdict(), "for want of", acks.Lacks())
	_, err := quorum.Bind(quorum.MustParseExpr("quorum in 2 of 3 sites"), replicas, "")
	fmt.Println(err)
	// Output:
	// pending for want of 1 more of e, f in site eu
	// invalid quorum expression: quorum in 2 of 3 sites: 3 places are named, and the replicas stand in 2: site us, site eu
}

func ExampleGuarantees() {
	replicas := []quorum.Replica[string]{{Node: "a"}, {Node: "b"}, {Node: "c"}}
	read, _ := quorum.Bind(quorum.MustParseExpr("one"), replicas, "")
	write, _ := quorum.Bind(quorum.MustParseExpr("quorum"), replicas, "")
	g, _ := quorum.Guarantees(quorum.Setting[string]{
		Reads: []quorum.Need[string]{read}, Writes: []quorum.Need[string]{write}, Repair: quorum.RepairAsync,
	})
	fmt.Println(g.Reading())
	for _, p := range g.Lines {
		if !p.Holds {
			fmt.Printf("not %v: %s\n", p.Promise, p.Says)
		}
	}
	// Output:
	// may be stale
	// not fresh: a read of [a] does not meet a write to [b c]
	// not reads its own writes: a read of [a] does not meet a write to [b c]
	// not monotonic: a write that has reached some replicas may be seen, and not be by the next read: repair is async
	// not linearizable: reads are not fresh; reads are not monotonic; concurrent writes have no order
}
