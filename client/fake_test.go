package client

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/internal/transport"
	"github.com/triad-kv/triad/topology"
)

// fakeNode is a node that answers what a test tells it to.
type fakeNode struct {
	addr  string
	calls atomic.Int64 // of clients
}

// answer is what a fake node says to a call.
type answer func(method string, req []byte) ([]byte, error)

// alone is a membership of one.
type alone struct{ topology.Membership }

func (alone) View() (topology.View, <-chan struct{}) { return topology.View{}, nil }

// serve starts a node that gives every call the same answer.
func serve(t *testing.T, id topology.NodeID, a answer) *fakeNode {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	identity := transport.Ephemeral("triad")
	require.NoError(t, identity.Adopt([16]byte{1}))
	tr, err := transport.New(transport.Config{Self: id, Life: 1, Identity: identity, Listener: l, Membership: alone{}})
	require.NoError(t, err)
	n := &fakeNode{addr: l.Addr().String()}
	for _, m := range []string{
		call.MethodPut, call.MethodDelete, call.MethodBatch, call.MethodGet, call.MethodScan, call.MethodWait,
		call.MethodStatus, call.MethodTables, call.MethodCreate, call.MethodPromote, call.MethodResolve,
	} {
		tr.HandleCall(m, topology.PeerClient, func(_ context.Context, _ topology.Peer, req []byte) ([]byte, error) {
			n.calls.Add(1)
			return a(m, req)
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tr.Run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
	return n
}

// fails answers with an error.
func fails(o topology.Outcome, err error) answer {
	return func(string, []byte) ([]byte, error) {
		return nil, &topology.Error{Node: "x", Outcome: o, Err: err}
	}
}

// redirects answers that the node at addr leads.
func redirects(addr func() string) answer {
	return func(string, []byte) ([]byte, error) {
		return nil, &topology.Error{Node: "f", Err: topology.ErrNotLeader, Leader: "l", Addr: addr()}
	}
}

// accepts answers every write with a receipt, and every read with a value.
func accepts(method string, _ []byte) ([]byte, error) {
	switch method {
	case call.MethodGet:
		r := Reading{Value: []byte("v")}
		return r.Encode(), nil
	case call.MethodPut, call.MethodDelete, call.MethodBatch:
		return call.EncodeReceipt(topology.Receipt{LSN: 7}), nil
	}
	return call.EncodeNothing(), nil
}

// garbles answers with bytes that mean nothing.
func garbles(string, []byte) ([]byte, error) { return []byte("\xdd\xff\xff\xff\xff"), nil }

// dial returns a client of those addresses.
func dial(t *testing.T, o Options, addrs ...string) *Client {
	t.Helper()
	c, err := Dial(addrs, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// nobody returns an address on which nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}
