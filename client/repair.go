package client

import (
	"context"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/topology"
)

// Repaired is what a repair found, and what it did.
type Repaired = call.Repaired

// RepairOptions say what a repair is of: those of the node.
type RepairOptions = call.RepairAsked

// Repairs are what a client orders and asks about what replicas hold, where nobody leads.
type Repairs struct{ o Operator }

// RepairsOf returns them.
func RepairsOf(o Operator) Repairs { return Repairs{o} }

// Run has the node at addr compare what it and the other replicas of its keys hold, and
// mend what is damaged; all keys are compared once every node was asked. Values in the
// result are cut to 256 bytes.
func (r Repairs) Run(ctx context.Context, addr string, o RepairOptions) (Repaired, error) {
	answer, err := r.o.c.askAt(ctx, addr, call.MethodRepair, o.Encode())
	var x Repaired
	if err == nil {
		x, err = call.DecodeRepaired(answer)
	}
	if err != nil {
		return Repaired{}, errorOf("repair", "", nil, err)
	}
	return x, nil
}

// Collection says what the node at addr keeps of deletes, and which replica has to have
// them before they go.
func (r Repairs) Collection(ctx context.Context, addr string) (topology.Collection, error) {
	answer, err := r.o.c.askAt(ctx, addr, call.MethodKept, call.EncodeNothing())
	var c topology.Collection
	if err == nil {
		c, err = call.DecodeCollection(answer)
	}
	if err != nil {
		return topology.Collection{}, errorOf("collection", "", nil, err)
	}
	return c, nil
}
