package core

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// replayed is what the cells of a key hold after entries.
func replayed(entries [][]record.Mutation, key string) map[string]record.Version {
	held := map[string]record.Version{}
	for i, ms := range entries {
		for _, m := range ms {
			switch {
			case string(m.Key) != key:
			case m.Op == record.OpPut:
				held[string(m.Field)] = record.Version{Dot: version.Dot{Seq: uint64(i + 1)}, Value: m.Value, Kind: m.Kind}
			case len(m.Field) == 0:
				clear(held)
			default:
				delete(held, string(m.Field))
			}
		}
	}
	return held
}

// Whatever somebody has seen of the store since the floor, with what is recent he
// knows what holds now.
func TestWhatIsRecentBringsAnySightUpToDate(t *testing.T) {
	mutation := rapid.Custom(func(t *rapid.T) record.Mutation {
		m := record.Mutation{
			Table: record.TableDefault, Op: record.OpPut, Kind: record.KindBytes,
			Key:   []byte(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key")),
			Field: []byte(rapid.SampledFrom([]string{"", "f", "g"}).Draw(t, "field")),
		}
		if rapid.IntRange(0, 3).Draw(t, "op") == 0 {
			m.Op = record.OpDelete
			return m
		}
		m.Value = fmt.Append(nil, rapid.IntRange(0, 99).Draw(t, "value"))
		return m
	})
	rapid.Check(t, func(t *rapid.T) {
		r := NewRecent(0)
		var entries [][]record.Mutation
		add := func(ms []record.Mutation) {
			entries = append(entries, ms)
			lsn := record.LSN(len(entries))
			r.Add(lsn, &record.Record{Dot: version.Dot{Seq: uint64(lsn)}, Mutations: ms})
		}
		for range rapid.IntRange(1, 30).Draw(t, "entries") {
			add(rapid.SliceOfN(mutation, 1, 4).Draw(t, "mutations"))
		}
		if rapid.Bool().Draw(t, "forget") {
			for range RecentKept { // so many are kept, of a key that nobody asks for
				add([]record.Mutation{{Table: record.TableDefault, Key: []byte("c"), Op: record.OpPut, Value: []byte("x")}})
			}
			r.Forget(record.LSN(rapid.IntRange(0, len(entries)).Draw(t, "applied")))
		}
		seen := rapid.IntRange(int(r.Floor), len(entries)).Draw(t, "seen")
		for _, key := range []string{"a", "b"} {
			then, now := replayed(entries[:seen], key), replayed(entries, key)
			var cells []topology.CellReading
			for field, v := range then {
				cells = append(cells, topology.CellReading{Key: []byte(key), Field: []byte(field), Version: v})
			}
			slices.SortFunc(cells, func(a, b topology.CellReading) int { return slices.Compare(a.Field, b.Field) })
			whole, _ := r.Whole(record.TableDefault, []byte(key), record.LSN(seen), cells)
			require.Len(t, whole, len(now))
			for _, c := range whole {
				require.Equal(t, now[string(c.Field)].Dot, c.Dot)
				require.Equal(t, now[string(c.Field)].Value, c.Value)
			}
			for _, field := range []string{"", "f", "g"} {
				var v *record.Version
				if at, ok := then[field]; ok {
					v = &at
				}
				got, lsn := r.Cell(cellOf(key, field), record.LSN(seen), v)
				want, ok := now[field]
				require.Equal(t, ok, got != nil, "%s/%s", key, field)
				if ok {
					require.Equal(t, want.Dot, got.Dot)
					require.Equal(t, want.Value, got.Value)
				}
				require.True(t, lsn == 0 || int(lsn) > seen)
			}
		}
		if end := record.LSN(len(entries)); len(r.trail) > RecentKept {
			r.Forget(end)
			require.LessOrEqual(t, len(r.trail)-r.head, RecentKept+4)
		}
	})
}
