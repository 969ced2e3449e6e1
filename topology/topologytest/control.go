package topologytest

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

// patience is how long a suite waits for what must happen.
const patience = 10 * time.Second

// TestControl examines a control backend. fresh makes one with nothing in it
// and returns how a process of node a opens it; open is called again only after
// the Run of what it returned before has ended, and finds what was there. Files,
// peers and the like are fresh's to clean up.
func TestControl(t *testing.T, fresh func(t *testing.T) (open func() topology.Control)) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *controlRun)
	}{
		{"a document that was never written has version 0 and no body", controlAbsent},
		{"a swap is read back", controlSwap},
		{"an empty body is a version like any other", controlEmptyBody},
		{"a swap on another version is a conflict and changes nothing", controlConflict},
		{"documents are apart", controlApart},
		{"bodies are not shared", controlBodies},
		{"of concurrent swaps on one version one succeeds", controlRace},
		{"Latest is stale once a newer version is known", controlLatest},
		{"a follower of Latest ends at the last version", controlFollow},
		{"documents outlive the process", controlRestart},
		{"numbers of registrations grow, also over a restart", controlRegister},
		{"a name has one holder", controlOneHolder},
		{"a closed registration is lost", controlClosed},
		{"an ended context does nothing", controlEnded},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &controlRun{t: t, open: fresh(t)}
			r.start()
			defer r.stop()
			c.test(t, r)
		})
	}
}

// controlRun is a backend and the process that has it open.
type controlRun struct {
	topology.Control
	t    *testing.T
	open func() topology.Control
	end  func() error
}

func (r *controlRun) start() {
	r.Control = r.open()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Control.Run(ctx) }()
	r.end = func() error { cancel(); return <-done }
}

func (r *controlRun) stop() { require.NoError(r.t, r.end(), "Run ends with its context") }

func (r *controlRun) restart() { r.stop(); r.start() }

func (r *controlRun) load(name string) topology.Document {
	r.t.Helper()
	d, err := r.Load(r.t.Context(), name)
	require.NoError(r.t, err)
	require.Equal(r.t, name, d.Name)
	return d
}

func (r *controlRun) swap(name string, version uint64, body string) topology.Document {
	r.t.Helper()
	d, err := r.Swap(r.t.Context(), topology.Document{Name: name, Version: version, Body: []byte(body)})
	require.NoError(r.t, err)
	require.Equal(r.t, topology.Document{Name: name, Version: version + 1, Body: []byte(body)}, d)
	return d
}

func (r *controlRun) register(id topology.NodeID) topology.Registration {
	r.t.Helper()
	g, err := r.Register(r.t.Context(), id)
	require.NoError(r.t, err)
	return g
}

func closes(t *testing.T, ch <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		require.FailNow(t, "not closed in time", what)
	}
}

func isOpen(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return false
	default:
		return true
	}
}

func controlAbsent(t *testing.T, r *controlRun) {
	d := r.load("group")
	require.Zero(t, d.Version)
	require.Empty(t, d.Body)
	d, stale := r.Latest("group")
	require.Zero(t, d.Version)
	require.True(t, isOpen(stale))
}

func controlSwap(t *testing.T, r *controlRun) {
	require.Equal(t, r.swap("group", 0, "one"), r.load("group"))
	require.Equal(t, r.swap("group", 1, "two"), r.load("group"))
}

func controlEmptyBody(t *testing.T, r *controlRun) {
	for v := range uint64(2) {
		d, err := r.Swap(t.Context(), topology.Document{Name: "group", Version: v})
		require.NoError(t, err)
		require.Equal(t, v+1, d.Version)
		require.Empty(t, d.Body)
	}
	require.Equal(t, uint64(2), r.load("group").Version)
}

func controlConflict(t *testing.T, r *controlRun) {
	r.swap("group", 0, "one")
	want := r.swap("group", 1, "two")
	for _, version := range []uint64{0, 1, 3, 1 << 63} {
		_, err := r.Swap(t.Context(), topology.Document{Name: "group", Version: version, Body: []byte("lost")})
		require.ErrorIs(t, err, topology.ErrConflict, "version %d", version)
		require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	}
	require.Equal(t, want, r.load("group"))
}

func controlApart(t *testing.T, r *controlRun) {
	r.swap("group", 0, "g")
	r.swap("tables", 0, "t")
	r.swap("tables", 1, "t2")
	r.swap("sites/us", 0, "s")
	require.Equal(t, "g", string(r.load("group").Body))
	require.Equal(t, uint64(2), r.load("tables").Version)
	require.Equal(t, "s", string(r.load("sites/us").Body))
}

func controlBodies(t *testing.T, r *controlRun) {
	body := []byte("one")
	d, err := r.Swap(t.Context(), topology.Document{Name: "group", Body: body})
	require.NoError(t, err)
	body[0], d.Body[1] = 'X', 'X'
	r.load("group").Body[2] = 'X'
	require.Equal(t, "one", string(r.load("group").Body))
	latest, _ := r.Latest("group")
	require.Equal(t, "one", string(latest.Body))
}

