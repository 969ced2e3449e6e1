package load

import (
	"slices"
	"time"
)

// Latencies are how long each of many things took. The zero value is empty; one
// goroutine adds at a time.
type Latencies struct{ ns []uint32 }

// latencyMax is what a longer time is taken for: 4.29 s.
const latencyMax = time.Duration(1<<32 - 1)

// Add notes how long one thing took. In an open loop that is from when it was due.
func (l *Latencies) Add(d time.Duration) { l.ns = append(l.ns, uint32(min(max(d, 0), latencyMax))) }

// Len is how many there are.
func (l *Latencies) Len() int { return len(l.ns) }

// Merge adds those of others.
func (l *Latencies) Merge(others ...*Latencies) {
	for _, o := range others {
		l.ns = append(l.ns, o.ns...)
	}
	slices.Sort(l.ns)
}

// At returns the time that a share q of them, from 0 to 1, do not exceed; 0 of none.
// They must have been merged since the last was added.
func (l *Latencies) At(q float64) time.Duration {
	if len(l.ns) == 0 {
		return 0
	}
	return time.Duration(l.ns[int(q*float64(len(l.ns)-1))])
}
