package singleleader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

const (
	stableAccepted = "accepted"
	methodPoll     = "group.poll"
	methodFence    = "group.fence"
	methodStand    = "group.stand"
)

// forcedStep is how far a forced promotion moves the term. An old leader that
// comes back where it can ask nobody takes the next term; the step keeps it
// from meeting the forced one's.
const forcedStep = 1 << 10

// ballot makes terms: it keeps what was accepted, asks and tells the others,
// and starts a term here.
type ballot struct {
	e   *engine
	one gate // one promotion at a time
}

// standing is what a node finds at its start.
type standing struct {
	group
	accepted       uint64
	acceptedLeader topology.NodeID
	acceptedLife   uint64
}

// load reads the document and the accepted term; the first start of a group
// writes the document from the configuration.
func (b *ballot) load() (standing, error) {
	ctx := context.Background()
	var s standing
	d, err := b.e.env.Control.Load(ctx, topology.DocumentGroup)
	if err != nil {
		return s, err
	}
	if d.Version == 0 {
		if d, err = b.seed(ctx, d); err != nil {
			return s, err
		}
	}
	if s.group, err = decodeGroup(d.Body); err != nil {
		return s, err
	}
	body, err := b.e.env.Stable.Load(stableAccepted)
	if err != nil || body == nil {
		return s, err
	}
	r := pack.NewReader(body)
	r.ArrayOf(3)
	s.accepted, s.acceptedLeader, s.acceptedLife = r.Uint(), topology.NodeID(r.StrMax(nameBytesMax)), r.Uint()
	if err := r.Done(); err != nil {
		return s, fmt.Errorf("accepted term: %w", err)
	}
	return s, nil
}

func (b *ballot) seed(ctx context.Context, d topology.Document) (topology.Document, error) {
	seeder, ok := b.e.env.Control.(topology.Seeder)
	if !ok {
		return d, errors.New("single-leader: the control backend names no first leader, and elections are not there to find one")
	}
	first := seeder.FirstLeader()
	view, _ := b.e.env.Membership.View()
	if _, ok := view.Find(first); !ok {
		return d, fmt.Errorf("single-leader: the first leader %q is not among the members", first)
	}
	if slices.Contains(b.e.o.ReadReplicas, first) {
		return d, fmt.Errorf("single-leader: the first leader %q is a read replica", first)
	}
	g := group{reignOf: reignOf{Term: 1, Leader: first}, Origin: version.Origin{ID: 1, Incarnation: 1}}
	if err := b.counted(&g, nil); err != nil {
		return d, err
	}
	d.Name, d.Body = topology.DocumentGroup, g.encode()
	return b.e.env.Control.Swap(ctx, d)
}

// counted sets whom g counts: by this node's policy, its list completed by the
// leader and by who was a voter before, so that who is counted in one term is
// counted in the next.
func (b *ballot) counted(g *group, before []topology.NodeID) error {
	p := b.e.o.Sync
	if p.Kind == quorum.KindAsync {
		g.Policy, g.Voters = p.String(), []topology.NodeID{g.Leader}
		return nil
	}
	view, _ := b.e.env.Membership.View()
	of := slices.Clone(p.Of)
	if len(of) == 0 {
		for _, m := range view.Members {
			if !slices.Contains(b.e.o.ReadReplicas, m.ID) {
				of = append(of, string(m.ID))
			}
		}
	}
	for _, n := range append(slices.Clone(before), g.Leader) {
		if !slices.Contains(of, string(n)) {
			of = append(of, string(n))
		}
	}
	p.Of, g.Voters = of, nil
	for _, n := range of {
		if _, ok := view.Find(topology.NodeID(n)); !ok {
			return fmt.Errorf("single-leader: sync %v names %q, which is not a member", b.e.o.Sync, n)
		}
		g.Voters = append(g.Voters, topology.NodeID(n))
	}
	g.Policy = p.String()
	_, _, err := g.rule(g.Voters)
	return err
}

