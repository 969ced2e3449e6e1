package oneleader

import (
	"errors"
	"slices"
	"time"

	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// council is the shell's part in a group whose nodes agree, played by events.
type council struct {
	p       *process
	began   time.Duration
	keeper  core.Keeper
	loaded  bool
	learned time.Duration
	changes core.Changes
	gone    uint64
	busy    bool // a claim is under way
	asking  bool // a change of the in-sync set is
	pauses  bool // writes, for a switchover

	heard     time.Duration
	heardTerm uint64
}

func (c *council) self() core.Counted { return core.Counted{Node: c.p.n.id, Life: c.p.n.life()} }

// begin does what the engine's council does, again and again.
func (c *council) begin() {
	c.began = c.p.s.Now()
	c.watch()
	c.look()
	c.keep()
	tick(c.p)
}

// watch asks for the document now and then: what the control tells may be lost.
func (c *council) watch() {
	p := c.p
	p.w.agreed.load(p, func(version uint64, body []byte, known bool) {
		if known {
			c.loaded = true
			c.learn(version, body)
		}
	})
	p.after(p.s.Lasting(p.w.c.retry, 5*p.w.c.retry), c.watch)
}

func (c *council) look() {
	p := c.p
	if p.core.Role == core.Leader && slices.ContainsFunc(p.reign.ships, func(h *ship) bool { return h.obeys > h.term }) {
		p.s.Reach("a leader began a term for who had promised to obey no older one")
		c.stand(core.Restart, func(error) {})
	} else if at, why, stands := c.due(); stands && at <= p.s.Now()-c.began {
		c.stand(why, func(error) {})
	}
	p.after(p.s.Lasting(time.Millisecond, p.w.c.retry), c.look)
}

func (c *council) due() (time.Duration, core.Why, bool) {
	p := c.p
	if p.core.Role == core.Leader || !c.loaded || p.resync || p.feeding.restoring || slices.Contains(p.w.c.replicas, p.n.id) && !slices.Contains(c.keeper.Doc.Voters, p.n.id) {
		return 0, 0, false
	}
	g := &c.keeper.Doc
	v := core.Vigil{FailAfter: p.w.c.failAfter, Now: p.s.Now() - c.began, Changes: &c.changes}
	if c.keeper.Version > 0 {
		v.Gone = c.gone == g.Term
		v.Met = c.heardTerm == g.Term
		v.Heard = c.learned
		if v.Met {
			v.Heard = c.heard
		}
		v.Heard -= c.began
	}
	return v.Due(g, c.keeper.Version, c.self(), p.w.voting())
}

// hears notes a sign of life of the leader of term.
func (c *council) hears(term uint64) { c.heard, c.heardTerm = c.p.s.Now(), term }

// left: the leader's stream has ended; perhaps its process has.
func (c *council) left() {
	g := &c.keeper.Doc
	if c.keeper.Version > 0 && g.Leader != c.p.n.id && c.p.w.node(g.Leader).p == nil && c.p.s.Chance(0.5) {
		c.gone = g.Term
	}
}

// learn takes a document that the control has shown.
func (c *council) learn(version uint64, body []byte) {
	p := c.p
	if p.dead || version == 0 {
		return
	}
	if version > c.keeper.Version {
		g, err := core.DecodeGroup(body)
		if err != nil {
			p.s.Fail("floor", "the document of version %d: %v", version, err)
			return
		}
		was := c.keeper.Doc.Term
		if c.keeper.Learn(g, version); g.Term > was {
			c.learned = p.s.Now()
			c.changes.Note(c.learned - c.began)
		}
	}
	c.settle()
}

// settle brings this node to the term of the newest document.
func (c *council) settle() {
	p, g := c.p, c.keeper.Doc
	accepted, before := p.core.Term, max(p.core.Term, p.core.LastTerm)
	switch {
	case g.Term > accepted:
		if err := p.ballot.accept(g); err != nil || p.dead || !g.Names(c.self(), before) || p.resync {
			return
		}
		if err := p.flushAll(); err != nil || p.dead {
			return
		}
		p.step(core.Event{Kind: core.EvFlushed, LSN: p.log.Bounds().Flushed}, nil)
		if err := p.ballot.begins(g); err != nil {
			p.s.Say(string(p.n.id), "does not begin: %v", err)
		}
	case g.Term == accepted:
		p.group = g
		if p.core.Role == core.Leader {
			p.reign.muster(p)
			c.recount()
		}
	}
}

// stand tries to lead by a swap of the document (S6).
func (c *council) stand(why core.Why, done func(error)) {
	p := c.p
	if c.busy || p.dead {
		return
	}
	c.busy = true
	seen, accepted := c.keeper.Doc.Term, max(p.core.Term, p.core.LastTerm)
	p.w.agreed.load(p, func(version uint64, body []byte, known bool) {
		if known {
			c.learn(version, body)
		}
		if !known || p.dead || (why == core.Elected || why == core.Restart) && c.keeper.Doc.Term != seen {
			c.busy = false
			done(topology.ErrUnavailable)
			return
		}
		claim := core.Claim{Voting: p.w.voting(), Self: c.self(), Why: why, Accepted: accepted, Last: stream.Place{Term: p.core.LastTerm, LSN: p.core.End}, Settled: settled(p, c.keeper.Doc.Term)}
		if p.w.c.sync.Kind == quorum.KindAny && version > 0 && !why.Losing() {
			c.poll(&claim, version, body, done)
			return
		}
		c.alive(why, func(alive []core.Counted, said []core.Report) {
			claim.Alive, claim.Pledged = alive, said
			c.claim(&claim, version, body, done)
		})
	})
}

// poll asks who would promise to obey no older term, and then for the promise (S4).
func (c *council) poll(claim *core.Claim, version uint64, body []byte, done func(error)) {
	g, err := core.DecodeGroup(body)
	if err != nil {
		c.p.s.Fail("floor", "%v", err)
		return
	}
	c.pledges(claim.Why, false, func(rs []core.Report) {
		if claim.Pledged = rs; c.vain(claim, g, done) {
			return
		}
		c.pledges(claim.Why, true, func(rs []core.Report) {
			claim.Pledged = rs
			c.claim(claim, version, body, done)
		})
	})
}

// vain reports whether a claim comes to nothing, and says so.
func (c *council) vain(claim *core.Claim, g core.Group, done func(error)) bool {
	_, err := claim.Succeed(g)
	if err == nil {
		return false
	}
	c.fails(err, done)
	return true
}

// fails says that a claim comes to nothing, and has another stand who should.
func (c *council) fails(err error, done func(error)) {
	p := c.p
	c.busy = false
	p.s.Say(string(p.n.id), "does not lead: %v", err)
	var behind *core.BehindError
	if errors.As(err, &behind) {
		to := p.w.node(behind.Best)
		p.s.Net.Send(p.n.m, to.m, func() {
			if q := to.live(); q != nil && q.core.Role != core.Leader {
				q.council.stand(core.Chosen, func(error) {})
			}
		})
	}
	done(err)
}

func (c *council) claim(claim *core.Claim, version uint64, body []byte, done func(error)) {
	p := c.p
	var next core.Group
	var err error
	if version == 0 {
		next, err = claim.Found()
	} else {
		var g core.Group
		if g, err = core.DecodeGroup(body); err == nil {
			next, err = claim.Succeed(g)
		}
	}
	if err == nil && p.resync {
		err = core.ErrResync
	}
	if err != nil {
		c.fails(err, done)
		return
	}
	p.w.agreed.swap(p, version, next, func(now uint64, known bool) {
		c.busy = false
		switch {
		case !known:
			p.s.Reach("a swap of the document ended unknown")
		case now == 0:
			p.s.Reach("a swap of the document came too late")
		default:
			p.s.Reach("a node was elected")
			c.learn(now, next.Encode())
		}
		done(nil)
	})
}

// alive asks the in-sync members whether they are there.
func (c *council) alive(why core.Why, then func([]core.Counted, []core.Report)) {
	p := c.p
	var out []core.Counted
	var said []core.Report
	if own, err := core.DecodeReport(p.ballot.report()); err == nil {
		said = append(said, own)
	}
	left := 1
	heard := func() {
		if left--; left == 0 && !p.dead {
			slices.SortFunc(out, func(a, b core.Counted) int { return int(a.Node[0]) - int(b.Node[0]) })
			slices.SortFunc(said, func(a, b core.Report) int { return int(a.Node[0]) - int(b.Node[0]) })
			then(out, said)
		}
	}
	g := &c.keeper.Doc
	if g.Agreed != nil {
		for _, m := range g.Agreed.InSync {
			if m.Node == p.n.id || m.Node == g.Leader && why == core.Elected {
				continue
			}
			left++
			to := p.w.node(m.Node)
			p.s.Net.Call(p.n.m, to.m, p.w.c.failAfter/2, func(reply func([]byte)) {
				if q := to.live(); q != nil && to.life() == m.Life {
					reply(q.ballot.report())
				}
			}, func(b []byte) {
				if r, err := core.DecodeReport(b); b != nil && err == nil {
					out, said = append(out, m), append(said, r)
				}
				heard()
			})
		}
	}
	heard()
}

// keep keeps the in-sync set while this node leads.
func (c *council) keep() {
	c.change()
	c.p.after(c.p.w.c.failAfter/5, c.keep)
}

func (c *council) change() {
	p := c.p
	g := &c.keeper.Doc
	if p.dead || c.asking || p.core.Role != core.Leader || g.Leader != p.n.id || g.Term != p.core.Term {
		return
	}
	next, ok := c.keeper.Next(c.fits())
	if ok || g.Changes() {
		c.recount()
	}
	if !ok {
		return
	}
	c.asking = true
	version := c.keeper.Version
	p.w.agreed.swap(p, version, next, func(now uint64, known bool) {
		c.asking = false
		if known && now > 0 {
			p.s.Reach("the in-sync set changed")
			c.learn(now, next.Encode())
			return
		}
		p.w.agreed.load(p, func(version uint64, body []byte, known bool) {
			if known {
				c.learn(version, body)
			}
		})
	})
}

// recount tells the core whom to wait for, and what those have acknowledged.
func (c *council) recount() {
	p := c.p
	set, frozen := c.keeper.Waits()
	rule, lives, err := c.keeper.Doc.Waits(set)
	if err != nil {
		p.s.Fail("floor", "the in-sync set %v: %v", set, err)
		return
	}
	if frozen {
		p.s.Reach("too few were in sync")
	}
	p.step(core.Event{Kind: core.EvCount, Term: p.core.Term, Rule: rule, Lives: lives, Frozen: frozen, Slack: c.keeper.Doc.Slack()}, nil)
	for _, h := range p.reign.ships {
		if h.acks.Term != 0 {
			p.step(core.Event{Kind: core.EvAck, Node: h.to.id, Life: h.life, Ack: h.acks}, nil)
		}
	}
}

func (c *council) fits() (fits []core.Fit) {
	p := c.p
	caught := c.keeper.Doc.Caught(p.core.Commit, p.core.Lead.Start)
	for _, h := range p.reign.ships {
		if h.acks.Flushed >= p.core.Flushed || h.acks.Flushed > h.moved {
			h.moved, h.movedAt = h.acks.Flushed, p.s.Now()
		}
		patience := p.w.c.failAfter
		if !c.keeper.Doc.Judges(h.to.id) {
			continue
		}
		fits = append(fits, core.Fit{
			Counted: core.Counted{Node: h.to.id, Life: h.life},
			Healthy: h.conn != nil && p.s.Now()-h.contact <= patience && p.s.Now()-h.movedAt <= patience,
			Caught:  h.conn != nil && h.acks.Term == p.core.Term && h.acks.Flushed >= caught,
		})
	}
	return fits
}

// switchover hands over to another node, as the leader's engine does (S10).
func (c *council) switchover(to *node) {
	p := c.p
	g := c.keeper.Doc
	if c.busy || c.pauses || p.core.Role != core.Leader || g.Term != p.core.Term {
		return
	}
	next, err := g.Handover(to.id)
	if err != nil {
		return
	}
	c.pauses, c.busy = true, true
	resume := func() { c.pauses, c.busy = false, false; p.writing.turnLater(p) }
	until, version := p.s.Now()+p.w.c.callTimeout, c.keeper.Version
	var swap func()
	swap = func() {
		yield(p, g.Term, 1)
		p.w.agreed.swap(p, version, next, func(now uint64, known bool) {
			switch {
			case known && now > 0:
				p.s.Reach("a leader handed over")
				c.learn(now, next.Encode())
				resume()
			case known:
				p.w.agreed.load(p, func(version uint64, body []byte, known bool) {
					if known {
						c.learn(version, body)
					}
					yield(p, g.Term, 0)
					resume()
				})
			default: // nothing goes on until it is known
				swap()
			}
		})
	}
	var wait func()
	wait = func() {
		i := slices.IndexFunc(p.reign.ships, func(h *ship) bool { return h.to == to })
		switch {
		case p.core.Role != core.Leader || p.core.Term != g.Term || p.s.Now() > until:
			resume()
		case i >= 0 && p.reign.ships[i].acks.Flushed >= p.log.Bounds().End:
			swap()
		default:
			p.after(time.Millisecond, wait)
		}
	}
	wait()
}

// heardOf is what a ship keeps of its member for the in-sync set.
type heardOf struct {
	acks    stream.Ack
	obeys   uint64 // the term that the member obeys, where it refused ours
	contact time.Duration
	moved   record.LSN
	movedAt time.Duration
}

// told: an operator has this node lead, or its leader hand over.
func (c *council) told() {
	p := c.p
	if p.core.Role != core.Leader {
		c.stand(core.Chosen, func(error) {})
		return
	}
	if to := p.w.nodes[p.s.Rand.IntN(len(p.w.nodes))]; to != p.n {
		c.switchover(to)
	}
}
