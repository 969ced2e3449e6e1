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
	"github.com/triad-kv/triad/record"
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
	p     *Probes
	site  string
	token topology.Token // what it has seen
}

func (p *Probes) dial(number uint64) load.Client {
	return &session{p: p, site: p.s.Sites[int(number)%len(p.s.Sites)]}
}

// Do implements load.Client.
func (s *session) Do(ctx context.Context, op history.Op) history.Op {
	way := s.p.w.Writer(s.site)
	if !op.Kind.Writes() {
		way = s.p.w.At(s.site, op.Node)
	}
	op.Node = way.Node.ID
	told := op
	err := way.Do(ctx, string(op.Kind), func(ctx context.Context, d world.Door) error {
		told = op // it may be asked again
		if op.Kind.Writes() {
			return s.write(ctx, d, &told)
		}
		return s.read(ctx, d, &told)
	})
	return load.Told(told, err)
}

// cell is the place of a key of the sessions.
func cell(key string) world.Cell {
	return world.Cell{Table: triad.DefaultTable, Kind: record.KindBytes, Key: []byte(key)}
}

func (s *session) write(ctx context.Context, d world.Door, op *history.Op) error {
	if op.Kind != history.Put {
		return &topology.Error{Op: string(op.Kind), Outcome: topology.NotApplied, Err: topology.ErrUnsupported}
	}
	r, err := d.Write(ctx, world.Change{Cell: cell(op.Key), Value: []byte(op.Value)})
	if err == nil {
		op.Place, s.token = load.PlaceOf(r), s.token.Join(r.Token)
	}
	return err
}

func (s *session) read(ctx context.Context, d world.Door, op *history.Op) error {
	h, err := d.Read(ctx, cell(op.Key), s.want(op))
	if err != nil {
		return err
	}
	for _, v := range h.Values {
		op.Got = append(op.Got, string(v))
		op.Place = history.Place{Dot: h.Dot, Time: h.Time}
	}
	if len(h.Values) > 0 {
		op.Place.Term, op.Place.LSN = h.Token.Term, uint64(h.Token.LSN)
		s.token = s.token.Join(h.Token)
	}
	return nil
}

// want is what a read asks for. Where nobody leads, one that may show anything asks as many
// replicas as the subject says, and for nothing else.
func (s *session) want(op *history.Op) world.Want {
	switch op.Guarantee() {
	case history.Session:
		return world.Want{Level: scenario.LevelSession, After: s.token}
	case history.Linearizable:
		return world.Want{Level: scenario.LevelLinearizable}
	}
	if s.p.v.Topology == scenario.Leaderless {
		return world.Want{}
	}
	return world.Want{Level: scenario.LevelAny}
}

// Finals are what the nodes hold in the end of what the sessions wrote.
func (p *Probes) Finals(ctx context.Context) (all []check.Final, err error) {
	for _, n := range p.w.Present() {
		f, err := n.Final(ctx)
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
