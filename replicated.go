package triad

import (
	"context"
	"fmt"

	"github.com/triad-kv/triad/topology"
)

// WaitReplicated returns once every write that token has seen is durable on so many
// replicas of its key as level says, where nobody leads: what a receipt at level one did
// not wait for. It fails with topology.ErrTimeout once ctx ends.
func WaitReplicated(ctx context.Context, n *Node, token topology.Token, level topology.Consistency) error {
	err := n.gate.enter(ctx)
	if err == nil {
		defer n.gate.leave()
		if r, ok := n.engine.(topology.Replicated); ok {
			err = r.WaitReplicated(ctx, token, level)
		} else {
			err = fmt.Errorf("one leader orders all writes of this topology, and its policy says who has them: %w", topology.ErrUnsupported)
		}
	}
	if err != nil {
		return n.errorOf("wait", "", nil, notApplied(err))
	}
	return nil
}

// Restartable returns nil if a node may be stopped and started again now, where nobody
// leads: the other replicas of its keys do without it, and have what it has acknowledged.
// An error says what is not so. Where somebody leads it is topology.ErrUnsupported.
func Restartable(n *Node) error {
	r, ok := n.engine.(topology.Replicated)
	if !ok {
		return n.errorOf("restartable", "", nil, notApplied(fmt.Errorf("%w: one leader orders all writes here; its status says who is in sync", topology.ErrUnsupported)))
	}
	if err := r.Restartable(); err != nil {
		return n.errorOf("restartable", "", nil, notApplied(err))
	}
	return nil
}
