// Package probe watches a subject while it is under load: a few sessions whose every
// operation is recorded, and judged afterwards by the checkers that the simulations
// use (internal/sim/check).
//
// Sessions write where clients of their site write. They read at any node, as behind a
// load balancer that keeps nobody at one, at every level in turn. For each level it is
// then asked what its readers met, whatever the subject promises: the promise decides
// only whether that was forbidden.
package probe

import (
	"context"
	"strings"
	"time"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/internal/bench/scenario"
	"github.com/triad-kv/triad/internal/bench/world"
	"github.com/triad-kv/triad/internal/sim/check"
	"github.com/triad-kv/triad/internal/sim/history"
	"github.com/triad-kv/triad/internal/sim/load"
	"github.com/triad-kv/triad/topology"
)

// Probes are the sessions of one run.
type Probes struct {
	w      *world.World
	s      *scenario.Scenario
	v      scenario.Variant
	runner load.Runner
}

// New makes the sessions; they ask nothing before Run.
func New(w *world.World, s *scenario.Scenario, v scenario.Variant, seed uint64) *Probes {
	p := &Probes{w: w, s: s, v: v}
	o := load.Options{
		Mix: load.Mix{Put: 4, Get: 15, Once: 1}, Registers: s.Probes.Keys,
		Reads: []history.Request{{Guarantee: history.Any}, {Guarantee: history.Session}, {Guarantee: history.Linearizable}},
	}
	if v.Topology == scenario.Leaderless {
		o.Reads = o.Reads[:2] // it has no others
	}
	for _, n := range w.Nodes() {
		o.Nodes = append(o.Nodes, n.ID)
	}
	p.runner = load.Runner{
		Options: o, Seed: seed, Sessions: s.Probes.Sessions, Timeout: time.Duration(s.Timeout), Pause: time.Duration(s.Probes.Pause),
		Recorder: history.NewRecorder(nil), Dial: p.dial,
	}
	return p
}

// Run asks until ctx ends, and waits for what is under way then.
func (p *Probes) Run(ctx context.Context) {
	if p.s.Probes.Sessions > 0 {
		p.runner.Run(ctx)
	}
}

// Ops are what was asked and answered.
func (p *Probes) Ops() []history.Op { return p.runner.Recorder.Ops() }

// session is the client of one session.
type session struct {
	p    *Probes
	site string
	at   *world.Node
	asks load.Engine
}

func (p *Probes) dial(number uint64) load.Client {
	s := &session{p: p, site: p.s.Sites[int(number)%len(p.s.Sites)]}
	s.asks.Plain = p.v.Topology == scenario.Leaderless
	s.asks.At = func(string) (topology.Engine, string) { return s.at.Engine(), s.at.ID }
	return s
}

// Do implements load.Client.
func (s *session) Do(ctx context.Context, op history.Op) history.Op {
	way := s.p.w.Writer(s.site)
	if !op.Kind.Writes() {
		way = s.p.w.At(s.site, op.Node)
	}
	s.at = way.Node
	op.Node = s.at.ID
	told := op
	err := way.Do(ctx, string(op.Kind), func(ctx context.Context, _ *triad.Node) error {
		told = s.asks.Do(ctx, op)
		return nil
	})
	if err != nil {
		return load.Told(op, err)
	}
	return told
}

// Finals are what the nodes hold in the end of what the sessions wrote.
func (p *Probes) Finals(ctx context.Context) (all []check.Final, err error) {
	for _, n := range p.w.Nodes() {
		f, err := load.Final(ctx, n.ID, n.Engine())
		if err != nil {
			return nil, err
		}
		for key := range f.Cells {
			if !strings.HasPrefix(key, load.Registers) && !strings.HasPrefix(key, load.Onces) {
				delete(f.Cells, key)
			}
		}
		all = append(all, f)
	}
	return all, nil
}

// guarantee is what a history calls a level.
func guarantee(l scenario.Level) history.Guarantee {
	switch l {
	case scenario.LevelSession:
		return history.Session
	case scenario.LevelLinearizable:
		return history.Linearizable
	}
	return history.Any
}

// seen is a history as if all its writes, and of its reads those of one level alone, had
// been asked for as another level.
func seen(ops []history.Op, level scenario.Level, as history.Guarantee) (all []history.Op) {
	for _, op := range ops {
		if !op.Kind.Writes() {
			if op.Guarantee() != guarantee(level) {
				continue
			}
			op.Want = history.Request{Guarantee: as}
		}
		all = append(all, op)
	}
	return all
}
