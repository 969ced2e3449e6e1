package topologytest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

// Transports are what TestTransport examines: nodes of one cluster that know
// each other, and a client that knows them. None runs yet.
type Transports struct {
	Nodes  map[topology.NodeID]topology.Transport
	Client topology.Transport
}

// TestTransport examines an implementation of topology.Transport. open makes
// fresh transports for the nodes with the given ids, and a client.
func TestTransport(t *testing.T, open func(t *testing.T, ids ...topology.NodeID) Transports) {
	for _, group := range []map[string]func(*testing.T, *transports){callTests, errorTests, clientTests, streamTests, endTests} {
		for name, test := range group {
			t.Run(name, func(t *testing.T) {
				ts := open(t, "a", "b")
				test(t, &transports{t: t, a: ts.Nodes["a"], b: ts.Nodes["b"], client: ts.Client, stops: map[topology.Transport]func(){}})
			})
		}
	}
}

// transportPatience is how long a test of a transport waits before it fails.
const transportPatience = 10 * time.Second

// transports are two nodes and a client during one test.
type transports struct {
	t            *testing.T
	a, b, client topology.Transport
	stops        map[topology.Transport]func()
}

// run runs all three until the test ends, or stop.
func (ts *transports) run() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), transportPatience)
	for _, tr := range []topology.Transport{ts.a, ts.b, ts.client} {
		running, end := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- tr.Run(running) }()
		stopped := false
		ts.stops[tr] = func() {
			end()
			if !stopped {
				stopped = true
				require.NoError(ts.t, <-ended, "Run returns nil when its context ends")
			}
		}
	}
	ts.t.Cleanup(func() {
		for _, stop := range ts.stops {
			stop()
		}
		cancel()
	})
	return ctx
}

func (ts *transports) stop(tr topology.Transport) { ts.stops[tr]() }

// open opens a stream from a to b.
func (ts *transports) open(ctx context.Context, protocol string) topology.Stream {
	ts.t.Helper()
	s, err := ts.a.Open(ctx, "b", protocol)
	require.NoError(ts.t, err)
	ts.t.Cleanup(func() { require.NoError(ts.t, s.Close()) })
	return s
}

// requireOutcome wants an *Error with that ground and outcome.
func (ts *transports) requireOutcome(err error, ground error, o topology.Outcome) {
	ts.t.Helper()
	require.ErrorIs(ts.t, err, ground)
	var e *topology.Error
	require.ErrorAs(ts.t, err, &e)
	require.Equal(ts.t, o, e.Outcome, "outcome of: %v", err)
}

// receive waits for a value.
func receive[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(transportPatience):
		require.FailNow(t, "waited in vain for "+what)
	}
	var none T
	return none
}

func answerEcho(_ context.Context, _ topology.Peer, req []byte) ([]byte, error) { return req, nil }

func serveEcho(_ context.Context, s topology.Stream) error {
	for {
		m, err := s.Recv()
		if err != nil {
			return inOrder(err)
		}
		if err := s.Send(m); err != nil {
			return err
		}
	}
}
