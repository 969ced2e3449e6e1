package sites

import (
	"time"

	"github.com/triad-kv/triad/internal/sim"
	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
)

// config is what a seed draws before anything happens. Limits are tiny.
type config struct {
	sites  int // at the beginning
	roster bool
	shape  shape
	limits core.Limits
	clocks clocks
	log    retention
	ticks  pace
	load   load
	mangle mangle
	uses   []*use
}

// clocks are the wall clocks of sites.
type clocks struct {
	maxSkew time.Duration
	apart   time.Duration // at the beginning, and when one is set wrong: at most
}

// retention is how long logs are, and how they are cut up.
type retention struct {
	segmentBytes int64
	tailBytes    int64
	keep         record.LSN // entries that a log holds for peers; 0: all
	part         int        // cells of one part of a snapshot
}

// pace is how long things take that a shell has to choose.
type pace struct {
	tick    time.Duration
	redial  time.Duration
	reading time.Duration // of the log, for a peer
	cut     time.Duration // between two cuts of a site
	council time.Duration // between two looks at what goes on by itself
	elect   time.Duration // until a site names another leader
}

// load is what clients do.
type load struct {
	clients    int
	keys       int
	valueBytes int
	think      time.Duration
	patience   time.Duration
	writes     float64
	roam       float64 // how often a client goes to another site
}

// mangle is what becomes of messages between sites beside what connections do to them.
type mangle struct{ lost, twice, late float64 }

func draw(s *sim.Sim) config {
	ms := func(from, to int) time.Duration { return time.Duration(s.Between(from, to)) * time.Millisecond }
	c := config{
		sites:  sim.Pick(s, 3, 3, 3, 4, 5, 5),
		roster: s.Chance(0.5),
		limits: core.Limits{
			Queue:       sim.Pick(s, 1, 10, 1000),
			Uncommitted: sim.Pick(s, 2, 20, 1000),
			Shipment:    sim.Pick(s, 1, 10, 64),
			Window:      sim.Pick(s, 1, 20, 512),
			WindowBytes: sim.Pick(s, 1, 4<<10, 1<<20),
			GapTicks:    s.Between(1, 4),
			ResendTicks: s.Between(2, 8),
			FetchTicks:  s.Between(16, 64),
		},
		clocks: clocks{
			maxSkew: sim.Pick(s, 500*time.Millisecond, time.Minute, 3*time.Hour),
			apart:   sim.Pick(s, 0, 0, 100*time.Millisecond, time.Hour),
		},
		log: retention{
			segmentBytes: int64(sim.Pick(s, 8<<10, 12<<10, 16<<10)),
			tailBytes:    int64(sim.Pick(s, 1, 4<<10, 64<<10)),
			keep:         record.LSN(sim.Pick(s, 0, 8, 40, 150)),
			part:         sim.Pick(s, 1, 5, 50),
		},
		ticks: pace{tick: ms(10, 60), redial: ms(10, 400), reading: ms(0, 2), cut: ms(200, 3000), council: ms(100, 600), elect: ms(50, 1500)},
		load: load{
			clients:    s.Between(3, 12),
			keys:       sim.Pick(s, 1, 2, 4, 8),
			valueBytes: sim.Pick(s, 0, 20, 200),
			think:      ms(2, 60),
			patience:   ms(200, 2000),
			writes:     sim.Pick(s, 0.4, 0.7),
			roam:       sim.Pick(s, 0.02, 0.1, 0.3),
		},
	}
	c.shape = drawShape(s, c.sites)
	if s.Chance(0.5) {
		c.mangle = mangle{lost: s.Rand.Float64() * 0.1, twice: s.Rand.Float64() * 0.2, late: s.Rand.Float64() * 0.2}
	}
	c.uses = drawUses(s)
	return c
}