// controlRace counts in a document from many goroutines at once: a lost update
// or a version given twice shows in the sum. A swap whose outcome is unknown, as on
// a machine that is busy with others, may have counted one more.
func controlRace(t *testing.T, r *controlRun) {
	const clients, rounds = 8, 10
	var wait sync.WaitGroup
	var mu sync.Mutex
	won, unknown := map[uint64]int{}, uint64(0)
	for range clients {
		wait.Go(func() {
			for done := 0; done < rounds; {
				d, err := r.Load(t.Context(), "group")
				if err == nil {
					d.Body = binary.BigEndian.AppendUint64(nil, count(d)+1)
					d, err = r.Swap(t.Context(), d)
				}
				mu.Lock()
				switch {
				case err == nil:
					won[d.Version]++
					done++
				case errors.Is(err, topology.ErrConflict):
				case topology.OutcomeOf(err) == topology.Unknown:
					unknown++
					done++
				default:
					t.Errorf("neither won nor lost: %v", err)
					done = rounds
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	require.NotEmpty(t, won)
	for version, times := range won {
		require.Equal(t, 1, times, "version %d is given once", version)
	}
	d := r.load("group")
	require.Equal(t, d.Version, count(d))
	require.GreaterOrEqual(t, d.Version, uint64(len(won)))
	require.LessOrEqual(t, d.Version, uint64(len(won))+unknown)
	require.Equal(t, uint64(clients*rounds), uint64(len(won))+unknown)
}

func count(d topology.Document) uint64 {
	if len(d.Body) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(d.Body)
}

func controlLatest(t *testing.T, r *controlRun) {
	r.swap("group", 0, "one")
	first, stale := r.Latest("group")
	require.Equal(t, "one", string(first.Body))
	_, other := r.Latest("tables")

	_, err := r.Swap(t.Context(), topology.Document{Name: "group", Version: 7})
	require.ErrorIs(t, err, topology.ErrConflict)
	require.True(t, isOpen(stale), "a conflict is no news")
	r.load("group")
	require.True(t, isOpen(stale), "nor is a read")

	r.swap("group", 1, "two")
	closes(t, stale, "the channel of the older version")
	second, stale := r.Latest("group")
	require.Equal(t, uint64(2), second.Version)
	require.Equal(t, "two", string(second.Body))
	require.True(t, isOpen(stale))
	require.True(t, isOpen(other), "another document's channel")
}

func controlFollow(t *testing.T, r *controlRun) {
	const last = 50
	done := make(chan bool, 1)
	go func() {
		deadline := time.After(patience)
		for seen := uint64(0); ; {
			d, stale := r.Latest("group")
			if d.Version < seen {
				done <- false
				return
			}
			if seen = d.Version; seen == last {
				done <- true
				return
			}
			select {
			case <-stale:
			case <-deadline:
				done <- false
				return
			}
		}
	}()
	for v := range uint64(last) {
		r.swap("group", v, "body")
	}
	require.True(t, <-done, "the follower saw a version go back, or missed the last one")
}

func controlRestart(t *testing.T, r *controlRun) {
	r.swap("group", 0, "one")
	want := r.swap("group", 1, "two")
	other := r.swap("placement", 0, "p")
	r.restart()
	require.Equal(t, want, r.load("group"))
	require.Equal(t, other, r.load("placement"))
	latest, stale := r.Latest("group")
	require.Equal(t, want, latest, "once it was loaded, it is the latest known")
	r.swap("group", 2, "three")
	closes(t, stale, "the channel after a restart")
}

func controlRegister(t *testing.T, r *controlRun) {
	var last uint64
	for range 3 {
		for range 2 {
			g := r.register("a")
			require.Greater(t, g.Number(), last)
			last = g.Number()
			require.NoError(t, g.Close())
		}
		r.restart()
	}
}

func controlOneHolder(t *testing.T, r *controlRun) {
	first := r.register("a")
	second, err := r.Register(t.Context(), "a")
	if err != nil {
		require.True(t, isOpen(first.Lost()), "who was first keeps the name")
		require.NoError(t, first.Close())
		second = r.register("a")
	} else {
		closes(t, first.Lost(), "the claim that was taken over")
	}
	require.Greater(t, second.Number(), first.Number())
	require.NoError(t, second.Close())
}

func controlClosed(t *testing.T, r *controlRun) {
	g := r.register("a")
	require.True(t, isOpen(g.Lost()))
	require.NoError(t, g.Close())
	closes(t, g.Lost(), "the claim that was closed")
	require.NoError(t, g.Close(), "Close may be called again")
}

func controlEnded(t *testing.T, r *controlRun) {
	r.swap("group", 0, "one")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := r.Swap(ended, topology.Document{Name: "group", Version: 1, Body: []byte("late")})
	require.Error(t, err)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
	_, err = r.Load(ended, "group")
	require.Error(t, err)
	_, err = r.Register(ended, "a")
	require.Error(t, err)
	require.Equal(t, "one", string(r.load("group").Body))
}
