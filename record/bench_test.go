package record_test

import (
	"bytes"
	"testing"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// usual is the record the performance targets speak of: one put of 128 bytes
// under a key of 16.
func usual() record.Record {
	return record.Record{
		Dot:     version.Dot{Origin: version.Origin{ID: 1, Incarnation: 1}, Seq: 1_234_567},
		Time:    version.Timestamp(1_790_000_000_000 << 16),
		Term:    7,
		Request: record.RequestID{Client: 0x9e3779b97f4a7c15, Seq: 42},
		Mutations: []record.Mutation{{
			Table: record.TableFirst,
			Key:   bytes.Repeat([]byte{'k'}, 16),
			Op:    record.OpPut,
			Kind:  record.KindBytes,
			Value: bytes.Repeat([]byte{'v'}, 128),
		}},
	}
}

func BenchmarkEncode(b *testing.B) {
	r, e := usual(), record.NewEncoder()
	buf := e.Append(nil, &r)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		buf = e.Append(buf[:0], &r)
	}
}

func BenchmarkDecode(b *testing.B) {
	r := usual()
	buf := record.NewEncoder().Append(nil, &r)
	b.Run("reused", func(b *testing.B) {
		var into record.Record
		b.ReportAllocs()
		for b.Loop() {
			if err := record.Decode(buf, &into); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("zero", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var into record.Record
			if err := record.Decode(buf, &into); err != nil {
				b.Fatal(err)
			}
		}
	})
}
