package oneleader

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// ballot makes terms: one promotion at a time.
type ballot struct {
	p     *process
	busy  bool
	since time.Duration // when the process started, or its term did
}

// accept makes a newer term and its document durable here and steps the core
// to it.
func (b *ballot) accept(g core.Group) error {
	p := b.p
	if g.Term <= p.core.Term {
		return nil
	}
	if err := p.home.Save(stableAccepted, g.Encode()); err != nil {
		p.fail(err)
		return err
	}
	if p.w.agreed != nil {
		b.accepts(g)
		return nil
	}
	d, err := p.control.Load(context.Background(), topology.DocumentGroup)
	if err != nil {
		return err
	}
	if old, err := core.DecodeGroup(d.Body); err == nil && old.Term <= g.Term {
		d.Body = g.Encode()
		if _, err := p.control.Swap(context.Background(), d); err != nil {
			p.fail(err)
			return err
		}
	}
	b.accepts(g)
	return nil
}

func (b *ballot) accepts(g core.Group) {
	p := b.p
	p.group = g
	p.s.Note(string(p.n.id), "accepts", g.Term)
	p.step(core.Event{Kind: core.EvAccepted, Term: g.Term, Node: g.Leader, Life: g.Life}, nil)
}

// stand starts a term whenever the document names this node and it does not
// lead: at the first start, and after a restart, which never resumes a term (S2).
func (b *ballot) stand() {
	p := b.p
	if p.dead {
		return
	}
	switch {
	case p.core.Lead.Admits():
		p.s.Reach("a leader began a term to count a new directory")
		p.ballot.promote(core.Restart, func(error) {})
	case p.group.Leader == p.n.id && p.core.Role != core.Leader:
		p.ballot.promote(core.Restart, func(error) {})
	}
	p.after(p.w.c.retry, b.stand)
}

// promote polls, tells, checks and starts a new term here (K2); done hears how it
// ended, unless the process ends first.
func (b *ballot) promote(why core.Why, done func(error)) {
	p := b.p
	if b.busy || p.dead {
		done(fmt.Errorf("%w: a promotion is under way", topology.ErrConflict))
		return
	}
	b.busy = true
	end := func(err error) {
		b.busy = false
		if err != nil {
			p.s.Say(string(p.n.id), "is not promoted: %v", err)
		}
		done(err)
	}
	bid := &core.Bid{
		Voting: p.w.voting(), Self: p.n.id, Life: p.n.life(), Why: why, Resync: p.resync,
		Waited: p.s.Now()-p.ballot.since >= p.w.c.callTimeout, Founds: p.n.lives == 1,
	}
	p.ballot.askAll(func(q *process) ([]byte, error) { return q.ballot.report(), nil }, func(polled []core.Report) {
		bid.Own, bid.Told = p.group, p.core.Pledge
		next, err := bid.Propose(polled)
		if err != nil {
			end(err)
			return
		}
		p.ballot.tellAll(bid, next, end)
	})
}

// tellAll makes the term durable wherever it is accepted, here first, and then
// starts it, if it may be.
func (b *ballot) tellAll(bid *core.Bid, next core.Group, end func(error)) {
	p := b.p
	if bid.Why == core.Forced {
		p.w.ledger.forcing, p.w.ledger.pending = true, next.Term
	}
	if _, err := p.ballot.fence(next, p.n.id, p.n.life()); err != nil {
		end(err)
		return
	}
	self, life := p.n.id, p.n.life()
	p.ballot.askAll(func(q *process) ([]byte, error) {
		if q == p {
			return q.ballot.report(), nil
		}
		return q.ballot.fence(next, self, life)
	}, func(told []core.Report) {
		for _, r := range told {
			p.s.Say(string(p.n.id), "is told by %s, life %d, accepted %d, document %d: %d of term %d", r.Node, r.Life, r.Accepted, r.Group.Term, r.Last.LSN, r.Last.Term)
		}
		if err := bid.Confirm(next, told); err != nil {
			p.s.Reach("a term was accepted by others and must not be started")
			p.ballot.handBack(bid, told, err, end)
			return
		}
		end(p.ballot.begins(next))
	})
}

