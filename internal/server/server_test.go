package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/server/resp"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// eventually waits until f holds.
func eventually(t *testing.T, f func() bool, what string) {
	t.Helper()
	require.Eventually(t, f, patience, time.Millisecond, what)
}

// Bad input 2, 5, 82: what is no command is answered, and the connection closed.
func TestWhatIsNoCommandEndsItsConnectionAndNoOther(t *testing.T) {
	s := start(t, newFake(), Options{})
	other := s.dial(t)
	for name, c := range map[string]struct{ in, answer string }{
		"a length of 4 GiB":      {"*2\r\n$4\r\nECHO\r\n$4294967295\r\n", "(error) ERR Protocol error: invalid bulk length"},
		"a value too large":      {"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$16777217\r\n", "(error) ERR Protocol error: invalid bulk length"},
		"a count of 2^31":        {"*2147483648\r\n", "(error) ERR Protocol error: invalid multibulk length"},
		"no bulk":                {"*1\r\nx", "(error) ERR Protocol error: expected '$', got 'x'"},
		"a browser":              {"POST / HTTP/1.1\r\n", "(error) ERR Protocol error: this port does not speak HTTP"},
		"a browser's header":     {"Host: localhost\r\n", "(error) ERR Protocol error: this port does not speak HTTP"},
		"a TLS client":           {"\x16\x03\x01\x02\x00\x01\x00", "(error) ERR Protocol error: this port does not speak TLS"},
		"an endless line":        {strings.Repeat("x", resp.InlineBytesMax+1), "(error) ERR Protocol error: too big inline request"},
		"an open quote":          {"SET 'k\r\n", "(error) ERR Protocol error: unbalanced quotes in request"},
		"a frame of the cluster": {"\x00\x00\x01\x00abc\n", "(error) ERR unknown command '\x00\x00\x01\x00abc', with args beginning with: "},
	} {
		t.Run(name, func(t *testing.T) {
			cl := s.dial(t)
			cl.send(c.in)
			require.Equal(t, c.answer, cl.answer())
			if strings.Contains(c.answer, "Protocol") {
				cl.ends()
			}
			require.Equal(t, "PONG", other.do("PING"))
		})
	}
}

// What came before in the pipeline is done and answered.
func TestCommandsBeforeWhatIsNoneAreAnswered(t *testing.T) {
	cl := start(t, newFake(), Options{}).dial(t)
	cl.send(array("SET", "k", "v") + array("GET", "k") + "*x\r\n" + array("SET", "k", "w"))
	require.Equal(t, "OK", cl.answer())
	require.Equal(t, `"v"`, cl.answer())
	require.Equal(t, "(error) ERR Protocol error: invalid multibulk length", cl.answer())
	cl.ends()
}

// Bad input 113: before AUTH nothing is answered but who must show himself.
func TestAStrangerIsRefusedEveryCommand(t *testing.T) {
	s := start(t, newFake(), Options{Password: "secret"})
	for name, cmd := range s.commands {
		if cmd.flags&stranger != 0 {
			require.Contains(t, []string{"auth", "hello", "quit", "reset"}, name)
			continue
		}
		args := strings.Split(name, "|")
		for len(args) < max(cmd.arity, -cmd.arity) {
			args = append(args, "1")
		}
		require.Equal(t, "(error) NOAUTH Authentication required.", s.dial(t).do(args...), name)
	}
}

// Limits are much smaller before AUTH, as in Redis.
func TestAStrangerMaySendLittle(t *testing.T) {
	s := start(t, newFake(), Options{Password: "secret"})
	for in, want := range map[string]string{
		"*11\r\n":                        "(error) ERR Protocol error: unauthenticated multibulk length",
		"*2\r\n$4\r\nAUTH\r\n$16385\r\n": "(error) ERR Protocol error: unauthenticated bulk length",
	} {
		cl := s.dial(t)
		cl.send(in)
		require.Equal(t, want, cl.answer())
		cl.ends()
	}
	cl := s.dial(t)
	require.Equal(t, "OK", cl.do("AUTH", "secret"))
	require.Equal(t, `"`+strings.Repeat("x", 20_000)+`"`, cl.do("ECHO", strings.Repeat("x", 20_000)))
}

