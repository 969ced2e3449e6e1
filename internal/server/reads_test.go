package server

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// Of the reads of a pipeline only the first pays for a round: those behind it had
// come before it began.
func TestReadsOfAPipelineShareOneRound(t *testing.T) {
	node := newFake()
	cl := start(t, node, Options{}).dial(t)
	cl.do("SADD", "s", "a")
	cl.send(strings.Repeat(array("GET", "k"), 3) + array("SMEMBERS", "s"))
	for range 4 {
		cl.answer()
	}
	require.Equal(t, []topology.Guarantee{topology.ReadDefault, topology.ReadAny, topology.ReadAny, topology.ReadAny}, node.reads)
	require.Equal(t, 1, node.updates)
	// After a write the next read has one of its own again: committed is not yet applied.
	node.reads = nil
	cl.send(array("GET", "k") + array("SADD", "s", "b") + array("SMEMBERS", "s") + array("SMEMBERS", "s"))
	for range 4 {
		cl.answer()
	}
	require.Equal(t, []topology.Guarantee{topology.ReadDefault, topology.ReadDefault, topology.ReadAny}, node.reads)
}

func TestASessionChoosesItsReads(t *testing.T) {
	for ask, want := range map[string]topology.Guarantee{
		"any": topology.ReadAny, "session": topology.ReadSession, "stale 5s": topology.ReadBounded,
		"linearizable": topology.ReadLinearizable, "leased": topology.ReadLeased, "default": topology.ReadDefault,
	} {
		node := newFake()
		cl := start(t, node, Options{}).dial(t)
		require.Equal(t, "OK", cl.do(append([]string{"TRIAD", "READ"}, strings.Fields(ask)...)...))
		cl.do("GET", "k")
		require.Equal(t, []topology.Guarantee{want}, node.reads)
	}
}

func TestASessionChoosesItsDurability(t *testing.T) {
	node := newFake()
	cl := start(t, node, Options{}).dial(t)
	cl.send(array("SET", "k", "1") + array("TRIAD", "DURABILITY", "applied") + array("SET", "k", "2"))
	for range 3 {
		require.Equal(t, "OK", cl.answer())
	}
	require.Equal(t, []topology.Durability{topology.DurabilityDefault, topology.Applied}, node.wrote)
}

// C8: what one session has seen, another may wait for.
func TestATokenGoesFromOneSessionToAnother(t *testing.T) {
	s := start(t, newFake(), Options{})
	a, b := s.dial(t), s.dial(t)
	require.Equal(t, `""`, a.do("TRIAD", "TOKEN"))
	a.do("SET", "k", "v")
	token := strings.Trim(a.do("TRIAD", "TOKEN"), `"`)
	require.Regexp(t, `^t1\.`, token)
	require.Equal(t, "OK", b.do("TRIAD", "READ", "session"))
	require.Equal(t, "OK", b.do("TRIAD", "TOKEN", token))
	require.Equal(t, `"v"`, b.do("GET", "k"))
	require.Contains(t, b.do("TRIAD", "TOKEN", strings.Repeat("x", 1<<20)), "malformed")
}

// A read that comes upon what is due becomes an update, so that the leader logs
// that it is gone; where another node leads, what this one shows counts.
func TestAReadThatFindsWhatIsDueAsksTheLeader(t *testing.T) {
	node := newFake()
	node.now = func() time.Time { return time.Unix(0, 0) } // the node does not see it as due
	cl := start(t, node, Options{}).dial(t)
	node.accept([]record.Mutation{{Table: record.TableDefault, Key: []byte("k"), Op: record.OpPut, Kind: record.KindBytes, Expires: 1 << 16, Value: []byte("v")}})
	cl.send(array("GET", "none") + array("GET", "k"))
	cl.answer()
	cl.answer()
	require.Equal(t, []topology.Guarantee{topology.ReadDefault, topology.ReadAny}, node.reads)
	require.Equal(t, 1, node.updates)
	cl.do("TRIAD", "READ", "any")
	require.Equal(t, `"v"`, cl.do("GET", "k"))
	require.Equal(t, 1, node.updates)
	cl.do("TRIAD", "READ", "default")
	node.leader = "b"
	require.Equal(t, `"v"`, cl.do("GET", "k"))
}

