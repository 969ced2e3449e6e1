package leaderless

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// methodReplicated is the method by which a node that holds no copy of a key asks one that
// does to wait until writes have come so far.
const methodReplicated = "leaderless.replicated"

// replicas tells how far writes have come, by what their replicas say in exchanges.
type replicas struct{ e *engine }

var _ topology.Replicated = replicas{}

// WaitReplicated implements topology.Replicated.
func (w replicas) WaitReplicated(ctx context.Context, t topology.Token, level topology.Consistency) error {
	v, err := sessions(w).marks(t)
	if err == nil {
		err = w.e.loop.started(ctx)
	}
	if err != nil {
		return w.e.errorOf("wait", topology.NotApplied, err)
	}
	l := w.e.levelOf(level, w.e.o.Write)
	byPartition := map[int]version.Vector{}
	for _, m := range v {
		p, _ := placement.PartitionOf(w.e.place, m.Origin)
		byPartition[p] = append(byPartition[p], m)
	}
	for p, marks := range byPartition {
		if err := w.reach(ctx, &waited{partition: p, marks: marks, level: l}); err != nil {
			return w.e.errorOf("wait", topology.NotApplied, err)
		}
	}
	return nil
}

// waited is what is waited for: writes of one partition.
type waited struct {
	partition int
	marks     version.Vector // up to there
	dot       version.Dot    // or this one alone, if it is not zero
	level     quorum.Consistency
}

// by reports whether a set has what is waited for.
func (x *waited) by(s *version.Set) bool {
	if !x.dot.IsZero() {
		return s.Has(x.dot)
	}
	return s.Prefix.Descends(x.marks)
}

// reach waits here, or where there is a copy.
func (w replicas) reach(ctx context.Context, x *waited) error {
	if w.e.place.Holds(w.e.env.Self, x.partition) {
		return w.await(ctx, x)
	}
	return w.ask(ctx, x)
}

// Resolve implements topology.Resolver. A write that is in one log will be everywhere, and
// nobody can say of another that it is not: so it is Applied once as many have it as a
// write needs, and until then nothing is known. A dot is told only of a write that is
// durable, and names no other; the term is not asked.
func (w replicas) Resolve(ctx context.Context, dot version.Dot, term uint64) (topology.Resolution, error) {
	p, ok := placement.PartitionOf(w.e.place, dot.Origin)
	err := w.e.loop.started(ctx)
	switch {
	case err != nil:
	case !ok || dot.Seq == 0:
		err = fmt.Errorf("%w: write %v is of nobody of this cluster", topology.ErrMalformed, dot)
	default:
		err = w.reach(ctx, &waited{partition: p, dot: dot, level: w.e.o.Write})
	}
	if err != nil {
		return topology.Resolution{}, w.e.errorOf("resolve", topology.NotApplied, err)
	}
	return topology.Resolution{Fate: topology.FateApplied, Term: term}, nil
}

// await returns once enough replicas of a partition that this node holds have the writes.
func (w replicas) await(ctx context.Context, x *waited) error {
	e, partition, l := w.e, x.partition, x.level
	need, err := e.promises.need(partition, l, ground(w).site())
	if err != nil {
		return fmt.Errorf("%w: consistency %v: %w", topology.ErrUnsupported, l, err)
	}
	t := time.NewTicker(e.o.TickEvery)
	defer t.Stop()
	for {
		var have []topology.NodeID
		if err := e.loop.call(func() {
			for _, id := range e.place.Replicas(partition) {
				if s := e.loop.keeper.applied(id, partition); s != nil && x.by(s) {
					have = append(have, id)
				}
			}
		}); err != nil {
			return err
		}
		if need.MetBy(have...) {
			return nil
		}
		select {
		case <-t.C:
		case <-e.failed.done:
			return e.failure()
		case <-ctx.Done():
			return fmt.Errorf("%w: of the replicas %v only %v are known to have what of partition %d is asked after: %v is waited for: %w", topology.ErrTimeout, e.place.Replicas(partition), have, partition, l, ctx.Err())
		}
	}
}

// ask has a replica wait in this node's place. The question is an array of three: the
// writes, as a token; whether it is asked after the last of them alone; the level.
func (w replicas) ask(ctx context.Context, x *waited) error {
	partition, l := x.partition, x.level
	marks := x.marks
	if !x.dot.IsZero() {
		marks = version.Vector{version.Mark(x.dot)}
	}
	b := pack.NewWriter(nil)
	b.Array(3)
	b.Str(topology.TokenOf(marks).String())
	b.Bool(!x.dot.IsZero())
	b.Uint(uint64(l))
	last := fmt.Errorf("%w: none of the replicas %v can be reached%s", topology.ErrUnavailable, w.e.place.Replicas(partition), ground(w).where(l))
	for _, id := range (ground(w)).reachable(w.e.place.Replicas(partition), l) {
		_, err := w.e.env.Transport.Call(ctx, id, methodReplicated, b.Bytes())
		if err == nil || ctx.Err() != nil || errors.Is(err, topology.ErrTimeout) {
			return err
		}
		last = fmt.Errorf("%s: %w", id, err)
	}
	return last
}

