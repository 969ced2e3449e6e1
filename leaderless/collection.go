package leaderless

import (
	"context"
	"errors"
	"fmt"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// tidy removes deletes that everybody has, and deletes what is due.
func (l *loop) tidy() {
	e := l.e
	if err := e.machine.collect(func(p int) version.Vector { return core.Stable(l.core, p) }); err != nil {
		e.fail(err)
		return
	}
	skew := e.o.MaxSkew
	if skew == 0 {
		skew = version.MaxSkewDefault
	}
	due, err := e.machine.dues(version.TimestampAt(e.env.Clock.Wall().Add(-skew)))
	if err != nil {
		e.fail(err)
		return
	}
	for i := range due {
		l.step(core.Event{Kind: core.EvDue, Cells: due[i : i+1]})
	}
	_ = l.flush() // else they are due at the next look
}

// Limits of what is counted for who asks why deletes are kept.
const (
	keptCounted    = 1 << 20
	lackingCounted = 1 << 16
)

// Collection implements topology.Collector.
func (x *entropy) Collection(ctx context.Context) (c topology.Collection, err error) {
	e := x.e
	fail := func(err error) error { return e.errorOf("collection", topology.NotApplied, err) }
	if err := e.loop.started(ctx); err != nil {
		return c, fail(err)
	}
	if c.Kept, err = x.kept(ctx); err != nil {
		return c, fail(err)
	}
	var self bool
	err = e.loop.call(func() {
		c.Collected = e.machine.deletes.gone
		self = e.loop.core.CatchingUp
		for _, p := range e.others() {
			c.Holds = append(c.Holds, e.loop.holding(p.id))
		}
	})
	if err != nil {
		return c, fail(err)
	}
	for i := range c.Holds {
		h := &c.Holds[i]
		st := e.peer(h.Node).status()
		switch {
		case self:
			h.Why = "this node is catching up itself, and collects nothing until it has"
		case h.Partitions == 0 && h.Silent == 0:
		case st.Problem != "":
			h.Why = "it is away: " + st.Problem
		case st.State == "down":
			h.Why = "it is away"
		case h.Silent > 0:
			h.Why = fmt.Sprintf("it has not said yet what it has of %d partitions, or is catching up", h.Silent)
		default:
			h.Why = "its next word is due"
		}
	}
	return c, nil
}

// holding says what a node is not known to have.
func (l *loop) holding(id topology.NodeID) topology.Holding {
	h := topology.Holding{Node: id}
	place := l.e.place
	for p := range place.Partitions() {
		if !place.Holds(id, p) || !place.Holds(l.e.env.Self, p) {
			continue
		}
		n, heard := core.Lacking(l.core, p, id, lackingCounted)
		if !heard {
			h.Silent++
		}
		if n > 0 {
			h.Partitions++
			h.Writes += uint64(n) //nolint:gosec // a count
		}
	}
	return h
}

// kept counts the deletes that are noted.
func (x *entropy) kept(ctx context.Context) (n uint64, err error) {
	view, err := x.e.env.Store.Snapshot()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, view.Close()) }()
	for _, err := range view.Scan(originsCell([]byte(keyDelete)), originsCell([]byte(keyExpiry))) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return n, err
		}
		if n++; n >= keptCounted {
			break
		}
	}
	return n, nil
}
