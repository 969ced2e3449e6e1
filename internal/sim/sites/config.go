package sites

import (
	"time"

	"github.com/triad-kv/triad/internal/sim"
	"github.com/triad-kv/triad/multileader/core"
)

// config is what a seed draws before anything happens. Limits are tiny.
type config struct {
	sites  int
	shape  string
	limits core.Limits
	skew   time.Duration

	segmentBytes int64
	tailBytes    int64
	tick         time.Duration
	redial       time.Duration
	reading      time.Duration // of the log, for a peer

	clients    int
	keys       int
	valueBytes int
	think      time.Duration
	patience   time.Duration
	writes     float64
}

func draw(s *sim.Sim) config {
	ms := func(from, to int) time.Duration { return time.Duration(s.Between(from, to)) * time.Millisecond }
	return config{
		sites: s.Between(3, 4),
		shape: sim.Pick(s, "mesh", "mesh", "line", "ring", "star"),
		limits: core.Limits{
			Queue:       sim.Pick(s, 1, 10, 1000),
			Uncommitted: sim.Pick(s, 2, 20, 1000),
			Shipment:    sim.Pick(s, 1, 10, 64),
			Window:      sim.Pick(s, 1, 20, 512),
			WindowBytes: sim.Pick(s, 1, 4<<10, 1<<20),
			GapTicks:    s.Between(1, 4),
			ResendTicks: s.Between(2, 8),
		},
		skew:         sim.Pick(s, 500*time.Millisecond, time.Minute, time.Hour),
		segmentBytes: int64(sim.Pick(s, 8<<10, 12<<10, 16<<10)),
		tailBytes:    int64(sim.Pick(s, 1, 4<<10, 64<<10)),
		tick:         ms(10, 100),
		redial:       ms(10, 500),
		reading:      ms(0, 2),
		clients:      s.Between(2, 12),
		keys:         sim.Pick(s, 1, 3, 10, 50),
		valueBytes:   sim.Pick(s, 0, 20, 200, 1500),
		think:        ms(2, 80),
		patience:     ms(200, 2000),
		writes:       sim.Pick(s, 0.3, 0.7),
	}
}

// linked says who exchanges logs.
func (c *config) linked(i, j int) bool {
	switch {
	case i == j:
		return false
	case c.shape == "line":
		return i-j == 1 || j-i == 1
	case c.shape == "ring":
		return (i+1)%c.sites == j || (j+1)%c.sites == i
	case c.shape == "star":
		return i == 0 || j == 0
	}
	return true
}
