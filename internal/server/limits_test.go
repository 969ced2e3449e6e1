package server

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/server/resp"
	"github.com/triad-kv/triad/record"
)

// Bad input 24: connections are bounded, and say so as Redis does.
func TestOneConnectionTooManyIsTurnedAway(t *testing.T) {
	s := start(t, newFake(), Options{Limits: Limits{ConnectionsMax: 2}})
	a, b := s.dial(t), s.dial(t)
	require.Equal(t, "PONG", a.do("PING"))
	require.Equal(t, "PONG", b.do("PING"))
	c := s.dial(t)
	require.Equal(t, "(error) ERR max number of clients reached", c.answer())
	c.ends()
	require.Equal(t, "OK", a.do("QUIT"))
	a.ends()
	eventually(t, func() bool { return len(s.present()) == 1 }, "the connection is gone")
	require.Equal(t, "PONG", s.dial(t).do("PING"))
}

// Bad input 24: a thousand idle connections cost their first buffer each.
func TestAThousandIdleConnectionsHarmNobody(t *testing.T) {
	s := start(t, newFake(), Options{})
	for range 1000 {
		sock, err := net.Dial("tcp", s.addr)
		require.NoError(t, err)
		defer sock.Close()
	}
	require.Equal(t, "PONG", s.dial(t).do("PING"))
	eventually(t, func() bool { return len(s.present()) == 1001 }, "all are there")
	require.Zero(t, s.buffers.used.Load())
}

// Bad input 3, 20: who stops within a command, or does not show who he is, is left.
func TestWhoIsTooSlowIsLeft(t *testing.T) {
	short := 20 * time.Millisecond
	for name, c := range map[string]struct {
		o    Options
		send string
	}{
		"within a command":  {Options{Limits: Limits{CommandTimeout: short}}, "*2\r\n$4\r\nECHO\r\n$100\r\nabc"},
		"within a line":     {Options{Limits: Limits{CommandTimeout: short}}, "ECHO"},
		"before AUTH":       {Options{Password: "x", Limits: Limits{AuthTimeout: short}}, ""},
		"between commands":  {Options{Limits: Limits{IdleTimeout: short}}, ""},
		"before a password": {Options{Password: "x", Limits: Limits{AuthTimeout: short}}, "*2\r\n$4\r\nAUTH\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, newFake(), c.o)
			cl := s.dial(t)
			cl.send(c.send)
			cl.ends()
			eventually(t, func() bool { return s.counts.timeouts.Load() == 1 }, "it is counted")
		})
	}
}

// A byte now and then does not keep a command going for ever.
func TestATrickleIsTooSlowToo(t *testing.T) {
	s := start(t, newFake(), Options{Limits: Limits{CommandTimeout: 20 * time.Millisecond}})
	cl := s.dial(t)
	cl.send("*2\r\n$4\r\nECHO\r\n$1000000\r\n")
	eventually(t, func() bool {
		_, err := cl.sock.Write([]byte("x"))
		return err != nil
	}, "the connection is closed")
}

// The time is each command's own.
func TestTheTimeForACommandBeginsAnewWithEach(t *testing.T) {
	timeout := 50 * time.Millisecond
	cl := start(t, newFake(), Options{Limits: Limits{CommandTimeout: timeout}}).dial(t)
	command := array("ECHO", "x")
	for began := time.Now(); time.Since(began) < 3*timeout; {
		cl.send(command[:9])
		cl.send(command[9:] + command[:9])
		require.Equal(t, `"x"`, cl.answer())
		cl.send(command[9:])
		require.Equal(t, `"x"`, cl.answer())
	}
}

// Bad input 21: ten thousand commands whose answers nobody reads.
func TestWhoDoesNotReadIsLeft(t *testing.T) {
	s := start(t, newFake(), Options{Limits: Limits{WriteTimeout: 100 * time.Millisecond}})
	other := s.dial(t)
	require.Equal(t, "OK", other.do("SET", "k", strings.Repeat("v", 10_000)))
	cl := s.dial(t)
	go func() { _, _ = cl.sock.Write([]byte(strings.Repeat(array("GET", "k"), 10_000))) }()
	eventually(t, func() bool { return s.counts.timeouts.Load() == 1 && len(s.present()) == 1 }, "it is left")
	require.LessOrEqual(t, s.buffers.used.Load(), int64(resp.BufferBytesKept)) // of the other
	require.Equal(t, "PONG", other.do("PING"))
}

