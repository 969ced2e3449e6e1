package multileader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// methodAsk is what the leader of a site is asked by those of others.
const methodAsk = "site.ask"

// Limits of a council.
const (
	proposalsMax  = 8               // attempts at one change: others may try at once
	askTimeout    = 2 * time.Second // of one question to one node
	councilEvery  = 20              // ticks between two looks at what goes on by itself
	joinLagMax    = 1024            // records that a site may lack when it begins to take writes
	rankPatience  = 5               // looks for which a site leaves to those before it what any may do, and to whoever tries to have a roster agreed upon, that
	proposalPause = 50 * time.Millisecond
)

// council is a site's part in what all agree upon: which sites there are (rule K5). It
// answers others, has changes agreed upon, and goes on by itself with what takes several
// steps, where this node leads its site.
type council struct {
	e    *engine
	wake chan struct{}

	boot  *core.Roster // what others say, where the log has none; owned by the loop
	round uint64       // the greatest that was met; owned by whoever proposes
	turn  sync.Mutex   // of proposals

	mu      sync.Mutex // a leaf
	waiting *lead      // this node would lead, and has no roster
	patient int        // looks at which somebody before this site might have acted
	pending int        // looks at which a roster was accepted here, and nothing heard of it
	next    int        // whom to ask next
	told    uint64     // the version for which orphans were put aside
}

// lead is a term whose core waits for a roster.
type lead struct {
	term  uint64
	lsn   record.LSN
	lossy bool
}

func newCouncil(e *engine) *council { return &council{e: e, wake: make(chan struct{}, 1)} }

func (k *council) nudge() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// wait notes that this node leads a site that is in no roster it knows.
func (k *council) wait(term uint64, lsn record.LSN, lossy bool) {
	k.mu.Lock()
	k.waiting = &lead{term, lsn, lossy}
	k.mu.Unlock()
	k.nudge()
}

// over ends a wait, if it lasts.
func (k *council) over(w *lead) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	lasts := k.waiting == w
	k.waiting = nil
	return lasts
}

// deposed ends the wait of a term that is over.
func (k *council) deposed(term uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.waiting != nil && k.waiting.term == term {
		k.waiting = nil
	}
}

// waits says that this site is in no roster that it knows; empty if it is.
func (k *council) waits() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.waiting == nil {
		return ""
	}
	return fmt.Sprintf("site %s waits to be added: run `triad site add %s` at a site that takes part", k.e.site, k.e.site)
}

// run goes on with what is under way until ctx ends.
func (k *council) run(ctx context.Context) error {
	t := time.NewTicker(k.e.o.TickEvery * councilEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-k.wake:
		case <-ctx.Done():
			return nil
		}
		if err := k.look(ctx); err != nil && ctx.Err() == nil {
			k.e.log.Debug("the roster of sites does not go on", "err", err)
		}
	}
}

// answerCall answers another site's leader.
func (k *council) answerCall(ctx context.Context, _ topology.Peer, req []byte) ([]byte, error) {
	a, err := core.DecodeAsk(req)
	if err != nil {
		return nil, k.e.errorOf("ask", topology.NotApplied, err)
	}
	r, err := k.answer(ctx, a)
	if err != nil {
		return nil, k.e.errorOf("ask", topology.Unknown, err)
	}
	return r.Encode(), nil
}

// answer asks this site's own core. What it says is in the log, and committed.
func (k *council) answer(ctx context.Context, a *core.Ask) (*core.Reply, error) {
	e := k.e
	var r *core.Reply
	var lsn record.LSN
	var term uint64
	e.loop.call(func() {
		c := e.reign.core
		if c == nil || c.Term == 0 {
			return
		}
		e.reign.reply = nil
		e.step(core.Event{Kind: core.EvAsk, Ask: a})
		if c = e.reign.core; c != nil && c.Term != 0 {
			r, lsn, term = e.reign.reply, c.End(), e.reign.term
		}
	})
	if r == nil {
		return nil, e.refusal()
	}
	if err := e.group.Wait(ctx, lsn); err != nil {
		return nil, err
	}
	if e.leading.Load() != term { // what was placed may not be what is committed there
		return nil, e.refusal()
	}
	return r, nil
}

// ask asks the leader of a site.
func (k *council) ask(ctx context.Context, site core.Site, a *core.Ask) (*core.Reply, error) {
	a.From = core.Site(k.e.site)
	if string(site) == k.e.site {
		return k.answer(ctx, a)
	}
	err := fmt.Errorf("%w: no node of site %s is known", topology.ErrUnavailable, site)
	view, _ := k.e.all.View()
	for _, m := range view.Members {
		if m.Site != string(site) {
			continue
		}
		one, cancel := context.WithTimeout(ctx, askTimeout)
		b, cerr := k.e.env.Transport.Call(one, m.ID, methodAsk, a.Encode())
		cancel()
		if cerr == nil {
			return core.DecodeReply(b)
		}
		err = fmt.Errorf("%s: %w", m.ID, cerr)
	}
	return nil, err
}

