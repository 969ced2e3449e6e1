package client

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/internal/transport"
	"github.com/triad-kv/triad/topology"
)

// reader is what a fake node says to a read and a write, and how often it was asked.
type reader struct {
	answer func(ctx context.Context) error // nil: it answers
	calls  atomic.Int64
	looked atomic.Int64                     // how often it was asked for the members
	leads  *atomic.Pointer[topology.NodeID] // who leads, as all of them say; a term for each change
}

// lead makes another of the nodes the leader of the next term.
func (r *reader) lead(id topology.NodeID) { r.leads.Store(&id) }

// hangs answers nothing for as long as it is asked.
func hangs(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// says answers with a failure.
func says(err error) func(context.Context) error {
	return func(context.Context) error { return &topology.Error{Node: "x", Err: err} }
}

// readers are nodes a, b, … that know one another, of which the first leads.
func readers(t *testing.T, rs ...*reader) (addrs []string) {
	t.Helper()
	listeners := make([]net.Listener, len(rs))
	known, leads := call.Members{Leader: "a", Term: 1}, &atomic.Pointer[topology.NodeID]{}
	for i := range rs {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		listeners[i], addrs = l, append(addrs, l.Addr().String())
		role := topology.RoleFollower
		if i == 0 {
			role = topology.RoleLeader
		}
		known.All = append(known.All, call.Member{ID: topology.NodeID(rune('a' + i)), Addr: addrs[i], Role: role})
	}
	for i, r := range rs {
		identity := transport.Ephemeral("triad")
		require.NoError(t, identity.Adopt([16]byte{1}))
		self := known
		self.Self = known.All[i].ID
		tr, err := transport.New(transport.Config{Self: self.Self, Life: 1, Identity: identity, Listener: listeners[i], Membership: alone{}})
		require.NoError(t, err)
		r.leads = leads
		tr.HandleCall(call.MethodMembers, topology.PeerClient, func(context.Context, topology.Peer, []byte) ([]byte, error) {
			r.looked.Add(1)
			m := self
			if id := leads.Load(); id != nil {
				m.Leader, m.Term = *id, 2
			}
			return m.Encode(), nil
		})
		tr.HandleCall(call.MethodPut, topology.PeerClient, func(ctx context.Context, _ topology.Peer, _ []byte) ([]byte, error) {
			r.calls.Add(1)
			if r.answer != nil {
				if err := r.answer(ctx); err != nil {
					return nil, err
				}
			}
			return call.EncodeReceipt(topology.Receipt{LSN: 7, Durable: []topology.NodeID{self.Self}}), nil
		})
		tr.HandleCall(call.MethodGet, topology.PeerClient, func(ctx context.Context, _ topology.Peer, _ []byte) ([]byte, error) {
			r.calls.Add(1)
			if r.answer != nil {
				if err := r.answer(ctx); err != nil {
					return nil, err
				}
			}
			v := Reading{Value: []byte("v"), Served: self.Self}
			return v.Encode(), nil
		})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- tr.Run(ctx) }()
		t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
	}
	return addrs
}

// by returns what reads by a routing, once the client knows all nodes.
func by(t *testing.T, r Routing, addrs []string) Reader {
	t.Helper()
	c := dial(t, Options{RetryMin: time.Millisecond, RetryMax: 5 * time.Millisecond, RefreshEvery: time.Hour}, addrs[0])
	_, err := c.Members(t.Context())
	require.NoError(t, err)
	made, err := c.ReaderBy(r)
	require.NoError(t, err)
	return made
}

func TestANodeThatHangsIsLeftForAnother(t *testing.T) {
	for _, route := range []Route{RouteUsual, RouteLeader, RouteRoundRobin, RouteLeastLag, RouteNearest, RouteSticky} {
		t.Run(route.String(), func(t *testing.T) {
			t.Parallel()
			rs := []*reader{{answer: hangs}, {}, {}}
			// Long enough for a busy machine: who answers must not be taken for one that hangs.
			r := by(t, Routing{Route: route, NodeWait: time.Second}, readers(t, rs...))
			for range 6 {
				got, err := r.Get(t.Context(), "t", []byte("k"))
				require.NoError(t, err)
				require.NotEqual(t, topology.NodeID("a"), got.Served)
			}
			require.LessOrEqual(t, rs[0].calls.Load(), int64(6))
		})
	}
}

