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

// ControlGroup is a control backend with processes on several nodes, and what can
// be done to them. A fault that is nil is not tested.
type ControlGroup struct {
	// Nodes are where processes may be opened; at least three.
	Nodes []topology.NodeID
	// Open opens a process of a node; again only after the Run of the one before
	// has ended. Files, peers and the like are the group's to clean up.
	Open func(id topology.NodeID) topology.Control

	// Minority are nodes that can change nothing once they are cut off.
	Minority []topology.NodeID
	// Partition cuts these nodes off from all others, until Heal.
	Partition func(ids ...topology.NodeID)
	Heal      func()
	// Pause stops a node as if its machine stood still, until resume is called.
	Pause func(id topology.NodeID) (resume func())
	// LoseAnswers lets what a node asks of the backend arrive, and loses the
	// answers, until restore is called.
	LoseAnswers func(id topology.NodeID) (restore func())
	// Duplicate lets everything that a node asks of the backend arrive twice.
	Duplicate func(id topology.NodeID) (restore func())
	// Jump sets the clock of a node forward, or back.
	Jump func(id topology.NodeID, d time.Duration)
}

// groupPatience is how long a test of a group waits for what must happen.
const groupPatience = 30 * time.Second

// cutOffWait is how long a node that is cut off is given to say so.
const cutOffWait = time.Second

// TestControlGroup examines a control backend with several processes. fresh makes
// one with nothing in it.
func TestControlGroup(t *testing.T, fresh func(t *testing.T) ControlGroup) {
	const (
		noPartition = "the group has no partitions"
		noPause     = "the group cannot stop a node"
		noLoss      = "the group cannot lose answers"
		noDuplicate = "the group cannot send twice"
		noJump      = "the group cannot set clocks"
	)
	always := func(ControlGroup) bool { return true }
	partitions := func(g ControlGroup) bool { return g.Partition != nil && g.Heal != nil && len(g.Minority) > 0 }
	for _, c := range []struct {
		name string
		test func(*groupRun)
		can  func(ControlGroup) bool
		why  string
	}{
		{"a swap anywhere is read everywhere", groupReads, always, ""},
		{"of concurrent swaps on one version one succeeds", groupRace, always, ""},
		{"Latest hears of it everywhere", groupLatest, always, ""},
		{"a name has one holder", groupHolder, always, ""},
		{"a name outlives the process that held it only for a while", groupDeadHolder, always, ""},
		{"documents outlive all processes", groupRestart, always, ""},
		{"a minority changes nothing, and says so", groupMinority, partitions, noPartition},
		{"no swap is lost or made twice through partitions", groupPartitions, partitions, noPartition},
		{"the others go on while one stands still", groupPause, func(g ControlGroup) bool { return g.Pause != nil }, noPause},
		{"a swap whose answer is lost takes place at most once", groupLoss, func(g ControlGroup) bool { return g.LoseAnswers != nil }, noLoss},
		{"a swap that arrives twice takes place once", groupDuplicate, func(g ControlGroup) bool { return g.Duplicate != nil }, noDuplicate},
		{"clocks that jump change nothing", groupJump, func(g ControlGroup) bool { return g.Jump != nil }, noJump},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := fresh(t)
			if !c.can(g) {
				t.Skip(c.why)
			}
			r := &groupRun{t: t, ControlGroup: g, all: map[topology.NodeID]*controlRun{}}
			r.start()
			defer r.stop()
			c.test(r)
		})
	}
}

// groupRun is a group with a process on every node.
type groupRun struct {
	ControlGroup
	t   *testing.T
	all map[topology.NodeID]*controlRun
}

func (r *groupRun) start() {
	for _, id := range r.Nodes {
		c := &controlRun{t: r.t, open: func() topology.Control { return r.Open(id) }}
		c.start()
		r.all[id] = c
	}
}

func (r *groupRun) stop() {
	for _, id := range r.Nodes {
		r.all[id].stop()
	}
}

func (r *groupRun) patience() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), groupPatience)
	r.t.Cleanup(cancel)
	return ctx
}

func (r *groupRun) load(id topology.NodeID, name string) topology.Document {
	r.t.Helper()
	d, err := r.all[id].Load(r.patience(), name)
	require.NoError(r.t, err, "load at %s", id)
	return d
}

func (r *groupRun) swap(id topology.NodeID, d topology.Document) topology.Document {
	r.t.Helper()
	next, err := r.all[id].Swap(r.patience(), d)
	require.NoError(r.t, err, "swap at %s", id)
	require.Equal(r.t, d.Version+1, next.Version)
	return next
}

// eventually waits until f holds, and asks again and again.
func (r *groupRun) eventually(what string, f func() bool) {
	r.t.Helper()
	for ctx := r.patience(); !f(); {
		require.NoError(r.t, ctx.Err(), what)
	}
}

