package probe

import (
	"slices"
	"time"

	"github.com/triad-kv/triad/internal/bench/result"
	"github.com/triad-kv/triad/internal/bench/scenario"
	"github.com/triad-kv/triad/internal/sim/check"
	"github.com/triad-kv/triad/internal/sim/history"
	"github.com/triad-kv/triad/quorum/pbs"
)

// orderLimit bounds the search for an order of one key's operations. What it cuts short
// is undecided.
const orderLimit = time.Second

// Verdict is what the sessions met.
type Verdict struct {
	Anomalies []result.Anomaly
	Staleness map[string]result.Stale
	Acked     int // writes, acknowledged
	Lost      int // of those, not there in the end
}

// Judge holds a history, and what the nodes hold in the end, against what users notice.
func Judge(v scenario.Variant, ops []history.Op, finals []check.Final) (*Verdict, error) {
	j := judge{v: v, ops: ops, rules: check.Rules{Sites: v.Scattered(), Lossy: v.Topology == scenario.SingleLeader && !v.Forbids(scenario.LostWrites, "")}}
	j.out.Staleness = map[string]result.Stale{}
	for _, level := range scenario.Levels {
		if !asked(ops, level) {
			continue
		}
		if err := j.level(level); err != nil {
			return nil, err
		}
	}
	return &j.out, j.writes(finals)
}

// asked reports whether any read of a level was answered.
func asked(ops []history.Op, level scenario.Level) bool {
	return slices.ContainsFunc(ops, func(op history.Op) bool {
		return !op.Kind.Writes() && op.Outcome == history.Applied && op.Guarantee() == guarantee(level)
	})
}

type judge struct {
	v     scenario.Variant
	ops   []history.Op
	rules check.Rules
	out   Verdict
}

// note adds what a checker found.
func (j *judge) note(what scenario.Anomaly, level scenario.Level, r check.Report) {
	a := result.Anomaly{What: what, Level: level, Judged: r.Judged, Found: len(r.Violations), Undecided: len(r.Undecided), Forbidden: j.v.Forbids(what, level)}
	if len(r.Violations) > 0 {
		a.Example = r.Violations[0].String()
	}
	j.out.Anomalies = append(j.out.Anomalies, a)
}

// level judges what readers of one level met.
func (j *judge) level(level scenario.Level) error {
	asSession, err := check.New(j.rules, seen(j.ops, level, history.Session))
	if err != nil {
		return err
	}
	asLinear, err := check.New(j.rules, seen(j.ops, level, history.Linearizable))
	if err != nil {
		return err
	}
	stale := asLinear.Fresh()
	j.note(scenario.StaleReads, level, stale)
	j.note(scenario.OwnWrites, level, asSession.ReadYourWrites())
	j.note(scenario.BackInTime, level, asSession.MonotonicReads())
	j.note(scenario.TornPrefix, level, asSession.ConsistentPrefix())
	if level == scenario.LevelLinearizable {
		order := check.Report{Judged: stale.Judged, Violations: stale.Violations} // which no order explains: there is no need to search
		if len(stale.Violations) == 0 {
			order = asLinear.Linearizable(orderLimit)
		}
		j.note(scenario.NotLinearizable, level, order)
	}
	if s := staleOf(asLinear.Ages()); s.Reads > 0 {
		if j.v.Topology == scenario.Leaderless && level == scenario.LevelAny {
			p := pbs.StaleOf(j.v.Copies, j.v.R, j.v.W)
			s.Predicted = &p
		}
		j.out.Staleness[string(level)] = s
	}
	return nil
}

// writes judges what became of what was acknowledged.
func (j *judge) writes(finals []check.Final) error {
	c, err := check.New(j.rules, j.ops, finals...)
	if err != nil {
		return err
	}
	lost := map[uint64]bool{}
	for _, f := range finals {
		for _, op := range c.Lost(f) {
			lost[op.ID] = true
		}
	}
	for _, op := range j.ops {
		if op.Kind.Writes() && op.Outcome == history.Applied {
			j.out.Acked++
		}
	}
	j.out.Lost = len(lost)
	kept := c.Kept()
	kept.Judged = j.out.Acked
	kept.Violations = kept.Violations[:min(len(kept.Violations), len(lost))] // one for each write, not for each node
	j.note(scenario.LostWrites, "", kept)
	j.note(scenario.OutOfNowhere, "", c.Nowhere())
	j.note(scenario.NeverTheSame, "", c.Converged())
	return nil
}

// shares are those of all reads whose age is told.
var shares = []float64{0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1}

func staleOf(ages []check.Age) (s result.Stale) {
	s.Reads = len(ages)
	if s.Reads == 0 {
		return s
	}
	var ms []float64
	for _, a := range ages {
		if a.Behind > 0 {
			s.Stale++
		}
		s.Versions = max(s.Versions, a.Behind)
		ms = append(ms, float64(a.By)/float64(time.Millisecond))
	}
	slices.Sort(ms)
	at := func(share float64) float64 { return ms[int(share*float64(len(ms)-1))] }
	s.P50, s.P99, s.Max = at(0.5), at(0.99), ms[len(ms)-1]
	for _, share := range shares {
		s.Shares = append(s.Shares, result.Quantile{Share: share, MS: at(share)})
	}
	return s
}
