package client

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

var someDot = version.Dot{Origin: version.Origin{ID: 1, Incarnation: 1}, Seq: 42}

// unknownOnce is a node that does not know what became of the first write.
func unknownOnce(then answer) answer {
	var n atomic.Int64
	return func(method string, req []byte) ([]byte, error) {
		if n.Add(1) == 1 {
			return nil, &topology.Error{Node: "x", Outcome: topology.Unknown, Dot: someDot, Term: 3, Err: topology.ErrUnavailable}
		}
		return then(method, req)
	}
}

func TestANamedWriteIsSentAgainUntilItIsKnown(t *testing.T) {
	for name, o := range map[string]struct {
		opts    []Option
		unnamed bool
		calls   int64
	}{"named by its caller": {[]Option{Request(7, 1)}, true, 2}, "named by the client": {nil, false, 2}, "without": {nil, true, 1}} {
		n := serve(t, "a", unknownOnce(accepts))
		c := dial(t, Options{RetryMin: time.Millisecond, Unnamed: o.unnamed}, n.addr)
		r, err := c.Put(t.Context(), "t", []byte("k"), []byte("v"), o.opts...)
		require.Equal(t, o.calls, n.calls.Load(), name)
		if o.calls == 1 {
			require.Equal(t, topology.Unknown, topology.OutcomeOf(err))
			continue
		}
		require.NoError(t, err)
		require.Equal(t, uint64(7), uint64(r.LSN))
	}
}

// That a retry did not happen does not say that the first did not.
func TestARefusedRetryLeavesTheFirstOpen(t *testing.T) {
	for _, why := range []error{topology.ErrConditionFailed, topology.ErrUnavailable, topology.ErrForgotten} {
		n := serve(t, "a", unknownOnce(fails(topology.NotApplied, why)))
		c := dial(t, Options{RetryMin: time.Millisecond, AttemptsMax: 3}, n.addr)
		_, err := c.Put(t.Context(), "t", []byte("k"), []byte("v"), Request(7, 1))
		require.ErrorIs(t, err, why)
		var e *topology.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, topology.Unknown, e.Outcome)
		require.Equal(t, someDot, e.Dot)
		require.Equal(t, uint64(3), e.Term)
	}
	n := serve(t, "a", fails(topology.NotApplied, topology.ErrConditionFailed))
	c := dial(t, Options{}, n.addr)
	_, err := c.Put(t.Context(), "t", []byte("k"), []byte("v"), Request(7, 1))
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err), "there was no other")
	require.Equal(t, int64(1), n.calls.Load())
}

func TestResolveAsksWhatBecameOfAWrite(t *testing.T) {
	n := serve(t, "a", func(method string, req []byte) ([]byte, error) {
		m, err := call.DecodeAsked(req)
		if err != nil || m != (call.Asked{Dot: someDot, Term: 3}) {
			return nil, &topology.Error{Err: topology.ErrMalformed}
		}
		return call.EncodeResolution(topology.Resolution{Fate: topology.FateApplied, LSN: 42, Term: 3}), nil
	})
	c := dial(t, Options{}, n.addr)
	r, err := c.Resolve(t.Context(), someDot, 3)
	require.NoError(t, err)
	require.Equal(t, topology.Resolution{Fate: topology.FateApplied, LSN: 42, Term: 3}, r)
	_, err = c.Resolve(t.Context(), someDot, 4)
	require.ErrorIs(t, err, topology.ErrMalformed)
}
