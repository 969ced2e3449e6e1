package triad

import (
	"context"
	"fmt"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/topology"
)

// Ring is who holds what, where nobody leads, as an operator sees and orders it.
type Ring struct{ o Operator }

// RingOf returns it.
func RingOf(o Operator) Ring { return Ring{o} }

func (r Ring) with(ctx context.Context, op string, f func(topology.Ringer) error) error {
	return r.o.with(ctx, op, func() error {
		e, ok := r.o.n.engine.(topology.Ringer)
		if !ok {
			return notApplied(fmt.Errorf("every node of this topology holds all keys: %w", topology.ErrUnsupported))
		}
		return f(e)
	})
}

// Show returns who holds what, which partitions move, and what they wait for.
func (r Ring) Show(ctx context.Context) (g topology.Ring, err error) {
	err = r.with(ctx, "ring", func(e topology.Ringer) error { g, err = e.Ring(ctx); return err })
	return g, err
}

// Locate returns where a key of a table lies.
func (r Ring) Locate(ctx context.Context, table string, key []byte) (p topology.RingPlace, err error) {
	err = r.with(ctx, "locate", func(e topology.Ringer) error {
		d, err := r.o.n.catalogue.lookup(ctx, table, true)
		if err == nil {
			p, err = e.Locate(d.id, key)
		}
		return err
	})
	return p, err
}

// Plan returns what a change would do, and does nothing.
func (r Ring) Plan(ctx context.Context, c topology.RingChange) (p topology.RingPlan, err error) {
	err = r.with(ctx, "ring plan", func(e topology.Ringer) error { p, err = e.PlanRing(ctx, c); return err })
	return p, err
}

// Change begins a change of the map of an epoch, 0: whatever it is; see
// [topology.Ringer].
func (r Ring) Change(ctx context.Context, c topology.RingChange, epoch uint64) (p topology.RingPlan, err error) {
	err = r.with(ctx, "ring apply", func(e topology.Ringer) error { p, err = e.ChangeRing(ctx, c, epoch); return err })
	return p, err
}

// Handoff returns what waits in this node's log for others.
func (r Ring) Handoff(ctx context.Context) (hs []topology.Handoff, err error) {
	err = r.with(ctx, "handoff", func(e topology.Ringer) error { hs, err = e.Handoff(ctx); return err })
	return hs, err
}

// ringMethods are what a remote operator asks of a ring.
func ringMethods(n remote) map[string]func(context.Context, []byte) ([]byte, error) {
	r := RingOf(n.Operator())
	order := func(do func(context.Context, call.RingOrder) (topology.RingPlan, error)) func(context.Context, []byte) ([]byte, error) {
		return func(ctx context.Context, req []byte) ([]byte, error) {
			o, err := call.DecodeRingOrder(req)
			if err != nil {
				return nil, n.malformed("ring", err)
			}
			p, err := do(ctx, o)
			if err != nil {
				return nil, err
			}
			return call.EncodeRingPlan(p), nil
		}
	}
	return map[string]func(context.Context, []byte) ([]byte, error){
		call.MethodRing: func(ctx context.Context, req []byte) ([]byte, error) {
			if err := call.DecodeNothing(req); err != nil {
				return nil, n.malformed("ring", err)
			}
			g, err := r.Show(ctx)
			if err != nil {
				return nil, err
			}
			return call.EncodeRing(g), nil
		},
		call.MethodLocate: func(ctx context.Context, req []byte) ([]byte, error) {
			l, err := call.DecodeLocated(req)
			if err != nil {
				return nil, n.malformed("locate", err)
			}
			p, err := r.Locate(ctx, l.Table, l.Key)
			if err != nil {
				return nil, err
			}
			return call.EncodeRingPlace(p), nil
		},
		call.MethodHandoff: func(ctx context.Context, req []byte) ([]byte, error) {
			if err := call.DecodeNothing(req); err != nil {
				return nil, n.malformed("handoff", err)
			}
			hs, err := r.Handoff(ctx)
			if err != nil {
				return nil, err
			}
			return call.EncodeHandoffs(hs), nil
		},
		call.MethodRingPlan: order(func(ctx context.Context, o call.RingOrder) (topology.RingPlan, error) { return r.Plan(ctx, o.Change) }),
		call.MethodRingChange: order(func(ctx context.Context, o call.RingOrder) (topology.RingPlan, error) {
			return r.Change(ctx, o.Change, o.Epoch)
		}),
	}
}
