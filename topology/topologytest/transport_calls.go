package topologytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

var callTests = map[string]func(*testing.T, *transports){
	"a call returns its handler's answer": func(t *testing.T, ts *transports) {
		ts.b.HandleCall("echo", topology.PeerNode, answerEcho)
		got, err := ts.a.Call(ts.run(), "b", "echo", []byte("hello"))
		require.NoError(t, err)
		require.Equal(t, "hello", string(got))
	},
	"an empty request and answer are fine": func(t *testing.T, ts *transports) {
		ts.b.HandleCall("echo", topology.PeerNode, answerEcho)
		got, err := ts.a.Call(ts.run(), "b", "echo", nil)
		require.NoError(t, err)
		require.Empty(t, got)
	},
	"an answer is the caller's": func(t *testing.T, ts *transports) {
		ts.b.HandleCall("echo", topology.PeerNode, answerEcho)
		ctx := ts.run()
		for _, size := range []int{10, 1 << 20} {
			first, err := ts.a.Call(ctx, "b", "echo", bytes.Repeat([]byte("x"), size))
			require.NoError(t, err)
			_, err = ts.a.Call(ctx, "b", "echo", bytes.Repeat([]byte("y"), size))
			require.NoError(t, err)
			require.Equal(t, bytes.Repeat([]byte("x"), size), first)
		}
	},
	"a request may be used again once Call has returned": func(t *testing.T, ts *transports) {
		ts.b.HandleCall("echo", topology.PeerNode, answerEcho)
		ctx, req := ts.run(), make([]byte, 100)
		for i := range 100 {
			req[0] = byte(i)
			got, err := ts.a.Call(ctx, "b", "echo", req)
			require.NoError(t, err)
			require.Equal(t, byte(i), got[0])
		}
	},
	"large requests and answers arrive whole": func(t *testing.T, ts *transports) {
		ts.b.HandleCall("echo", topology.PeerNode, answerEcho)
		ctx := ts.run()
		for _, size := range []int{4 << 10, 64 << 10, 1<<20 + 1, 4 << 20} {
			req := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
			got, err := ts.a.Call(ctx, "b", "echo", req)
			require.NoError(t, err)
			require.True(t, bytes.Equal(req, got), "%d bytes", size)
		}
	},
	"a handler knows who calls": func(t *testing.T, ts *transports) {
		from := make(chan topology.Peer, 1)
		ts.b.HandleCall("who", topology.PeerNode, func(_ context.Context, p topology.Peer, _ []byte) ([]byte, error) {
			from <- p
			return nil, nil
		})
		_, err := ts.a.Call(ts.run(), "b", "who", nil)
		require.NoError(t, err)
		p := <-from
		require.Equal(t, topology.NodeID("a"), p.ID)
		require.Equal(t, topology.PeerNode, p.Role)
		require.NotZero(t, p.Life)
		require.NotEmpty(t, p.Addr)
	},
	"calls at the same time each get their own answer": func(t *testing.T, ts *transports) {
		ts.b.HandleCall("echo", topology.PeerNode, answerEcho)
		ctx := ts.run()
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				for j := range 50 {
					req := fmt.Sprint(i, j)
					got, err := ts.a.Call(ctx, "b", "echo", []byte(req))
					if err != nil || string(got) != req {
						t.Errorf("asked %q, got %q, %v", req, got, err)
						return
					}
				}
			})
		}
		all.Wait()
	},
	"a call does not wait for one before it": func(t *testing.T, ts *transports) {
		release := make(chan struct{})
		ts.b.HandleCall("slow", topology.PeerNode, func(ctx context.Context, _ topology.Peer, req []byte) ([]byte, error) {
			select {
			case <-release:
			case <-ctx.Done():
			}
			return nil, nil
		})
		ts.b.HandleCall("echo", topology.PeerNode, answerEcho)
		ctx, slow := ts.run(), make(chan error, 1)
		go func() {
			_, err := ts.a.Call(ctx, "b", "slow", nil)
			slow <- err
		}()
		_, err := ts.a.Call(ctx, "b", "echo", nil)
		require.NoError(t, err)
		close(release)
		require.NoError(t, receive(t, slow, "the slow call"))
	},
	"a handler may call back": func(t *testing.T, ts *transports) {
		ts.a.HandleCall("echo", topology.PeerNode, answerEcho)
		ts.b.HandleCall("ask", topology.PeerNode, func(ctx context.Context, p topology.Peer, req []byte) ([]byte, error) {
			return ts.b.Call(ctx, p.ID, "echo", req)
		})
		got, err := ts.a.Call(ts.run(), "b", "ask", []byte("there and back"))
		require.NoError(t, err)
		require.Equal(t, "there and back", string(got))
	},
}

