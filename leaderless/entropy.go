package leaderless

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/triad-kv/triad/topology"
)

// AntiEntropy says how replicas compare by themselves what they hold, and mend what is
// damaged.
type AntiEntropy struct {
	// Every is the pause between two comparisons of a partition by the first of its
	// replicas that can be reached. Default an hour; negative: never.
	Every time.Duration
	// RereadEvery is the pause between two times that a node reads all it holds again, as
	// damage by a disk is not seen otherwise. Default a week; negative: never.
	RereadEvery time.Duration
	// BytesPerSec is how much one comparison reads and sends a second. Default 8 MiB.
	BytesPerSec int64
	// PauseAbove is how slow the slowest hundredth of the requests that a node coordinates
	// may be before it stops comparing, until they are faster, but for no longer than
	// PauseMax at a time. Default 100 ms; negative: it never stops.
	PauseAbove time.Duration
}

const (
	entropyEvery     = time.Hour
	rereadEvery      = 7 * 24 * time.Hour
	entropyBytes     = 8 << 20
	entropyAbove     = 100 * time.Millisecond
	entropyFirst     = 10 * time.Minute // after the start, or Every if that is less
	entropyRetry     = time.Second
	pulseMax         = 512             // requests whose time is looked at
	pulseOld         = 5 * time.Second // after which a request says nothing any more
	pauseStep        = 100 * time.Millisecond
	suspectsMax      = 4096 // cells looked at in one comparison; the next finds the others
	leavesSuspectMax = leavesAskedMax
	partPartitions   = 8 // of a part of a repair
)

// PauseMax is how long a comparison stops at a time because requests are slow: a cluster
// that is always slow is compared all the same.
const PauseMax = 10 * time.Second

// withDefaults returns o as it is meant.
func (o AntiEntropy) withDefaults() AntiEntropy {
	for _, d := range []struct {
		d   *time.Duration
		def time.Duration
	}{{&o.Every, entropyEvery}, {&o.RereadEvery, rereadEvery}, {&o.PauseAbove, entropyAbove}} {
		if *d.d == 0 {
			*d.d = d.def
		}
	}
	if o.BytesPerSec <= 0 {
		o.BytesPerSec = entropyBytes
	}
	return o
}

// entropy compares what this node holds with what other replicas do.
type entropy struct {
	e     *engine
	one   *semaphore.Weighted // who reads all there is
	exams *semaphore.Weighted // who compares
	pulse pulse
	told  entropyCounts
}

// entropyCounts are what came of comparing, since the start.
type entropyCounts struct {
	rounds    atomic.Uint64 // parts compared
	rereads   atomic.Uint64
	corrected atomic.Uint64 // sums
	differ    atomic.Uint64 // cells
	mended    atomic.Uint64
	paused    atomic.Int64 // nanoseconds
	bytes     atomic.Uint64
	unclear   atomic.Int64 // cells of the last round by itself: nobody knows who is right
}

func newEntropy(e *engine) *entropy {
	return &entropy{e: e, one: semaphore.NewWeighted(1), exams: semaphore.NewWeighted(1)}
}

// run compares by itself, and makes trees that are not whole.
func (x *entropy) run(ctx context.Context) error {
	o := x.e.o.AntiEntropy
	if err := x.e.loop.started(ctx); err != nil {
		return nil //nolint:nilerr // it ends
	}
	var why string
	if err := x.e.loop.call(func() { why = x.e.machine.trees.why }); err != nil {
		return nil //nolint:nilerr // it ends
	}
	for why != "" && ctx.Err() == nil {
		x.e.log.Warn("the sums of what is held are made again of all there is", "why", why)
		r, err := x.reread(ctx)
		if err == nil {
			x.e.log.Info("the sums of what is held are whole", "cells", r.cells)
			break
		}
		if ctx.Err() == nil {
			x.e.log.Warn("the sums of what is held could not be made", "err", err)
		}
		rest(ctx, entropyRetry)
	}
	if o.Every < 0 {
		<-ctx.Done()
		return nil
	}
	last := time.Now()
	for wait := min(entropyFirst, o.Every); rest(ctx, wait); wait = o.Every {
		again := o.RereadEvery >= 0 && time.Since(last) >= o.RereadEvery
		if again {
			last = time.Now()
		}
		x.round(ctx, again)
	}
	return nil
}

