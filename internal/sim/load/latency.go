package load

import (
	"slices"
	"time"
)

// Latencies are how long each of many things took. The zero value is empty; one
// goroutine adds at a time.
type Latencies struct {
	ns     []uint32
	sorted bool
}

// latencyMax is what a longer time is taken for: 4.29 s.
const latencyMax = time.Duration(1<<32 - 1)

// Add notes how long one thing took. In an open loop that is from when it was due.
func (l *Latencies) Add(d time.Duration) {
	l.ns, l.sorted = append(l.ns, uint32(min(max(d, 0), latencyMax))), false
}

// Len is how many there are.
func (l *Latencies) Len() int { return len(l.ns) }

// Merge adds those of another, which stay its own.
func (l *Latencies) Merge(o *Latencies) { l.ns, l.sorted = append(l.ns, o.ns...), false }

// At returns the time that a share q of them, from 0 to 1, do not exceed; 0 of none.
func (l *Latencies) At(q float64) time.Duration {
	if len(l.ns) == 0 {
		return 0
	}
	if !l.sorted {
		slices.Sort(l.ns)
		l.sorted = true
	}
	return time.Duration(l.ns[int(q*float64(len(l.ns)-1))])
}
