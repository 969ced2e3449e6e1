//go:build linux

package nemesis

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// strike is one fault that is planned.
type strike struct {
	fault *fault
	at    target
	hold  time.Duration
	roll  uint64  // for what else the fault draws
	with  *strike // what happens at the same time; nil: nothing
}

// target is whom a fault hits. The names are resolved when it strikes.
type target string

const (
	atLeader   target = "the leader"
	atFollower target = "a follower"
)

func (s strike) String() string {
	text := s.fault.name
	if s.at != "" {
		text += " at " + string(s.at)
	}
	text = fmt.Sprintf("%s for %v", text, s.hold)
	if s.with != nil {
		text += ", and " + s.with.String()
	}
	return text
}

const (
	holdMin = 1500 * time.Millisecond
	holdMax = 3500 * time.Millisecond
	// fastest is what a strike takes at least, with what follows: more than will
	// fit into a duration are not drawn.
	fastest = 2 * time.Second

	pairsShort = 4 // of two faults at once, in the short form
	pairsLong  = 3 // one in so many strikes is of two faults
)

// newPlan draws the faults of a run. It depends on the seed and the options alone.
func newPlan(o Options) (plan []strike, err error) {
	from := faults
	if len(o.Faults) > 0 {
		from = nil
		for _, name := range o.Faults {
			i := slices.IndexFunc(faults, func(f *fault) bool { return f.name == name })
			if i < 0 {
				return nil, fmt.Errorf("there is no fault %q; there are: %s", name, strings.Join(Faults(), ", "))
			}
			from = append(from, faults[i])
		}
	}
	draw := rand.New(rand.NewPCG(o.Seed, 0))
	if o.brief {
		defer func() {
			for i := range plan {
				plan[i].hold /= 10
				if with := plan[i].with; with != nil {
					with.hold /= 10
				}
			}
		}()
	}
	var pair func() (strike, bool)
	if pair = pairs(from, draw); o.Duration == 0 {
		for _, i := range draw.Perm(len(from)) {
			plan = append(plan, from[i].planned(draw))
		}
		n := pairsShort
		if o.brief {
			n = 1
		}
		for range n {
			if s, ok := pair(); ok {
				plan = append(plan, s)
			}
		}
		return plan, nil
	}
	for range int(o.Duration/fastest) + 1 {
		if s, ok := pair(); ok && draw.IntN(pairsLong) == 0 {
			plan = append(plan, s)
			continue
		}
		plan = append(plan, from[draw.IntN(len(from))].planned(draw))
	}
	return plan, nil
}

// pairs returns a function that draws two faults which happen at once, if there
// are such.
func pairs(from []*fault, draw *rand.Rand) func() (strike, bool) {
	var cutting, others []*fault
	for _, f := range from {
		switch f.cuts {
		case cutsOnly:
			cutting = append(cutting, f)
		case cutsNothing:
			others = append(others, f)
		}
	}
	return func() (s strike, ok bool) {
		if len(cutting) == 0 || len(others) == 0 {
			return s, false
		}
		s = others[draw.IntN(len(others))].planned(draw)
		with := cutting[draw.IntN(len(cutting))].planned(draw)
		s.with = &with
		return s, true
	}
}

func (f *fault) planned(draw *rand.Rand) strike {
	s := strike{fault: f, roll: draw.Uint64()}
	s.hold = holdMin + time.Duration(draw.Int64N(int64(holdMax-holdMin))).Truncate(10*time.Millisecond)
	if i := draw.IntN(1 << 16); len(f.at) > 0 {
		s.at = f.at[i%len(f.at)]
	}
	return s
}

// Faults are the names of all faults.
func Faults() (names []string) {
	for _, f := range faults {
		names = append(names, f.name)
	}
	return names
}
