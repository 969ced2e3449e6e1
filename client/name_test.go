package client

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// counted are lanes whose clock stands still and whose names are 1, 2, ….
func counted(now *time.Time) *lanes {
	var n uint64
	return &lanes{now: func() time.Time { return *now }, random: func() uint64 { n++; return n }}
}

func TestALaneCarriesNoMoreThanAGroupRemembers(t *testing.T) {
	now := time.Unix(0, 1000)
	l := counted(&now)
	var ids []record.RequestID
	for range 2*laneWidth + 1 {
		ids = append(ids, l.take())
	}
	require.Equal(t, record.RequestID{Client: 1, Seq: 1000}, ids[0])
	require.Equal(t, record.RequestID{Client: 1, Seq: 1000 + laneWidth - 1}, ids[laneWidth-1])
	require.Equal(t, record.RequestID{Client: 2, Seq: 1000}, ids[laneWidth])
	require.Equal(t, record.RequestID{Client: 3, Seq: 1000}, ids[2*laneWidth])
	for _, id := range ids[1:laneWidth] {
		l.give(id, true)
	}
	require.Equal(t, uint64(3), l.take().Client, "the oldest is still under way, and may not be pushed out")
	l.give(ids[0], true)
	require.Equal(t, record.RequestID{Client: 1, Seq: 1000 + laneWidth}, l.take())
}

func TestNamesAreOfNowAndGrowThoughTheClockGoesBack(t *testing.T) {
	now := time.Unix(0, 1000)
	l := counted(&now)
	l.give(l.take(), true)
	now = time.Unix(0, 5000)
	id := l.take()
	require.Equal(t, record.RequestID{Client: 1, Seq: 5000}, id)
	l.give(id, true)
	now = time.Unix(0, 10)
	id = l.take()
	require.Equal(t, record.RequestID{Client: 1, Seq: 5001}, id)
	l.give(id, false)
	require.Equal(t, uint64(2), l.take().Client, "what became of the first is not known: nothing pushes it out")
	l.give(id, true) // it has been given up before
}

func TestTheSameNameIsSentAgain(t *testing.T) {
	var mu sync.Mutex
	var names []record.RequestID
	n := serve(t, "a", func(method string, req []byte) ([]byte, error) {
		w, err := call.DecodeWrite(req)
		if err != nil {
			return nil, err
		}
		all, err := call.Gather(w.Options, call.WishWrite)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		if names = append(names, all.Request()); len(names) < 3 {
			return nil, &topology.Error{Node: "x", Outcome: topology.Unknown, Err: topology.ErrUnavailable}
		}
		return accepts(method, req)
	})
	c := dial(t, Options{RetryMin: time.Millisecond}, n.addr)
	for range 2 {
		_, err := c.Put(t.Context(), "t", []byte("k"), []byte("v"))
		require.NoError(t, err)
	}
	require.Len(t, names, 4)
	require.NotZero(t, names[0])
	require.Equal(t, names[0], names[1])
	require.Equal(t, names[0], names[2])
	require.Equal(t, names[0].Client, names[3].Client)
	require.Greater(t, names[3].Seq, names[0].Seq)
}

// What is sent for the first time was not applied, whatever the group has forgotten.
func TestANameThatPassesForAnOldOneIsDoneWithout(t *testing.T) {
	for name, why := range map[string]error{"forgotten": topology.ErrForgotten, "unsupported": topology.ErrUnsupported} {
		t.Run(name, func(t *testing.T) {
			outcome := topology.NotApplied
			if why == topology.ErrForgotten {
				outcome = topology.Unknown // a node can not know that nobody has sent it before
			}
			var named, unnamed atomic.Int64
			n := serve(t, "a", func(method string, req []byte) ([]byte, error) {
				w, err := call.DecodeWrite(req)
				if err != nil || len(w.Options) == 0 {
					unnamed.Add(1)
					return accepts(method, req)
				}
				named.Add(1)
				return nil, &topology.Error{Node: "x", Outcome: outcome, Err: why}
			})
			c := dial(t, Options{RetryMin: time.Millisecond}, n.addr)
			for range 3 {
				_, err := c.Put(t.Context(), "t", []byte("k"), []byte("v"))
				require.NoError(t, err)
			}
			require.Equal(t, int64(3), unnamed.Load())
			if why == topology.ErrUnsupported {
				require.Equal(t, int64(1), named.Load(), "who takes no names is not asked again")
			}
		})
	}
}

func TestAnErrorOfTheCallersOwnTimeHasTheNameToAskWith(t *testing.T) {
	r := &reader{answer: hangs}
	c := dial(t, Options{}, readers(t, r)[0])
	ctx, cancel := context.WithCancel(t.Context())
	r.answer = func(within context.Context) error { cancel(); return hangs(within) }
	_, err := c.Put(ctx, "t", []byte("k"), []byte("v"))
	var e *topology.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, topology.Unknown, e.Outcome)
	require.True(t, e.Dot.IsZero(), "no node has said it")
	require.NotZero(t, e.Request.Client)
	require.NotZero(t, e.Request.Seq)
	require.Equal(t, "t", e.Table)
}

func TestAWriteLeavesALeaderThatHangsForTheNextOne(t *testing.T) {
	a, b := &reader{}, &reader{}
	addrs := readers(t, a, b)
	asked := make(chan struct{})
	a.answer = func(ctx context.Context) error { close(asked); return hangs(ctx) }
	c := dial(t, Options{LeaderWait: 5 * time.Millisecond, RetryMin: time.Millisecond}, addrs[0])
	_, err := c.Members(t.Context())
	require.NoError(t, err)
	go func() {
		<-asked
		a.lead("b")
	}()
	receipt, err := c.Put(t.Context(), "t", []byte("k"), []byte("v"))
	require.NoError(t, err)
	require.Equal(t, []topology.NodeID{"b"}, receipt.Durable)
	require.Equal(t, int64(1), a.calls.Load())
}

func TestAWriteWaitsForALeaderThatIsSlowAndLeadsStill(t *testing.T) {
	r, other := &reader{}, &reader{}
	addrs := readers(t, r, other)
	c := dial(t, Options{LeaderWait: time.Millisecond}, addrs[0])
	r.answer = func(context.Context) error {
		for other.looked.Load() < 4 { // it is slow, and the others are asked meanwhile
			time.Sleep(time.Millisecond)
		}
		return nil
	}
	receipt, err := c.Put(t.Context(), "t", []byte("k"), []byte("v"))
	require.NoError(t, err)
	require.Equal(t, []topology.NodeID{"a"}, receipt.Durable)
	require.Equal(t, int64(1), r.calls.Load(), "it was sent once")
}
