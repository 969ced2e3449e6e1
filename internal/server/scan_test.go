package server

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/record"
)

var pageForm = regexp.MustCompile(`^\["(\d+)", \[(.*)\]\]$`)

// page takes the answer of SCAN apart.
func page(t require.TestingT, answer string) (cursor string, keys []string) {
	m := pageForm.FindStringSubmatch(answer)
	require.NotNil(t, m, answer)
	if m[2] != "" {
		keys = strings.Split(strings.ReplaceAll(m[2], `"`, ""), ", ")
	}
	return m[1], keys
}

// scanAll follows a scan to its end.
func scanAll(t require.TestingT, cl *client, args ...string) (keys []string, pages int) {
	cursor := "0"
	for {
		var found []string
		cursor, found = page(t, cl.do(append([]string{"SCAN", cursor}, args...)...))
		keys = append(keys, found...)
		if pages++; cursor == "0" {
			return keys, pages
		}
		require.Less(t, pages, 10_000)
	}
}

// Bad input 87: what is long comes in pages.
func TestScanReturnsEveryKeyOnceOverAllTables(t *testing.T) {
	node := newFake()
	node.tables["users"] = triad.CellTable{ID: record.TableFirst}
	node.tables["rows"] = triad.CellTable{ID: record.TableFirst + 1, Kind: record.KindRow}
	cl := start(t, node, Options{Prefixes: map[string]string{"user:": "users", "row:": "rows", "none:": "none"}}).dial(t)
	var want []string
	for i := range 300 {
		want = append(want, fmt.Sprintf("plain%03d", i), fmt.Sprintf("user:%03d", i))
		cl.do("MSET", want[len(want)-2], "v", want[len(want)-1], "v")
	}
	big := []string{"SADD", "user:set"}
	for i := range 500 {
		big = append(big, fmt.Sprint(i))
	}
	cl.do(big...)
	cl.do("HSET", "row:1", "name", "Alice")
	want = append(want, "user:set", "row:1")
	slices.Sort(want)
	for _, count := range []string{"1", "7", "100", "1000"} {
		keys, pages := scanAll(t, cl, "COUNT", count)
		slices.Sort(keys)
		require.Equal(t, want, keys)
		require.Equal(t, count == "1000", pages == 1)
	}
	keys, _ := scanAll(t, cl, "MATCH", "user:*1", "COUNT", "50")
	require.Len(t, keys, 30)
	keys, _ = scanAll(t, cl, "TYPE", "set")
	require.Equal(t, []string{"user:set"}, keys)
	keys, _ = scanAll(t, cl, "TYPE", "HASH", "COUNT", "1000")
	require.Equal(t, []string{"row:1"}, keys)
	require.Equal(t, "(integer) 602", cl.do("DBSIZE"))
}

// A key of the default table that a prefix takes away is none to a client.
func TestScanShowsOnlyWhatCommandsReach(t *testing.T) {
	node := newFake()
	node.tables["users"] = triad.CellTable{ID: record.TableFirst}
	node.accept([]record.Mutation{
		{Table: record.TableDefault, Key: []byte("user:1"), Op: record.OpPut, Kind: record.KindBytes},
		{Table: record.TableDefault, Key: []byte("other"), Op: record.OpPut, Kind: record.KindBytes},
	})
	cl := start(t, node, Options{Prefixes: map[string]string{"user:": "users"}}).dial(t)
	require.Equal(t, `["other"]`, cl.do("KEYS", "*"))
	require.Equal(t, "(nil)", cl.do("GET", "user:1"))
	require.Equal(t, "(integer) 1", cl.do("DBSIZE"))
}

func TestScanDoesNotShowWhatIsDue(t *testing.T) {
	node := newFake()
	cl := start(t, node, Options{}).dial(t)
	cl.do("PSETEX", "gone", "1", "v")
	cl.do("SET", "here", "v")
	eventually(t, func() bool { return cl.do("EXISTS", "gone") == "(integer) 0" }, "it is due")
	require.Equal(t, `["here"]`, cl.do("KEYS", "*"))
}

// Bad input 87: a cursor that is forged, or has expired, is an error.
func TestScanRefusesCursorsItDoesNotKnow(t *testing.T) {
	node := newFake()
	s := start(t, node, Options{})
	cl := s.dial(t)
	for i := range 10 {
		cl.do("SET", fmt.Sprint(i), "v")
	}
	for _, c := range []string{"abc", "-1", "1.5", "", "18446744073709551616"} {
		require.Equal(t, "(error) ERR invalid cursor", cl.do("SCAN", c), c)
	}
	cursor, first := page(t, cl.do("SCAN", "0", "COUNT", "3"))
	require.Len(t, first, 3)
	for _, c := range []string{"1", "65536", "18446744073709551615"} {
		require.Contains(t, cl.do("SCAN", c), "(error) ERR invalid cursor: it was not given out here", c)
	}
	next, second := page(t, cl.do("SCAN", cursor, "COUNT", "3"))
	again, same := page(t, cl.do("SCAN", cursor, "COUNT", "3")) // a page that was lost
	require.Equal(t, second, same)
	require.Equal(t, next, again)
	last, _ := page(t, cl.do("SCAN", next, "COUNT", "3"))
	require.Contains(t, cl.do("SCAN", cursor), "invalid cursor", "two pages back")
	require.Equal(t, "(error) ERR syntax error", cl.do("SCAN", last, "COUNT", "0"))
	require.Equal(t, "(error) ERR syntax error", cl.do("SCAN", last, "MATCH"))
	require.Equal(t, "(error) ERR syntax error", cl.do("SCAN", last, "BOGUS", "1"))
	require.Equal(t, "(error) ERR value is not an integer or out of range", cl.do("SCAN", last, "COUNT", "x"))
	done, _ := page(t, s.dial(t).do("SCAN", last, "COUNT", "30")) // on any connection
	require.Equal(t, "0", done)
	require.Contains(t, cl.do("SCAN", last), "invalid cursor", "the scan is done")
}

