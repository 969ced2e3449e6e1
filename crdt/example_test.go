package crdt_test

import (
	"errors"
	"fmt"

	"github.com/triad-kv/triad/crdt"
	"github.com/triad-kv/triad/version"
)

// Two sites fill one shopping cart while the line between them is down. What they
// send each other afterwards are the deltas of what they did.
func Example() {
	var berlinCart, tokyoCart crdt.ORSet
	first, _ := berlinCart.Add(berlin, "milk", "bread")
	tokyoCart.Join(first)

	// The line goes down.
	removed := berlinCart.Remove("milk")
	added, _ := tokyoCart.Add(tokyo, "milk", "tea") // tokyo wants milk, and does not know

	// The line is back; a delta comes twice, which is nothing.
	tokyoCart.Join(removed)
	berlinCart.Join(added)
	berlinCart.Join(added)

	fmt.Println(berlinCart.Elements())
	fmt.Println(tokyoCart.Elements(), crdt.Equal(&berlinCart, &tokyoCart))
	// Output:
	// [bread milk tea]
	// [bread milk tea] true
}

func ExampleGCounter() {
	var here, there crdt.GCounter
	here.Add(berlin, 2)
	delta, _ := there.Add(tokyo, 40)
	here.Join(delta)
	here.Join(delta)
	fmt.Println(here.Value())
	// Output: 42
}

// A reset takes away what its maker had seen: not the 5 that were counted elsewhere
// at the same time.
func ExamplePNCounter_Reset() {
	var here, there crdt.PNCounter
	here.Add(berlin, 100)
	here.Add(berlin, -1)
	there.Join(&here)

	there.Add(tokyo, 5)
	here.Reset()
	fmt.Println("reset:", here.Value())

	here.Join(&there)
	fmt.Println("with what was counted meanwhile:", here.Value())
	// Output:
	// reset: 0
	// with what was counted meanwhile: 5
}

func ExampleMax() {
	var high crdt.Max
	high.Observe(17)
	high.Observe(4)
	fmt.Println(high.Value())
	// Output: 17 true
}

func ExampleMin() {
	var low crdt.Min
	_, there := low.Value()
	fmt.Println(there)
	low.Join(new(crdt.Min).Observe(-3))
	fmt.Println(low.Value())
	// Output:
	// false
	// -3 true
}

func ExampleLWWRegister() {
	var here, there crdt.LWWRegister
	here.Set(at(1000, berlin, 1), []byte("blue"))
	there.Set(at(1000, tokyo, 1), []byte("red")) // the same millisecond: the greater origin
	here.Join(&there)
	value, _ := here.Value()
	fmt.Printf("%s\n", value)
	// Output: red
}

// Nobody's value is lost: both are kept until somebody who has seen both decides.
func ExampleMVRegister() {
	var here, there crdt.MVRegister
	here.Set(berlin, []byte("blue"))
	there.Set(tokyo, []byte("red"))
	here.Join(&there)
	fmt.Printf("%s\n", here.Values())

	here.Set(berlin, []byte("violet"))
	there.Join(&here)
	fmt.Printf("%s\n", there.Values())
	// Output:
	// [blue red]
	// [violet]
}

func ExampleFlag() {
	var here, there crdt.Flag
	here.Enable(berlin)
	there.Join(&here)

	there.Enable(tokyo) // again, while
	here.Disable()      // it is turned off here
	here.Join(&there)
	fmt.Println(here.Value())
	// Output: true
}

func ExampleLWWMap() {
	var m crdt.LWWMap
	m.Set(at(1000, berlin, 1), "colour", []byte("blue"))
	m.Delete(at(1002, tokyo, 1), "colour")
	m.Set(at(1001, berlin, 2), "colour", []byte("late")) // made before the delete
	m.Set(at(1001, berlin, 3), "size", []byte("XL"))
	for key, value := range m.All() {
		fmt.Printf("%s=%s\n", key, value)
	}

	fmt.Println(m.Tombstones(), "delete is remembered")
	m.Compact(version.Vector{{Origin: tokyo, Seq: 1}}) // everybody has it
	fmt.Println(m.Tombstones())
	// Output:
	// size=XL
	// 1 delete is remembered
	// 0
}

// The removal of a field takes away what its maker had seen in it, through all
// levels. What was done in it meanwhile stays, and only that.
func ExampleORMap() {
	var here, there crdt.ORMap
	here.UpdateMap("alice", func(alice *crdt.ORMap) error {
		alice.UpdateCounter("visits", func(c *crdt.DotCounter) error { _, err := c.Add(berlin, 41); return err })
		_, err := alice.UpdateSet("tags", func(s *crdt.ORSet) error { _, err := s.Add(berlin, "new"); return err })
		return err
	})
	there.Join(&here)

	removed := here.Remove(crdt.Field{Kind: crdt.KindMap, Name: "alice"})
	there.UpdateMap("alice", func(alice *crdt.ORMap) error {
		_, err := alice.UpdateCounter("visits", func(c *crdt.DotCounter) error { _, err := c.Add(tokyo, 1); return err })
		return err
	})
	there.Join(removed)

	alice := there.Map("alice")
	fmt.Println("visits", alice.Counter("visits"), "tags", alice.Set("tags"))
	// Output: visits 1 tags []
}

func ExampleHLL() {
	var berlinVisitors, tokyoVisitors crdt.HLL
	for i := range 30_000 {
		berlinVisitors.Add(fmt.Append(nil, "visitor ", i))
		tokyoVisitors.Add(fmt.Append(nil, "visitor ", i+10_000)) // two thirds are the same
	}
	berlinVisitors.Join(&tokyoVisitors)
	fmt.Println("about", berlinVisitors.Count())
	// Output: about 40115
}

// States travel as bytes, and what comes from elsewhere is checked in full.
func ExampleLattice() {
	var s crdt.ORSet
	s.Add(berlin, "milk")
	b, _ := s.AppendBinary(nil)
	fmt.Printf("%d bytes\n", len(b))

	var t crdt.ORSet
	fmt.Println(t.UnmarshalBinary(b), crdt.Equal(&s, &t))
	fmt.Println(t.UnmarshalBinary(append(b, 0)))
	// Output:
	// 19 bytes
	// <nil> true
	// OR-Set: malformed msgpack at byte 19: 1 bytes after the end
}

// What no state can hold is refused, and changes nothing.
func ExampleErrRange() {
	var c crdt.PNCounter
	c.Add(berlin, 1<<62)
	_, err := c.Add(berlin, 1<<62)
	fmt.Println(errors.Is(err, crdt.ErrRange), c.Value() == 1<<62)
	// Output: true true
}
