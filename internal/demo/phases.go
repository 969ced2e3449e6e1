package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/topology"
)

// pollEvery is the pause between two looks at a state that is waited for.
const pollEvery = 2 * time.Millisecond

var errSlow = errors.New("it took too long")

// step runs one part of the demo, within a timeout unless that is 0: it ends early
// if a node does, and has held only if every node and every directory is still
// well when it is over.
func (d *demo) step(ctx context.Context, timeout time.Duration, f func(context.Context) error) error {
	within, cancel := ctx, context.CancelFunc(func() {})
	if timeout > 0 {
		within, cancel = context.WithTimeoutCause(ctx, timeout, fmt.Errorf("%w: more than %v", errSlow, timeout))
	}
	defer cancel()
	watched, end := d.c.watch(within)
	err := f(watched)
	if cause := context.Cause(watched); err != nil && errors.Is(cause, errSlow) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	end()
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted: %w", ctx.Err())
	}
	if ill := d.c.healthy(); ill != nil {
		err = ill // the rest follows from it
	}
	if err != nil {
		d.failed(err)
		return ErrCheck
	}
	return d.teller.err
}

// held tells and counts a check that held.
func (d *demo) held(format string, args ...any) {
	d.checks++
	d.ok(format, args...)
}

// until polls until ready returns nil, or returns its last reason once ctx ends.
func until(ctx context.Context, ready func(context.Context) error) error {
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	var last error
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err // not the error of having been interrupted
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return last
		}
	}
}

// status asks one node what it knows.
func (g *group) status(ctx context.Context, n *node) (topology.Status, error) {
	s, err := g.all.StatusOf(ctx, n.addr)
	if err == nil && s.Node != n.ID {
		err = fmt.Errorf("%s is answered by %s", n.addr, s.Node)
	}
	if err == nil && s.Failure != "" {
		err = fmt.Errorf("%s has failed: %s", n.ID, s.Failure)
	}
	return s, err
}

// followers are the living nodes that keep data but the leader.
func (g *group) followers() []*node {
	var ns []*node
	for _, n := range g.c.keepers() {
		if n != g.leader {
			ns = append(ns, n)
		}
	}
	return ns
}

// led returns nil once all living nodes know d.leader as leader of one term, and
// it ships its log to every other.
func (g *group) led(ctx context.Context) error {
	s, err := g.status(ctx, g.leader)
	if err != nil {
		return err
	}
	if s.Role != topology.RoleLeader {
		return fmt.Errorf("%s is %s, not the leader", s.Node, s.Role)
	}
	if s.Commit < s.Flushed {
		return fmt.Errorf("%s has flushed %d and committed %d", s.Node, s.Flushed, s.Commit)
	}
	for _, n := range g.followers() {
		f, err := g.status(ctx, n)
		if err != nil {
			return err
		}
		if f.Role != g.roleOf(n) || f.Leader != s.Node || f.Term != s.Term {
			return fmt.Errorf("%s is %s of %q in term %d, not %s of %s in term %d", n.ID, f.Role, f.Leader, f.Term, g.roleOf(n), s.Node, s.Term)
		}
		p := peerOf(s, n.ID)
		if p.State != "replicate" && p.State != topology.StateCascade {
			return fmt.Errorf("%s is not streamed to: it is in state %q %s", n.ID, p.State, p.Problem)
		}
	}
	for _, n := range g.c.living() {
		if n.role != config.RoleWitness {
			continue
		}
		w, err := g.status(ctx, n)
		if err != nil {
			return err
		}
		if w.Role != topology.RoleWitness || w.Leader != s.Node || w.Term != s.Term {
			return fmt.Errorf("%s is %s and knows %q as leader of term %d, not %s of %d", n.ID, w.Role, w.Leader, w.Term, s.Node, s.Term)
		}
	}
	return nil
}

// peerOf is what a leader knows of a member.
func peerOf(s topology.Status, id topology.NodeID) topology.PeerStatus {
	for _, p := range s.Peers {
		if p.Node == id {
			return p
		}
	}
	return topology.PeerStatus{}
}

// caughtUp returns nil once every living node that is waited for shows everything
// up to t.
func (g *group) caughtUp(ctx context.Context, t topology.Token) error {
	for _, n := range g.timely() {
		if err := g.at[n.ID].Wait(ctx, t); err != nil {
			return fmt.Errorf("%s: %w", n.ID, err)
		}
		s, err := g.status(ctx, n)
		if err != nil {
			return err
		}
		if s.Applied < t.LSN {
			return fmt.Errorf("%s said that it shows LSN %d, and has applied %d", n.ID, t.LSN, s.Applied)
		}
	}
	return nil
}

// ready waits until the cluster is one: led by whom its file wants to lead, and with
// every table on every node.
func (g *group) ready(ctx context.Context) error {
	if g.c.of.Control.Elects() {
		if err := g.begun(ctx); err != nil {
			return err
		}
	}
	if err := until(ctx, g.led); err != nil {
		return err
	}
	return until(ctx, g.defined)
}

// promptMax is the longest apply delay of a node that is waited for before anything
// was written.
const promptMax = time.Second

// defined returns nil once every prompt node has the tables.
func (g *group) defined(ctx context.Context) error {
	for _, n := range g.c.keepers() {
		if n.ApplyDelay > promptMax {
			continue
		}
		for _, table := range g.c.of.Tables {
			for _, err := range g.at[n.ID].Scan(ctx, table.Name, nil, nil, client.Any()) {
				if err != nil {
					return fmt.Errorf("%s: %w", n.ID, err)
				}
			}
		}
	}
	return nil
}
