package sim

import "time"

// beginning is the wall clock's reading at virtual time 0.
var beginning = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Clock is a machine's wall clock: it drifts and jumps.
type Clock struct {
	s      *Sim
	offset time.Duration
	drift  float64       // of a second, a second
	since  time.Duration // when offset was right
}

// Now returns what the clock shows.
func (c *Clock) Now() time.Time { return beginning.Add(c.s.now + c.off()) }

func (c *Clock) off() time.Duration {
	return c.offset + time.Duration(c.drift*float64(c.s.now-c.since))
}

// set moves the clock by jump, and lets it drift from now on.
func (c *Clock) set(jump time.Duration, drift float64) {
	c.offset, c.since, c.drift = c.off()+jump, c.s.now, drift
}