// others returns the nodes that are not of the minority.
func (r *groupRun) others() (ids []topology.NodeID) {
	cut := map[topology.NodeID]bool{}
	for _, id := range r.Minority {
		cut[id] = true
	}
	for _, id := range r.Nodes {
		if !cut[id] {
			ids = append(ids, id)
		}
	}
	return ids
}

func groupReads(r *groupRun) {
	var d topology.Document
	for i, at := range r.Nodes {
		d = r.swap(at, topology.Document{Name: "group", Version: uint64(i), Body: []byte(at)})
		for _, id := range r.Nodes {
			require.Equal(r.t, d, r.load(id, "group"), "at %s", id)
		}
	}
}

// counters count in a document from every node at once, until each has done its
// rounds or stop is closed. done counts what was answered, maybe what is unknown.
func (r *groupRun) counters(rounds int, each time.Duration, stop <-chan struct{}) (done, maybe uint64) {
	var wait sync.WaitGroup
	var mu sync.Mutex
	for _, id := range r.Nodes {
		wait.Go(func() {
			for i := 0; i < rounds; {
				select {
				case <-stop:
					return
				default:
				}
				ctx, cancel := context.WithTimeout(context.Background(), each)
				d, err := r.all[id].Load(ctx, "group")
				if err == nil {
					d.Body = binary.BigEndian.AppendUint64(nil, count(d)+1)
					_, err = r.all[id].Swap(ctx, d)
					mu.Lock()
					switch {
					case err == nil:
						done++
						i++
					case topology.OutcomeOf(err) == topology.Unknown:
						maybe++
					}
					mu.Unlock()
				}
				cancel()
			}
		})
	}
	wait.Wait()
	return done, maybe
}

// judge holds what is counted against what was answered.
func (r *groupRun) judge(done, maybe uint64) {
	r.t.Helper()
	d := r.load(r.Nodes[0], "group")
	require.Equal(r.t, d.Version, count(d), "each version was made from the one before")
	require.GreaterOrEqual(r.t, d.Version, done, "a swap was lost")
	require.LessOrEqual(r.t, d.Version, done+maybe, "a swap took place that was said not to have, or twice")
	for _, id := range r.Nodes {
		require.Equal(r.t, d, r.load(id, "group"), "at %s", id)
	}
}

func groupRace(r *groupRun) {
	done, maybe := r.counters(10, groupPatience, nil)
	require.Equal(r.t, uint64(10*len(r.Nodes)), done)
	r.judge(done, maybe)
}

func groupLatest(r *groupRun) {
	for i, at := range r.Nodes {
		d := r.swap(at, topology.Document{Name: "group", Version: uint64(i), Body: []byte(at)})
		for _, id := range r.Nodes {
			for {
				have, stale := r.all[id].Latest("group")
				if have.Version == d.Version {
					require.Equal(r.t, d, have)
					break
				}
				select {
				case <-stale:
				case <-time.After(groupPatience):
					require.FailNow(r.t, "no news", "at %s of version %d", id, d.Version)
				}
			}
		}
	}
}

func groupHolder(r *groupRun) {
	var last uint64
	for i, at := range r.Nodes {
		g, err := r.all[at].Register(r.patience(), "n")
		require.NoError(r.t, err)
		require.Greater(r.t, g.Number(), last)
		last = g.Number()
		other := r.Nodes[(i+1)%len(r.Nodes)]
		_, err = r.all[other].Register(r.patience(), "n")
		require.ErrorIs(r.t, err, topology.ErrConflict, "a second holder, at %s", other)
		require.Equal(r.t, topology.NotApplied, topology.OutcomeOf(err))
		require.True(r.t, isOpen(g.Lost()))
		require.NoError(r.t, g.Close())
		closes(r.t, g.Lost(), "the claim that was closed")
	}
}

// groupDeadHolder ends a process without closing what it holds.
func groupDeadHolder(r *groupRun) {
	at, other := r.Nodes[0], r.Nodes[1]
	g, err := r.all[at].Register(r.patience(), "n")
	require.NoError(r.t, err)
	r.all[at].stop()
	r.eventually("the name of a process that has ended is given to another one", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), groupPatience)
		defer cancel()
		second, err := r.all[other].Register(ctx, "n")
		if err != nil {
			pauseBriefly()
			return false
		}
		require.Greater(r.t, second.Number(), g.Number())
		require.NoError(r.t, second.Close())
		return true
	})
	r.all[at].start()
}

// pauseBriefly spares the backend a busy loop; nothing depends on how long it takes.
func pauseBriefly() { time.Sleep(20 * time.Millisecond) }

func groupRestart(r *groupRun) {
	d := r.swap(r.Nodes[0], topology.Document{Name: "group", Body: []byte("one")})
	for range 2 {
		r.stop()
		r.start()
		require.Equal(r.t, d, r.load(r.Nodes[len(r.Nodes)-1], "group"))
		d.Body = append(d.Body, '+')
		d = r.swap(r.Nodes[0], d)
	}
}

