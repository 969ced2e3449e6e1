package core

import (
	"slices"
	"time"

	"github.com/triad-kv/triad/record"
)

// Lease is a leader's right to answer by itself until a time of its own clock: as long
// as it lasts nobody else acknowledges anything (S7).
//
// It is counted from when a round was asked that everybody a commit needs has
// answered. One of those is elected next, or promised to whom is; he answered before he
// knew of the newer term, in which nothing is acknowledged before For has passed since,
// stretched by how far two clocks may run apart. A leader whose disk makes no progress
// within For has no lease (S11).
type Lease struct {
	For   time.Duration // from the asking; 0: there is none
	Until time.Duration

	given bool     // given up, for a successor that does not wait
	asked []asking // and not answered, oldest first
	disk  progress
}

type asking struct {
	round uint64
	at    time.Duration
}

// progress is how far the own log was durable, and when that was last news or enough.
type progress struct {
	flushed record.LSN
	at      time.Duration
}

// askingsMax is how many rounds without an answer are remembered; then the oldest is
// forgotten.
const askingsMax = 16

// LeaseMax is the longest lease: a failover waits for its end. Two clocks run apart by
// less than their own time, so that who waits does so for less than twice as long.
const LeaseMax = time.Minute

// Stretched is how long a successor waits for a lease to be over, where of two clocks
// one may run faster by drift in each second.
func Stretched(lease, drift time.Duration) time.Duration {
	return lease + time.Duration(float64(lease)*drift.Seconds()) + min(lease, 1)
}

// ask notes when a round was asked.
func (l *Lease) ask(round uint64, now time.Duration) {
	if l.For == 0 {
		return
	}
	if len(l.asked) == askingsMax {
		l.asked = slices.Delete(l.asked, 0, 1)
	}
	l.asked = append(l.asked, asking{round, now})
}

// answered: everybody answered the rounds up to round. It reports whether that renews.
func (l *Lease) answered(round uint64) (renewed bool) {
	n := 0
	for n < len(l.asked) && l.asked[n].round <= round {
		if until := l.asked[n].at + l.For; until > l.Until {
			l.Until, renewed = until, true
		}
		n++
	}
	l.asked = slices.Delete(l.asked, 0, n)
	return renewed
}

// look notes how far the own log is durable.
func (l *Lease) look(now time.Duration, end, flushed record.LSN) {
	if flushed >= end || flushed != l.disk.flushed {
		l.disk = progress{flushed, now}
	}
}

// hangs reports whether the disk has made no progress for as long as a lease lasts.
func (l *Lease) hangs(now time.Duration, end, flushed record.LSN) bool {
	return flushed < end && flushed == l.disk.flushed && now-l.disk.at >= l.For
}

// holds reports whether the lease lasts at now.
func (l *Lease) holds(now time.Duration, end, flushed record.LSN) bool {
	return l.For > 0 && !l.given && now < l.Until && !l.hangs(now, end, flushed)
}

// Leased reports whether a read that comes at now may be served from what is committed,
// without a round.
func Leased(c *Core, now time.Duration) bool {
	return c.Settled() && !c.Lead.Frozen && !c.Lead.Held && c.Lead.Lease.holds(now, c.End, c.Flushed)
}

// freeAt returns when this node, which begins to lead, may acknowledge: the leases
// before its own are over. Where the wait is counted by what was heard, no lease was
// renewed without this node's answer, to what a leader told it last or before.
func freeAt(c *Core, ev Event) time.Duration {
	if ev.Heard {
		return c.heard + ev.Wait
	}
	return c.now + ev.Wait
}

// tick: time has passed. The leases of others are over, or the own one is due to be
// renewed.
func tick(c *Core) {
	if c.Role != Leader {
		return
	}
	if c.Lead.Held && c.now >= c.Lead.Free {
		c.Lead.Held = false
		c.advance()
		c.advanceRounds()
	}
	l := &c.Lead.Lease
	if l.For == 0 {
		return
	}
	l.look(c.now, c.End, c.Flushed)
	if !l.hangs(c.now, c.End, c.Flushed) {
		c.read()
	}
}

// recounted: a lease holds only as far as everybody has answered who counts now: who is
// let in may be elected, and waits no longer than what he has answered demands.
func (l *Lease) recounted(grown bool) {
	if grown {
		l.Until, l.asked = 0, nil
	}
}

// yield: the lease is given up, for a successor who does not wait for its end; or, once
// there is known to be none, taken again.
func yield(c *Core, ev Event) {
	if c.Role == Leader && ev.Term == c.Term {
		c.Lead.Lease.given = ev.N > 0
	}
}