// askAll asks several sites at once; a site that does not answer has no reply.
func (k *council) askAll(ctx context.Context, sites []core.Site, a core.Ask) (map[core.Site]*core.Reply, error) {
	var mu sync.Mutex
	var wait sync.WaitGroup
	replies := map[core.Site]*core.Reply{}
	var errs []error
	for _, s := range sites {
		wait.Go(func() {
			one := a
			r, err := k.ask(ctx, s, &one)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, fmt.Errorf("site %s: %w", s, err))
				return
			}
			replies[s] = r
		})
	}
	wait.Wait()
	return replies, errors.Join(errs...)
}

// others are the sites of a roster that take part, but one.
func others(r *core.Roster, self string) (sites []core.Site) {
	for i := range r.Seats {
		if s := &r.Seats[i]; s.Here() && string(s.Site) != self {
			sites = append(sites, s.Site)
		}
	}
	return sites
}

// look does what is next of what takes several steps.
func (k *council) look(ctx context.Context) error {
	if err := k.hear(ctx); err != nil {
		return err
	}
	r := k.present()
	if r == nil {
		return nil
	}
	self := r.Seat(core.Site(k.e.site))
	p := k.unheard(r)
	switch {
	case self == nil:
		return nil
	case p != nil:
		return k.change(ctx, "", func(r *core.Roster) (*core.Roster, error) {
			if r.Version >= p.Version {
				return nil, core.ErrAsIs
			}
			return p, nil
		})
	case self.Standing == core.Joining && k.caughtUp(r):
		return k.change(ctx, "", func(r *core.Roster) (*core.Roster, error) { return r.Activate(self.Site) })
	case self.Standing == core.Retiring:
		return k.leave(ctx, r, self)
	case self.Standing == core.Evicted:
		return k.orphans(r.Version, self)
	}
	return k.evictions(ctx, r, self)
}

// unheard returns a roster that this site has accepted, where nothing was heard of it for
// long: it may be agreed upon and known to nobody, so whoever sees that tries again. The
// first in the roster does, as long as it works.
func (k *council) unheard(r *core.Roster) (p *core.Roster) {
	k.e.loop.call(func() {
		if c := k.e.reign.core; c != nil && c.Term != 0 && c.Roster().Version == r.Version {
			p = core.Pending(c)
		}
	})
	if p == nil {
		k.pending = 0
		return nil
	}
	rank := slices.Index(r.Voters(), core.Site(k.e.site))
	if k.pending++; k.pending <= (1+rank)*rankPatience {
		return nil
	}
	k.pending = 0
	return p
}

// hear asks another site for its roster, where this one may not be told: it waits to be
// added, was given up, or lacks a link.
func (k *council) hear(ctx context.Context) error {
	k.mu.Lock()
	waiting := k.waiting
	k.mu.Unlock()
	if k.e.leading.Load() == 0 && waiting == nil {
		return nil
	}
	down := waiting != nil
	if s := k.e.roster().Seat(core.Site(k.e.site)); s != nil && s.Standing == core.Evicting {
		down = true // nobody links to it any more, to tell it the rest
	}
	for _, l := range k.e.links.list() {
		state, _, _ := l.state()
		down = down || state != "up"
	}
	if !down {
		return nil
	}
	var sites []core.Site
	view, _ := k.e.all.View()
	for _, m := range view.Members {
		if s := core.Site(m.Site); m.Site != k.e.site && !slices.Contains(sites, s) {
			sites = append(sites, s)
		}
	}
	if len(sites) == 0 {
		return nil
	}
	k.next++
	p, err := k.ask(ctx, sites[k.next%len(sites)], &core.Ask{Kind: core.AskRoster})
	if err != nil {
		return err
	}
	v, err := core.DecodeRoster(p.Roster)
	if err != nil {
		return err
	}
	if waiting == nil {
		if r := k.present(); r != nil && v.Version > r.Version {
			_, err = k.ask(ctx, core.Site(k.e.site), &core.Ask{Kind: core.AskLearn, Value: p.Roster})
		}
		return err
	}
	if s := v.Seat(core.Site(k.e.site)); s == nil || !s.Here() {
		return fmt.Errorf("%w: site %s is not in the roster; run `triad site add %s` at a site that is", topology.ErrUnavailable, k.e.site, k.e.site)
	}
	k.e.loop.call(func() {
		k.boot = v
		if k.over(waiting) {
			k.e.lead(waiting.term, waiting.lsn, waiting.lossy)
		}
	})
	return nil
}

// caughtUp reports whether this site may begin to take writes: every other one holds back
// for it what can be forgotten, and it has what they wrote until they did (rule M9).
func (k *council) caughtUp(r *core.Roster) (yes bool) {
	e := k.e
	e.loop.call(func() {
		c := e.reign.core
		if c == nil || c.Beyond() || c.Incoming().Stage != core.StageNone {
			return
		}
		own := r.Seat(core.Site(e.site)).Number
		cuts := e.machine.cuts.shown.Load()
		for i := range r.Seats {
			s := &r.Seats[i]
			if string(s.Site) == e.site || s.Standing != core.Active && s.Standing != core.Retiring {
				continue
			}
			if cut := cuts.last(s.Number); cut == nil || !slices.Contains(cut.Members, own) {
				return
			}
		}
		lacks, up := uint64(0), len(e.links.list()) == 0
		marks := vectorOf(c.Marks())
		for _, l := range e.links.list() {
			has := c.Has(l.peer)
			up = up || len(has) > 0
			for _, m := range has {
				lacks += m.Seq - min(m.Seq, marks.Get(m.Origin))
			}
		}
		yes = up && lacks <= joinLagMax
	})
	return yes
}

