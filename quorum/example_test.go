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
