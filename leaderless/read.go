package leaderless

import (
	"context"
	"fmt"
	"github.com/triad-kv/triad/leaderless/placement"

	"github.com/triad-kv/triad/leaderless/core"
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
}

// Read implements topology.Engine.
func (rd *reader) Read(ctx context.Context, table record.TableID, key []byte, o topology.ReadOptions) (topology.Reading, error) {
	a, err := rd.how(&o)
	if err != nil {
		return topology.Reading{}, keyed(key, rd.e.errorOf("get", topology.NotApplied, err))
	}
	var r topology.Reading
	if e := rd.e; o.Guarantee == topology.ReadAny && o.Consistency == topology.ConsistencyDefault && e.place.Holds(e.env.Self, placement.Of(e.place, table, key)) {
		r, err = rd.own(table, key)
	} else {
		r, err = rd.read(ctx, table, key, a)
	}
	if err == nil && len(o.Field) > 0 {
		r.Cells, err = nil, topology.ErrNotFound
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
	default:
		return a, fmt.Errorf("%w: a linearizable read: this topology has none; a read at a quorum finds every write that a quorum has acknowledged, and repair: blocking keeps later reads from finding less", topology.ErrUnsupported)
	}
	return a, nil
}

// read reads one key.
func (rd *reader) read(ctx context.Context, table record.TableID, key []byte, a readAsked) (topology.Reading, error) {
	e := rd.e
	e.stats.reads.Add(1)
	key = append([]byte(nil), key...) // the caller may be gone before the core is done with it
	got, by, err := e.do(ctx, &asked{Event: core.Event{Kind: core.EvGet, Table: table, Key: key, Level: a.level, Repair: a.repair}, token: a.token})
	if err != nil {
		return topology.Reading{}, err
	}
	r := topology.Reading{Served: by, Stale: -1, Guarantee: e.meets(table, key, &a), Replicas: got.Stands, Token: a.token}
	return e.shown(r, key, &got.State)
}

// own reads what this node holds of a key, also before it runs.
func (rd *reader) own(table record.TableID, key []byte) (topology.Reading, error) {
	s, err := rd.e.machine.look(record.Cell{Table: table, Key: key})
	if err != nil {
		return topology.Reading{}, err
	}
	return rd.e.shown(topology.Reading{Served: rd.e.env.Self, Stale: -1, Guarantee: topology.ReadAny, Replicas: 1}, append([]byte(nil), key...), &s)
}

// shown puts into a reading what a state shows.
func (e *engine) shown(r topology.Reading, key []byte, s *record.State) (topology.Reading, error) {
	var seen version.Vector
	for _, v := range s.Siblings {
		seen = seen.With(v.Origin, max(seen.Get(v.Origin), v.Seq))
		if v.Absent || e.due(v.Expires) {
			continue
		}
		r.Cells = append(r.Cells, topology.CellReading{Key: key, Version: v})
	}
	if len(seen) > 0 {
		r.Token = r.Token.Join(topology.TokenOf(seen))
	}
	if len(r.Cells) == 0 {
		return r, topology.ErrNotFound
	}
	return r, nil
}

// meets says what a read guarantees by the level it was done at, where writes are done
// at the level of the options.
func (e *engine) meets(table record.TableID, key []byte, a *readAsked) topology.Guarantee {
	n := len(e.place.Replicas(placement.Of(e.place, table, key)))
	switch {
	case !a.token.IsZero():
		return topology.ReadSession
	case a.repair == core.RepairBlocking:
		if a.level.Needed(n)+e.o.Write.Needed(n) > n {
			return topology.ReadMonotonic
		}
		return topology.ReadAny
	case a.level.Needed(n)+e.o.Write.Needed(n) > n:
		return topology.ReadRegular
	}
	return topology.ReadAny
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
