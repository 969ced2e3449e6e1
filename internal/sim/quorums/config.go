package quorums

import (
	"time"

	"github.com/triad-kv/triad/internal/sim"
	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

const (
	partitions = 8
	copies     = 3
)

var names = []topology.NodeID{"a", "b", "c", "d", "e"}

// config is what a seed draws before anything happens. Limits are tiny.
type config struct {
	write  quorum.Consistency
	read   quorum.Consistency
	repair core.Repair
	limits core.Limits
	skew   time.Duration

	segmentBytes int64
	tailBytes    int64
	tick         time.Duration
	look         time.Duration // between two guesses who is alive
	wrong        float64       // of those

	clients    int
	keys       int
	valueBytes int
	think      time.Duration
	patience   time.Duration
	hedge      time.Duration // 0: never
	blind      float64       // of puts, that carry no context

	moving moving
}

func draw(s *sim.Sim) config {
	ms := func(from, to int) time.Duration { return time.Duration(s.Between(from, to)) * time.Millisecond }
	levels := []quorum.Consistency{quorum.AtQuorum, quorum.AtQuorum, quorum.AtOne, quorum.AtAll}
	c := config{
		write: sim.Pick(s, levels...), read: sim.Pick(s, levels...),
		repair: sim.Pick(s, core.RepairNone, core.RepairAsync, core.RepairBlocking, core.RepairWriteBack, core.RepairWriteBack),
		limits: core.Limits{
			Requests:  sim.Pick(s, 1, 3, 100),
			Unflushed: sim.Pick(s, 1, 4, 1000),
			Fill:      sim.Pick(s, 5, 20, 100),
		},
		skew:         sim.Pick(s, 500*time.Millisecond, time.Minute, time.Hour),
		segmentBytes: int64(sim.Pick(s, 8<<10, 12<<10, 32<<10)),
		tailBytes:    int64(sim.Pick(s, 1, 4<<10, 64<<10)),
		tick:         ms(20, 200),
		look:         ms(50, 1000),
		wrong:        float64(s.Between(0, 10)) / 100,
		clients:      s.Between(2, 12),
		keys:         sim.Pick(s, 1, 3, 10, 50),
		valueBytes:   sim.Pick(s, 0, 20, 200),
		think:        ms(2, 80),
		patience:     ms(200, 2000),
		hedge:        sim.Pick(s, 0, ms(5, 50), ms(50, 200)),
		blind:        sim.Pick(s, 0.0, 0.2, 1.0),
	}
	if c.moving = drawMoving(s); c.moving.on {
		c.limits.Unflushed = max(c.limits.Unflushed, c.moving.page+1) // or no page finds room
	}
	if c.repair == core.RepairWriteBack && !c.strict() {
		c.repair = core.RepairBlocking // an engine refuses it
	}
	return c
}

// linear reports whether every key is a register that is linearizable.
func (c *config) linear() bool { return c.repair == core.RepairWriteBack }

// strict reports whether every read meets every write that was acknowledged.
func (c *config) strict() bool { return c.write.Needed(copies)+c.read.Needed(copies) > copies }
