package world

import (
	"context"
	"fmt"

	"github.com/triad-kv/triad/internal/link"
	"github.com/triad-kv/triad/topology"
)

// Way is how clients of a site ask a node.
type Way struct {
	Node *Node
	link *link.Link // of a node in this process; nil: it is near
	door Door       // of one that is a process: it crosses links by itself
}

// errDown is why a node that was killed is not asked.
var errDown = fmt.Errorf("%w: the node is down", topology.ErrUnavailable)

// Do asks the node: f is given the door to it as it lives. Of what was sent and not
// answered nobody knows what came of it.
func (w Way) Do(ctx context.Context, op string, f func(ctx context.Context, d Door) error) error {
	if w.door != nil {
		return f(ctx, w.door)
	}
	fail := func(o topology.Outcome, err error) error {
		return &topology.Error{Op: op, Node: topology.NodeID(w.Node.ID), Outcome: o, Err: fmt.Errorf("%w: %w", topology.ErrTimeout, err)}
	}
	ask := func(ctx context.Context) error {
		if err := w.Node.awake(ctx); err != nil {
			return fail(topology.Unknown, err)
		}
		open := w.Node.open()
		if open == nil {
			return &topology.Error{Op: op, Node: topology.NodeID(w.Node.ID), Outcome: topology.NotApplied, Err: errDown}
		}
		err := f(ctx, inside{open, w.Node.world.o.Variant})
		if lost := w.Node.awake(ctx); lost != nil {
			return fail(topology.Unknown, lost)
		}
		return err
	}
	if w.link == nil {
		return ask(ctx)
	}
	var answer error
	done, err := w.link.Call(ctx, func(ctx context.Context) error {
		answer = ask(ctx)
		return nil
	})
	switch {
	case err == nil:
		return answer
	case done && topology.OutcomeOf(answer) == topology.NotApplied && answer != nil:
		return answer // whoever asked has not heard, and need not
	case done:
		return fail(topology.Unknown, err)
	}
	return fail(topology.NotApplied, err)
}
