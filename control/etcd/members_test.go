package etcd_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/control/etcd"
	"github.com/triad-kv/triad/topology"
)

// leader waits for the members that run to have one, and returns it.
func leader(t *testing.T, ms ...*member) (lead *member) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, m := range ms {
			s, err := raw(t, m.Client).Status(t.Context(), m.Client)
			if err == nil && s.Leader == s.Header.MemberId {
				lead = m
			}
		}
		return lead != nil
	}, patience, tick)
	return lead
}

func TestMembersComeAndGo(t *testing.T) {
	t.Parallel()
	ms := servers(t, 3)
	o := etcd.Options{Endpoints: endpoints(ms), LeaseTTL: 30 * time.Second, RequestTimeout: time.Second}
	c, _ := running(t, newMemory(), o)
	follower, _ := running(t, newMemory(), o)
	claim := register(t, c, "n")
	version := uint64(0)
	next := func(why string) {
		t.Helper()
		d, err := c.Swap(t.Context(), topology.Document{Name: "group", Version: version, Body: []byte(why)})
		require.NoError(t, err, why)
		version = d.Version
		until(t, follower, "group", version)
		require.Equal(t, d, load(t, follower), why)
	}
	next("all are there")

	lead := leader(t, ms...)
	lead.Kill()
	next("the leader was killed")
	ready(lead)
	next("it is back")

	lead = leader(t, ms...)
	lead.Freeze()
	next("the leader hangs, and its connections stand")
	lead.Thaw()
	next("it goes on")

	for _, m := range ms {
		m.Kill()
		next("one was killed: " + m.Name)
		ready(m)
	}
	next("all were killed, one after the other")
	require.True(t, isOpen(claim.Lost()), "the claim stands")
	require.NoError(t, claim.Close())
}

func TestWithoutAQuorumNothingIsApplied(t *testing.T) {
	t.Parallel()
	ms := servers(t, 3)
	stable := newMemory()
	c, _ := running(t, stable, etcd.Options{Endpoints: endpoints(ms), RequestTimeout: 200 * time.Millisecond})
	swap(t, c, 0, "one")
	ms[0].Kill()
	ms[1].Kill()
	_, err := c.Load(t.Context(), "group")
	require.ErrorIs(t, err, topology.ErrUnavailable)
	_, err = c.Swap(t.Context(), topology.Document{Name: "group", Version: 1})
	require.ErrorIs(t, err, topology.ErrUnavailable)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	d, _ := c.Latest("group")
	require.Equal(t, "one", string(d.Body), "what is known stays known")
	ready(ms[0], ms[1])
	require.Eventually(t, func() bool {
		d, err := c.Load(t.Context(), "group")
		return err == nil && d.Version == 1
	}, patience, tick)
}

func TestWithoutAMemberCallsSayWhatToDo(t *testing.T) {
	t.Parallel()
	m := servers(t, 1)[0]
	stable := newMemory()
	c, _ := running(t, stable, etcd.Options{Endpoints: []string{m.Client}})
	swap(t, c, 0, "one")
	m.Kill()
	check := func(c topology.Control) {
		t.Helper()
		_, load := c.Load(t.Context(), "group")
		_, swap := c.Swap(t.Context(), topology.Document{Name: "group", Version: 1})
		_, register := c.Register(t.Context(), "n")
		for _, err := range []error{load, swap, register} {
			require.ErrorIs(t, err, topology.ErrUnavailable)
			require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
			require.ErrorContains(t, err, m.Client)
			require.ErrorContains(t, err, "is it running")
			require.ErrorContains(t, err, "connection refused", "the cause is told")
		}
	}
	check(c)
	check(on(t, stable, etcd.Options{Endpoints: []string{m.Client}}))

	ready(m)
	direct := on(t, newMemory(), etcd.Options{Endpoints: []string{m.Client}})
	swap(t, direct, 1, "two")
	require.Equal(t, "two", string(until(t, c, "group", 2).Body), "Run goes on when etcd is back")
}

func TestARunThatFindsNoEtcdWaitsForIt(t *testing.T) {
	t.Parallel()
	ms := servers(t, 1)
	ms[0].Kill()
	c, stop := running(t, newMemory(), etcd.Options{Endpoints: endpoints(ms)})
	idle, stopIdle := running(t, newMemory(), etcd.Options{Endpoints: endpoints(ms)})
	_, stale := idle.Latest("group")
	require.True(t, isOpen(stale))
	stopIdle()
	ready(ms[0])
	swap(t, on(t, newMemory(), etcd.Options{Endpoints: endpoints(ms)}), 0, "one")
	until(t, c, "group", 1)
	stop()
}