// serve waits in another node's place.
func (w replicas) serve(ctx context.Context, _ topology.Peer, req []byte) ([]byte, error) {
	e := w.e
	r := pack.NewReader(req)
	r.ArrayOf(3)
	text, one, l := r.StrMax(topology.VectorTokenBytesMax), r.Bool(), quorum.Consistency(r.UintMax(uint64(quorum.AtEachQuorum)))
	err := r.Done()
	var t topology.Token
	if err == nil {
		t, err = topology.ParseToken(text)
	}
	if err != nil {
		return nil, e.errorOf("wait", topology.NotApplied, fmt.Errorf("%w: what is waited for: %w", topology.ErrMalformed, err))
	}
	v, err := sessions(w).marks(t)
	if err == nil && len(v) > 0 {
		if err = e.loop.started(ctx); err == nil {
			p, _ := placement.PartitionOf(e.place, v[0].Origin)
			for _, m := range v {
				if q, _ := placement.PartitionOf(e.place, m.Origin); q != p || !e.place.Holds(e.env.Self, p) {
					return nil, e.errorOf("wait", topology.NotApplied, fmt.Errorf("%w: %s holds no copy of partition %d", topology.ErrStale, e.env.Self, q))
				}
			}
			x := &waited{partition: p, marks: v, level: l}
			if one && len(v) == 1 {
				x.dot = version.Dot(v[0])
			}
			err = w.await(ctx, x)
		}
	}
	if err != nil {
		return nil, e.errorOf("wait", topology.NotApplied, err)
	}
	return nil, nil
}

// Restartable implements topology.Replicated.
func (w replicas) Restartable() error {
	e := w.e
	if err := e.failure(); err != nil {
		return nil // a restart is what it needs
	}
	select {
	case <-e.loop.begun:
	default:
		return fmt.Errorf("%w: it has not started yet", topology.ErrUnavailable)
	}
	var why error
	if err := e.loop.call(func() { why = w.restartable() }); err != nil {
		return nil // it has ended
	}
	return why
}

// restartable says why this node is to stay up, for the loop.
func (w replicas) restartable() error {
	e := w.e
	k := e.loop.keeper
	if e.loop.core.CatchingUp {
		return fmt.Errorf("%w: it is being filled by others, and would begin anew", topology.ErrUnavailable)
	}
	up := map[topology.NodeID]bool{}
	for _, id := range e.alive() {
		up[id] = k.told[id] != nil && k.told[id].votes
	}
	for p := range e.place.Partitions() {
		if !e.place.Holds(e.env.Self, p) {
			continue
		}
		var others []topology.NodeID
		for _, id := range e.place.Replicas(p) {
			if up[id] {
				others = append(others, id)
			}
		}
		if err := w.spared(p, others); err != nil {
			return err
		}
	}
	return nil
}

// lacksMax bounds how many writes that another replica lacks are looked at.
const lacksMax = 256

// spared says why the other replicas of a partition that answer can not do without this one.
func (w replicas) spared(partition int, others []topology.NodeID) error {
	e := w.e
	for _, site := range sitesOf(e.place) {
		for _, l := range []quorum.Consistency{e.o.Write, e.o.Read} {
			n, err := e.promises.need(partition, l, site)
			if err == nil && !n.MetBy(others...) {
				return fmt.Errorf("%w: without it only %v of the replicas of partition %d answer, and requests at %v need more", topology.ErrUnavailable, others, partition, l)
			}
		}
	}
	own := e.loop.core.Applied(partition)
	lacked := map[version.Dot]bool{}
	for _, id := range others {
		ds := own.Missing(e.loop.keeper.applied(id, partition), lacksMax)
		if len(ds) == lacksMax {
			return fmt.Errorf("%w: %s lacks %d writes of this node's partition %d, or more", topology.ErrUnavailable, id, lacksMax, partition)
		}
		for _, d := range ds {
			lacked[d] = true
		}
	}
	for d := range lacked {
		var have []topology.NodeID
		for _, id := range others {
			if s := e.loop.keeper.applied(id, partition); s.Has(d) {
				have = append(have, id)
			}
		}
		for _, site := range sitesOf(e.place) {
			n, err := e.promises.need(partition, e.o.Read, site)
			if err == nil && !n.Without(e.env.Self).Dual().MetBy(have...) {
				return fmt.Errorf("%w: write %v of partition %d is not on so many others that a read without this node would meet it", topology.ErrUnavailable, d, partition)
			}
		}
	}
	return nil
}