// The same commands are answered, all of them, if somebody reads.
func TestTenThousandPipelinedCommandsAreAnsweredInOrder(t *testing.T) {
	s := start(t, newFake(), Options{})
	cl := s.dial(t)
	go func() {
		for i := range 10_000 {
			_, _ = cl.sock.Write([]byte(array("ECHO", fmt.Sprint(i))))
		}
	}()
	for i := range 10_000 {
		require.Equal(t, fmt.Sprintf(`"%d"`, i), cl.answer())
	}
}

func TestAnswersAreBounded(t *testing.T) {
	node := newFake()
	s := start(t, node, Options{Limits: Limits{AnswerBytesMax: 1000}})
	cl := s.dial(t)
	require.Equal(t, "OK", cl.do("SET", "k", strings.Repeat("v", 600)))
	require.Equal(t, "(integer) 2", cl.do("SADD", "s", strings.Repeat("a", 600), strings.Repeat("b", 600)))
	require.Contains(t, cl.do("SMEMBERS", "s"), "more than 1000 bytes")
	require.Contains(t, cl.do("MGET", "k", "k"), "longer than 1000 bytes")
	// Within a transaction, too, where the engine would gather them; together.
	require.Equal(t, "(integer) 1", cl.do("SADD", "t", strings.Repeat("a", 300)))
	cl.send(array("MULTI") + array("SMEMBERS", "s") + array("SMEMBERS", "t") + array("SMEMBERS", "t") + array("EXEC"))
	for range 4 {
		cl.answer()
	}
	require.Regexp(t, `^\[\(error\) ERR the key holds more than 1000 bytes.*, \["a+"\], .*\]$`, cl.answer())
	// All answers of one group count together, and what does not fit changes nothing.
	cl.send(array("SET", "a", "1") + array("GET", "k") + array("GETDEL", "k") + array("SET", "b", "2"))
	require.Equal(t, "OK", cl.answer())
	require.Len(t, cl.answer(), 602)
	require.Contains(t, cl.answer(), "longer than 1000 bytes")
	require.Equal(t, "OK", cl.answer())
	require.Equal(t, "(integer) 1", cl.do("EXISTS", "k"))
	for range 100 {
		require.Equal(t, "OK", cl.do("SET", strings.Repeat("k", 100)+fmt.Sprint(len(node.records)), ""))
	}
	require.Contains(t, cl.do("KEYS", "*"), "use SCAN")
}

func TestBuffersOfAllConnectionsAreBounded(t *testing.T) {
	s := start(t, newFake(), Options{Limits: Limits{BufferBytesMax: 100_000}})
	cl := s.dial(t)
	cl.send("*2\r\n$4\r\nECHO\r\n$1000000\r\n" + strings.Repeat("x", 200_000))
	require.Equal(t, "(error) ERR Protocol error: out of memory for requests, try again later", cl.answer())
	eventually(t, func() bool { return s.buffers.used.Load() == 0 }, "it is given back")
	cl = s.dial(t)
	require.Equal(t, "OK", cl.do("SET", "k", strings.Repeat("v", 40_000)))
	s.buffers.used.Store(80_000)
	require.Contains(t, cl.do("GET", "k"), "TRYAGAIN")
	s.buffers.used.Store(0)
}

