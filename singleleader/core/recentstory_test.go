package core

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

func cellOf(key, field string) record.Cell {
	return record.Cell{Table: record.TableDefault, Key: []byte(key), Field: []byte(field)}
}

func putOf(key, field, value string) record.Mutation {
	return record.Mutation{Table: record.TableDefault, Key: []byte(key), Field: []byte(field), Op: record.OpPut, Kind: record.KindBytes, Value: []byte(value)}
}

// Each file of testdata/recent is a story of what was accepted, one record a
// line of LSN, and of who looks: at what the store showed when it had applied
// some entry, and at what came since.
//
//	begin floor=N
//	accept lsn=N                     put KEY[.FIELD]=VALUE | remove KEY[.FIELD], a line each
//	fill from=N to=N                 as many puts of another key
//	cell KEY[.FIELD] applied=N       [=VALUE, what the store showed]
//	whole KEY applied=N              [FIELD=VALUE, a line for each cell]
//	forget applied=N
func TestRecentStories(t *testing.T) {
	datadriven.Walk(t, "testdata/recent", func(t *testing.T, path string) {
		var r *Recent
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			a := storyArgs{t, d}
			switch d.Cmd {
			case "begin":
				r = NewRecent(record.LSN(a.num("floor")))
			case "accept":
				r.Add(record.LSN(a.num("lsn")), acceptedRecord(record.LSN(a.num("lsn")), d.Input))
				return ""
			case "fill":
				for lsn := a.num("from"); lsn <= a.num("to"); lsn++ {
					r.Add(record.LSN(lsn), acceptedRecord(record.LSN(lsn), "put other=v"))
				}
			case "cell":
				return seenCell(r, d.CmdArgs[0].Key, record.LSN(a.num("applied")), d.Input)
			case "whole":
				return seenWhole(r, d.CmdArgs[0].Key, record.LSN(a.num("applied")), d.Input)
			case "forget":
				r.Forget(record.LSN(a.num("applied")))
			default:
				d.Fatalf(t, "no command %q", d.Cmd)
			}
			return fmt.Sprintf("everything after %d: %d mutations of %d keys\n", r.Floor, len(r.trail)-r.head, len(r.keys))
		})
	})
}

func placeOf(s string) record.Cell {
	key, field, _ := strings.Cut(s, ".")
	return cellOf(key, field)
}

func acceptedRecord(lsn record.LSN, input string) *record.Record {
	rec := &record.Record{Dot: version.Dot{Seq: uint64(lsn)}}
	for _, line := range strings.Split(input, "\n") {
		verb, rest, _ := strings.Cut(line, " ")
		at, value, _ := strings.Cut(rest, "=")
		c := placeOf(at)
		m := putOf(string(c.Key), string(c.Field), value)
		if verb == "remove" {
			m.Op, m.Value = record.OpDelete, nil
		}
		rec.Mutations = append(rec.Mutations, m)
	}
	return rec
}

func since(lsn record.LSN) string {
	if lsn == 0 {
		return "as the store showed\n"
	}
	return fmt.Sprintf("since %d\n", lsn)
}

func seenCell(r *Recent, name string, applied record.LSN, input string) string {
	var v *record.Version
	if value, ok := strings.CutPrefix(input, "="); ok {
		v = &record.Version{Value: []byte(value)}
	}
	v, lsn := r.Cell(placeOf(name), applied, v)
	if v == nil {
		return "nothing, " + since(lsn)
	}
	return string(v.Value) + ", " + since(lsn)
}

func seenWhole(r *Recent, key string, applied record.LSN, input string) string {
	var cells []topology.CellReading
	for _, line := range strings.Fields(input) {
		field, value, _ := strings.Cut(line, "=")
		cells = append(cells, topology.CellReading{Key: []byte(key), Field: []byte(field), Version: record.Version{Value: []byte(value)}})
	}
	cells, lsn := r.Whole(record.TableDefault, []byte(key), applied, cells)
	var b strings.Builder
	for _, c := range cells {
		fmt.Fprintf(&b, "%s=%s\n", c.Field, c.Value)
	}
	return b.String() + since(lsn)
}

// The index keeps no more bytes of what is applied than it may, and counts them
// back to nothing.
func TestRecentKeepsFewBytesOfWhatIsApplied(t *testing.T) {
	r := NewRecent(0)
	const n = 64
	value := string(make([]byte, recentBytesMax/n))
	for lsn := record.LSN(1); lsn <= 2*n; lsn++ {
		r.Add(lsn, acceptedRecord(lsn, "put k="))
		r.Add(lsn, &record.Record{Mutations: []record.Mutation{putOf(fmt.Sprint(lsn%3), "f", value)}})
	}
	r.Forget(n / 2)
	require.EqualValues(t, n/2, r.Floor, "what is not applied stays, whatever its length")
	require.Greater(t, r.bytes, recentBytesMax)
	r.Forget(2 * n)
	require.LessOrEqual(t, r.bytes, recentBytesMax)
	require.Positive(t, len(r.trail)-r.head)
	for ; r.head < len(r.trail); r.head++ {
		r.drop(&r.trail[r.head])
	}
	require.Zero(t, r.bytes)
	require.Empty(t, r.keys)
}
