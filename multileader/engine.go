package multileader

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/singleleader"
	"github.com/triad-kv/triad/topology"
)

// New returns the builder of a multi-leader engine. Errors in o are reported when the
// builder is called.
func New(o Options) topology.Builder {
	return func(env topology.Env) (topology.Engine, error) {
		view, _ := env.Membership.View()
		self, _ := view.Find(env.Self)
		o, err := o.withDefaults(self.Site)
		if err != nil {
			return nil, fmt.Errorf("multi-leader: %w", err)
		}
		if err := o.inhabited(view, self.Site); err != nil {
			return nil, fmt.Errorf("multi-leader: %w", err)
		}
		all := env.Membership
		env.Membership = siteMembers{all, self.Site}
		if slices.Contains(o.Group.Witnesses, env.Self) {
			return singleleader.New(o.Group)(env)
		}
		return open(env, all, o, self.Site)
	}
}

// inhabited returns an error if a site has no members, or a member no site.
// Members of other sites may be of one that joins.
func (o *Options) inhabited(v topology.View, self string) error {
	if o.Joins {
		return nil
	}
	for _, m := range v.Members {
		if _, ok := o.site(m.Site); !ok && (m.Site == "" || m.Site == self) {
			return fmt.Errorf("member %s is of site %q, which is not among the sites", m.ID, m.Site)
		}
	}
	for _, s := range o.Sites {
		if !slices.ContainsFunc(v.Members, func(m topology.Member) bool { return m.Site == s.Name }) {
			return fmt.Errorf("site %s has no members", s.Name)
		}
	}
	return nil
}

// siteMembers is a membership as seen within a site.
type siteMembers struct {
	topology.Membership
	site string
}

// View implements topology.Membership.
func (s siteMembers) View() (topology.View, <-chan struct{}) {
	v, stale := s.Membership.View()
	v.Members = slices.DeleteFunc(slices.Clone(v.Members), func(m topology.Member) bool { return m.Site != s.site })
	return v, stale
}

// engine is the shell around a site's core. Its own goroutine, the loop, owns the
// core; the group tells it what is committed, links what peers say.
//
// What operators ask for, the group answers.
type engine struct {
	singleleader.Orders
	*reader
	*writer
	*orders
	*comparer

	env   topology.Env
	all   topology.Membership // of all sites
	o     Options
	site  string
	log   *slog.Logger
	cells *lens // the store, as it is read
	group *singleleader.Group

	loop    *loop
	machine *machine
	judge   *judge
	reign   reign // owned by the loop
	links   links
	*council
	leading atomic.Uint64 // the term in which this node leads its site; 0: it does not
	stats   stats
}

func open(env topology.Env, all topology.Membership, o Options, site string) (*engine, error) {
	e := &engine{env: env, all: all, o: o, site: site, log: env.Logger.With("engine", "multi-leader", "site", site)}
	e.loop, e.judge = newLoop(e), newJudge(e)
	e.orders = &orders{e}
	e.cells = &lens{store: env.Store}
	e.machine = newMachine(e.cells, o.Resolvers)
	e.machine.examine = e.judge.meet
	e.machine.skips.filters, e.machine.skips.site = o.filters, core.Site(site)
	e.machine.in.news = func() { e.loop.post(func() { settle(e) }) }
	e.reader, e.writer = &reader{e: e}, newWriter(e)
	e.links.e, e.council = e, newCouncil(e)
	e.machine.seats.founding = o.founding()
	e.machine.seats.show()
	e.comparer = &comparer{e: e, places: make(chan struct{}, verifiesMax)}
	var err error
	e.group, err = singleleader.NewGroup(env, singleleader.GroupOptions{
		Options: o.Group, Name: site, Machine: e.machine, Course: e.loop,
	})
	if err != nil {
		return nil, err
	}
	e.Orders = e.group.Orders()
	env.Transport.HandleStream(protocolSite, e.serve)
	env.Transport.HandleCall(methodTables, topology.PeerNode, e.judge.teller.answer)
	env.Transport.HandleCall(methodAsk, topology.PeerNode, e.council.answerCall)
	env.Transport.HandleCall(methodVerify, topology.PeerNode, e.answerVerify)
	return e, nil
}

// Run implements topology.Engine.
func (e *engine) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return e.group.Run(ctx) })
	g.Go(func() error { return e.loop.run(ctx) })
	g.Go(func() error { return e.judge.run(ctx) })
	g.Go(func() error { return e.judge.teller.run(ctx) })
	g.Go(func() error { return e.links.run(ctx) })
	g.Go(func() error { return e.council.run(ctx) })
	g.Go(func() error { return e.verifyAll(ctx) })
	return g.Wait()
}

// Scattered says that other sites write, too.
func (e *engine) Scattered() {}

// link returns the link to a peer, nil if there is none.
func (e *engine) link(peer core.Site) *link { return e.links.find(peer) }

var (
	_ topology.Engine   = (*engine)(nil)
	_ topology.Scanner  = (*engine)(nil)
	_ topology.Waiter   = (*engine)(nil)
	_ topology.Verifier = (*engine)(nil)
)
