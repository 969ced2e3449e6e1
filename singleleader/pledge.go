package singleleader

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// Under Any whoever is fastest has what was committed, and nobody knows who that was:
// who would lead asks enough voters to obey no older term, and to say where their logs
// end (S4).
const (
	stablePledge = "pledge"
	methodPledge = "group.pledge"
)

// pledges asks every voter that counts, this node included, and returns what those
// reported who promised; or, as long as nobody is to be bound, who would.
func (c campaign) pledges(ctx context.Context, g *core.Group, why core.Why, binds bool) []core.Report {
	ctx, cancel := context.WithTimeout(ctx, c.e.o.FailAfter/2)
	defer cancel()
	w := pack.NewWriter(nil)
	w.Uint(g.Term + 1)
	w.Bool(why != core.Elected)
	w.Bool(binds)
	req := w.Bytes()
	var mu sync.Mutex
	var wg sync.WaitGroup
	var out []core.Report
	for _, m := range g.Agreed.InSync {
		wg.Go(func() {
			var body []byte
			var err error
			if m.Node == c.self.Node {
				body, err = c.pledge(ctx, g.Term+1, binds)
			} else {
				body, err = c.e.env.Transport.Call(ctx, m.Node, methodPledge, req)
			}
			if err != nil {
				c.e.log.Debug("no promise", "from", m.Node, "term", g.Term+1, "reason", err)
				return
			}
			if r, err := core.DecodeReport(body); err == nil && r.Node == m.Node {
				mu.Lock()
				out = append(out, r)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return out
}

// answerPledge promises on behalf of a candidate, unless the leader is heard of here:
// then it is the candidate that has lost sight of it.
func (c *council) answerPledge(ctx context.Context, from topology.Peer, req []byte) ([]byte, error) {
	r := pack.NewReader(req)
	term, wanted, binds := r.Uint(), r.Bool(), r.Bool()
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("%w: %w", topology.ErrMalformed, err)
	}
	g, _ := c.known()
	if p, _, err := g.Rule(); err != nil || p.Kind != quorum.KindAny || !slices.Contains(g.Voters, from.ID) || g.Lacks(c.self.Node) {
		return nil, fmt.Errorf("%w: %s asks for a promise, and this group elects by its in-sync set", topology.ErrConflict, from.ID)
	}
	var leads bool
	c.e.turn.call(func() { leads = c.e.core.Settled() })
	at, met := c.e.sinks.heard.last(g.Term)
	if !wanted && (leads || met && time.Since(at) < c.e.o.FailAfter/2 && c.e.sinks.follows()) {
		return nil, fmt.Errorf("%w: %s leads term %d and is heard of here", topology.ErrConflict, g.Leader, g.Term)
	}
	return c.pledge(ctx, term, binds)
}

// pledge promises, durably, to obey no term before term, then makes the own log
// durable, and only then says where it ends. Where it is not to be bound yet it only
// says that it would.
func (c *council) pledge(ctx context.Context, term uint64, binds bool) ([]byte, error) {
	e := c.e
	if err := e.sinks.gate.enter(ctx); err != nil {
		return nil, err
	}
	defer e.sinks.gate.leave()
	var now, pledged uint64
	e.turn.call(func() { now, pledged = e.core.Term, e.core.Pledge })
	if term < max(now, pledged) || term == now || term-now > core.TermStepMax {
		return nil, fmt.Errorf("%w: term %d is accepted here, %d promised, not %d", topology.ErrConflict, now, pledged, term)
	}
	if !binds {
		return e.ballot.report(), nil
	}
	if term > pledged {
		w := pack.NewWriter(nil)
		w.Uint(term)
		if err := e.env.Stable.Save(stablePledge, w.Bytes()); err != nil {
			return nil, err
		}
	}
	e.turn.post(core.Event{Kind: core.EvPledged, Term: term})
	e.reign.changed()
	if err := e.env.Log.Flushed(ctx, e.env.Log.Bounds().End); err != nil {
		return nil, err
	}
	e.turn.post(core.Event{Kind: core.EvFlushed, LSN: e.env.Log.Bounds().Flushed})
	return e.ballot.report(), nil
}

// pledged reads what was promised.
func pledged(s topology.Stable) (uint64, error) {
	b, err := s.Load(stablePledge)
	if err != nil || b == nil {
		return 0, err
	}
	r := pack.NewReader(b)
	term := r.Uint()
	if err := r.Done(); err != nil {
		return 0, fmt.Errorf("promised term: %w", err)
	}
	return term, nil
}

// obeys returns the oldest term that this node would obey.
func (s *sinks) obeys() (term uint64) {
	s.e.turn.call(func() { term = max(s.e.core.Term, s.e.core.Pledge) })
	return term
}
