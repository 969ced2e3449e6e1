package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	key, value = []byte("k"), []byte("v")
	brief      = Options{RetryMin: time.Microsecond, RetryMax: time.Millisecond}
)

func TestAWriteFollowsTheLeader(t *testing.T) {
	leader := serve(t, "l", accepts)
	follower := serve(t, "f", redirects(func() string { return leader.addr }))
	c := dial(t, brief, follower.addr)
	r, err := c.Put(t.Context(), "default", key, value)
	require.NoError(t, err)
	require.Equal(t, record.LSN(7), r.LSN)
	_, err = c.Put(t.Context(), "default", key, value)
	require.NoError(t, err)
	require.Equal(t, int64(1), follower.calls.Load(), "the leader is remembered")
	require.Equal(t, int64(2), leader.calls.Load())
}

func TestALoopOfRedirectsEnds(t *testing.T) {
	var a, b *fakeNode
	a = serve(t, "a", redirects(func() string { return b.addr }))
	b = serve(t, "b", redirects(func() string { return a.addr }))
	c := dial(t, Options{RedirectsMax: 3, RetryMin: time.Microsecond}, a.addr)
	_, err := c.Put(t.Context(), "default", key, value)
	require.ErrorIs(t, err, topology.ErrNotLeader)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	require.Equal(t, int64(4), a.calls.Load()+b.calls.Load())
}

func TestANodeThatNamesItselfIsPassedOver(t *testing.T) {
	var confused *fakeNode
	confused = serve(t, "a", redirects(func() string { return confused.addr }))
	leader := serve(t, "l", accepts)
	c := dial(t, brief, confused.addr, leader.addr)
	_, err := c.Put(t.Context(), "default", key, value)
	require.NoError(t, err)
}

func TestANodeThatIsAwayIsPassedOver(t *testing.T) {
	leader := serve(t, "l", accepts)
	c := dial(t, brief, nobody(t), leader.addr)
	_, err := c.Put(t.Context(), "default", key, value)
	require.NoError(t, err)
}

func TestAttemptsEnd(t *testing.T) {
	n := serve(t, "a", fails(topology.NotApplied, topology.ErrUnavailable))
	c := dial(t, Options{AttemptsMax: 5, RetryMin: time.Microsecond}, n.addr)
	_, err := c.Put(t.Context(), "default", key, value)
	require.ErrorIs(t, err, topology.ErrUnavailable)
	require.Equal(t, int64(5), n.calls.Load())
}

func TestOnlyWhatWasNotAppliedIsSentAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		outcome topology.Outcome
		err     error
		writes  int64 // how often a write is sent
		reads   int64
	}{
		"unknown":                   {topology.Unknown, topology.ErrUnavailable, 1, 3},
		"a time-out":                {topology.Unknown, topology.ErrTimeout, 1, 1},
		"overloaded":                {topology.NotApplied, topology.ErrOverloaded, 3, 3},
		"a leader that is unknown":  {topology.NotApplied, topology.ErrNotLeader, 3, 3},
		"a failed node":             {topology.NotApplied, topology.ErrFailed, 3, 3},
		"a condition":               {topology.NotApplied, topology.ErrConditionFailed, 1, 1},
		"nothing there":             {topology.NotApplied, topology.ErrNotFound, 1, 1},
		"no such table":             {topology.NotApplied, topology.ErrNoTable, 1, 1},
		"what is not supported":     {topology.NotApplied, topology.ErrUnsupported, 1, 1},
		"a full disk, and unknown":  {topology.Unknown, topology.ErrDiskFull, 1, 1},
		"an error of another world": {topology.Unknown, fmt.Errorf("strange"), 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			n := serve(t, "a", fails(tc.outcome, tc.err))
			c := dial(t, Options{Unnamed: true, AttemptsMax: 3, RetryMin: time.Microsecond}, n.addr)
			_, err := c.Put(t.Context(), "users", key, value)
			require.Error(t, err)
			require.Equal(t, tc.outcome, topology.OutcomeOf(err))
			require.Equal(t, tc.writes, n.calls.Load())
			var e *topology.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, "put", e.Op)
			require.Equal(t, "users", e.Table)
			require.Equal(t, key, e.Key)
			require.Equal(t, topology.NodeID("x"), e.Node)
			n.calls.Store(0)
			_, err = c.Get(t.Context(), "users", key)
			require.Error(t, err)
			require.Equal(t, tc.reads, n.calls.Load())
		})
	}
}

