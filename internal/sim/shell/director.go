package shell

import (
	"context"
	"slices"
	"time"

	"github.com/triad-kv/triad/internal/transport"
)

// direct lets the faults of the plan come, and heals everything once its length
// is over.
func (w *world) direct(ctx context.Context) {
	begun := time.Now()
	for _, f := range w.plan.Faults {
		time.Sleep(time.Until(begun.Add(f.At)))
		if f.Leader || f.Kind == Force {
			f.Node = w.operator.leader()
			if f.Other == f.Node {
				f.Other = w.plan.Nodes[(slices.Index(w.plan.Nodes, f.Node)+1)%len(w.plan.Nodes)]
			}
		}
		w.logger.Info("fault", "fault", f.String(), "after", time.Since(begun))
		w.reach("fault: " + string(f.Kind))
		w.links.note(f)
		w.apply(ctx, f)
	}
	time.Sleep(time.Until(begun.Add(w.plan.Length)))
	w.heal()
}

// heal makes every link and disk whole.
func (w *world) heal() {
	w.healed.Store(true)
	w.links.HealAll()
	w.links.pave(w.plan.Road)
	for _, m := range w.machines {
		m.ills.heal()
	}
}

func (w *world) apply(ctx context.Context, f Fault) {
	m, other := w.machines[f.Node], w.machines[f.Other]
	crash := order{crash: true, leaves: f.Leaves, down: f.For}
	switch f.Kind {
	case Crash:
		m.orders <- crash
	case PowerCut:
		crash.silent = true
		m.orders <- crash
	case Blackout:
		for _, id := range w.plan.Nodes {
			w.machines[id].orders <- crash
		}
	case Restart:
		m.orders <- order{down: f.For}
	case Isolate:
		w.links.part(m.ip)
		w.later(f.For, func() { w.links.join(m.ip) })
	case OneWay:
		w.links.CutOneWay(m.ip, other.ip)
		w.later(f.For, func() { w.links.Heal(m.ip, other.ip) })
	case Split:
		w.links.split(f)
	case Flap:
		w.wait.Go(func() { w.links.flap(m, other, f.For) })
	case Reset:
		w.links.others(m.ip, w.links.Reset)
	case Slow:
		r := transport.Road{Delay: f.By, Jitter: f.By / 2, Loss: 20}
		w.links.others(m.ip, func(a, b string) { w.links.Pave(a, b, r); w.links.Pave(b, a, r) })
		w.later(f.For, func() {
			w.links.others(m.ip, func(a, b string) { w.links.Pave(a, b, w.plan.Road); w.links.Pave(b, a, w.plan.Road) })
		})
	case Promotion:
		w.wait.Go(func() { w.operator.promote(ctx, f.Node, false) })
	case Force:
		w.wait.Go(func() { w.operator.force(ctx, f) })
	case Wipe, RotRest:
		if w.losses.begin(m.id) {
			crash.loses = f.Kind
			m.orders <- crash
		}
	case RotLive:
		if w.losses.begin(m.id) {
			m.rot(w.losses.rng, true)
		}
	default:
		w.ail(m, f)
	}
}

// ail applies the faults of one machine's inside.
func (w *world) ail(m *machine, f Fault) {
	switch f.Kind {
	case SlowDisk:
		m.ills.slow.Store(int64(f.By))
		w.later(f.For, func() { m.ills.slow.Store(0) })
	case FullDisk:
		m.ills.full.Store(true)
		w.later(f.For, func() { m.ills.full.Store(false) })
	case BadSync:
		m.ills.badSync.Store(true)
	case BadWrite:
		m.ills.badWrite.Store(true)
	case Skew:
		m.skew.Add(int64(f.By))
	}
}

func (w *world) later(d time.Duration, f func()) {
	w.wait.Go(func() {
		time.Sleep(d)
		f()
	})
}