func TestCursorsAreBoundedInNumberBytesAndTime(t *testing.T) {
	l := Limits{CursorsMax: 3, CursorBytesMax: 100, CursorTimeout: time.Minute}
	now := time.Unix(1_000_000, 0)
	at := func(n int) position { return position{key: make([]byte, n)} }
	cs := newCursors(l)
	var given []uint64
	for range 4 {
		given = append(given, cs.advance(0, at(10), now))
	}
	known := func(now time.Time) (n int) {
		for _, c := range given {
			if _, ok := cs.find(c, now); ok {
				n++
			}
		}
		return n
	}
	require.Equal(t, 3, known(now), "the oldest had to go")
	given[1] = cs.advance(given[1], at(85), now)
	require.Equal(t, 1, known(now), "all the others had to go")
	require.Equal(t, 95, cs.bytes)
	require.Equal(t, 1, known(now.Add(time.Minute)))
	require.Zero(t, known(now.Add(time.Minute+1)))
	require.Zero(t, cs.bytes)
	require.Empty(t, cs.scans)
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "abc", true}, {"a*c", "abbbc", true}, {"a*c", "abbb", false},
		{"a**b", "ab", true}, {"?", "a", true}, {"?", "", false}, {"h?llo", "hello", true}, {"h[ae]llo", "hallo", true},
		{"h[ae]llo", "hillo", false}, {"h[^e]llo", "hallo", true}, {"h[^e]llo", "hello", false}, {"h[a-c]llo", "hbllo", true},
		{"h[c-a]llo", "hbllo", true}, {"h[a-c]llo", "hdllo", false}, {`a\*b`, "a*b", true}, {`a\*b`, "axb", false},
		{`[\]]`, "]", true}, {"[abc", "c", true}, {"[", "a", false}, {`a\`, `a\`, true}, {"*a*b*c*", "xaxbxcx", true}, {"*a*b*c*", "xaxcxb", false},
		{"user:*:name", "user:1:name", true}, {"a", "A", false}, {"[^]", "a", true}, {"x*", "x", true}, {"*x", "xy", false},
	} {
		require.Equal(t, c.want, glob([]byte(c.pattern), []byte(c.name)), "%q %q", c.pattern, c.name)
	}
}

// A pattern of many stars costs no more than pattern times name.
func TestGlobDoesNotExplode(t *testing.T) {
	require.False(t, glob([]byte(strings.Repeat("a*", 1000)+"b"), []byte(strings.Repeat("a", 10_000))))
}

// The matcher agrees with an expression of the same meaning.
func TestGlobAgreesWithARegularExpression(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.SampledFrom([]string{"*", "?", "a", "b", "[ab]", "[^a]", `\*`}), 0, 8).Draw(t, "pattern")
		name := rapid.StringOfN(rapid.SampledFrom([]rune("ab*")), 0, 10, -1).Draw(t, "name")
		meaning := map[string]string{"*": ".*", "?": ".", "a": "a", "b": "b", "[ab]": "[ab]", "[^a]": "[^a]", `\*`: `\*`}
		expression := "^"
		for _, p := range parts {
			expression += meaning[p]
		}
		require.Equal(t, regexp.MustCompile(expression+"$").MatchString(name), glob([]byte(strings.Join(parts, "")), []byte(name)))
	})
}

func TestFlushAllRemovesMoreThanOneRecordTakes(t *testing.T) {
	node := newFake()
	var ms []record.Mutation
	for i := range record.MutationsMax + 10 {
		ms = append(ms, record.Mutation{Table: record.TableDefault, Key: fmt.Appendf(nil, "%05d", i), Op: record.OpPut, Kind: record.KindBytes})
	}
	node.accept(ms)
	node.records = nil
	cl := start(t, node, Options{}).dial(t)
	require.Equal(t, "(error) ERR syntax error", cl.do("FLUSHALL", "NOW"))
	require.Equal(t, "OK", cl.do("FLUSHALL", "ASYNC"))
	require.Empty(t, node.cells)
	require.Len(t, node.records, 2)
	require.Equal(t, "OK", cl.do("FLUSHDB"))
}
