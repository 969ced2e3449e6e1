package topologytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

// inOrder makes the orderly end of a stream no error.
func inOrder(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

var streamTests = map[string]func(*testing.T, *transports){
	"messages arrive whole and in order": func(t *testing.T, ts *transports) {
		ts.b.HandleStream("echo", serveEcho)
		s := ts.open(ts.run(), "echo")
		for i := range 200 {
			require.NoError(t, s.Send([]byte(fmt.Sprint("message ", i))))
		}
		for i := range 200 {
			m, err := s.Recv()
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint("message ", i), string(m))
		}
	},
	"a message is the concatenation of its parts": func(t *testing.T, ts *transports) {
		ts.b.HandleStream("echo", serveEcho)
		s := ts.open(ts.run(), "echo")
		large := bytes.Repeat([]byte("z"), 100<<10)
		for _, parts := range [][][]byte{{}, {nil}, {[]byte("a"), nil, []byte("bc")}, {[]byte("head"), large, []byte("tail")}} {
			require.NoError(t, s.Send(parts...))
			m, err := s.Recv()
			require.NoError(t, err)
			require.True(t, bytes.Equal(bytes.Join(parts, nil), m))
		}
	},
	"messages of all sizes arrive": func(t *testing.T, ts *transports) {
		ts.b.HandleStream("echo", serveEcho)
		s := ts.open(ts.run(), "echo")
		for _, size := range []int{0, 1, 4 << 10, 64<<10 - 1, 64 << 10, 256<<10 + 1, 1 << 20, 3, 16 << 20, 5} {
			sent := bytes.Repeat([]byte("0123456789abc"), size/13+1)[:size]
			done := make(chan error, 1)
			go func() { done <- s.Send(sent) }()
			m, err := s.Recv()
			require.NoError(t, err)
			require.True(t, bytes.Equal(sent, m), "%d bytes", size)
			require.NoError(t, <-done)
		}
	},
	"what was sent may be used again": func(t *testing.T, ts *transports) {
		ts.b.HandleStream("echo", serveEcho)
		s, buf := ts.open(ts.run(), "echo"), make([]byte, 100)
		for i := range 100 {
			buf[0] = byte(i)
			require.NoError(t, s.Send(buf))
		}
		for i := range 100 {
			m, err := s.Recv()
			require.NoError(t, err)
			require.Equal(t, byte(i), m[0])
		}
	},
	"one sends while another receives": func(t *testing.T, ts *transports) {
		ts.b.HandleStream("echo", serveEcho)
		s, sent := ts.open(ts.run(), "echo"), make(chan error, 1)
		go func() {
			var err error
			for range 500 {
				err = errors.Join(err, s.Send(make([]byte, 10<<10)))
			}
			sent <- err
		}()
		for range 500 {
			m, err := s.Recv()
			require.NoError(t, err)
			require.Len(t, m, 10<<10)
		}
		require.NoError(t, receive(t, sent, "Send"))
	},
	"both ends know each other": func(t *testing.T, ts *transports) {
		from := make(chan topology.Peer, 1)
		ts.b.HandleStream("who", func(_ context.Context, s topology.Stream) error {
			from <- s.Peer()
			return nil
		})
		s := ts.open(ts.run(), "who")
		require.Equal(t, topology.NodeID("b"), s.Peer().ID)
		p := receive(t, from, "the handler")
		require.Equal(t, topology.NodeID("a"), p.ID)
		require.Equal(t, topology.PeerNode, p.Role)
		require.NotZero(t, p.Life)
	},
	"a protocol that nobody serves is refused": func(t *testing.T, ts *transports) {
		_, err := ts.a.Open(ts.run(), "b", "nothing")
		ts.requireOutcome(err, topology.ErrUnsupported, topology.NotApplied)
	},
	"a stream to a node that is no member is refused": func(t *testing.T, ts *transports) {
		_, err := ts.a.Open(ts.run(), "stranger", "echo")
		ts.requireOutcome(err, topology.ErrUnavailable, topology.NotApplied)
	},
	"a stream that is not read does not hinder calls": func(t *testing.T, ts *transports) {
		ts.b.HandleCall("echo", topology.PeerNode, answerEcho)
		ts.b.HandleStream("deaf", func(ctx context.Context, _ topology.Stream) error {
			<-ctx.Done()
			return nil
		})
		ctx := ts.run()
		s, stuck := ts.open(ctx, "deaf"), make(chan error, 1)
		go func() {
			var err error
			for err == nil {
				err = s.Send(make([]byte, 64<<10))
			}
			stuck <- err
		}()
		for range 100 {
			_, err := ts.a.Call(ctx, "b", "echo", nil)
			require.NoError(t, err)
		}
		require.NoError(t, s.Close())
		require.Error(t, receive(t, stuck, "Send"))
	},
}