func TestACallToOneNodeIsSentUntilItIsReached(t *testing.T) {
	c := dial(t, Options{AttemptsMax: 3, RetryMin: time.Microsecond}, "given:1")
	_, err := c.StatusOf(t.Context(), nobody(t))
	require.ErrorIs(t, err, topology.ErrUnavailable)

	refuses := serve(t, "a", fails(topology.NotApplied, topology.ErrUnavailable))
	_, err = c.Promote(t.Context(), refuses.addr, false)
	require.ErrorIs(t, err, topology.ErrUnavailable)
	require.Equal(t, int64(1), refuses.calls.Load(), "a refusal is an answer")
	require.Equal(t, "given:1", c.addrs.first())
}

func TestAnAnswerThatMeansNothingIsMalformed(t *testing.T) {
	n := serve(t, "a", garbles)
	c := dial(t, brief, n.addr)
	_, err := c.Put(t.Context(), "default", key, value)
	require.ErrorIs(t, err, topology.ErrMalformed)
	require.Equal(t, topology.Unknown, topology.OutcomeOf(err), "the node may have done it")
	_, err = c.Get(t.Context(), "default", key)
	require.ErrorIs(t, err, topology.ErrMalformed)
	for _, err := range c.Scan(t.Context(), "default", nil, nil) {
		require.ErrorIs(t, err, topology.ErrMalformed)
	}
	_, err = c.Status(t.Context())
	require.ErrorIs(t, err, topology.ErrMalformed)
	_, err = c.Tables(t.Context())
	require.ErrorIs(t, err, topology.ErrMalformed)
	require.ErrorIs(t, c.Wait(t.Context(), topology.Token{}), topology.ErrMalformed)
	require.ErrorIs(t, c.CreateTable(t.Context(), Table{Name: "t"}), topology.ErrMalformed)
	_, err = c.Promote(t.Context(), n.addr, false)
	require.ErrorIs(t, err, topology.ErrMalformed)
}

func TestAScanThatNeverEndsIsMalformed(t *testing.T) {
	n := serve(t, "a", func(string, []byte) ([]byte, error) {
		p := call.Page{More: true}
		return p.Encode(), nil
	})
	c := dial(t, brief, n.addr)
	for _, err := range c.Scan(t.Context(), "default", nil, nil) {
		require.ErrorIs(t, err, topology.ErrMalformed)
	}
}

func TestAnOptionThatDoesNotFitIsNotSent(t *testing.T) {
	n := serve(t, "a", accepts)
	c := dial(t, brief, n.addr)
	_, err := c.Put(t.Context(), "default", key, value, Linearizable())
	require.ErrorIs(t, err, topology.ErrUnsupported)
	_, err = c.Get(t.Context(), "default", key, IfAbsent())
	require.ErrorIs(t, err, topology.ErrUnsupported)
	_, err = c.Batch(t.Context(), NewBatch().Delete("default", key), IfValue(value))
	require.ErrorIs(t, err, topology.ErrUnsupported)
	for _, err := range c.Scan(t.Context(), "default", nil, nil, MaxLag(0)) {
		require.ErrorIs(t, err, topology.ErrUnsupported)
	}
	require.Zero(t, n.calls.Load())
}