// accept makes a newer term and its document durable here and steps the core
// to it. The caller holds the gate.
func (b *ballot) accept(ctx context.Context, g group) error {
	e := b.e
	var now uint64
	e.turn.call(func() { now = e.core.term })
	if g.Term <= now {
		return nil
	}
	w := pack.NewWriter(nil)
	w.Array(3)
	w.Uint(g.Term)
	w.Str(string(g.Leader))
	w.Uint(g.Life)
	if err := e.env.Stable.Save(stableAccepted, w.Bytes()); err != nil {
		return err
	}
	d, err := e.env.Control.Load(ctx, topology.DocumentGroup)
	if err != nil {
		return err
	}
	if old, err := decodeGroup(d.Body); err == nil && old.Term <= g.Term {
		d.Body = g.encode()
		if _, err := e.env.Control.Swap(ctx, d); err != nil {
			return err
		}
	}
	e.group.Store(&g)
	e.turn.post(event{kind: evAccepted, term: g.Term, node: g.Leader, life: g.Life})
	e.reign.changed()
	e.log.Info("term", "term", g.Term, "leader", g.Leader, "sync", g.Policy)
	return nil
}

// stand starts a term whenever the document names this node and it does not
// lead: at the first start, and after a restart, which never resumes a term (S2).
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
			b.e.log.Warn("this node is named leader and can not start a term", "reason", err)
		}
		t.Reset(b.e.o.RetryEvery)
	}
}

// resume starts a term if this node is named leader and does not lead.
func (b *ballot) resume(ctx context.Context) error {
	if b.e.group.Load().Leader != b.e.env.Self {
		return nil
	}
	if err := b.one.enter(ctx); err != nil {
		return err
	}
	defer b.one.leave()
	var leads bool
	b.e.turn.call(func() { leads = b.e.core.role == leader })
	if leads || b.e.group.Load().Leader != b.e.env.Self {
		return nil
	}
	_, err := b.promote(ctx, restart)
	return err
}

