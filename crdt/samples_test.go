package crdt_test

import (
	"fmt"

	"github.com/triad-kv/triad/crdt"
	"github.com/triad-kv/triad/version"
)

var (
	berlin = version.Origin{ID: 1, Incarnation: 1}
	tokyo  = version.Origin{ID: 2, Incarnation: 1}
	lima   = version.Origin{ID: 3, Incarnation: 2}
)

func at(ms int64, o version.Origin, seq uint64) crdt.Stamp {
	return crdt.Stamp{Time: version.Timestamp(ms << 16), Dot: version.Dot{Origin: o, Seq: seq}}
}

// The samples are one state of each type, with everything in it that its layout
// has room for.

func sampleGCounter() *crdt.GCounter {
	c := &crdt.GCounter{}
	must(c.Add(berlin, 7))
	must(c.Add(tokyo, 300))
	return c
}

func samplePNCounter() *crdt.PNCounter {
	c := &crdt.PNCounter{}
	must(c.Add(berlin, 7))
	must(c.Add(berlin, -2))
	c.Reset()
	must(c.Add(tokyo, -300))
	return c
}

func sampleLWWRegister() *crdt.LWWRegister {
	r := &crdt.LWWRegister{}
	must(r.Set(at(1000, berlin, 4), []byte("blue")))
	return r
}

// behind is what has seen a later dot and not an earlier one of tokyo's.
func behind() (*crdt.ORSet, *crdt.ORSet) {
	s := &crdt.ORSet{}
	must(s.Add(tokyo, "first"))
	return s, must(s.Add(tokyo, "second"))
}

func sampleMVRegister() *crdt.MVRegister {
	a, b := &crdt.MVRegister{}, &crdt.MVRegister{}
	must(a.Set(berlin, []byte("blue")))
	must(b.Set(tokyo, []byte("red")))
	a.Join(b)
	return a
}

func sampleFlag() *crdt.Flag {
	f := &crdt.Flag{}
	must(f.Enable(berlin))
	f.Disable()
	must(f.Enable(lima))
	return f
}

func sampleORSet() *crdt.ORSet {
	s := &crdt.ORSet{}
	must(s.Add(berlin, "bread", "", "milk"))
	s.Remove("milk")
	_, second := behind()
	s.Join(second)
	return s
}

func sampleLWWMap() *crdt.LWWMap {
	m := &crdt.LWWMap{}
	must(m.Set(at(1000, berlin, 4), "colour", []byte("blue")))
	must(m.Delete(at(1001, tokyo, 1), "size"))
	return m
}

func sampleDotCounter() *crdt.DotCounter {
	c := &crdt.DotCounter{}
	must(c.Add(berlin, 5))
	must(c.Add(berlin, -2))
	must(c.Add(tokyo, 1))
	c.Compact(version.Vector{{Origin: berlin, Seq: 2}})
	return c
}

func sampleORMap() *crdt.ORMap {
	m := &crdt.ORMap{}
	must(m.UpdateFlag("vip", func(f *crdt.Flag) error { _, err := f.Enable(berlin); return err }))
	must(m.UpdateRegister("name", func(r *crdt.MVRegister) error { _, err := r.Set(berlin, []byte("Alice")); return err }))
	must(m.UpdateCounter("visits", func(c *crdt.DotCounter) error { _, err := c.Add(tokyo, 2); return err }))
	must(m.UpdateSet("tags", func(s *crdt.ORSet) error { _, err := s.Add(tokyo, "a", "b"); return err }))
	must(m.UpdateMap("address", func(n *crdt.ORMap) error {
		_, err := n.UpdateRegister("city", func(r *crdt.MVRegister) error { _, err := r.Set(lima, []byte("Lima")); return err })
		return err
	}))
	return m
}

func sampleHLL(n int) *crdt.HLL {
	h := &crdt.HLL{}
	for i := range n {
		h.Add(fmt.Append(nil, "user:", i))
	}
	return h
}
