package etcd

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/triad-kv/triad/topology"
)

// claimed returns a claim that was made now and has ttl, of a backend that never runs.
func claimed(t *testing.T, ttl time.Duration) *claim {
	t.Helper()
	c := &Control{logger: slog.New(slog.DiscardHandler), claims: map[*claim]bool{}}
	r := &claim{control: c, id: "n", lost: make(chan struct{}), renewed: time.Now(), ttl: ttl}
	c.claims[r] = true
	r.start()
	return r
}

func stands(r *claim) bool {
	select {
	case <-r.lost: // not Lost, which looks at the clock itself
		return false
	default:
		return true
	}
}

func TestAClaimEndsAHundredthBeforeItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := claimed(t, 10*time.Second)
		time.Sleep(9900*time.Millisecond - 1)
		synctest.Wait()
		require.True(t, stands(r))
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.False(t, stands(r))
		require.Empty(t, r.control.claims, "nobody keeps it any more")
	})
}

func TestARenewalCountsFromWhenItWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := claimed(t, 10*time.Second)
		time.Sleep(5 * time.Second)
		sent := time.Now()
		time.Sleep(4 * time.Second) // the answer is slow
		r.extend(sent, 10*time.Second)
		time.Sleep(5900*time.Millisecond - 1)
		synctest.Wait()
		require.True(t, stands(r))
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.False(t, stands(r))
	})
}

func TestALeaseMayBeRenewedForLessThanWasAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := claimed(t, 100*time.Second)
		r.extend(time.Now(), 10*time.Second)
		time.Sleep(9900 * time.Millisecond)
		synctest.Wait()
		require.False(t, stands(r), "the timer was for later")
	})
}

func TestARenewalBringsNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := claimed(t, 10*time.Second)
		r.timer.Stop() // a process that was stopped: nothing has run since
		time.Sleep(time.Minute)
		r.extend(time.Now(), 10*time.Second)
		require.False(t, stands(r))
	})
}

func TestLostLooksAtTheClockItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := claimed(t, 10*time.Second)
		r.timer.Stop()
		require.NotNil(t, r.Lost())
		require.True(t, stands(r))
		r.timer.Stop() // Lost has set it anew
		time.Sleep(time.Minute)
		<-r.Lost()
	})
}

func TestALeaseIsRenewedAfterAThirdOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := claimed(t, 9*time.Second)
		require.Equal(t, 3*time.Second, r.untilRenewal())
		time.Sleep(2 * time.Second)
		require.Equal(t, time.Second, r.untilRenewal())
		r.lose("")
	})
}

func TestOnlyALaterChangeOfItsNameEndsAClaim(t *testing.T) {
	for _, c := range []struct {
		name     string
		id       topology.NodeID
		kind     mvccpb.Event_EventType
		revision int64
		lease    int64
		stands   bool
	}{
		{"the end of an older claim", "n", mvccpb.DELETE, 6, 0, true},
		{"the claim itself", "n", mvccpb.PUT, 7, 5, true},
		{"an older claim", "n", mvccpb.PUT, 3, 4, true},
		{"its key is touched", "n", mvccpb.PUT, 8, 5, true},
		{"another name's end", "other", mvccpb.DELETE, 8, 0, true},
		{"its key is deleted", "n", mvccpb.DELETE, 8, 0, false},
		{"its key is written over", "n", mvccpb.PUT, 8, 0, false},
		{"a newer claim", "n", mvccpb.PUT, 9, 6, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := claimed(t, time.Hour)
			r.revision, r.lease = 7, 5
			r.control.hearName(c.id, &clientv3.Event{Type: c.kind, Kv: &mvccpb.KeyValue{ModRevision: c.revision, Lease: c.lease}})
			require.Equal(t, c.stands, stands(r))
			r.lose("")
		})
	}
}
