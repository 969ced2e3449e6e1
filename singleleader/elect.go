package singleleader

import (
	"context"
	"fmt"

	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// report says where this node stands, by what is durable.
func (b *ballot) report() []byte {
	e := b.e
	r := core.Report{Node: e.env.Self, Life: e.env.Life, Group: *e.group.Load()}
	e.turn.call(func() {
		r.Accepted, r.Commit = e.core.Term, e.core.Commit
		r.Last.LSN = e.core.Flushed
		if e.council == nil { // else a promise is apart from what is accepted (S4)
			r.Accepted = max(r.Accepted, e.core.Pledge)
		}
	})
	r.Last.Term, _ = e.env.Log.History().TermAt(r.Last.LSN)
	if e.resync.Load() {
		r.Last = stream.Place{}
	}
	return r.Encode()
}

// answerPoll answers a question; it changes nothing.
func (b *ballot) answerPoll(context.Context, topology.Peer, []byte) ([]byte, error) {
	return b.report(), nil
}

// answerFence accepts the term of a node that is about to start it.
func (b *ballot) answerFence(ctx context.Context, from topology.Peer, req []byte) ([]byte, error) {
	if b.e.council != nil {
		return nil, fmt.Errorf("%w: this group agrees through its control upon who leads; %s is configured otherwise", topology.ErrConflict, from.ID)
	}
	g, err := core.DecodeGroup(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", topology.ErrMalformed, err)
	}
	if g.Leader != from.ID || g.Life != from.Life {
		return nil, fmt.Errorf("%w: %s asks for a term of %s", topology.ErrDenied, from.ID, g.Leader)
	}
	return b.fence(ctx, g)
}

// fence promises, durably, to obey nothing older than the term of g, then makes
// the own log durable, and only then says where it ends (S4).
func (b *ballot) fence(ctx context.Context, g core.Group) ([]byte, error) {
	e := b.e
	if err := e.sinks.gate.enter(ctx); err != nil {
		return nil, err
	}
	defer e.sinks.gate.leave()
	var err error
	e.turn.call(func() { err = core.Acceptable(&e.core, &g) })
	if err != nil {
		return nil, err
	}
	if err := b.accept(ctx, g); err != nil {
		return nil, err
	}
	if err := e.env.Log.Flushed(ctx, e.env.Log.Bounds().End); err != nil {
		return nil, err
	}
	e.turn.post(core.Event{Kind: core.EvFlushed, LSN: e.env.Log.Bounds().Flushed})
	return b.report(), nil
}
