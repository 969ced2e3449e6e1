package conflict_test

import (
	"testing"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// The usual case: a write that has seen the one that is there.
func BenchmarkApply(b *testing.B) {
	for _, r := range []conflict.Resolver{conflict.LWW(), conflict.FirstWriter(), conflict.Siblings(), conflict.Join()} {
		b.Run(r.ID().Name, func(b *testing.B) {
			s := &site{cells: map[string]record.State{"": {Siblings: []record.Version{write(1, 1)}}}}
			rec := &record.Record{Dot: dot(2, 1), Time: 9, Mutations: []record.Mutation{{Table: spot.Table, Key: spot.Key, Op: record.OpPut, Value: make([]byte, 100)}}}
			resolver := func(record.TableID) conflict.Resolver { return r }
			covers := version.Vector{{Origin: dot(1, 1).Origin, Seq: 1}}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := conflict.Apply(rec, resolver, covers, covers, s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A conflict of five.
func BenchmarkSettle(b *testing.B) {
	var kept []record.Version
	for id := uint32(1); id <= 5; id++ {
		v := write(id, 1)
		v.Kind, v.Value = record.KindCounter, []byte{0x93, 1, byte(id), 0}
		kept = append(kept, v)
	}
	for _, r := range []conflict.Resolver{conflict.LWW(), conflict.SitePriority(3, 1), conflict.Siblings(), conflict.Join(), conflict.Func("longest", 1, longest)} {
		b.Run(r.ID().Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.Settle(spot, kept)
			}
		})
	}
}
