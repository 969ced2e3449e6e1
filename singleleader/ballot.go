package singleleader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

const (
	stableAccepted = "accepted"
	methodPoll     = "group.poll"
	methodFence    = "group.fence"
	methodStand    = "group.stand"
	methodSucceed  = "group.succeed"
)

// ballot makes terms: it keeps what was accepted, asks and tells the others,
// and starts a term here.
type ballot struct {
	e   *engine
	one gate // one promotion at a time
}

// standing is what a node finds at its start.
type standing struct {
	core.Group
	accepted core.Group
}

// load reads the document and the accepted term; the first start of a group
// writes the document from the configuration.
func (b *ballot) load() (standing, error) {
	ctx := context.Background()
	var s standing
	if b.e.council == nil { // else it is elsewhere, and asked for later
		d, err := b.e.env.Control.Load(ctx, topology.DocumentGroup)
		if err == nil && d.Version == 0 {
			d, err = b.seed(ctx, d)
		}
		if err == nil {
			s.Group, err = core.DecodeGroup(d.Body)
		}
		if err != nil {
			return s, err
		}
	}
	body, err := b.e.env.Stable.Load(stableAccepted)
	if err != nil {
		return s, err
	}
	if s.accepted, err = core.DecodeAccepted(body); err != nil {
		return s, err
	}
	s.Group = core.Standing(s.Group, s.accepted)
	return s, nil
}

func (b *ballot) seed(ctx context.Context, d topology.Document) (topology.Document, error) {
	s, ok := b.e.env.Control.(topology.Seeder)
	if !ok {
		return d, errors.New("single-leader: the control names no first leader")
	}
	g, err := b.voting().First(s.FirstLeader())
	if err != nil {
		return d, err
	}
	d.Name, d.Body = topology.DocumentGroup, g.Encode()
	return b.e.env.Control.Swap(ctx, d)
}

// voting is what the configuration of this node says of who is counted.
func (b *ballot) voting() core.Voting {
	v := core.Voting{Sync: b.e.o.Sync, MinInSync: b.e.o.MinInSync, ReadReplicas: b.e.seats.replicas(), Lease: b.e.o.Lease, Drift: b.e.o.ClockDrift, Lag: b.e.o.MaxLagOnFailover}
	for _, m := range b.e.seats.members() {
		v.Members = append(v.Members, m.ID)
	}
	return v
}

// accept makes a newer term and its document durable here and steps the core
// to it. The caller holds the gate.
func (b *ballot) accept(ctx context.Context, g core.Group) error {
	e := b.e
	var now uint64
	e.turn.call(func() { now = e.core.Term })
	if g.Term <= now {
		return nil
	}
	if err := e.env.Stable.Save(stableAccepted, g.Encode()); err != nil {
		return err
	}
	if e.council == nil {
		if err := b.note(ctx, g); err != nil {
			return err
		}
	}
	e.group.Store(&g)
	e.turn.post(core.Event{Kind: core.EvAccepted, Term: g.Term, Node: g.Leader, Life: g.Life})
	e.reign.changed()
	e.log.Info("term", "term", g.Term, "leader", g.Leader, "sync", g.Policy)
	return nil
}

// note makes g the node's own document, as nobody else keeps one.
func (b *ballot) note(ctx context.Context, g core.Group) error {
	d, err := b.e.env.Control.Load(ctx, topology.DocumentGroup)
	if err != nil {
		return err
	}
	if old, err := core.DecodeGroup(d.Body); err != nil || old.Term > g.Term {
		return nil
	}
	d.Body = g.Encode()
	_, err = b.e.env.Control.Swap(ctx, d)
	return err
}

// stand starts a term whenever the document names this node and it does not
// lead: at the first start, and after a restart, which never resumes a term (S2);
// and a new one whenever a member is to be counted again that had lost its
// directory.
func (b *ballot) stand(ctx context.Context) error {
	t := time.NewTimer(0)
	defer t.Stop()
	var told string
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
		if err := b.resume(ctx); err != nil && ctx.Err() == nil && err.Error() != told {
			told = err.Error()
			b.e.log.Warn("this node is to lead and can not start a term", "reason", err)
		}
		t.Reset(b.e.o.RetryEvery)
	}
}