// What a group reads is bounded: beyond, the next group begins.
func TestAGroupReadsABoundedNumberOfCells(t *testing.T) {
	node := newFake()
	cl := start(t, node, Options{}).dial(t)
	many := []string{"SADD", "s"}
	for i := range 2500 {
		many = append(many, strconv.Itoa(i))
	}
	cl.send(array("SET", "k", "v") + array(many...) + array(many...) + array("GET", "k"))
	require.Equal(t, "OK", cl.answer())
	require.Equal(t, "(integer) 2500", cl.answer())
	require.Equal(t, "(integer) 0", cl.answer())
	require.Equal(t, `"v"`, cl.answer())
	require.LessOrEqual(t, slices.Max(node.ranges), groupReadsMax)
}

func TestWaitCountsTheCopiesOfTheLastWrite(t *testing.T) {
	node := newFake()
	cl := start(t, node, Options{Limits: Limits{CallTimeout: 20 * time.Millisecond}}).dial(t)
	cl.do("SET", "k", "v")
	require.Equal(t, "(integer) 1", cl.do("WAIT", "0", "0"))
	require.Equal(t, "(integer) 1", cl.do("WAIT", "1", "1000"))
	require.Equal(t, "(integer) 1", cl.do("WAIT", "2", "1"))
	require.Equal(t, "(integer) 1", cl.do("WAIT", "2", "0"), "for ever is as long as a call may take")
}

// A row that a program wrote is a hash of text, and what is set keeps its types.
func TestColumnsAreTextAndKeepTheirTypes(t *testing.T) {
	node := newFake()
	node.tables["users"] = triad.CellTable{ID: record.TableFirst, Kind: record.KindRow}
	cl := start(t, node, Options{Prefixes: map[string]string{"user:": "users"}}).dial(t)
	columns := []struct {
		name, value, text, set, stored string
	}{
		{"age", "\xd3\x00\x00\x00\x00\x00\x00\x00\x1e", "30", "31", "\x1f"},
		{"big", "\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615", "18446744073709551614", "\xcf\xff\xff\xff\xff\xff\xff\xff\xfe"},
		{"bytes", "\xc4\x01\xff", "\xff", "ab", "\xc4\x02ab"},
		{"half", "\xca\x3f\x00\x00\x00", "0.5", "0.25", "\xca\x3e\x80\x00\x00"},
		{"long", "\xd9\x03abc", "abc", "de", "\xa2de"},
		{"minus", "\xe0", "-32", "-33", "\xd0\xdf"},
		{"name", "\xa5Alice", "Alice", "\xff", "\xc4\x01\xff"},
		{"ok", "\xc3", "1", "0", "\xc2"},
		{"small", "\xd0\xff", "-1", "many", "\xa4many"},
		{"third", "\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00", "1.5", "none", "\xa4none"},
	}
	ms := []record.Mutation{{Table: record.TableFirst, Key: []byte("1"), Op: record.OpPut, Kind: record.KindRow}}
	for _, c := range columns {
		require.NoError(t, pack.Walk([]byte(c.value)))
		ms = append(ms, record.Mutation{Table: record.TableFirst, Key: []byte("1"), Field: []byte(c.name), Op: record.OpPut, Kind: record.KindRow, Value: []byte(c.value)})
	}
	node.accept(ms)
	var want []string
	for _, c := range columns {
		want = append(want, strconv.Quote(c.name), strconv.Quote(c.text))
	}
	require.Equal(t, "["+strings.Join(want, ", ")+"]", cl.do("HGETALL", "user:1"))
	require.Equal(t, "(integer) 10", cl.do("HLEN", "user:1"))
	require.Equal(t, "hash", cl.do("TYPE", "user:1"))
	for _, c := range columns {
		node.records = nil
		require.Equal(t, "(integer) 0", cl.do("HSET", "user:1", c.name, c.set))
		require.Equal(t, c.stored, string(node.records[0][1].Value), c.name)
	}
}

func TestKeysOfATableWithATTLGetIt(t *testing.T) {
	node := newFake()
	node.tables["carts"] = triad.CellTable{ID: record.TableFirst, TTL: time.Hour}
	cl := start(t, node, Options{Prefixes: map[string]string{"cart:": "carts"}}).dial(t)
	require.Equal(t, "(integer) -2", cl.do("TTL", "cart:1"))
	require.Equal(t, "(integer) 1", cl.do("SADD", "cart:1", "apple"))
	require.NotEqual(t, "(integer) -1", cl.do("TTL", "cart:1"))
	cl.do("SET", "cart:2", "v")
	require.NotEqual(t, "(integer) -1", cl.do("TTL", "cart:2"))
	cl.do("SET", "other", "v")
	require.Equal(t, "(integer) -1", cl.do("TTL", "other"))
}