// last is what the present life of a site has said last, as far as it is here.
func (v *cutView) last(number uint32) *core.Cut {
	var now version.Origin
	for _, m := range v.applied {
		if m.Origin.ID == number {
			now = m.Origin
		}
	}
	return v.by[now]
}

// lacks counts the records of applied that a site has not said to have for good.
func (v *cutView) lacks(number uint32, applied version.Vector) (n uint64) {
	var has version.Vector
	if c := v.last(number); c != nil {
		has = c.Has
	}
	for _, m := range applied {
		n += m.Seq - min(m.Seq, has.Get(m.Origin))
	}
	return n
}

// leave has this site out, once all that it has written is at every other.
func (k *council) leave(ctx context.Context, r *core.Roster, self *core.SiteSeat) error {
	sites := others(r, k.e.site)
	mine, err := k.ask(ctx, self.Site, &core.Ask{Kind: core.AskRoster})
	if err != nil {
		return err
	}
	replies, err := k.askAll(ctx, sites, core.Ask{Kind: core.AskRoster})
	if err != nil {
		return err
	}
	final := ofSite(mine.Marks, self.Number)
	for _, p := range replies { // they may have of an earlier life what this one has lost
		final = final.Join(ofSite(p.Marks, self.Number))
	}
	for _, p := range replies {
		if !vectorOf(p.Marks).Descends(final) {
			return nil
		}
	}
	return k.change(ctx, "", func(r *core.Roster) (*core.Roster, error) { return r.Retired(self.Site, final) })
}

// ofSite are the marks of a site's lives.
func ofSite(marks []core.Mark, number uint32) (v version.Vector) {
	for _, m := range marks {
		if m.ID == number {
			v = v.With(m.Origin, m.Seq)
		}
	}
	return v
}

// evictions goes on with sites that are given up: all others say how much they have,
// and the most of it is what counts (rule M6a). Any site may; the first in the roster
// does, as long as it works.
func (k *council) evictions(ctx context.Context, r *core.Roster, self *core.SiteSeat) error {
	var out *core.SiteSeat
	rank := 0
	for i := range r.Seats {
		s := &r.Seats[i]
		if s.Standing == core.Evicting && out == nil {
			out = s
		}
		if s.Standing == core.Active && s.Number < self.Number {
			rank++
		}
	}
	if out == nil || self.Standing != core.Active {
		k.patient = 0
		return nil
	}
	if k.patient++; k.patient <= rank*rankPatience {
		return nil
	}
	sites := append(others(r, k.e.site), self.Site)
	replies, err := k.askAll(ctx, sites, core.Ask{Kind: core.AskRoster})
	if err != nil {
		return fmt.Errorf("to give site %s up all others have to say what they have of it: %w", out.Site, err)
	}
	var final version.Vector
	for s, p := range replies {
		v, err := core.DecodeRoster(p.Roster)
		if err != nil {
			return err
		}
		if v.Version < r.Version {
			_, err := k.ask(ctx, s, &core.Ask{Kind: core.AskLearn, Value: r.Encode()})
			return err
		}
		for _, m := range ofSite(p.Marks, out.Number) {
			final = final.With(m.Origin, max(m.Seq, final.Get(m.Origin)))
		}
	}
	lost := k.e.o.lost(replies, out.Site, final)
	return k.change(ctx, "", func(r *core.Roster) (*core.Roster, error) { return r.Evicted(out.Site, final, lost...) })
}

// orphans puts aside what this site has written and does not count, as the others have
// given it up: `triad rewound` lists it, and can write it again.
func (k *council) orphans(v uint64, self *core.SiteSeat) error {
	if k.told == v {
		return nil
	}
	e := k.e
	why := fmt.Sprintf("site %s was given up by version %d of the roster", e.site, v)
	all, err := e.env.Sidelog.List()
	if err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(f topology.Kept) bool { return f.Why == why }) {
		k.told = v
		return nil
	}
	kept, err := e.env.Sidelog.Keep(why, func(yield func(record.Entry, error) bool) {
		for ent, err := range e.env.Log.Read(context.Background(), e.env.Log.Bounds().First) {
			var r record.Record
			if err == nil {
				r, err = ent.Record()
			}
			if err != nil {
				yield(record.Entry{}, err)
				return
			}
			if ent.LSN > e.group.Applied() {
				return
			}
			if r.Origin.ID == self.Number && r.Seq > self.Final.Get(r.Origin) && core.CutOf(&r) == nil && !yield(ent, nil) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	k.told = v
	e.log.Warn("this site was given up; what the others lack of it is put aside", "records", kept.Records, "file", kept.Name)
	return nil
}
