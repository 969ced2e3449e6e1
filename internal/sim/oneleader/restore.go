package oneleader

import (
	"fmt"
	"slices"
	"time"

	"github.com/triad-kv/triad/internal/sim"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// restores is a fault: an operator who takes the group back to a point of its past, by a
// replica that shows no more than what was then (S9).
func (w *cluster) restores() {
	w.s.Fault(sim.Fault{Name: "an operator goes back to a point of the past", Weight: 15, Do: func() (func(), bool) {
		if len(w.c.replicas) == 0 || w.c.sync.Kind == quorum.KindAsync || w.thin() {
			return nil, false
		}
		p := w.node(w.c.replicas[w.s.Rand.IntN(len(w.c.replicas))]).live()
		if p == nil || p.resync || p.feeding.restoring || !w.isMember(p.n) || slices.Contains(p.group.Voters, p.n.id) || p.store.Applied() == 0 {
			return nil, false
		}
		restore(p)
		return nil, true
	}})
}

// thin reports whether the group went back to a point of its past, and only one node is
// known to have followed: its disk is the only one then.
func (w *cluster) thin() bool {
	g := w.agreed.document
	return w.ledger.restored && g != nil && len(g.Agreed.InSync) < 2
}

// restore holds this node where it is for a while, as one that is late on purpose, and
// then has it lead from there, or a little further.
func restore(p *process) {
	p.feeding.restoring, p.applying.most = true, p.store.Applied()
	p.after(p.s.Lasting(0, time.Second), func() {
		ahead := min(p.core.Commit-min(p.core.Commit, p.store.Applied()), 3)
		p.applying.most = p.store.Applied() + record.LSN(p.s.Rand.IntN(int(ahead)+1))
		at := p.applying.most
		p.applying.reach(p, p.applying.target)
		p.applying.wait(p, at, func() {
			err := back(p, at)
			if err == nil {
				p.council.stand(core.Restored, func(error) { restoredAt(p) })
				return
			}
			p.s.Say(string(p.n.id), "is not brought back: %v", err)
			restoredAt(p)
		})
	})
}

// restoredAt ends what restore began, whatever became of it.
func restoredAt(p *process) {
	p.feeding.restoring, p.applying.most = false, 0
	p.applying.reach(p, p.applying.target)
}

// back makes a point the end of the own log.
func back(p *process, at record.LSN) error {
	term, known := p.termAt(at)
	check := core.Restorable{
		Counted: slices.Contains(p.group.Voters, p.n.id), Resync: p.resync,
		Applied: p.store.Applied(), Commit: p.core.Commit, At: at, End: p.core.End,
	}
	if err := check.Check(); err != nil || !known || p.dead {
		return fmt.Errorf("%w: entry %d of term %d: %w", topology.ErrConflict, at, term, err)
	}
	p.step(core.Event{Kind: core.EvRestored, LSN: at, Term: term}, nil)
	if p.core.End != at {
		return fmt.Errorf("%w: it leads by now", topology.ErrConflict)
	}
	if err := p.export(at, "an operator goes back"); err != nil {
		p.core.NotCopied(p.log.Bounds().End, p.log.History().Last())
		p.step(core.Event{Kind: core.EvFlushed, LSN: p.log.Bounds().Flushed}, nil)
		return err
	}
	cutsBack(p.w.ledger, p, at)
	if err := p.log.Truncate(core.Rewound(p.log.Bounds(), p.log.History(), at)); err != nil {
		p.fail(err)
		return err
	}
	p.n.isDurable(p.log.Bounds(), p.log.History())
	p.applying.target = at
	return nil
}

// goesBack: a document gives up what was committed behind at, from its term on.
func goesBack(l *ledger, at record.LSN, term uint64) {
	l.s.Reach("a group went back to a point of its past")
	l.forced, l.restored = term, true
	l.era++
	for i := at + 1; i < record.LSN(len(l.log)); i++ {
		l.lost[ending{l.log[i], i}] = true
		l.s.Reach("what was committed was given up")
	}
	l.log = l.log[:min(at+1, record.LSN(len(l.log)))]
	clear(l.keys)
	for _, n := range l.w.nodes {
		if n.p != nil {
			n.p.sure = 0
		}
	}
	for _, c := range l.w.clients {
		c.token = 0
	}
}

// mayLose reports whether what clients were told may be gone.
func mayLose(l *ledger) bool { return l.w.c.sync.Kind == quorum.KindAsync || l.restored }
