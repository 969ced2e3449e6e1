package etcd_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/triad-kv/triad/control/etcd"
	"github.com/triad-kv/triad/topology"
)

func register(t *testing.T, c topology.Control, id topology.NodeID) topology.Registration {
	t.Helper()
	r, err := c.Register(t.Context(), id)
	require.NoError(t, err)
	return r
}

// takeOver registers id as soon as its name is free.
func takeOver(t *testing.T, c topology.Control, id topology.NodeID) topology.Registration {
	t.Helper()
	var r topology.Registration
	require.Eventually(t, func() bool {
		var err error
		r, err = c.Register(t.Context(), id)
		if !errors.Is(err, topology.ErrConflict) {
			require.NoError(t, err)
		}
		return err == nil
	}, patience, tick)
	return r
}

func TestAProcessCutOffForLongerThanItsLeaseLosesItsName(t *testing.T) {
	t.Parallel()
	m := servers(t, 1)[0]
	p := newProxy(t, m.Client)
	c, _ := running(t, newMemory(), etcd.Options{Endpoints: []string{p.at()}, LeaseTTL: 2 * time.Second})
	other, _ := running(t, newMemory(), etcd.Options{Endpoints: []string{m.Client}, LeaseTTL: 2 * time.Second})
	first := register(t, c, "n")
	_, err := other.Register(t.Context(), "n")
	require.ErrorIs(t, err, topology.ErrConflict)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))

	p.freeze(true)
	second := takeOver(t, other, "n")
	require.False(t, isOpen(first.Lost()), "the first knows before a second has it")
	require.Greater(t, second.Number(), first.Number())

	p.freeze(false)
	require.NoError(t, first.Close(), "there is nothing left to give up")
	_, err = c.Register(t.Context(), "n")
	require.ErrorIs(t, err, topology.ErrConflict, "the end of the first is not the end of the second")
	require.True(t, isOpen(second.Lost()))
	require.NoError(t, second.Close())
}

func TestAClaimIsKeptAliveForLongerThanItsLease(t *testing.T) {
	t.Parallel()
	m := servers(t, 1)[0]
	c, _ := running(t, newMemory(), etcd.Options{Endpoints: []string{m.Client}, LeaseTTL: 2 * time.Second})
	r := register(t, c, "n")
	etcds := raw(t, m.Client)
	granted, err := etcds.Grant(t.Context(), 3) // a clock of the server's own
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		left, err := etcds.TimeToLive(t.Context(), granted.ID)
		return err == nil && left.TTL < 0
	}, patience, tick)
	require.True(t, isOpen(r.Lost()))
	require.NoError(t, r.Close())
}

func TestAClaimThatNobodyKeepsEndsWithItsLease(t *testing.T) {
	t.Parallel()
	m := servers(t, 1)[0]
	r := register(t, on(t, newMemory(), etcd.Options{Endpoints: []string{m.Client}, LeaseTTL: time.Second}), "n")
	closes(t, r.Lost(), "Run does not run")
	takeOver(t, on(t, newMemory(), etcd.Options{Endpoints: []string{m.Client}}), "n")
}

func TestAClaimOutlivesNoRunButTheNumberDoes(t *testing.T) {
	t.Parallel()
	m := servers(t, 1)[0]
	stable := newMemory()
	c, stop := running(t, stable, etcd.Options{Endpoints: []string{m.Client}, LeaseTTL: time.Second})
	first := register(t, c, "n")
	stop()
	closes(t, first.Lost(), "the claim of a Run that ended")
	second := takeOver(t, on(t, stable, etcd.Options{Endpoints: []string{m.Client}}), "n")
	require.Greater(t, second.Number(), first.Number())
	require.NoError(t, second.Close(), "without a Run too")
	third := register(t, on(t, newMemory(), etcd.Options{Endpoints: []string{m.Client}}), "other")
	require.Greater(t, third.Number(), second.Number(), "numbers grow over all names")
}

func TestAClaimIsLostOnceEtcdGivesItUp(t *testing.T) {
	t.Parallel()
	m := servers(t, 1)[0]
	etcds := raw(t, m.Client)
	const key = "/triad/triad/name/n"
	for name, end := range map[string]func(t *testing.T){
		"its lease is revoked": func(t *testing.T) {
			there, err := etcds.Get(t.Context(), key)
			require.NoError(t, err)
			require.Len(t, there.Kvs, 1)
			_, err = etcds.Revoke(t.Context(), clientv3.LeaseID(there.Kvs[0].Lease))
			require.NoError(t, err)
		},
		"its key is deleted": func(t *testing.T) {
			_, err := etcds.Delete(t.Context(), key)
			require.NoError(t, err)
		},
		"its key is written over": func(t *testing.T) {
			_, err := etcds.Put(t.Context(), key, "mine")
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			// With a long lease the watch tells, with a short one the renewal may.
			for _, ttl := range []time.Duration{time.Second, time.Minute} {
				c, stop := running(t, newMemory(), etcd.Options{Endpoints: []string{m.Client}, LeaseTTL: ttl})
				swap(t, c, load(t, c).Version, "followed")
				until(t, c, "group", load(t, c).Version)
				r := register(t, c, "n")
				end(t)
				closes(t, r.Lost(), "the claim that etcd gave up")
				require.NoError(t, r.Close())
				stop()
				_, err := etcds.Delete(t.Context(), key)
				require.NoError(t, err)
			}
		})
	}
}

func TestAClaimThatWasRefusedLeavesNoLease(t *testing.T) {
	t.Parallel()
	m := servers(t, 1)[0]
	c, _ := running(t, newMemory(), etcd.Options{Endpoints: []string{m.Client}})
	first := register(t, c, "n")
	for range 3 {
		_, err := c.Register(t.Context(), "n")
		require.ErrorIs(t, err, topology.ErrConflict)
	}
	leases, err := raw(t, m.Client).Leases(t.Context())
	require.NoError(t, err)
	require.Len(t, leases.Leases, 1)
	require.NoError(t, first.Close())
	leases, err = raw(t, m.Client).Leases(t.Context())
	require.NoError(t, err)
	require.Empty(t, leases.Leases)
}

func TestAClosedClaimIsFreeAtOnceAlsoForOthers(t *testing.T) {
	t.Parallel()
	m := servers(t, 1)[0]
	c, _ := running(t, newMemory(), etcd.Options{Endpoints: []string{m.Client}})
	other, _ := running(t, newMemory(), etcd.Options{Endpoints: []string{m.Client}})
	for range 3 {
		r := register(t, c, "n")
		require.NoError(t, r.Close())
		r = register(t, other, "n")
		require.NoError(t, r.Close())
	}
}

func TestAClaimThatCannotBeGivenUpEndsWithItsLease(t *testing.T) {
	t.Parallel()
	m := servers(t, 1)[0]
	p := newProxy(t, m.Client)
	c, _ := running(t, newMemory(), etcd.Options{Endpoints: []string{p.at()}, LeaseTTL: time.Second, RequestTimeout: 100 * time.Millisecond})
	other, _ := running(t, newMemory(), etcd.Options{Endpoints: []string{m.Client}})
	r := register(t, c, "n")
	p.freeze(true)
	err := r.Close()
	require.ErrorIs(t, err, topology.ErrUnavailable)
	require.Equal(t, topology.Unknown, topology.OutcomeOf(err))
	require.False(t, isOpen(r.Lost()))
	require.NoError(t, takeOver(t, other, "n").Close())
}