// Bad input 81: any byte may stand in a key; its length is bounded.
func TestKeysAndFieldsAreBoundedAndFree(t *testing.T) {
	cl := start(t, newFake(), Options{}).dial(t)
	for _, key := range []string{"\x00", "/", "../..", "\r\n", "😀", "\xff\xfe", "*", strings.Repeat("k", record.KeyBytesMax)} {
		require.Equal(t, "OK", cl.do("SET", key, "v"))
		require.Equal(t, `"v"`, cl.do("GET", key))
	}
	require.Equal(t, "(error) ERR invalid key: it is empty", cl.do("SET", "", "v"))
	require.Equal(t, "(error) ERR invalid key: it is empty", cl.do("GET", ""))
	require.Contains(t, cl.do("SET", strings.Repeat("k", record.KeyBytesMax+1), "v"), "too large: key of 65537 bytes, at most 65536")
	require.Equal(t, "(integer) 3", cl.do("SADD", "s", "", "\x00", "x"))
	require.Equal(t, `["", "\x00", "x"]`, cl.do("SMEMBERS", "s"))
	require.Equal(t, "(integer) 1", cl.do("HSET", "h", "", "v"))
	require.Equal(t, `"v"`, cl.do("HGET", "h", ""))
	require.Contains(t, cl.do("HSET", "h", strings.Repeat("f", record.FieldBytesMax+1), "v"), "65537 bytes, at most 65536")
}

// Bad input 83: what one command may change is bounded.
func TestOneCommandChangesABoundedNumberOfKeys(t *testing.T) {
	cl := start(t, newFake(), Options{}).dial(t)
	mset, del, sadd := []string{"MSET"}, []string{"DEL"}, []string{"SADD", "s"}
	for i := range record.MutationsMax + 1 {
		mset = append(mset, fmt.Sprint(i), "v")
		del, sadd = append(del, fmt.Sprint(i)), append(sadd, fmt.Sprint(i))
	}
	require.Contains(t, cl.do(mset...), "4097 at once, at most 4094: too large")
	require.Contains(t, cl.do(del...), "4097 at once, at most 4094: too large")
	require.Contains(t, cl.do(sadd...), "4097 at once, at most 4094: too large")
	require.Equal(t, "OK", cl.do(mset[:1+2*4094]...))
	require.Equal(t, "(integer) 4094", cl.do(del[:1+4094]...))
	require.Equal(t, "(error) ERR Protocol error: invalid multibulk length", func() string { cl.send("*65537\r\n"); return cl.answer() }())
}

// Bad input 89: of what a client had not finished nothing happens.
func TestWhoDisappearsWithinATransactionHasDoneNothing(t *testing.T) {
	node := newFake()
	s := start(t, node, Options{})
	cl := s.dial(t)
	cl.send(array("MULTI") + array("SET", "a", "1") + array("SET", "b", "2") + "*3\r\n$3\r\nSET\r\n$1\r\nc")
	require.Equal(t, "OK", cl.answer())
	require.NoError(t, cl.sock.Close())
	eventually(t, func() bool { return len(s.present()) == 0 }, "it is gone")
	require.Empty(t, node.records)
}

func TestATransactionIsOneRecord(t *testing.T) {
	node := newFake()
	cl := start(t, node, Options{}).dial(t)
	cl.send(array("MULTI") + array("SET", "a", "1") + array("INCR", "a") + array("SADD", "s", "x") + array("EXEC"))
	for range 4 {
		cl.answer()
	}
	require.Equal(t, "[OK, (integer) 2, (integer) 1]", cl.answer())
	require.Len(t, node.records, 1)
	require.Len(t, node.records[0], 4)
}

func TestATransactionIsBounded(t *testing.T) {
	s := start(t, newFake(), Options{Limits: Limits{QueuedCommandsMax: 3, QueuedBytesMax: 1000, WatchedKeysMax: 2}})
	cl := s.dial(t)
	cl.do("MULTI")
	for range 3 {
		require.Equal(t, "QUEUED", cl.do("PING"))
	}
	require.Contains(t, cl.do("PING"), "larger than 3 commands or 1000 bytes")
	require.Equal(t, "(error) "+string(errExecAbort), cl.do("EXEC"))
	cl.do("MULTI")
	require.Contains(t, cl.do("SET", "k", strings.Repeat("v", 1000)), "larger than 3 commands or 1000 bytes")
	require.Equal(t, "(error) "+string(errExecAbort), cl.do("EXEC"))
	require.Equal(t, "OK", cl.do("WATCH", "a", "b"))
	require.Contains(t, cl.do("WATCH", "c"), "more than 2 keys are watched")
}
