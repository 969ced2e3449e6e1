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
	roll  uint64 // for what else the fault draws
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
	return fmt.Sprintf("%s for %v", text, s.hold)
}

const (
	holdMin = 1500 * time.Millisecond
	holdMax = 3500 * time.Millisecond
	// fastest is what a strike takes at least, with what follows: more than will
	// fit into a duration are not drawn.
	fastest = 2 * time.Second
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
			}
		}()
	}
	if o.Duration == 0 {
		for _, i := range draw.Perm(len(from)) {
			plan = append(plan, from[i].planned(draw))
		}
		return plan, nil
	}
	for range int(o.Duration/fastest) + 1 {
		plan = append(plan, from[draw.IntN(len(from))].planned(draw))
	}
	return plan, nil
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
