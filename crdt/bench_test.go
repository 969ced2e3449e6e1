package crdt_test

import (
	"fmt"
	"testing"

	"github.com/triad-kv/triad/crdt"
)

const elements = 10_000

func bigSet() *crdt.ORSet {
	s := &crdt.ORSet{}
	for i := range elements {
		must(s.Add(berlin, fmt.Sprint("element ", i)))
	}
	return s
}

func BenchmarkORSetAdd(b *testing.B) {
	s := bigSet()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		must(s.Add(berlin, fmt.Sprint("element ", i%elements)))
	}
}

// One delta is joined into a large set, and a thousand that were joined first.
func BenchmarkORSetJoin(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, group := bigSet(), &crdt.ORSet{}
			for i := range n {
				group.Join(must(s.Add(berlin, fmt.Sprint("element ", i))))
			}
			b.ReportAllocs()
			for b.Loop() {
				s.Join(group)
			}
		})
	}
}

func BenchmarkORSetEncode(b *testing.B) {
	s := bigSet()
	buf := must(s.AppendBinary(nil))
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		buf = must(s.AppendBinary(buf[:0]))
	}
}

func BenchmarkORSetDecode(b *testing.B) {
	buf := must(bigSet().AppendBinary(nil))
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if err := new(crdt.ORSet).UnmarshalBinary(buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPNCounterAdd(b *testing.B) {
	c := samplePNCounter()
	b.ReportAllocs()
	for b.Loop() {
		must(c.Add(berlin, 1))
	}
}

func BenchmarkORMapUpdate(b *testing.B) {
	m := sampleORMap()
	b.ReportAllocs()
	for b.Loop() {
		must(m.UpdateSet("tags", func(s *crdt.ORSet) error { _, err := s.Add(berlin, "a"); return err }))
	}
}

func BenchmarkHLLAdd(b *testing.B) {
	h, element := sampleHLL(50_000), []byte("visitor 0000")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		element[8+i%4] = byte(i)
		h.Add(element)
	}
}

func BenchmarkHLLCount(b *testing.B) {
	h := sampleHLL(50_000)
	for b.Loop() {
		h.Count()
	}
}
