package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

const (
	benchKeys       = 1 << 20
	benchStateBytes = 128
)

type benchStore interface {
	topology.Store
	Applied() record.LSN
}

// eachStore runs a benchmark on both stores; the one on disk with default options.
func eachStore(b *testing.B, bench func(b *testing.B, s benchStore)) {
	b.Run("pebble", func(b *testing.B) {
		p, err := Open(Options{Dir: b.TempDir()})
		require.NoError(b, err)
		bench(b, p)
		b.StopTimer()
		require.NoError(b, p.Close())
	})
	b.Run("memory", func(b *testing.B) { bench(b, NewMemory()) })
}

// benchEdits is a batch to be filled again and again without allocating.
func benchEdits(n int) []topology.Edit {
	es := make([]topology.Edit, n)
	for i := range es {
		es[i] = topology.Edit{
			Cell:  record.Cell{Table: record.TableFirst, Key: make([]byte, 16)},
			State: bytes.Repeat([]byte{'x'}, benchStateBytes),
		}
	}
	return es
}

func fillKey(key []byte, n uint64) {
	copy(key, "user:")
	binary.BigEndian.PutUint64(key[8:], n)
}

func randomKeys(es []topology.Edit, rng *rand.Rand) {
	for i := range es {
		fillKey(es[i].Key, rng.Uint64N(benchKeys))
		binary.BigEndian.PutUint64(es[i].State, rng.Uint64())
	}
}

// One operation is one edit.
func BenchmarkApply(b *testing.B) {
	for _, n := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprint("batch=", n), func(b *testing.B) {
			eachStore(b, func(b *testing.B, s benchStore) {
				es, rng := benchEdits(n), rand.New(rand.NewPCG(1, 1))
				b.ReportAllocs()
				b.ResetTimer()
				for i := 0; i < b.N; i += n {
					randomKeys(es, rng)
					if err := s.Apply(s.Applied()+1, es); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

// loaded fills a store with n keys of one cell.
func loaded(b *testing.B, s benchStore, n int) {
	es := benchEdits(256)
	for at := 0; at < n; at += len(es) {
		for i := range es {
			fillKey(es[i].Key, uint64(at+i))
		}
		require.NoError(b, s.Apply(s.Applied()+1, es))
	}
	_, err := s.Flush(b.Context())
	require.NoError(b, err)
}

const benchLoaded = 200_000

func BenchmarkGet(b *testing.B) {
	for _, c := range []struct {
		name  string
		above uint64
	}{{"there", 0}, {"absent", benchLoaded}} {
		b.Run(c.name, func(b *testing.B) {
			eachStore(b, func(b *testing.B, s benchStore) {
				loaded(b, s, benchLoaded)
				rng, key := rand.New(rand.NewPCG(2, 2)), make([]byte, 16)
				b.ReportAllocs()
				b.ResetTimer()
				for range b.N {
					fillKey(key, c.above+rng.Uint64N(benchLoaded))
					if _, err := s.Get(record.Cell{Table: record.TableFirst, Key: key}); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

// One operation is the removal of a key of one cell, in batches of 64.
func BenchmarkRemoveWhole(b *testing.B) {
	eachStore(b, func(b *testing.B, s benchStore) {
		loaded(b, s, benchLoaded)
		es, rng := benchEdits(64), rand.New(rand.NewPCG(3, 3))
		b.ReportAllocs()
		b.ResetTimer()
		for i := 0; i < b.N; i += len(es) {
			randomKeys(es, rng)
			for i := range es {
				fillKey(es[i].Key, rng.Uint64N(benchLoaded))
				es[i].Whole = true
			}
			if err := s.Apply(s.Applied()+1, es); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// One operation is one cell.
func BenchmarkScan(b *testing.B) {
	eachStore(b, func(b *testing.B, s benchStore) {
		loaded(b, s, benchLoaded)
		snap, err := s.Snapshot()
		require.NoError(b, err)
		b.ReportAllocs()
		b.ResetTimer()
		for i := 0; i < b.N; {
			for _, err := range snap.Scan(record.Cell{}, record.Cell{Table: 1 << 31}) {
				if err != nil {
					b.Fatal(err)
				}
				if i++; i >= b.N {
					break
				}
			}
		}
		b.StopTimer()
		require.NoError(b, snap.Close())
	})
}

// One operation is one chunk, durable.
func BenchmarkStagePut(b *testing.B) {
	for _, kib := range []int{64, 256, 1024} {
		b.Run(fmt.Sprint("kib=", kib), func(b *testing.B) {
			eachStore(b, func(b *testing.B, s benchStore) {
				st, err := s.Stage("bench")
				require.NoError(b, err)
				es := benchEdits(kib << 10 / (benchStateBytes + 16))
				next := uint64(0)
				b.SetBytes(int64(kib) << 10)
				b.ResetTimer()
				for range b.N {
					for i := range es {
						fillKey(es[i].Key, next)
						next++
					}
					if err := st.Put([]byte("mark"), es); err != nil {
						b.Fatal(err)
					}
				}
				b.StopTimer()
				require.NoError(b, st.Close())
			})
		})
	}
}

// One operation is one flush of one edit.
func BenchmarkFlush(b *testing.B) {
	eachStore(b, func(b *testing.B, s benchStore) {
		es := benchEdits(1)
		for i := range b.N {
			fillKey(es[0].Key, uint64(i))
			if err := s.Apply(s.Applied()+1, es); err != nil {
				b.Fatal(err)
			}
			if _, err := s.Flush(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
