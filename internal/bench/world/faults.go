package world

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/triad-kv/triad/internal/bench/scenario"
	"github.com/triad-kv/triad/internal/plug"
)

// leaderWord means whoever leads.
const leaderWord = "leader"

// Who are the nodes that a fault names, now. Where nobody leads, or several do, the
// leader is the first node.
func (w *World) Who(names []string) (ns []*Node) {
	for _, n := range w.nodes {
		leads := n == w.Leader() || w.Leader() == nil && n == w.nodes[0]
		if slices.Contains(names, n.ID) || slices.Contains(names, n.Site) || leads && slices.Contains(names, leaderWord) {
			ns = append(ns, n)
		}
	}
	return ns
}

// Break does a fault to some nodes, and returns what mends it.
func (w *World) Break(ctx context.Context, f scenario.Fault, ns []*Node) (mend func(context.Context) error, err error) {
	each := func(do func(n *Node)) {
		for _, n := range ns {
			do(n)
		}
	}
	toggle := func(do func(n *Node, by time.Duration)) (func(context.Context) error, error) {
		each(func(n *Node) { do(n, time.Duration(f.By)) })
		return func(context.Context) error {
			each(func(n *Node) { do(n, 0) })
			return nil
		}, nil
	}
	switch f.Do {
	case scenario.Kill:
		for _, n := range ns {
			if err := n.kill(ctx); err != nil {
				return nil, err
			}
		}
		return func(context.Context) error {
			for _, n := range ns {
				if err := n.start(); err != nil {
					return err
				}
			}
			return nil
		}, nil
	case scenario.Pause:
		pause := func(on bool) (errs []error) {
			for _, n := range ns {
				errs = append(errs, n.pause(on))
			}
			return errs
		}
		return func(context.Context) error { return errors.Join(pause(false)...) }, errors.Join(pause(true)...)
	case scenario.Join, scenario.Leave:
		return roll{w}.comeAndGo(ctx, f, ns)
	case scenario.Partition:
		cut(w, ns, true)
		return func(context.Context) error {
			cut(w, ns, false)
			return nil
		}, nil
	case scenario.SlowDisk:
		return toggle(func(n *Node, by time.Duration) { n.plugged(func(p *plug.Plug) { p.SlowDisk(by) }) })
	case scenario.SlowNode:
		return toggle(func(n *Node, by time.Duration) {
			n.slow.Store(int64(by))
			n.plugged(func(p *plug.Plug) { p.SlowDisk(by); p.SlowNet(by) })
		})
	case scenario.Clock:
		return toggle(func(n *Node, by time.Duration) { n.clock.Store(int64(by)) })
	}
	return nil, fmt.Errorf("there is no way to do %q", f.Do)
}

// cut parts some nodes, and the clients of the sites that are all theirs, from all
// others, or ends that.
func cut(w *World, ns []*Node, on bool) {
	in := func(n *Node) bool { return slices.Contains(ns, n) }
	drop := func(n *Node, to string) {
		if l := n.links[to]; l != nil {
			l.Drop(on, on)
		}
	}
	for _, n := range ns {
		for _, other := range w.nodes {
			if !in(other) {
				drop(n, other.ID)
				drop(other, n.ID)
			}
		}
	}
	for at, l := range w.clients {
		there := slices.ContainsFunc(ns, func(n *Node) bool { return n.ID == at.node })
		here := !slices.ContainsFunc(w.nodes, func(n *Node) bool { return n.Site == at.site && !in(n) })
		if there != here {
			l.Drop(on, on)
		}
	}
}

// Heal ends every fault but that of nodes that were killed.
func (w *World) Heal() {
	for _, n := range w.nodes {
		_ = n.pause(false) // of one that has ended there is nothing to mend
		n.slow.Store(0)
		n.clock.Store(0)
		n.plugged(func(p *plug.Plug) { p.SlowDisk(0); p.SlowNet(0) })
		for _, l := range n.links {
			l.Heal()
		}
	}
	for _, l := range w.clients {
		l.Heal()
	}
}