// A node is told how long it is waited for, and may say that this is over before the one
// who waits has noticed.
func TestANodeThatGivesUpFirstIsLeftForAnother(t *testing.T) {
	for _, route := range []Route{RouteUsual, RouteLeader} {
		t.Run(route.String(), func(t *testing.T) {
			rs := []*reader{{answer: says(topology.ErrTimeout)}, {}}
			got, err := by(t, Routing{Route: route, NodeWait: time.Hour}, readers(t, rs...)).Get(t.Context(), "t", []byte("k"))
			require.NoError(t, err)
			require.Equal(t, topology.NodeID("b"), got.Served)
		})
	}
}

func TestTheOnlyNodeIsWaitedForAsLongAsTheCallerDoes(t *testing.T) {
	rs := []*reader{{answer: hangs}}
	for _, route := range []Route{RouteUsual, RouteLeader} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err := by(t, Routing{Route: route, NodeWait: time.Millisecond}, readers(t, rs...)).Get(ctx, "t", []byte("k"))
		cancel()
		require.ErrorIs(t, err, topology.ErrTimeout)
	}
	require.Equal(t, int64(2), rs[0].calls.Load(), "each was sent once")
}

func TestAReadThatHangsEverywhereEnds(t *testing.T) {
	rs := []*reader{{answer: hangs}, {answer: hangs}}
	_, err := by(t, Routing{Route: RouteRoundRobin, NodeWait: time.Millisecond}, readers(t, rs...)).Get(t.Context(), "t", []byte("k"))
	require.ErrorIs(t, err, topology.ErrTimeout)
}

func TestAnAnswerThatHoldsEverywhereEndsTheOtherCall(t *testing.T) {
	asked := make(chan struct{})
	for name, order := range map[string][]*reader{
		"of the first": {
			{answer: func(ctx context.Context) error { <-asked; return says(topology.ErrNoTable)(ctx) }},
			{answer: func(ctx context.Context) error { close(asked); return hangs(ctx) }},
		},
		"of the second": {{answer: hangs}, {answer: says(topology.ErrNoTable)}},
	} {
		t.Run(name, func(t *testing.T) {
			r := by(t, Routing{Route: RouteLeader, NodeWait: time.Hour, Hedge: Hedge{Percent: 100, After: 1}}, readers(t, order...))
			_, err := r.Get(t.Context(), "t", []byte("k"))
			require.ErrorIs(t, err, topology.ErrNoTable)
		})
	}
}

func TestASlowReadWhoseHedgeIsRefusedIsMeasured(t *testing.T) {
	r := by(t, Routing{Route: RouteLeader, Hedge: Hedge{Percent: 1}}, readers(t, &reader{}, &reader{}))
	h := r.r.hedging
	for range latenciesMin {
		h.measure(1) // what comes is slower than that, and there is no budget
	}
	for range 5 {
		_, err := r.Get(t.Context(), "t", []byte("k"))
		require.NoError(t, err)
	}
	require.Equal(t, latenciesMin+5, h.count)
	require.Greater(t, h.recent[latenciesMin], time.Duration(1))
}

func TestAReadEarnsItsShareOnceHoweverOftenItIsSent(t *testing.T) {
	r := by(t, Routing{Route: RouteLeader, Hedge: Hedge{Percent: 7}}, readers(t, &reader{answer: says(topology.ErrUnavailable)}))
	_, err := r.Get(t.Context(), "t", []byte("k"))
	require.ErrorIs(t, err, topology.ErrUnavailable)
	require.Equal(t, 7, r.r.hedging.credit)
}
