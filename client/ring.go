package client

import (
	"context"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/topology"
)

// Ring is who holds what, where nobody leads, as nodes are asked about it on behalf of
// who looks after them.
type Ring struct{ c *Client }

// Ring returns the orders and questions about who holds what.
func (o Operator) Ring() Ring { return Ring(o) }

// Show returns what the node at addr knows of who holds what, and which partitions move.
func (r Ring) Show(ctx context.Context, addr string) (g topology.Ring, err error) {
	answer, err := r.c.askAt(ctx, addr, call.MethodRing, call.EncodeNothing())
	if err == nil {
		g, err = call.DecodeRing(answer)
	}
	if err != nil {
		return topology.Ring{}, errorOf("ring", "", nil, err)
	}
	return g, nil
}

// Locate returns where a key lies by the map of the node at addr.
func (r Ring) Locate(ctx context.Context, addr, table string, key []byte) (p topology.RingPlace, err error) {
	l := call.Located{Table: table, Key: key}
	answer, err := r.c.askAt(ctx, addr, call.MethodLocate, l.Encode())
	if err == nil {
		p, err = call.DecodeRingPlace(answer)
	}
	if err != nil {
		return topology.RingPlace{}, errorOf("locate", table, key, err)
	}
	return p, nil
}

// Plan returns what a change would do, by the map of the node at addr.
func (r Ring) Plan(ctx context.Context, addr string, c topology.RingChange) (topology.RingPlan, error) {
	return r.order(ctx, "ring plan", addr, call.MethodRingPlan, &call.RingOrder{Change: c})
}

// Change has the node at addr begin a change, if the map is still of an epoch; 0: whatever
// it is. See [topology.Ringer].
func (r Ring) Change(ctx context.Context, addr string, c topology.RingChange, epoch uint64) (topology.RingPlan, error) {
	return r.order(ctx, "ring apply", addr, call.MethodRingChange, &call.RingOrder{Change: c, Epoch: epoch})
}

func (r Ring) order(ctx context.Context, op, addr, method string, o *call.RingOrder) (p topology.RingPlan, err error) {
	answer, err := r.c.askAt(ctx, addr, method, o.Encode())
	if err == nil {
		p, err = call.DecodeRingPlan(answer)
	}
	if err != nil {
		return topology.RingPlan{}, errorOf(op, "", nil, err)
	}
	return p, nil
}

// Handoff returns what waits in the log of the node at addr for others.
func (r Ring) Handoff(ctx context.Context, addr string) (hs []topology.Handoff, err error) {
	answer, err := r.c.askAt(ctx, addr, call.MethodHandoff, call.EncodeNothing())
	if err == nil {
		hs, err = call.DecodeHandoffs(answer)
	}
	if err != nil {
		return nil, errorOf("handoff", "", nil, err)
	}
	return hs, nil
}