var endTests = map[string]func(*testing.T, *transports){
	"who closes in order is io.EOF to the other side, behind what was sent": func(t *testing.T, ts *transports) {
		got, ends := make(chan string, 1), make(chan error, 1)
		ts.b.HandleStream("sink", func(_ context.Context, s topology.Stream) error {
			m, err := s.Recv()
			got <- string(m)
			if err == nil {
				_, err = s.Recv()
			}
			ends <- err
			return nil
		})
		s := ts.open(ts.run(), "sink")
		require.NoError(t, s.Send([]byte("last words")))
		require.NoError(t, s.Close())
		require.Equal(t, "last words", receive(t, got, "the message"))
		require.Equal(t, io.EOF, receive(t, ends, "the end"))
	},
	"a handler that returns ends the stream in order, even with messages unread": func(t *testing.T, ts *transports) {
		ts.b.HandleStream("short", func(_ context.Context, s topology.Stream) error {
			if _, err := s.Recv(); err != nil {
				return err
			}
			return s.Send([]byte("enough"))
		})
		s := ts.open(ts.run(), "short")
		for range 10 {
			_ = s.Send([]byte("more")) // the last ones may find the stream ended
		}
		m, err := s.Recv()
		require.NoError(t, err)
		require.Equal(t, "enough", string(m))
		_, err = s.Recv()
		require.Equal(t, io.EOF, err)
		_, err = s.Recv()
		require.Equal(t, io.EOF, err, "and it stays so")
	},
	"a handler's error is what the other side receives": func(t *testing.T, ts *transports) {
		sent := &topology.Error{Op: "follow", Node: "b", Outcome: topology.NotApplied, Leader: "c", Err: topology.ErrNotLeader}
		ts.b.HandleStream("log", func(context.Context, topology.Stream) error { return sent })
		_, err := ts.open(ts.run(), "log").Recv()
		var got *topology.Error
		require.ErrorAs(t, err, &got)
		require.Equal(t, sent, got)
	},
	"Close unblocks Recv, and what follows fails": func(t *testing.T, ts *transports) {
		ts.b.HandleStream("echo", serveEcho)
		s, got := ts.open(ts.run(), "echo"), make(chan error, 1)
		go func() {
			_, err := s.Recv()
			got <- err
		}()
		require.NoError(t, s.Close())
		require.ErrorIs(t, receive(t, got, "Recv"), topology.ErrClosed)
		_, err := s.Recv()
		require.ErrorIs(t, err, topology.ErrClosed)
		ts.requireOutcome(s.Send([]byte("x")), topology.ErrClosed, topology.NotApplied)
		require.NoError(t, s.Close(), "twice is once")
	},
	"calls that wait when a node ends are unknown": func(t *testing.T, ts *transports) {
		begun := make(chan struct{})
		ts.b.HandleCall("slow", topology.PeerNode, func(ctx context.Context, _ topology.Peer, _ []byte) ([]byte, error) {
			close(begun)
			<-ctx.Done()
			return nil, ctx.Err()
		})
		ctx, result := ts.run(), make(chan error, 1)
		go func() {
			_, err := ts.a.Call(ctx, "b", "slow", nil)
			result <- err
		}()
		receive(t, begun, "the handler")
		ts.stop(ts.b)
		require.Equal(t, topology.Unknown, topology.OutcomeOf(receive(t, result, "the call")))
	},
	"a stream ends when a node does": func(t *testing.T, ts *transports) {
		ts.b.HandleStream("deaf", func(ctx context.Context, _ topology.Stream) error {
			<-ctx.Done()
			return nil
		})
		s := ts.open(ts.run(), "deaf")
		ts.stop(ts.b)
		_, err := s.Recv()
		require.Error(t, err)
	},
	"Run waits for its handlers": func(t *testing.T, ts *transports) {
		begun, over := make(chan struct{}), make(chan struct{})
		ts.b.HandleCall("slow", topology.PeerNode, func(ctx context.Context, _ topology.Peer, _ []byte) ([]byte, error) {
			close(begun)
			<-ctx.Done()
			close(over)
			return nil, nil
		})
		ctx := ts.run()
		go func() { _, _ = ts.a.Call(ctx, "b", "slow", nil) }()
		receive(t, begun, "the handler")
		ts.stop(ts.b)
		select {
		case <-over:
		default:
			require.Fail(t, "Run returned before its handler")
		}
	},
	"after Run nothing is sent": func(t *testing.T, ts *transports) {
		ctx := ts.run()
		_, _ = ts.a.Call(ctx, "b", "echo", nil) // a runs now
		ts.stop(ts.a)
		_, err := ts.a.Call(ctx, "b", "echo", nil)
		ts.requireOutcome(err, topology.ErrClosed, topology.NotApplied)
		_, err = ts.a.Open(ctx, "b", "echo")
		ts.requireOutcome(err, topology.ErrClosed, topology.NotApplied)
	},
}