// A wrong password a thousand times: each connection is left after a few, what
// they did is counted, nothing of them is kept, and others are served meanwhile.
func TestAThousandWrongPasswordsHarmNobody(t *testing.T) {
	s := start(t, newFake(), Options{Password: "secret", Limits: Limits{AuthDelay: time.Microsecond}})
	other := s.dial(t)
	require.Equal(t, "OK", other.do("AUTH", "secret"))
	for range 125 {
		cl := s.dial(t)
		for range 8 {
			require.Equal(t, "(error) "+string(errWrongPass), cl.do("AUTH", "wrong"))
		}
		cl.ends()
		require.Equal(t, "PONG", other.do("PING"))
	}
	require.EqualValues(t, 1000, s.counts.authFailures.Load())
	eventually(t, func() bool { return len(s.present()) == 1 }, "the connections are gone")
	require.Zero(t, s.buffers.used.Load())
}

func TestADelayBeforeAWrongPasswordsAnswerHoldsUpNobodyElse(t *testing.T) {
	s := start(t, newFake(), Options{Password: "secret", Limits: Limits{AuthDelay: time.Hour, DrainTimeout: time.Millisecond}})
	wrong, right := s.dial(t), s.dial(t)
	wrong.send(array("AUTH", "wrong"))
	eventually(t, func() bool { return s.counts.authFailures.Load() == 1 }, "the failure is noted")
	require.Equal(t, "OK", right.do("AUTH", "secret"))
}

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
	require.Contains(t, cl.do("SADD", "s", ""), "member: it is empty")
	require.Contains(t, cl.do("HSET", "h", "", "v"), "field or member: it is empty")
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
	require.Contains(t, cl.do(mset...), "too large: 4097 keys in one command, at most 4096")
	require.Contains(t, cl.do(del...), "too large: 4097 keys in one command, at most 4096")
	require.Contains(t, cl.do(sadd...), "too large: 4097 fields in one command, at most 4096")
	require.Equal(t, "OK", cl.do(mset[:1+2*record.MutationsMax]...))
	require.Equal(t, "(integer) 4096", cl.do(del[:1+record.MutationsMax]...))
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

// C9: an error says what became of the write.
func TestErrorsSayWhatBecameOfTheWrite(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"unknown":            {&topology.Error{Op: "update", Node: "a", Outcome: topology.Unknown, Err: topology.ErrTimeout}, "UNKNOWN the outcome is not known, it may have happened or may yet: update at a: timed out (outcome unknown)"},
		"states none":        {errors.New("boom"), "UNKNOWN the outcome is not known, it may have happened or may yet: boom"},
		"led meanwhile":      {&topology.Error{Outcome: topology.Unknown, Err: topology.ErrNotLeader}, "UNKNOWN the outcome is not known, it may have happened or may yet: this node does not lead (outcome unknown)"},
		"unavailable":        {&topology.Error{Err: topology.ErrUnavailable}, "TRYAGAIN unavailable (not applied)"},
		"overloaded":         {&topology.Error{Err: topology.ErrOverloaded}, "TRYAGAIN overloaded (not applied)"},
		"the disk is full":   {&topology.Error{Err: topology.ErrDiskFull}, "MISCONF the disk is full (not applied)"},
		"too large":          {&topology.Error{Err: topology.ErrTooLarge}, "ERR too large (not applied)"},
		"another leads":      {&topology.Error{Err: topology.ErrNotLeader, Leader: "b"}, "READONLY You can't write against a read only replica. The leader is b at b:6400."},
		"nobody leads":       {&topology.Error{Err: topology.ErrNotLeader}, "READONLY You can't write against a read only replica."},
		"breaks of the line": {&topology.Error{Err: fmt.Errorf("%w: a\r\n+OK", topology.ErrMalformed)}, "ERR malformed: a  +OK (not applied)"},
	} {
		t.Run(name, func(t *testing.T) {
			node := newFake()
			node.fault = c.err
			s := start(t, node, Options{Addr: func(n topology.NodeID) string { return string(n) + ":6400" }})
			require.Equal(t, "(error) "+c.want, s.dial(t).do("SET", "k", "v"))
		})
	}
}

// Bad input 102: what is under way is answered before the server ends.
func TestTheServerEndsAfterWhatIsUnderWay(t *testing.T) {
	node := newFake()
	node.hold = make(chan struct{})
	s := start(t, node, Options{})
	cl, idle := s.dial(t), s.dial(t)
	require.Equal(t, "PONG", idle.do("PING"))
	cl.send(array("SET", "k", "v") + array("GET", "k"))
	eventually(t, func() bool { return s.counts.groups.Load() == 1 }, "the write is under way")
	ended := make(chan error, 1)
	go func() { ended <- s.stop() }()
	idle.ends()
	close(node.hold)
	require.Equal(t, "OK", cl.answer())
	require.Equal(t, `"v"`, cl.answer())
	cl.ends()
	require.NoError(t, <-ended)
	_, err := net.Dial("tcp", s.addr)
	require.Error(t, err)
}

