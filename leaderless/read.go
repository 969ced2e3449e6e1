package leaderless

import (
	"context"
	"fmt"
	"math"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// reader is the reading side of an engine.
type reader struct{ e *engine }

// readAsked is how a read is done.
type readAsked struct {
	level  quorum.Consistency
	repair core.Repair
	token  topology.Token
	strict bool // it is to be linearizable, or fail
}

// Read implements topology.Engine.
func (rd *reader) Read(ctx context.Context, table record.TableID, key []byte, o topology.ReadOptions) (topology.Reading, error) {
	a, err := rd.how(&o)
	if err != nil {
		return topology.Reading{}, keyed(key, rd.e.errorOf("get", topology.NotApplied, err))
	}
	var r topology.Reading
	v := view{CellRange: topology.CellRange{Cell: record.Cell{Table: table, Key: key, Field: o.Field}, Whole: o.Whole}, parts: o.Parts}
	if v.kind, err = rd.e.kindOf(ctx, table); err != nil {
		return topology.Reading{}, keyed(key, rd.e.errorOf("get", topology.NotApplied, err))
	}
	v.siblings = o.Siblings && rd.e.machine.tables.policy(table) == policySiblings
	if e := rd.e; o.Guarantee == topology.ReadAny && o.Consistency == topology.ConsistencyDefault && e.place.Shows(e.env.Self, placement.Of(e.place, table, key)) {
		r, err = rd.own(&v)
	} else {
		r, _, err = rd.held(ctx, &v, a)
	}
	if err != nil {
		return r, keyed(key, rd.e.errorOf("get", topology.NotApplied, err))
	}
	return r, nil
}

// how says how a read is to be done that was asked for so.
func (rd *reader) how(o *topology.ReadOptions) (a readAsked, err error) {
	e := rd.e
	if err := e.failure(); err != nil {
		return a, err
	}
	a = readAsked{level: e.levelOf(o.Consistency, e.o.Read), repair: e.o.Repair}
	switch o.Guarantee {
	case topology.ReadDefault:
	case topology.ReadAny:
		a = readAsked{level: e.levelOf(o.Consistency, quorum.AtOne)}
	case topology.ReadSession:
		a = readAsked{level: e.levelOf(o.Consistency, quorum.AtOne), token: o.After}
		if _, err := (sessions{e}).marks(o.After); err != nil {
			return a, err
		}
	case topology.ReadBounded:
		return a, fmt.Errorf("%w: a bound on staleness: without a leader nobody knows how far a replica is behind; ask more replicas", topology.ErrUnsupported)
	case topology.ReadLinearizable, topology.ReadLeased:
		a.strict = true
		if e.o.Repair != core.RepairWriteBack {
			return a, fmt.Errorf("%w: a linearizable read: without repair: write-back this topology has none; a read at a quorum finds every write that a quorum has acknowledged, and repair: blocking keeps later reads from finding less", topology.ErrUnsupported)
		}
	default:
		return a, fmt.Errorf("%w: guarantee %v", topology.ErrUnsupported, o.Guarantee)
	}
	return a, nil
}

// held reads one key: what is shown of it, and the cells it is shown from.
func (rd *reader) held(ctx context.Context, v *view, a readAsked) (topology.Reading, []core.Held, error) {
	e := rd.e
	if v.headAlone() {
		return topology.Reading{Served: e.env.Self, Stale: -1, Replicas: 1, Cells: []topology.CellReading{headOf(v.kind, v.Key, nil, math.MaxInt32)}}, nil, nil
	}
	several := v.several() || e.machine.tables.policy(v.Table).keeps()
	met := e.promises.meets(placement.Of(e.place, v.Table, v.Key), &a, several)
	if a.strict && met != topology.ReadLinearizable {
		return topology.Reading{}, nil, fmt.Errorf("%w: a linearizable read: at consistency %v what is read here is %v at most; one cell of a key whose last writer wins, at the configured level, is linearizable", topology.ErrUnsupported, a.level, met)
	}
	e.stats.reads.Add(1)
	v.Cell = v.Cell.Clone() // the caller may be gone before the core is done with it
	got, by, err := e.do(ctx, &asked{Event: core.Event{Kind: core.EvGet, Range: v.needs(), Level: a.level, Repair: a.repair}, token: a.token})
	if err != nil {
		return topology.Reading{}, nil, err
	}
	r := topology.Reading{Served: by, Stale: -1, Guarantee: met, Replicas: got.Stands, Token: a.token}
	for i := range got.Cells {
		got.Cells[i].Table, got.Cells[i].Key = v.Table, v.Key
	}
	r, err = e.shown(r, v, got.Cells)
	return r, got.Cells, err
}

// own reads what this node holds of a key, also before it runs.
func (rd *reader) own(v *view) (topology.Reading, error) {
	v.Cell = v.Cell.Clone()
	r := v.needs()
	cells, err := rd.e.machine.cells(&r)
	if err != nil {
		return topology.Reading{}, err
	}
	return rd.e.shown(topology.Reading{Served: rd.e.env.Self, Stale: -1, Guarantee: topology.ReadAny, Replicas: 1}, v, cells)
}

// shown puts into a reading what cells show.
func (e *engine) shown(r topology.Reading, v *view, cells []core.Held) (topology.Reading, error) {
	var seen version.Vector
	for _, h := range cells {
		for _, x := range h.State.Siblings {
			seen = seen.With(x.Origin, max(seen.Get(x.Origin), x.Seq))
		}
	}
	var err error
	if r.Cells, err = e.show(v, cells); err != nil {
		return topology.Reading{}, err
	}
	if v.siblings {
		r.Context = topology.ContextOf(dotsOf(cells))
	}
	if len(seen) > 0 {
		r.Token = r.Token.Join(topology.TokenOf(seen))
	}
	if len(r.Cells) == 0 {
		return r, topology.ErrNotFound
	}
	return r, nil
}

// sessions are those that carry a token.
type sessions struct{ e *engine }

// marks returns what a token has seen, of the origins of this map.
func (s sessions) marks(t topology.Token) (version.Vector, error) {
	v, err := t.Vector()
	if err != nil {
		return nil, err
	}
	for _, m := range v {
		if _, ok := placement.PartitionOf(s.e.place, m.Origin); !ok {
			return nil, fmt.Errorf("%w: a token that has seen writes of %v, who is nobody of this cluster", topology.ErrMalformed, m.Origin)
		}
	}
	return v, nil
}

// Wait implements topology.Waiter: it returns once this node shows every write that the
// token has seen, of the keys it holds (C8).
func (rd *reader) Wait(ctx context.Context, t topology.Token) error {
	if t.IsZero() {
		return nil
	}
	v, err := (sessions{rd.e}).marks(t)
	if err != nil {
		return err
	}
	return sessions{rd.e}.await(ctx, v)
}

// awaitToken returns once this node shows what a token has seen of one partition.
func (s sessions) awaitToken(ctx context.Context, t topology.Token, partition int) error {
	if t.IsZero() {
		return nil
	}
	e := s.e
	v, err := s.marks(t)
	if err != nil {
		return err
	}
	var of version.Vector
	for _, m := range v {
		if p, _ := placement.PartitionOf(e.place, m.Origin); p == partition {
			of = append(of, m)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, e.o.CallTimeout)
	defer cancel()
	return s.await(ctx, of)
}

// await returns once this node shows the writes of a vector that are to keys it holds.
func (s sessions) await(ctx context.Context, want version.Vector) error {
	e := s.e
	if err := e.loop.started(ctx); err != nil {
		return err
	}
	for {
		news := e.machine.changed()
		var lacks version.Origin
		var has, wants uint64
		err := e.loop.call(func() {
			for _, m := range want {
				p, _ := placement.PartitionOf(e.place, m.Origin)
				if s := e.loop.core.Applied(p); s != nil && s.Prefix.Get(m.Origin) < m.Seq {
					lacks, has, wants = m.Origin, s.Prefix.Get(m.Origin), m.Seq
					return
				}
			}
		})
		if err != nil || wants == 0 {
			return err
		}
		select {
		case <-news:
		case <-e.failed.done:
			return e.failure()
		case <-ctx.Done():
			return fmt.Errorf("%w: this node shows %d writes of %v, and the session has seen %d: %w", topology.ErrTimeout, has, lacks, wants, ctx.Err())
		}
	}
}