// resume starts a term if one is due.
func (b *ballot) resume(ctx context.Context) error {
	if !b.due() {
		return nil
	}
	if err := b.one.enter(ctx); err != nil {
		return err
	}
	defer b.one.leave()
	if !b.due() {
		return nil
	}
	_, err := b.promote(ctx, core.Restart, "")
	return err
}

// due reports whether this node is to start a term: it is named leader, by the
// document or by what it has promised, which is written first, and does not lead,
// or leads in a term that does not count who should be.
func (b *ballot) due() (due bool) {
	b.e.turn.call(func() {
		named := b.e.core.Leader == b.e.env.Self || b.e.group.Load().Leader == b.e.env.Self
		due = named && b.e.core.Role != core.Leader || b.e.core.Lead.Admits()
	})
	return due
}

// Promote implements topology.Promoter.
func (e *engine) Promote(ctx context.Context, force bool) (topology.Promotion, error) {
	return e.promote(ctx, force, "")
}

// promote makes this node leader because a person asked for it, or another node.
func (e *engine) promote(ctx context.Context, force bool, by topology.NodeID) (topology.Promotion, error) {
	var p topology.Promotion
	var err error
	if e.council != nil {
		p, err = e.council.promote(ctx, force)
	} else if err = e.ballot.one.enter(ctx); err == nil {
		switch {
		case force:
			p, err = e.ballot.promote(ctx, core.Forced, by)
		case e.readReplica():
			err = fmt.Errorf("%w: %s is a read replica, which is not made leader; with force it leads nevertheless, and what it lacks is lost", topology.ErrUnavailable, e.env.Self)
		default:
			p, err = e.ballot.promote(ctx, core.Chosen, by)
		}
		e.ballot.one.leave()
	}
	if err != nil {
		var te *topology.Error
		if !errors.As(err, &te) {
			err = &topology.Error{Op: "failover", Node: e.env.Self, Outcome: topology.NotApplied, Err: err}
		}
	}
	return p, err
}

// promote polls, tells, checks and starts a new term here (K2). The caller has
// entered one.
func (b *ballot) promote(ctx context.Context, why core.Why, by topology.NodeID) (topology.Promotion, error) {
	e := b.e
	bid := core.Bid{
		Voting: b.voting(), Self: e.env.Self, Life: e.env.Life, Why: why, Resync: e.resync.Load(),
		Waited: time.Since(e.since) >= e.o.CallTimeout, Founds: e.env.Founded != nil && e.env.Founded(),
	}
	polled := b.askAll(ctx, methodPoll, nil)
	bid.Own, bid.For = *e.group.Load(), by
	e.turn.call(func() {
		bid.Accepted, bid.Obeys, bid.Leads, bid.Told = e.core.Term, e.core.Leader, e.core.Role == core.Leader, e.core.Pledge
	})
	next, err := bid.Propose(polled)
	if err != nil {
		if heir := bid.Heir(polled); heir != "" && why == core.Restart {
			err = b.concede(ctx, heir, err)
		}
		return topology.Promotion{}, err
	}
	if old := bid.Latest(); old.Term > 0 && !slices.ContainsFunc(polled, func(r core.Report) bool { return r.Node == old.Leader }) {
		if err := e.roles.secure(ctx, old.Leader, old.Term); err != nil {
			return topology.Promotion{}, err
		}
	}
	told := b.tellAll(ctx, next)
	if err := bid.Confirm(next, told); err != nil {
		if told != nil {
			err = b.handBack(ctx, &bid, told, err)
		}
		return topology.Promotion{}, err
	}
	return b.start(next, told)
}

// handBack is what follows a term that was accepted by others and must not be
// started here after all, because somebody wrote on meanwhile: the best of those
// who answered is asked to start one of its own, so that the group is not left
// without a leader. It returns why, and what came of it.
func (b *ballot) handBack(ctx context.Context, bid *core.Bid, told []core.Report, why error) error {
	best := bid.Best(told)
	if best == "" {
		return fmt.Errorf("%w; nobody leads now, and nobody who answers may", why)
	}
	if _, err := b.e.env.Transport.Call(ctx, best, methodStand, nil); err != nil {
		return fmt.Errorf("%w; nobody leads now: %s was asked to and could not: %w", why, best, err)
	}
	return fmt.Errorf("%w; meanwhile the log went on, and %s leads again", why, best)
}

