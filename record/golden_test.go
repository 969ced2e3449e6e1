package record_test

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
)

// The golden files hold what is on disks and wires already. They change only
// with a format number and a line in the CHANGELOG.
var update = flag.Bool("update", false, "write the golden files anew")

// elements names the elements of each container of a record or a state, over
// and over where a container holds several of a kind.
var elements = map[string][]string{
	"record":    {"format", "origin", "incarnation", "seq", "time", "term", "request", "deps", "context", "mutations"},
	"request":   {"client", "seq"},
	"deps":      {"origin", "incarnation", "seq"},
	"context":   {"prefix", "dots"},
	"prefix":    {"origin", "incarnation", "seq"},
	"dots":      {"origin", "incarnation", "seq"},
	"mutations": {"table", "op", "kind", "expires", "key", "field", "value"},
	"state":     {"format", "context", "siblings"},
	"siblings":  {"origin", "incarnation", "seq", "time", "expires", "kind", "absent", "value"},
}

// describe prints one value, a line for each number, string and header: its
// bytes, then what they mean.
func describe(t *testing.T, out *strings.Builder, r *pack.Reader, name, indent string) {
	t.Helper()
	from := r.Rest()
	meaning, inside := "", 0
	switch c := from[0]; {
	case c == 0xc0:
		r.Nil()
		meaning = "none"
	case c == 0xc2 || c == 0xc3:
		meaning = fmt.Sprint(r.Bool())
	case c >= 0xc4 && c <= 0xc6:
		meaning = fmt.Sprintf("%q", r.Bin())
	case c >= 0x90 && c < 0xa0 || c == 0xdc || c == 0xdd:
		inside = r.Array()
		meaning = fmt.Sprintf("%d values", inside)
	default:
		meaning = fmt.Sprint(r.Uint())
	}
	require.NoError(t, r.Err())
	fmt.Fprintf(out, "%-42s # %s%s: %s\n", hex.EncodeToString(from[:len(from)-len(r.Rest())]), indent, name, meaning)
	for i := range inside {
		describe(t, out, r, elements[name][i%len(elements[name])], indent+"  ")
	}
}

func describeAll(t *testing.T, b []byte, what string) string {
	t.Helper()
	var out strings.Builder
	r := pack.NewReader(b)
	describe(t, &out, &r, what, "")
	require.NoError(t, r.Done())
	return out.String()
}

func describeEntry(t *testing.T, b []byte) string {
	t.Helper()
	var out strings.Builder
	for _, part := range []struct {
		bytes int
		name  string
	}{{8, "LSN"}, {8, "term"}, {4, "length of the record"}, {4, "sum of the record"}} {
		fmt.Fprintf(&out, "%-42s # %s\n", hex.EncodeToString(b[:part.bytes]), part.name)
		b = b[part.bytes:]
	}
	return out.String() + describeAll(t, b, "record")
}

var golden = regexp.MustCompile(`(?m)^== (.*)\n((?:[^=\n].*\n)+)`)

// readGolden returns the bytes that a golden file holds for each name.
func readGolden(t *testing.T, file string) (text string, byName map[string][]byte) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	require.NoError(t, err)
	byName = map[string][]byte{}
	for _, m := range golden.FindAllStringSubmatch(string(b), -1) {
		for line := range strings.Lines(m[2]) {
			digits, _, _ := strings.Cut(line, "#")
			part, err := hex.DecodeString(strings.TrimSpace(digits))
			require.NoError(t, err, line)
			byName[m[1]] = append(byName[m[1]], part...)
		}
	}
	return string(b), byName
}

// requireGolden compares texts by name with a golden file, and returns its bytes.
func requireGolden(t *testing.T, file, head string, names []string, describe func(name string) string) map[string][]byte {
	t.Helper()
	text := head
	for _, n := range names {
		text += "\n== " + n + "\n" + describe(n)
	}
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(filepath.Join("testdata", file), []byte(text), 0o644))
	}
	was, byName := readGolden(t, file)
	require.Equal(t, was, text, "the bytes of %s have changed: data that is written can no longer be read", file)
	require.Len(t, byName, len(names))
	return byName
}

func TestRecordsAreEncodedAsInTheGoldenFileAndReadBack(t *testing.T) {
	e, cases, names := record.NewEncoder(), map[string]record.Record{}, []string(nil)
	for _, c := range records() {
		cases[c.name] = c.record
		names = append(names, c.name)
	}
	head := "# Records in format 1, value by value. Generated with -update; never by hand.\n"
	held := requireGolden(t, "record.golden", head, names, func(name string) string {
		r := cases[name]
		return describeAll(t, e.Append(nil, &r), "record")
	})
	for name, b := range held {
		var got record.Record
		require.NoError(t, record.Decode(b, &got), name)
		require.Equal(t, cases[name], got, name)
		require.Equal(t, b, e.Append(nil, &got), name)
	}
}

func TestNotesAreEncodedAsInTheGoldenFileAndReadBack(t *testing.T) {
	e, cases, names := record.NewEncoder(), map[string]record.Record{}, []string(nil)
	for _, c := range notes() {
		cases[c.name] = c.record
		names = append(names, c.name)
	}
	head := "# Notes: records in format 2, without a dot. Generated with -update; never by hand.\n"
	held := requireGolden(t, "note.golden", head, names, func(name string) string {
		r := cases[name]
		return describeAll(t, e.Append(nil, &r), "record")
	})
	for name, b := range held {
		var got record.Record
		require.NoError(t, record.Decode(b, &got), name)
		require.True(t, got.IsNote())
		require.Equal(t, cases[name], got, name)
		require.Equal(t, b, e.Append(nil, &got), name)
	}
}

func TestStatesAreEncodedAsInTheGoldenFileAndReadBack(t *testing.T) {
	e, cases, names := record.NewEncoder(), map[string]record.State{}, []string(nil)
	for _, c := range states() {
		cases[c.name] = c.state
		names = append(names, c.name)
	}
	head := "# States in format 1, value by value. Generated with -update; never by hand.\n"
	held := requireGolden(t, "state.golden", head, names, func(name string) string {
		s := cases[name]
		return describeAll(t, e.AppendState(nil, &s), "state")
	})
	for name, b := range held {
		var got record.State
		require.NoError(t, record.DecodeState(b, &got), name)
		require.Equal(t, cases[name], got, name)
		require.Equal(t, b, e.AppendState(nil, &got), name)
	}
}

func TestEntriesAreLaidOutAsInTheGoldenFileAndReadBack(t *testing.T) {
	cases, names := map[string]record.Entry{}, []string(nil)
	for i, c := range records()[:2] {
		b := record.NewEncoder().Append(nil, &c.record)
		cases[c.name] = record.Entry{LSN: record.LSN(1000*i + 1), Term: uint64(i) + 3, Sum: record.Sum(b), Bytes: b}
		names = append(names, c.name)
	}
	head := "# Entries: a header of 24 bytes, little endian, then a record. Generated with -update; never by hand.\n"
	held := requireGolden(t, "entry.golden", head, names, func(name string) string {
		return describeEntry(t, record.AppendEntry(nil, cases[name]))
	})
	for name, b := range held {
		got, rest, err := record.NextEntry(b)
		require.NoError(t, err, name)
		require.Empty(t, rest)
		require.Equal(t, cases[name], got, name)
	}
}
