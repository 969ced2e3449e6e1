package oneleader

import (
	"slices"

	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

const stablePledge = "pledge"

// pledged reads what was promised.
func pledged(s topology.Stable) (uint64, error) {
	b, err := s.Load(stablePledge)
	if err != nil || b == nil {
		return 0, err
	}
	r := pack.NewReader(b)
	return r.Uint(), r.Done()
}

// pledges asks the voters that count to obey no older term than the next, this node
// included, and hears what those report who promise (S4).
func (c *council) pledges(why core.Why, binds bool, then func([]core.Report)) {
	p, g := c.p, c.keeper.Doc
	var out []core.Report
	left := 1
	heard := func(b []byte) {
		if r, err := core.DecodeReport(b); b != nil && err == nil {
			out = append(out, r)
		}
		if left--; left == 0 && !p.dead {
			slices.SortFunc(out, func(a, b core.Report) int { return int(a.Node[0]) - int(b.Node[0]) })
			then(out)
		}
	}
	for _, m := range g.Agreed.InSync {
		if m.Node == p.n.id {
			continue
		}
		left++
		to := p.w.node(m.Node)
		p.s.Net.Call(p.n.m, to.m, p.w.c.failAfter/2, func(reply func([]byte)) {
			q := to.live()
			if q == nil || removed(&q.council) || why == core.Elected && q.council.content() {
				return
			}
			if b, err := q.council.pledge(g.Term+1, binds); err == nil && !q.dead {
				q.after(q.n.m.Disk.SyncTime(), func() { reply(b) })
			}
		}, heard)
	}
	b, err := c.pledge(g.Term+1, binds)
	if err != nil {
		b = nil
	}
	heard(b)
}

// content reports whether this node leads, or hears of a leader.
func (c *council) content() bool {
	p := c.p
	return p.core.Settled() || c.heardTerm == c.keeper.Doc.Term && p.s.Now()-c.heard < p.w.c.failAfter/2 && len(p.sinks.open) > 0
}

// pledge promises, durably, to obey no term before term, and says where the log ends.
func (c *council) pledge(term uint64, binds bool) ([]byte, error) {
	p := c.p
	if term < max(p.core.Term, p.core.Pledge) || term == p.core.Term {
		return nil, topology.ErrConflict
	}
	if !binds {
		return p.ballot.report(), nil
	}
	if term > p.core.Pledge {
		w := pack.NewWriter(nil)
		w.Uint(term)
		if err := p.home.Save(stablePledge, w.Bytes()); err != nil {
			p.fail(err)
			return nil, err
		}
	}
	p.s.Note(string(p.n.id), "promises", term)
	p.step(core.Event{Kind: core.EvPledged, Term: term}, nil)
	if err := p.flushAll(); err != nil {
		return nil, err
	}
	p.step(core.Event{Kind: core.EvFlushed, LSN: p.log.Bounds().Flushed}, nil)
	return p.ballot.report(), nil
}