// concede asks another node to start a newer term than this one has promised to
// lead and may not. It returns why it may not.
func (b *ballot) concede(ctx context.Context, to topology.NodeID, why error) error {
	ctx, cancel := context.WithTimeout(ctx, b.e.o.CallTimeout)
	defer cancel()
	if _, err := b.e.env.Transport.Call(ctx, to, methodSucceed, nil); err != nil {
		return fmt.Errorf("%w; %s was asked to start a newer term, and could not: %w", why, to, err)
	}
	return why
}

// answerStand starts a term here on behalf of a node that must not.
func (b *ballot) answerStand(ctx context.Context, _ topology.Peer, _ []byte) ([]byte, error) {
	_, err := b.e.Promote(ctx, false)
	return nil, err
}

// answerSucceed starts a term here that the asker can follow, if it can be reached:
// else it would ask again and again, and no term last.
func (b *ballot) answerSucceed(ctx context.Context, from topology.Peer, _ []byte) ([]byte, error) {
	_, err := b.e.promote(ctx, false, from.ID)
	return nil, err
}

// start begins the term, unless a newer one came meanwhile.
func (b *ballot) start(g core.Group, told []core.Report) (topology.Promotion, error) {
	e := b.e
	lead, err := g.Lead()
	if err != nil {
		return topology.Promotion{}, err
	}
	p := topology.Promotion{Term: g.Term, Leader: g.Leader}
	e.turn.call(func() {
		if err = core.Held(&g, stream.Place{Term: e.core.LastTerm, LSN: e.core.End}); err != nil {
			return
		}
		e.reign.names = lead.Rule.Members()
		e.perform(&ask{}, step(e, lead))
		if e.council != nil {
			nudge(e.council.tenure.news)
		}
		if e.core.Role == core.Leader && e.core.Term == g.Term {
			p.Start = e.core.Lead.Start
		}
	})
	if err != nil {
		return p, err
	}
	if p.Start == 0 {
		return p, fmt.Errorf("%w: a newer term came while term %d was being started", topology.ErrConflict, g.Term)
	}
	for _, m := range e.seats.members() {
		if slices.ContainsFunc(told, func(r core.Report) bool { return r.Node == m.ID }) {
			p.Reached = append(p.Reached, m.ID)
		} else {
			p.Missed = append(p.Missed, m.ID)
		}
	}
	e.log.Info("leading", "term", p.Term, "start", p.Start, "missed", p.Missed)
	return p, nil
}

// askAll asks every member, this node included, and returns who answered.
func (b *ballot) askAll(ctx context.Context, method string, req []byte) []core.Report {
	ctx, cancel := context.WithTimeout(ctx, b.e.o.CallTimeout)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	var out []core.Report
	for _, m := range b.e.seats.members() {
		wg.Go(func() {
			var body []byte
			var err error
			if m.ID == b.e.env.Self {
				body = b.report()
			} else {
				body, err = b.e.env.Transport.Call(ctx, m.ID, method, req)
			}
			if err == nil {
				var r core.Report
				if r, err = core.DecodeReport(body); err == nil && r.Node == m.ID {
					mu.Lock()
					out = append(out, r)
					mu.Unlock()
					return
				}
			}
			b.e.log.Debug("no answer", "from", m.ID, "to", method, "reason", err)
		})
	}
	wg.Wait()
	slices.SortFunc(out, func(a, b core.Report) int { return cmp.Compare(a.Node, b.Node) })
	return out
}

// tellAll makes the term durable wherever it is accepted, here first.
func (b *ballot) tellAll(ctx context.Context, g core.Group) []core.Report {
	if _, err := b.fence(ctx, g); err != nil {
		b.e.log.Warn("term not accepted", "term", g.Term, "reason", err)
		return nil
	}
	return b.askAll(ctx, methodFence, g.Encode())
}