func groupMinority(r *groupRun) {
	base := r.swap(r.Nodes[0], topology.Document{Name: "group", Body: []byte("base")})
	r.Partition(r.Minority...)
	healed := sync.OnceFunc(r.Heal)
	defer healed()
	var failed []error
	for _, id := range r.Minority {
		ctx, cancel := context.WithTimeout(context.Background(), cutOffWait)
		_, err := r.all[id].Swap(ctx, topology.Document{Name: "group", Version: base.Version, Body: []byte("of the minority")})
		cancel()
		require.Error(r.t, err, "a swap at %s, which is cut off", id)
		failed = append(failed, err)
		ctx, cancel = context.WithTimeout(context.Background(), cutOffWait)
		_, err = r.all[id].Load(ctx, "group")
		cancel()
		require.Error(r.t, err, "a linearizable load at %s, which is cut off", id)
	}
	next := r.swap(r.others()[0], topology.Document{Name: "group", Version: base.Version, Body: []byte("of the majority")})
	healed()
	for i, id := range r.Minority {
		require.Equal(r.t, next, r.load(id, "group"), "after %v", failed[i])
		next.Body = append(next.Body, '+')
		next = r.swap(id, next)
	}
}

func groupPartitions(r *groupRun) {
	stop := make(chan struct{})
	var chaos sync.WaitGroup
	chaos.Go(func() {
		defer close(stop)
		for round := range 2 * len(r.Nodes) {
			r.Partition(r.Nodes[round%len(r.Nodes)])
			time.Sleep(cutOffWait / 8) // how long a fault lasts, not something that is waited for
			r.Heal()
			time.Sleep(cutOffWait / 8)
		}
	})
	done, maybe := r.counters(1<<20, cutOffWait/4, stop)
	chaos.Wait()
	more, unsure := r.counters(1, groupPatience, nil)
	require.Equal(r.t, uint64(len(r.Nodes)), more, "everybody goes on when it is healed")
	r.judge(done+more, maybe+unsure)
}

func groupPause(r *groupRun) {
	d := r.swap(r.Nodes[0], topology.Document{Name: "group"})
	for i, id := range r.Nodes {
		resume := sync.OnceFunc(r.Pause(id))
		defer resume()
		other := r.Nodes[(i+1)%len(r.Nodes)]
		d = r.swap(other, d)
		require.Equal(r.t, d, r.load(other, "group"))
		resume()
		require.Equal(r.t, d, r.load(id, "group"), "at %s, which stood still", id)
	}
}

func groupLoss(r *groupRun) {
	var at uint64
	for _, id := range r.Nodes {
		restore := sync.OnceFunc(r.LoseAnswers(id))
		defer restore()
		ctx, cancel := context.WithTimeout(context.Background(), cutOffWait/2)
		_, err := r.all[id].Swap(ctx, topology.Document{Name: "group", Version: at, Body: []byte(id)})
		cancel()
		restore()
		require.False(r.t, errors.Is(err, topology.ErrConflict), "its own swap stands in its way: %v", err)
		d := r.load(id, "group")
		switch {
		case err == nil:
			require.Equal(r.t, at+1, d.Version)
		case topology.OutcomeOf(err) == topology.NotApplied:
			require.Equal(r.t, at, d.Version)
		default: // an unknown swap is settled by a higher version
			d, err = r.all[id].Swap(r.patience(), topology.Document{Name: "group", Version: d.Version, Body: d.Body})
			require.True(r.t, err == nil || errors.Is(err, topology.ErrConflict), "%v", err)
			d = r.load(id, "group")
			require.LessOrEqual(r.t, d.Version, at+2, "it took place twice")
		}
		at = d.Version
	}
}

func groupDuplicate(r *groupRun) {
	var d topology.Document
	d.Name = "group"
	for _, id := range r.Nodes {
		restore := sync.OnceFunc(r.Duplicate(id))
		defer restore()
		for range 10 {
			d.Body = append(d.Body[:0:0], id...)
			d = r.swap(id, d)
		}
		g, err := r.all[id].Register(r.patience(), id)
		require.NoError(r.t, err)
		require.True(r.t, isOpen(g.Lost()))
		restore()
		require.NoError(r.t, g.Close())
		require.Equal(r.t, d, r.load(id, "group"))
	}
}

func groupJump(r *groupRun) {
	d := r.swap(r.Nodes[0], topology.Document{Name: "group"})
	for i, id := range r.Nodes {
		g, err := r.all[id].Register(r.patience(), id)
		require.NoError(r.t, err)
		r.Jump(id, []time.Duration{time.Hour, -time.Hour}[i%2])
		d = r.swap(id, d)
		require.Equal(r.t, d, r.load(r.Nodes[(i+1)%len(r.Nodes)], "group"))
		require.True(r.t, isOpen(g.Lost()), "a jump is no end of a claim")
		require.NoError(r.t, g.Close())
	}
}