// What does not end in time is cut off, and its client knows that it can not know.
func TestTheServerEndsThoughACallDoesNot(t *testing.T) {
	node := newFake()
	node.hold = make(chan struct{})
	s := start(t, node, Options{Limits: Limits{DrainTimeout: time.Millisecond}})
	cl := s.dial(t)
	cl.send(array("SET", "k", "v"))
	eventually(t, func() bool { return s.counts.groups.Load() == 1 }, "the write is under way")
	require.NoError(t, s.stop())
}

func TestACallThatTakesTooLongIsUnknown(t *testing.T) {
	node := newFake()
	node.hold = make(chan struct{})
	s := start(t, node, Options{Limits: Limits{CallTimeout: time.Millisecond}})
	require.Contains(t, s.dial(t).do("SET", "k", "v"), "(error) UNKNOWN the outcome is not known")
}

// failing is a listener that fails a few times before it works.
type failing struct {
	net.Listener
	mu    sync.Mutex
	times int
}

func (f *failing) Accept() (net.Conn, error) {
	f.mu.Lock()
	f.times--
	fails := f.times >= 0
	f.mu.Unlock()
	if fails {
		return nil, errors.New("too many open files")
	}
	return f.Listener.Accept()
}

// Bad input 70: an accept that fails is tried again.
func TestServeOutlivesAcceptsThatFail(t *testing.T) {
	s, err := New(newFake(), Options{})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, &failing{Listener: l, times: 2}) }()
	cl := started{addr: l.Addr().String()}.dial(t)
	require.Equal(t, "PONG", cl.do("PING"))
	cancel()
	require.NoError(t, <-done)
}

func TestServeSaysWhyItsListenerIsClosed(t *testing.T) {
	s, err := New(newFake(), Options{})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	require.ErrorIs(t, s.Serve(t.Context(), l), net.ErrClosed)
}

// A command that panics is answered, wherever it runs.
func TestACommandThatPanicsHarmsNobodyElse(t *testing.T) {
	s, err := New(newFake(), Options{})
	require.NoError(t, err)
	s.commands["boom"] = &command{name: "boom", arity: 2, flags: writes, keys: oneKey, decide: func(*request, topology.Sight) error { panic("boom") }}
	s.commands["bang"] = &command{name: "bang", arity: 1, answer: func(context.Context, *conn, *request) error { panic("bang") }}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	at := started{addr: l.Addr().String()}
	cl, other := at.dial(t), at.dial(t)
	cl.send(array("SET", "a", "1") + array("BOOM", "k") + array("GET", "a"))
	require.Equal(t, "OK", cl.answer())
	require.Equal(t, "(error) ERR internal error", cl.answer())
	require.Equal(t, `"1"`, cl.answer())
	cl.send(array("BANG"))
	cl.ends()
	require.Equal(t, `"1"`, other.do("GET", "a"))
	require.Equal(t, uint64(3), s.counts.panics.Load()) // the fake decides twice
	cancel()
	require.NoError(t, <-done)
}

// Bad input 119, 120: no secret and no line of a client's is in the log.
func TestTheLogHoldsNoSecretAndNoForeignLine(t *testing.T) {
	var log lockedBuffer
	s := start(t, newFake(), Options{Password: "s3cr3t-password", Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), Limits: Limits{AuthDelay: time.Microsecond}})
	cl := s.dial(t)
	require.Equal(t, "OK", cl.do("AUTH", "s3cr3t-password"))
	require.NotContains(t, cl.do("CONFIG", "GET", "*"), "s3cr3t")
	require.NotContains(t, cl.do("INFO"), "s3cr3t")
	require.NotContains(t, cl.do("CLIENT", "LIST"), "s3cr3t")
	guess := s.dial(t)
	for range 8 {
		require.NotContains(t, guess.do("AUTH", "s3cr3t-guess"), "s3cr3t")
	}
	guess.ends()
	cl.send("*1\r\n$-1\x1b[31m\nlevel=ERROR forged\r\n")
	cl.answer()
	cl.ends()
	require.NoError(t, s.stop())
	require.NotContains(t, log.String(), "s3cr3t")
	require.NotContains(t, log.String(), "\x1b")
	require.NotContains(t, log.String(), "\nlevel=ERROR forged")
	require.NotEmpty(t, log.String())
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