// handBack asks the best of those who answered to start a term of its own.
func (b *ballot) handBack(bid *core.Bid, told []core.Report, why error, end func(error)) {
	p := b.p
	best := bid.Best(told)
	if best == "" {
		end(why)
		return
	}
	to := p.w.node(best)
	p.s.Net.Call(p.n.m, to.m, p.w.c.callTimeout, func(reply func([]byte)) {
		if q := to.live(); q != nil {
			q.ballot.promote(core.Chosen, func(error) { reply(nil) })
		}
	}, func([]byte) { end(why) })
}

// begins begins the term, unless a newer one came meanwhile.
func (b *ballot) begins(g core.Group) error {
	p := b.p
	lead, err := g.Lead()
	if err != nil {
		return err
	}
	if err := core.Held(&g, stream.Place{Term: p.core.LastTerm, LSN: p.core.End}); err != nil {
		return err
	}
	p.step(lead, nil)
	if p.core.Role != core.Leader || p.core.Term != g.Term {
		return fmt.Errorf("%w: a newer term came while term %d was being started", topology.ErrConflict, g.Term)
	}
	return nil
}

// askAll asks every member, this node included, and hears who answered.
func (b *ballot) askAll(ask func(*process) ([]byte, error), done func([]core.Report)) {
	p := b.p
	var out []core.Report
	left := len(p.w.nodes)
	heard := func(from topology.NodeID, b []byte) {
		if r, err := core.DecodeReport(b); b != nil && err == nil && r.Node == from {
			out = append(out, r)
		}
		if left--; left == 0 && !p.dead {
			slices.SortFunc(out, func(a, b core.Report) int { return cmp.Compare(a.Node, b.Node) })
			done(out)
		}
	}
	for _, to := range p.w.nodes {
		if to == p.n {
			p.after(0, func() {
				b, _ := ask(p)
				heard(to.id, b)
			})
			continue
		}
		p.s.Net.Call(p.n.m, to.m, p.w.c.callTimeout, func(reply func([]byte)) {
			q := to.live()
			if q == nil {
				return
			}
			if b, err := ask(q); err == nil && !q.dead {
				q.after(q.n.m.Disk.SyncTime(), func() { reply(b) })
			}
		}, func(b []byte) { heard(to.id, b) })
	}
}

// report says where this node stands, by what is durable.
func (b *ballot) report() []byte {
	p := b.p
	r := core.Report{Node: p.n.id, Life: p.n.life(), Group: p.group, Accepted: p.core.Term, Commit: p.core.Commit}
	r.Last.LSN = p.core.Flushed
	r.Last.Term, _ = p.log.History().TermAt(r.Last.LSN)
	if p.resync {
		r.Last = stream.Place{}
	}
	p.w.ledger.reports(p, r.Last)
	return r.Encode()
}

// fence promises, durably, to obey nothing older than the term of g, then makes
// the own log durable, and only then says where it ends (S4).
func (b *ballot) fence(g core.Group, from topology.NodeID, life uint64) ([]byte, error) {
	p := b.p
	if g.Leader != from || g.Life != life {
		return nil, fmt.Errorf("%w: %s asks for a term of %s", topology.ErrDenied, from, g.Leader)
	}
	if err := core.Acceptable(&p.core, &g); err != nil {
		p.s.Reach("a term was not accepted")
		return nil, err
	}
	if err := p.ballot.accept(g); err != nil {
		return nil, err
	}
	if err := p.flushAll(); err != nil {
		return nil, err
	}
	p.step(core.Event{Kind: core.EvFlushed, LSN: p.log.Bounds().Flushed}, nil)
	return p.ballot.report(), nil
}

