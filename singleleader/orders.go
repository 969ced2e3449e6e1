package singleleader

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

var (
	_ topology.Switcher = (*engine)(nil)
	_ topology.Pauser   = (*engine)(nil)
)

var errByHand = errors.New("with control static a leader is named by failover, and nobody is elected")

// Switchover implements topology.Switcher, where nodes agree through their control.
func (d *desk) Switchover(ctx context.Context, to topology.NodeID) (topology.Promotion, error) {
	c := d.e.council
	err := fmt.Errorf("%w: %w", topology.ErrUnsupported, errByHand)
	if c != nil {
		err = c.switchover(ctx, to)
	}
	if err != nil {
		return topology.Promotion{}, d.order("switchover", err)
	}
	g, _ := c.known()
	p := topology.Promotion{Term: g.Term, Leader: g.Leader}
	p.Start, err = d.begun(ctx, g.Term)
	return p, d.order("switchover", err)
}

// begun returns where a term starts, once its start is here.
func (d *desk) begun(ctx context.Context, term uint64) (record.LSN, error) {
	t := time.NewTicker(time.Millisecond)
	defer t.Stop()
	for {
		for _, s := range d.e.env.Log.History() {
			if s.Term >= term {
				return s.Start, nil
			}
		}
		select {
		case <-t.C:
		case <-d.e.failed:
			return 0, d.e.broken()
		case <-ctx.Done():
			return 0, &topology.Error{Op: "switchover", Node: d.e.env.Self, Outcome: topology.Unknown, Err: fmt.Errorf("%w: term %d was handed over and has not begun yet: %w", topology.ErrTimeout, term, ctx.Err())}
		}
	}
}

// Pause implements topology.Pauser, likewise.
func (d *desk) Pause(ctx context.Context, paused bool) error {
	err := fmt.Errorf("%w: %w", topology.ErrUnsupported, errByHand)
	if d.e.council != nil {
		err = d.e.council.pause(ctx, paused)
	}
	return d.order("pause", err)
}

// order gives the error of an order its outcome, where it has none: nothing happened.
func (d *desk) order(op string, err error) error {
	var te *topology.Error
	if err == nil || errors.As(err, &te) {
		return err
	}
	return &topology.Error{Op: op, Node: d.e.env.Self, Outcome: topology.NotApplied, Err: err}
}
