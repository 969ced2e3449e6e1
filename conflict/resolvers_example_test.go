package conflict_test

import (
	"fmt"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/record"
)

// concurrent are three writes that did not know of each other: two values and a delete.
func concurrent() []record.Version {
	berlin, tokyo, lima := put(1, 7, 1000, "blue"), put(2, 3, 1005, "red"), put(3, 9, 1002, "")
	lima.Absent = true
	return []record.Version{berlin, tokyo, lima}
}

func shownAs(s conflict.Settled) (out []string) {
	for _, v := range s.Shown {
		if v.Absent {
			out = append(out, "(deleted)")
		} else {
			out = append(out, string(v.Bytes))
		}
	}
	return out
}

// One conflict, settled in five ways.
func ExampleResolver() {
	colour := record.Cell{Table: record.TableFirst, Key: []byte("colour")}
	for _, r := range []conflict.Resolver{
		conflict.LWW(), conflict.FirstWriter(), conflict.SitePriority(3, 1, 2), conflict.Siblings(), conflict.Join(),
	} {
		s := r.Settle(colour, concurrent())
		fmt.Printf("%-23s shows %v, keeps %d, loses %d\n", r.ID(), shownAs(s), len(s.Stays), len(s.Lost))
	}
	// Output:
	// lww@1                   shows [red], keeps 1, loses 2
	// first-writer@1          shows [blue], keeps 3, loses 2
	// site-priority@1(3,1,2)  shows [], keeps 3, loses 2
	// siblings@1              shows [blue red (deleted)], keeps 3, loses 0
	// crdt@1                  shows [red], keeps 3, loses 2
}

// A custom resolver is a function of all siblings: here, all words that anybody wrote.
func ExampleFunc() {
	words := conflict.Func("words", 1, func(key []byte, siblings []record.Version) (conflict.Fold, error) {
		var out []byte
		for _, v := range siblings {
			if !v.Absent {
				out = fmt.Appendf(out, "%s ", v.Value)
			}
		}
		return conflict.Fold{Value: out}, nil
	})
	s := words.Settle(record.Cell{Key: []byte("colour")}, concurrent())
	fmt.Println(shownAs(s), "made of", s.Shown[0].From)
	// Output: [blue red ] made of [1.1:7 2.1:3 3.1:9]
}

// A typed resolver sees Go values, and what it returns has one encoding. This one takes
// the greater of two stocks, article by article.
func ExampleTyped() {
	type stock map[string]int
	larger := conflict.Typed("larger-stock", 1, func(key []byte, siblings []conflict.Sibling[stock]) (stock, bool, error) {
		out := stock{}
		for _, s := range siblings {
			for article, n := range s.Value {
				out[article] = max(out[article], n)
			}
		}
		return out, true, nil
	})
	berlin := put(1, 7, 1000, "\x82\xa3ink\x05\xa3pen\x02")
	tokyo := put(2, 3, 1005, "\x82\xa3cap\x01\xa3pen\x04")
	s := larger.Settle(record.Cell{Key: []byte("shop")}, []record.Version{berlin, tokyo})
	fmt.Printf("%q\n", s.Shown[0].Bytes)
	// Output: "\x83\xa3cap\x01\xa3ink\x05\xa3pen\x04"
}

// Nodes compare what they would do before a link carries a table.
func ExampleRegistry() {
	longest := func(_ []byte, siblings []record.Version) (conflict.Fold, error) {
		return conflict.Fold{Value: siblings[len(siblings)-1].Value}, nil
	}
	here, _ := conflict.NewRegistry(conflict.Func("mine", 1, longest))
	mine, _ := here.Find("mine")

	there := conflict.Func("mine", 1, func(_ []byte, siblings []record.Version) (conflict.Fold, error) {
		return conflict.Fold{Value: siblings[0].Value}, nil // somebody changed it, and not its version
	})
	err := here.Check(mine, conflict.Entry{ID: there.ID(), Digest: conflict.DigestOf(there)})
	fmt.Println(err != nil)

	_, err = here.Find("yours")
	fmt.Println(err)
	// Output:
	// true
	// resolver "yours" is not known here; there are crdt@1, fields@1, first-writer@1, lww@1, mine@1, siblings@1, site-priority(…)
}

// A counter's increments are sealed where they are accepted: the record says the
// origin's total, and what it replaces.
func ExampleSeal() {
	likes := record.Cell{Table: record.TableFirst, Key: []byte("likes")}
	held := []record.Version{}
	for seq := uint64(1); seq <= 3; seq++ {
		m := record.Mutation{Table: likes.Table, Key: likes.Key, Op: record.OpMerge, Kind: record.KindCounter, Value: []byte{10}}
		d := dot(1, seq)
		if err := conflict.Seal(&m, d, held); err != nil {
			fmt.Println(err)
		}
		r := record.Record{Dot: d, Time: 1, Mutations: []record.Mutation{m}}
		changes, _ := conflict.Apply(&r, func(record.TableID) conflict.Resolver { return conflict.Join() }, nil, nil, &site{cells: map[string]record.State{"": {Siblings: held}}})
		held = changes[0].State.Siblings
	}
	s := conflict.Join().Settle(likes, held)
	fmt.Println(s.Shown[0].Bytes, "in", len(held), "version")
	// Output: [30] in 1 version
}