// operate is what an operator does: where nothing has been acknowledged for a
// while, he tells one node after another to lead.
func (w *cluster) operate() {
	w.s.After(w.s.Lasting(50*time.Millisecond, time.Second), func() {
		w.operate()
		w.repairs()
		lead := w.leader()
		switch {
		case w.agreed != nil: // it leads itself
		case w.s.Now()-w.progress > w.c.calm && (!w.still || lead == nil):
			w.failover()
		case lead != nil && w.outrun(lead):
			w.s.Reach("a node had accepted a term that nobody led")
			lead.ballot.promote(core.Chosen, func(error) {})
		}
	})
}

// outrun reports whether a node refuses the leader for a term that it has
// accepted and nobody has started: a newer one, or the same of another.
func (w *cluster) outrun(lead *process) bool {
	return slices.ContainsFunc(w.nodes, func(n *node) bool {
		p := n.live()
		return p != nil && (p.core.Term > lead.core.Term || p.core.Term == lead.core.Term && p.core.Leader != lead.n.id)
	})
}

// failover tells a node to lead that may: any, the one whose log is longest more
// often than others.
func (w *cluster) failover() {
	var ps []*process
	for _, n := range w.nodes {
		if p := n.live(); p != nil && !slices.Contains(w.c.replicas, n.id) {
			ps = append(ps, p)
		}
	}
	if len(ps) == 0 {
		return
	}
	p := ps[w.s.Rand.IntN(len(ps))]
	if w.s.Chance(0.7) {
		p = slices.MaxFunc(ps, func(a, b *process) int { return place(a).compare(place(b)) })
	}
	why := core.Chosen
	if w.c.sync.Kind == quorum.KindAsync {
		if w.stuck++; w.stuck > 3 && w.s.Chance(0.3) && w.s.Now() > w.forcing && w.ledger.mayForce() {
			why, w.forcing = core.Forced, w.s.Now()+4*w.c.callTimeout
		}
	}
	w.s.Note(string(p.n.id), "is told to lead", uint64(why))
	p.ballot.promote(why, func(err error) {
		if err == nil {
			w.stuck = 0
			w.s.Reach("an operator changed the leader")
		}
	})
}

// ending is where a log ends.
type ending struct {
	term uint64
	lsn  record.LSN
}

func (e ending) compare(o ending) int {
	return cmp.Or(cmp.Compare(e.term, o.term), cmp.Compare(e.lsn, o.lsn))
}

func place(p *process) ending { return ending{p.core.LastTerm, p.core.End} }

// repairs gives a damaged node an empty directory, one at a time: who is being
// repaired must have caught up with a leader whose term's start is committed, and be
// counted there by its new directory, before the next.
func (w *cluster) repairs() {
	for _, n := range w.nodes {
		if n.repair {
			w.readmit(n)
			return
		}
	}
	for _, n := range w.nodes {
		if n.damaged {
			n.wipe()
			return
		}
	}
}

func (w *cluster) readmit(n *node) {
	if !w.isMember(n) {
		n.repair = false // nothing counts on it, and it is counted by what it holds then
		return
	}
	p := n.live()
	if p == nil || p.core.Role != core.Follower || p.core.Flushed < w.commits {
		return
	}
	lead := w.node(p.core.Leader).live()
	if lead == nil || !lead.core.Settled() || lead.core.Term != p.core.Term || p.core.Flushed < lead.core.Commit {
		return
	}
	if w.agreed != nil {
		a := lead.council.keeper.Doc.Agreed
		n.repair = len(a.InSync) < a.Minimum || slices.ContainsFunc(a.InSync, func(c core.Counted) bool { return c.Node == n.id && c.Life != n.life() })
		return
	}
	i := slices.Index(lead.group.Voters, n.id)
	if i < 0 || lead.group.Lives[i] == n.life() {
		n.repair = false
	}
}
