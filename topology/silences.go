package topology

import "time"

// SilenceBounds are the upper bounds of the classes of [Silences].
var SilenceBounds = [...]time.Duration{
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second,
}

// Silences counts how long a leader was silent between two words that a follower heard
// of it, in one stream: what a time after which a leader counts as dead has to stand.
type Silences struct {
	Counts  [len(SilenceBounds) + 1]uint64 // each up to its bound and over the one before; the last one, over all
	Sum     time.Duration
	Longest time.Duration
}

// Note counts one.
func (s *Silences) Note(d time.Duration) {
	i := 0
	for i < len(SilenceBounds) && d > SilenceBounds[i] {
		i++
	}
	s.Counts[i]++
	s.Sum += d
	s.Longest = max(s.Longest, d)
}
