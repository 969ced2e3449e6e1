package oneleader

import (
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
)

// mono is the process's monotonic clock, which begins with it and runs as fast as it
// likes within what is allowed.
func mono(p *process) time.Duration {
	return time.Duration(float64(p.s.Now()-p.booted)*p.rate) + 1
}

// tick keeps the lease, and waits for others'.
func tick(p *process) {
	if p.w.c.lease == 0 {
		return
	}
	was := p.core.Lead.Held
	if p.core.Role == core.Leader {
		p.step(core.Event{Kind: core.EvTick}, nil)
	}
	if was && !p.core.Lead.Held && !p.dead {
		p.s.Reach("a leader waited for another's lease")
	}
	p.after(p.s.Lasting(time.Millisecond, p.w.c.lease/3), func() { tick(p) })
}

// yield gives the lease up for a successor, or takes it again.
func yield(p *process, term uint64, n int) {
	p.step(core.Event{Kind: core.EvYield, Term: term, N: n}, nil)
}

// settled reports whether the start of a term is known to be committed here.
func settled(p *process, term uint64) bool {
	at, ok := p.log.History().TermAt(p.core.Commit)
	return ok && at == term
}

// place tells then what a read at the leader must see, by the lease if that is enough
// and there is one.
func (r *reading) place(leased bool, then func(record.LSN, error)) {
	p := r.p
	if !leased || !core.Leased(&p.core, mono(p)) {
		r.index(then)
		return
	}
	p.s.Reach("a read was served from a lease")
	for _, n := range p.w.nodes {
		if q := n.live(); q != nil && q.core.Role == core.Leader && q.core.Term > p.core.Term {
			p.s.Reach("a leader that was replaced answered by its lease")
		}
	}
	then(p.core.Commit, nil)
}
