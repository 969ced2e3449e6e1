package version_test

import (
	"testing"

	"github.com/triad-kv/triad/version"
)

func wideVector(n int, seq uint64) version.Vector {
	var v version.Vector
	for i := range n {
		v = append(v, version.Mark{Origin: origin(uint32(i+1), 1), Seq: seq + uint64(i)})
	}
	return v
}

var (
	knows  bool
	joined version.Vector
)

func BenchmarkVectorHas(b *testing.B) {
	v := wideVector(16, 100)
	for b.Loop() {
		knows = v.Has(dot(7, 1, 50))
	}
}

func BenchmarkVectorDescends(b *testing.B) {
	v, w := wideVector(16, 100), wideVector(16, 99)
	for b.Loop() {
		knows = v.Descends(w)
	}
}

func BenchmarkVectorJoin(b *testing.B) {
	v := wideVector(16, 100)
	for name, w := range map[string]version.Vector{"known": wideVector(16, 99), "concurrent": wideVector(16, 99).With(origin(3, 1), 1000)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				joined = v.Join(w)
			}
		})
	}
}

func BenchmarkSetAdd(b *testing.B) {
	b.Run("in order", func(b *testing.B) {
		s, seq := &version.Set{Prefix: wideVector(16, 1)}, s16
		b.ReportAllocs()
		for b.Loop() {
			seq++
			s.Add(dot(16, 1, seq))
		}
	})
	b.Run("in pairs swapped", func(b *testing.B) {
		s, seq := &version.Set{Prefix: wideVector(16, 1)}, s16
		b.ReportAllocs()
		for b.Loop() {
			s.Add(dot(16, 1, seq+2))
			s.Add(dot(16, 1, seq+1))
			seq += 2
		}
	})
}

// s16 is what wideVector(16, 1) knows of origin 16.1.
var s16 = uint64(16)

func BenchmarkSetUnion(b *testing.B) {
	s := &version.Set{Prefix: wideVector(1000, 1)}
	u := &version.Set{Prefix: wideVector(1000, 2)}
	for i := range uint32(1000) {
		u.Dots = append(u.Dots, dot(i+1, 1, uint64(i)+10))
	}
	b.ReportAllocs()
	for b.Loop() {
		(&version.Set{Prefix: s.Prefix}).Union(u)
	}
}

func BenchmarkClockNow(b *testing.B) {
	c := version.NewClock(nil, 0)
	b.ReportAllocs()
	for b.Loop() {
		c.Now()
	}
}

func BenchmarkClockNowParallel(b *testing.B) {
	c := version.NewClock(nil, 0)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c.Now()
		}
	})
}
