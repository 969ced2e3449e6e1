package topologytest

import (
	"cmp"
	"context"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

// Membership is a membership under examination.
type Membership struct {
	topology.Membership
	Self    topology.NodeID
	Members []topology.NodeID // of the configuration, Self included, by name
	// Change makes something about another member change, while Run runs, and
	// something else the next time. It returns once the view shows it.
	Change func()
}

// TestMembership examines a membership. fresh makes one of at least two members
// that does not run yet; what it needs is fresh's to clean up.
func TestMembership(t *testing.T, fresh func(t *testing.T) Membership) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Membership)
	}{
		{"a view names the members of the configuration by name, before Run too", membershipNames},
		{"a view stays until something changes", membershipStays},
		{"a change makes the view stale, and the next one differs", membershipChange},
		{"whoever follows views misses no last change", membershipFollow},
		{"no change adds a member or takes one away", membershipSame},
		{"Run ends with its context, after Leave too", membershipEnds},
		{"Leave does nothing where Run does not run", membershipLeaves},
		{"a wait for Leave ends with its context", membershipLeaveEnds},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, fresh(t)) })
	}
}

// run runs m until the returned function is called, which the test must do.
func (m Membership) run(t *testing.T) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	end = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			require.NoError(t, err)
		case <-time.After(patience):
			require.Fail(t, "Run does not end with its context")
		}
	})
	t.Cleanup(end)
	return end
}

func (m Membership) names(t *testing.T, v topology.View) {
	t.Helper()
	var ids []topology.NodeID
	for _, one := range v.Members {
		ids = append(ids, one.ID)
	}
	require.Equal(t, m.Members, ids)
	require.Contains(t, ids, m.Self)
	require.True(t, slices.IsSortedFunc(v.Strangers, func(a, b topology.Member) int { return cmp.Compare(a.ID, b.ID) }))
	for _, one := range v.Strangers {
		require.NotContains(t, ids, one.ID)
	}
}

func wentStale(stale <-chan struct{}) bool {
	select {
	case <-stale:
		return true
	default:
		return false
	}
}

// await waits until a view is stale.
func await(t *testing.T, stale <-chan struct{}) {
	t.Helper()
	select {
	case <-stale:
	case <-time.After(patience):
		require.Fail(t, "the view did not become stale")
	}
}

func membershipNames(t *testing.T, m Membership) {
	require.True(t, slices.IsSorted(m.Members))
	v, _ := m.View()
	m.names(t, v)
	defer m.run(t)()
	v, _ = m.View()
	m.names(t, v)
}

func membershipStays(t *testing.T, m Membership) {
	v, stale := m.View()
	require.False(t, wentStale(stale))
	w, again := m.View()
	require.Equal(t, v, w)
	require.Equal(t, stale, again, "one view has one channel")
}

func membershipChange(t *testing.T, m Membership) {
	defer m.run(t)()
	for range 2 {
		v, stale := m.View()
		m.Change()
		await(t, stale)
		w, next := m.View()
		require.NotEqual(t, v, w)
		require.NotEqual(t, stale, next)
	}
}

func membershipFollow(t *testing.T, m Membership) {
	defer m.run(t)()
	const changes = 4
	seen := make(chan topology.View)
	stop := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() { // follows by the channels alone
		defer close(seen)
		for {
			v, stale := m.View()
			select {
			case seen <- v:
			case <-stop:
				return
			}
			select {
			case <-stale:
			case <-stop:
				return
			}
		}
	})
	defer wait.Wait()
	defer close(stop)
	for range changes {
		_, stale := m.View()
		m.Change()
		await(t, stale)
		m.followed(t, seen)
	}
}

// followed waits until a follower has the view that is the current one.
func (m Membership) followed(t *testing.T, seen <-chan topology.View) {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case v := <-seen:
			m.names(t, v)
			if now, _ := m.View(); reflect.DeepEqual(v, now) {
				return
			}
		case <-deadline:
			require.Fail(t, "a follower of the views is left behind")
		}
	}
}

func membershipSame(t *testing.T, m Membership) {
	defer m.run(t)()
	for range 2 {
		_, stale := m.View()
		m.Change()
		await(t, stale)
		v, _ := m.View()
		m.names(t, v)
	}
}

func membershipEnds(t *testing.T, m Membership) {
	end := m.run(t)
	require.NoError(t, m.Leave(t.Context()))
	end()
	v, _ := m.View()
	m.names(t, v)
}

func membershipLeaves(t *testing.T, m Membership) {
	v, stale := m.View()
	require.NoError(t, m.Leave(t.Context()))
	w, _ := m.View()
	require.Equal(t, v, w)
	require.False(t, wentStale(stale))
}

func membershipLeaveEnds(t *testing.T, m Membership) {
	defer m.run(t)()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	done := make(chan struct{})
	go func() { defer close(done); _ = m.Leave(ctx) }()
	await(t, done)
}
