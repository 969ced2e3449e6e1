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
		"the store failed":   {&topology.Error{Err: topology.ErrStoreFailed}, "MISCONF the store has failed (not applied)"},
		"too large":          {&topology.Error{Err: topology.ErrTooLarge}, "ERR too large (not applied)"},
		"another leads":      {&topology.Error{Err: topology.ErrNotLeader, Leader: "b"}, "READONLY You can't write against a read only replica. The leader is b at b:6400."},
		"nobody leads":       {&topology.Error{Err: topology.ErrNotLeader}, "READONLY You can't write against a read only replica. No leader is known."},
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
	s.commands["boom"] = &command{name: "boom", arity: 2, flags: writes, keys: oneKey, plan: planGet, show: func(*request) { panic("boom") }}
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