var errorTests = map[string]func(*testing.T, *transports){
	"an Error of a handler arrives as one": func(t *testing.T, ts *transports) {
		sent := &topology.Error{Op: "put", Node: "b", Table: "t", Key: []byte("k"), Outcome: topology.NotApplied, Leader: "c", Addr: "c:1", Err: topology.ErrNotLeader}
		ts.b.HandleCall("put", topology.PeerNode, func(context.Context, topology.Peer, []byte) ([]byte, error) { return nil, sent })
		_, err := ts.a.Call(ts.run(), "b", "put", nil)
		var got *topology.Error
		require.ErrorAs(t, err, &got)
		require.Equal(t, sent, got)
	},
	"an error without an outcome arrives as unknown": func(t *testing.T, ts *transports) {
		ts.b.HandleCall("put", topology.PeerNode, func(context.Context, topology.Peer, []byte) ([]byte, error) {
			return nil, errors.New("something broke")
		})
		_, err := ts.a.Call(ts.run(), "b", "put", nil)
		require.ErrorContains(t, err, "something broke")
		require.Equal(t, topology.Unknown, topology.OutcomeOf(err))
	},
	"a method that nobody answers was not applied": func(t *testing.T, ts *transports) {
		_, err := ts.a.Call(ts.run(), "b", "nothing", nil)
		ts.requireOutcome(err, topology.ErrUnsupported, topology.NotApplied)
	},
	"a call to a node that is no member was not applied": func(t *testing.T, ts *transports) {
		_, err := ts.a.Call(ts.run(), "stranger", "echo", nil)
		ts.requireOutcome(err, topology.ErrUnavailable, topology.NotApplied)
	},
	"a call whose context had ended was not applied": func(t *testing.T, ts *transports) {
		ts.b.HandleCall("echo", topology.PeerNode, answerEcho)
		ctx := ts.run()
		_, err := ts.a.Call(ctx, "b", "echo", nil)
		require.NoError(t, err)
		over, cancel := context.WithCancel(ctx)
		cancel()
		_, err = ts.a.Call(over, "b", "echo", nil)
		ts.requireOutcome(err, topology.ErrTimeout, topology.NotApplied)
	},
	"a call whose context ends in the middle is unknown": func(t *testing.T, ts *transports) {
		begun := make(chan struct{})
		ts.b.HandleCall("slow", topology.PeerNode, func(ctx context.Context, _ topology.Peer, req []byte) ([]byte, error) {
			close(begun)
			<-ctx.Done()
			return nil, nil
		})
		ctx, cancel := context.WithCancel(ts.run())
		result := make(chan error, 1)
		go func() {
			_, err := ts.a.Call(ctx, "b", "slow", nil)
			result <- err
		}()
		receive(t, begun, "the handler")
		cancel()
		ts.requireOutcome(receive(t, result, "the call"), topology.ErrTimeout, topology.Unknown)
	},
}

var clientTests = map[string]func(*testing.T, *transports){
	"a client calls what clients may": func(t *testing.T, ts *transports) {
		from := make(chan topology.Peer, 1)
		ts.b.HandleCall("get", topology.PeerNode|topology.PeerClient, func(_ context.Context, p topology.Peer, req []byte) ([]byte, error) {
			from <- p
			return req, nil
		})
		got, err := ts.client.Call(ts.run(), "b", "get", []byte("k"))
		require.NoError(t, err)
		require.Equal(t, "k", string(got))
		p := <-from
		require.Equal(t, topology.PeerClient, p.Role)
		require.Zero(t, p.Life)
	},
	"a client does not call what nodes may": func(t *testing.T, ts *transports) {
		ts.b.HandleCall("vote", topology.PeerNode, answerEcho)
		_, err := ts.client.Call(ts.run(), "b", "vote", nil)
		ts.requireOutcome(err, topology.ErrDenied, topology.NotApplied)
	},
	"a client opens no streams": func(t *testing.T, ts *transports) {
		ts.b.HandleStream("log", serveEcho)
		_, err := ts.client.Open(ts.run(), "b", "log")
		ts.requireOutcome(err, topology.ErrDenied, topology.NotApplied)
	},
}