// Promote implements topology.Promoter.
func (e *engine) Promote(ctx context.Context, force bool) (topology.Promotion, error) {
	var p topology.Promotion
	err := e.ballot.one.enter(ctx)
	if err == nil {
		switch {
		case force:
			p, err = e.ballot.promote(ctx, forced)
		case e.readReplica():
			err = fmt.Errorf("%w: %s is a read replica, which is not made leader; with force it leads nevertheless, and what it lacks is lost", topology.ErrUnavailable, e.env.Self)
		default:
			p, err = e.ballot.promote(ctx, chosen)
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

// why a term is started.
type why uint8

const (
	restart why = iota // this node led the last term, as far as it knows
	chosen             // an operator named it
	forced             // and takes the loss
)

// promote polls, tells, checks and starts a new term here (K2). The caller has
// entered one.
func (b *ballot) promote(ctx context.Context, why why) (topology.Promotion, error) {
	e, force := b.e, why == forced
	if e.resync.Load() && !force {
		return topology.Promotion{}, fmt.Errorf("%w: this node waits for a snapshot: its own log and store do not fit together", topology.ErrUnavailable)
	}
	view, _ := e.env.Membership.View()
	polled := b.askAll(ctx, methodPoll, nil)
	latest, top := newest(polled, *e.group.Load())
	if why == restart && latest.Leader != e.env.Self {
		return topology.Promotion{}, fmt.Errorf("%w: %s was made leader of term %d meanwhile; this node follows once it hears from it", topology.ErrNotLeader, latest.Leader, latest.Term)
	}
	next := succeed(latest, polled)
	next.Leader, next.Life, next.Term = e.env.Self, e.env.Life, top+1
	first := !force && top == 0 && latest.Term == 1 && latest.Leader == e.env.Self
	if force {
		next.Term = top + forcedStep
	}
	if err := b.counted(&next, latest.Voters); err != nil {
		return topology.Promotion{}, err
	}
	if force {
		next.Before = nil // what is missing is given up
	}
	if len(next.Before) > beforeMax {
		return topology.Promotion{}, fmt.Errorf("%w: %d terms were begun and never started", topology.ErrUnavailable, len(next.Before))
	}
	next.Lives = nil
	for _, v := range next.Voters {
		life := latest.life(latest.Voters, v) // one that is away is known by the directory it had
		if r := find(polled, v); r != nil {
			life = r.Life
		}
		next.Lives = append(next.Lives, life)
	}
	if first && len(polled) < len(view.Members) && time.Since(e.since) < e.o.CallTimeout {
		return topology.Promotion{}, fmt.Errorf("%w: waiting for the other members before the first term, %v at most", topology.ErrUnavailable, e.o.CallTimeout)
	}
	if !force && !first {
		if err := electable(latest, e.env.Self, polled); err != nil {
			return topology.Promotion{}, err
		}
	}
	told := b.tellAll(ctx, next)
	if !slices.ContainsFunc(told, func(r report) bool { return r.Node == e.env.Self }) {
		return topology.Promotion{}, fmt.Errorf("%w: term %d was not accepted by this node itself", topology.ErrConflict, next.Term)
	}
	if !force && !first {
		if err := electable(latest, e.env.Self, told); err != nil {
			return topology.Promotion{}, b.handBack(ctx, latest, told, err)
		}
	}
	return b.start(next, told)
}

// handBack is what follows a term that was accepted by others and must not be
// started here after all, because somebody wrote on meanwhile: the best of those
// who answered is asked to start one of its own, so that the group is not left
// without a leader. It returns why, and what came of it.
func (b *ballot) handBack(ctx context.Context, latest group, told []report, why error) error {
	var best *report
	for i := range told {
		r := &told[i]
		if r.Node != b.e.env.Self && electable(latest, r.Node, told) == nil && (best == nil || behind(best.Last, r.Last)) {
			best = r
		}
	}
	if best == nil {
		return fmt.Errorf("%w; nobody leads now, and nobody who answers may", why)
	}
	if _, err := b.e.env.Transport.Call(ctx, best.Node, methodStand, nil); err != nil {
		return fmt.Errorf("%w; nobody leads now: %s was asked to and could not: %w", why, best.Node, err)
	}
	return fmt.Errorf("%w; meanwhile the log went on, and %s leads again", why, best.Node)
}

// answerStand starts a term here on behalf of a node that must not.
func (b *ballot) answerStand(ctx context.Context, _ topology.Peer, _ []byte) ([]byte, error) {
	_, err := b.e.Promote(ctx, false)
	return nil, err
}

// start begins the term, unless a newer one came meanwhile.
func (b *ballot) start(g group, told []report) (topology.Promotion, error) {
	e := b.e
	_, rule, err := g.rule(g.Voters)
	if err != nil {
		return topology.Promotion{}, err
	}
	p := topology.Promotion{Term: g.Term, Leader: g.Leader}
	e.turn.call(func() {
		e.reign.names = rule.Members()
		e.perform(&ask{}, e.core.step(event{kind: evLead, term: g.Term, rule: rule}))
		if e.core.role == leader && e.core.term == g.Term {
			p.Start = e.core.lead.start
		}
	})
	if p.Start == 0 {
		return p, fmt.Errorf("%w: a newer term came while term %d was being started", topology.ErrConflict, g.Term)
	}
	view, _ := e.env.Membership.View()
	for _, m := range view.Members {
		if slices.ContainsFunc(told, func(r report) bool { return r.Node == m.ID }) {
			p.Reached = append(p.Reached, m.ID)
		} else {
			p.Missed = append(p.Missed, m.ID)
		}
	}
	e.log.Info("leading", "term", p.Term, "start", p.Start, "missed", p.Missed)
	return p, nil
}

// askAll asks every member, this node included, and returns who answered.
func (b *ballot) askAll(ctx context.Context, method string, req []byte) []report {
	ctx, cancel := context.WithTimeout(ctx, b.e.o.CallTimeout)
	defer cancel()
	view, _ := b.e.env.Membership.View()
	var mu sync.Mutex
	var wg sync.WaitGroup
	var out []report
	for _, m := range view.Members {
		wg.Go(func() {
			var body []byte
			var err error
			if m.ID == b.e.env.Self {
				body = b.report()
			} else {
				body, err = b.e.env.Transport.Call(ctx, m.ID, method, req)
			}
			if err == nil {
				var r report
				if r, err = decodeReport(body); err == nil && r.Node == m.ID {
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
	slices.SortFunc(out, func(a, b report) int { return compare(a.Node, b.Node) })
	return out
}

// tellAll makes the term durable wherever it is accepted, here first.
func (b *ballot) tellAll(ctx context.Context, g group) []report {
	if _, err := b.fence(ctx, g); err != nil {
		b.e.log.Warn("term not accepted", "term", g.Term, "reason", err)
		return nil
	}
	return b.askAll(ctx, methodFence, g.encode())
}