// round compares all parts of this node once, and says what it found.
func (x *entropy) round(ctx context.Context, again bool) {
	out, err := x.Repair(ctx, topology.RepairOptions{Reread: again})
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		x.e.log.Warn("what replicas hold was not compared", "err", err)
		return
	}
	for _, p := range out.Peers {
		if p.Problem != "" {
			x.e.log.Warn("a comparison did not come to its end", "peer", p.Node, "err", p.Problem)
		}
	}
	x.told.unclear.Store(int64(out.Unclear))
}

// rest waits; false if ctx has ended.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// pulse is how long the last requests took. It may be used by anybody.
type pulse struct {
	mu   sync.Mutex // a leaf
	took [pulseMax]time.Duration
	at   [pulseMax]time.Time
	n    int
}

// note notes a request that began then and has ended.
func (p *pulse) note(began time.Time) {
	now := time.Now()
	p.mu.Lock()
	p.took[p.n%pulseMax], p.at[p.n%pulseMax] = now.Sub(began), now
	p.n++
	p.mu.Unlock()
}

// p99 returns what all but the slowest hundredth of the last requests took, 0 where there
// were fewer than a hundred of late.
func (p *pulse) p99(now time.Time) time.Duration {
	p.mu.Lock()
	var recent []time.Duration
	for i := range p.took {
		if now.Sub(p.at[i]) < pulseOld {
			recent = append(recent, p.took[i])
		}
	}
	p.mu.Unlock()
	if len(recent) < 100 {
		return 0
	}
	slices.Sort(recent)
	return recent[len(recent)*99/100]
}

// pacing lets a comparison read and send as much as is due, and none while requests suffer.
type pacing struct {
	x    *entropy
	rate int64
	due  time.Time
}

// pace returns a pacing of so many bytes a second, or as this node is configured.
func (x *entropy) pace(rate int64) *pacing {
	if rate <= 0 {
		rate = x.e.o.AntiEntropy.BytesPerSec
	}
	return &pacing{x: x, rate: rate}
}

// spend waits until n bytes more are due.
func (p *pacing) spend(ctx context.Context, n int) error {
	p.x.told.bytes.Add(uint64(n)) //nolint:gosec // a length
	now := time.Now()
	if p.due.Before(now) {
		p.due = now
	}
	p.due = p.due.Add(time.Duration(float64(n) / float64(p.rate) * float64(time.Second)))
	began := now
	above := p.x.e.o.AntiEntropy.PauseAbove
	for above > 0 && now.Sub(began) < PauseMax && p.x.pulse.p99(now) > above {
		if !rest(ctx, pauseStep) {
			return fmt.Errorf("%w: %w", topology.ErrTimeout, ctx.Err())
		}
		p.x.told.paused.Add(int64(time.Since(now)))
		now = time.Now()
	}
	if d := p.due.Sub(now); d > 0 && !rest(ctx, d) {
		return fmt.Errorf("%w: %w", topology.ErrTimeout, ctx.Err())
	}
	return nil
}

// Count implements topology.Counter.
func (x *entropy) Count(n *topology.Counts) {
	t := &x.told
	n.Repairs = &topology.RepairCounts{
		Rounds: t.rounds.Load(), Rereads: t.rereads.Load(), Corrected: t.corrected.Load(), Differ: t.differ.Load(), Mended: t.mended.Load(),
		Unclear: uint64(t.unclear.Load()), Bytes: t.bytes.Load(), Paused: time.Duration(t.paused.Load()), //nolint:gosec // a count
	}
	if at := x.e.stats.shown.Load(); at != nil {
		n.Repairs.Expired, n.Repairs.Collected = at.Expired, at.collected
	}
}

// warnings are what an operator should know of it.
func (x *entropy) warnings() (out []string) {
	if n := x.told.unclear.Load(); n > 0 {
		out = append(out, fmt.Sprintf("replicas hold %d cells differently, and it is not known which of them is right: `triad repair --check` names them", n))
	}
	return out
}