func TestWhatIsTooLargeIsNotSent(t *testing.T) {
	n := serve(t, "a", accepts)
	c := dial(t, brief, n.addr)
	long := bytes.Repeat([]byte("k"), record.KeyBytesMax+1)
	_, err := c.Put(t.Context(), "default", long, value)
	require.ErrorIs(t, err, topology.ErrTooLarge)
	_, err = c.Get(t.Context(), "default", long)
	require.ErrorIs(t, err, topology.ErrTooLarge)
	_, err = c.Put(t.Context(), "default", key, make([]byte, record.ValueBytesMax+1))
	require.ErrorIs(t, err, topology.ErrTooLarge)
	_, err = c.Put(t.Context(), "default", nil, value)
	require.ErrorIs(t, err, topology.ErrMalformed)
	for _, err := range c.Scan(t.Context(), "default", append(long, 0), nil) {
		require.ErrorIs(t, err, topology.ErrTooLarge)
	}
	require.Zero(t, n.calls.Load())
}

func TestACallEndsWithItsContext(t *testing.T) {
	n := serve(t, "a", fails(topology.NotApplied, topology.ErrUnavailable))
	c := dial(t, Options{RetryMin: time.Hour, RetryMax: time.Hour}, n.addr)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := c.Put(ctx, "default", key, value); done <- err }()
	require.Eventually(t, func() bool { return n.calls.Load() == 1 }, 10*time.Second, time.Millisecond)
	cancel()
	err := <-done // of the pause, or of the answer if that had not arrived
	require.True(t, errors.Is(err, topology.ErrUnavailable) || errors.Is(err, topology.ErrTimeout), err)

	_, err = c.Put(ctx, "default", key, value)
	require.ErrorIs(t, err, topology.ErrTimeout)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	require.Equal(t, int64(1), n.calls.Load())
}

func TestCloseEndsTheCallsThatWait(t *testing.T) {
	n := serve(t, "a", fails(topology.NotApplied, topology.ErrUnavailable))
	c := dial(t, Options{RetryMin: time.Hour, RetryMax: time.Hour}, n.addr)
	done := make(chan error, 1)
	go func() { _, err := c.Get(context.Background(), "default", key); done <- err }()
	require.Eventually(t, func() bool { return n.calls.Load() == 1 }, 10*time.Second, time.Millisecond)
	require.NoError(t, c.Close())
	err := <-done // in the pause, or before the answer
	require.True(t, errors.Is(err, topology.ErrUnavailable) || errors.Is(err, topology.ErrClosed), err)
	_, err = c.Get(t.Context(), "default", key)
	require.ErrorIs(t, err, topology.ErrClosed)
}

func TestDialRefusesWhatItCannotUse(t *testing.T) {
	for name, tc := range map[string]struct {
		addrs   []string
		options Options
	}{
		"no address":           {nil, Options{}},
		"an empty address":     {[]string{"a:1", ""}, Options{}},
		"too many":             {make([]string, AddressesMax+1), Options{}},
		"a negative limit":     {[]string{"a:1"}, Options{AttemptsMax: -1}},
		"a range that is none": {[]string{"a:1"}, Options{RetryMin: time.Minute, RetryMax: time.Second}},
		"a name that is none":  {[]string{"a:1"}, Options{Name: "No Name"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Dial(tc.addrs, tc.options)
			require.Error(t, err)
		})
	}
}

func TestAClientRemembersFewAddresses(t *testing.T) {
	c := dial(t, Options{}, "given:1", "given:2")
	for i := range 3 * namedMax {
		c.addrs.prefer(fmt.Sprintf("named:%d", i))
	}
	require.Len(t, c.addrs.all, 2+namedMax)
	require.Equal(t, fmt.Sprintf("named:%d", 3*namedMax-1), c.addrs.first())
	require.Contains(t, c.addrs.all, "given:1")
	require.Contains(t, c.addrs.all, "given:2")
	c.addrs.prefer("given:2")
	require.Equal(t, "given:2", c.addrs.first())
	c.addrs.pass("given:2")
	require.NotEqual(t, "given:2", c.addrs.first())
	require.Len(t, c.addrs.all, 2+namedMax)
}
