package version

import (
	"cmp"
	"fmt"
	"math"
	"sync"
	"time"
)

// Timestamp is hybrid logical time (rule C3): 48 bits of Unix milliseconds,
// then 16 bits of a counter. Timestamps sort as integers.
type Timestamp uint64

const counterBits = 16

// timeMax is the last millisecond that a timestamp can hold, in the year 10889.
const timeMax = 1<<(64-counterBits) - 1

// TimestampAt returns the least timestamp of the millisecond that holds t.
// Times before 1970 give 0, times that are too late the last millisecond.
func TimestampAt(t time.Time) Timestamp {
	return Timestamp(min(max(t.UnixMilli(), 0), timeMax)) << counterBits
}

// Time returns the wall-clock part of ts, in whole milliseconds.
func (ts Timestamp) Time() time.Time { return time.UnixMilli(int64(ts >> counterBits)) }

// Counter returns the logical part of ts.
func (ts Timestamp) Counter() uint16 { return uint16(ts) }

func (ts Timestamp) String() string {
	return fmt.Sprintf("%s+%d", ts.Time().UTC().Format("2006-01-02T15:04:05.000Z"), ts.Counter())
}

// MaxSkewDefault is how far ahead of the local wall clock a received timestamp
// may be before [Clock.Observe] refuses it.
const MaxSkewDefault = 500 * time.Millisecond

// SkewError is the refusal of a timestamp that is too far ahead of the local
// wall clock. The timestamp is not adopted, and nobody rewrites it (rule C3).
type SkewError struct {
	Time  Timestamp     // what was received
	Ahead time.Duration // how far it is ahead of the local wall clock
	Max   time.Duration // what is allowed
}

func (e *SkewError) Error() string {
	return fmt.Sprintf("time %v is %v ahead of the local clock, more than the allowed %v: check the clocks of both nodes", e.Time, e.Ahead, e.Max)
}

// Clock hands out timestamps that never go back and never repeat, whatever the
// wall clock does. It is safe for concurrent use.
type Clock struct {
	wall    func() time.Time
	maxSkew time.Duration

	mu   sync.Mutex
	last Timestamp
}

// NewClock returns a clock over wall (nil means [time.Now]) that refuses
// received times more than maxSkew ahead (0 means [MaxSkewDefault]).
func NewClock(wall func() time.Time, maxSkew time.Duration) *Clock {
	if wall == nil {
		wall = time.Now
	}
	if maxSkew == 0 {
		maxSkew = MaxSkewDefault
	}
	return &Clock{wall: wall, maxSkew: maxSkew}
}

// Now returns a timestamp greater than every one returned, observed or raised
// to before. A clock raised to the end of its range stays there and repeats
// itself, which the rest of the order of versions can bear (rule C4): it never
// goes back.
func (c *Clock) Now() Timestamp {
	now := TimestampAt(c.wall())
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last < math.MaxUint64 {
		c.last = max(c.last+1, now)
	}
	return c.last
}

// Until returns how long the wall clock takes to show ts; less than 0 if it has
// shown it.
func (c *Clock) Until(ts Timestamp) time.Duration { return ts.Time().Sub(c.wall()) }

// Wall returns what the wall clock shows, with nothing that was heard since.
func (c *Clock) Wall() time.Time { return c.wall() }

// Last returns the greatest timestamp handed out, observed or raised to.
func (c *Clock) Last() Timestamp {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// Observe raises the clock to ts, so that whatever is stamped next sorts after
// it. A ts further ahead of the wall clock than the allowed skew is refused
// with a [*SkewError] and leaves the clock as it was (rule C3).
func (c *Clock) Observe(ts Timestamp) error {
	if ahead := c.Until(ts); ahead > c.maxSkew {
		return &SkewError{Time: ts, Ahead: ahead, Max: c.maxSkew}
	}
	c.Raise(ts)
	return nil
}

// Raise raises the clock to ts without a check: for times read from the local
// log after a restart, a failover or a snapshot, which are facts already.
func (c *Clock) Raise(ts Timestamp) {
	c.mu.Lock()
	c.last = max(c.last, ts)
	c.mu.Unlock()
}

// CompareWrites is the total order of writes: time, then origin, then sequence
// (rule C4). It is the same wherever it is asked, and 0 for one write alone:
// never local against remote, never by who sent it.
func CompareWrites(t Timestamp, d Dot, u Timestamp, e Dot) int {
	if c := cmp.Compare(t, u); c != 0 {
		return c
	}
	return d.Compare(e)
}
