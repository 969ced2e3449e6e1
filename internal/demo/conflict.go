package demo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/topology"
)

// clash is what the phases of the scenario conflict share.
type clash struct {
	*sites
	first, last *site // one loses its leader, the other is cut off
	old         *node // the leader that was lost
}

func playConflict(ctx context.Context, d *demo) error {
	s := sitesOf(d)
	c := &clash{sites: s, first: s.all[0], last: s.all[len(s.all)-1]}
	return d.phases(ctx, []phase{
		{"sites that all take writes", c.boot},
		{"a write is near, and everywhere one journey later", c.travel},
		{"two sites edit the same user at the same time", c.edit},
		{"the same user, under every resolver", c.settle},
		{fmt.Sprintf("%s is cut off, and all sites go on writing", c.last.name), c.cutOff},
		{fmt.Sprintf("the leader of %s is killed meanwhile", c.first.name), c.succeed},
		{"it comes back behind its successor", c.follow},
		{fmt.Sprintf("%s comes back", c.last.name), c.heal},
		{"what everybody holds", c.compare},
	})
}

const (
	userTravels = "1001"
	userEdited  = "1002"
	userApart   = "1003" // edited on both sides of a cut
	userRemoved = "1004" // removed on one side, edited on the other
)

func (c *clash) boot(ctx context.Context) error {
	if err := c.begun(ctx); err != nil {
		return err
	}
	c.show()
	c.held("%d sites, each with a leader that takes writes; a commit waits for %s of its own site, and for no other site", len(c.all), c.c.of.Topology.Sync)
	return nil
}

// travel writes in the first site and reads in the others, at once and with the token.
func (c *clash) travel(ctx context.Context) error {
	began := time.Now()
	r, err := c.put(ctx, c.first, userTravels, "Alice")
	if err != nil {
		return err
	}
	rows := [][]string{{c.first.name, "the write", "acknowledged", "at " + names(r.Durable), since(began)}}
	reads := make([][][]string, len(c.all))
	var g errgroup.Group
	for i, x := range c.all[1:] {
		g.Go(func() (err error) {
			reads[i], err = c.arrive(ctx, x, r)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, of := range reads {
		rows = append(rows, of...)
	}
	c.table([]string{"site", "what", "how", "result", "took"}, rows)
	c.held("a session that carries its token to another site waits there for its own write")
	return nil
}

// arrive reads in a site what was written in another: at once, which may be too early,
// and after the token of the write.
func (c *clash) arrive(ctx context.Context, x *site, r client.Receipt) (rows [][]string, err error) {
	table, kind := c.writable()
	at, began := c.at[x.leader.ID], time.Now()
	now, err := at.Get(ctx, table, []byte(userTravels))
	seen := "Alice already"
	switch {
	case errors.Is(err, topology.ErrNotFound):
		seen = "nothing yet"
	case err != nil:
		return nil, err
	case textOf(kind, now.Value) != "Alice":
		return nil, fmt.Errorf("%s/%s at %s is %q, and Alice was written", table, userTravels, x.leader.ID, now.Value)
	}
	rows = append(rows, []string{x.name, "a read", "of its own site", seen, since(began)})
	began = time.Now()
	if _, err := c.reads(ctx, at, x.leader, userTravels, "Alice", client.After(r.Token)); err != nil {
		return nil, err
	}
	return append(rows, []string{x.name, "a read", "after the token", "Alice", since(began)}), nil
}

// editsMax is how often two sites edit at once, until two edits met.
const editsMax = 10

func (c *clash) edit(ctx context.Context) error {
	pair := []*site{c.all[0], c.all[1]}
	var met []client.Conflict
	for round := 1; len(met) == 0; round++ {
		if round > editsMax {
			return fmt.Errorf("two sites edited one user at once, %d times, and no two edits met", editsMax)
		}
		var g errgroup.Group
		var mu sync.Mutex // of the token that put adds to
		for _, x := range pair {
			g.Go(func() error {
				table, kind := c.writable()
				r, err := c.at[x.leader.ID].Put(ctx, table, []byte(userEdited), valueOf(kind, "Bob of "+x.name))
				mu.Lock()
				defer mu.Unlock()
				c.latest.Token = c.latest.Token.Join(r.Token)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		if _, err := c.agree(ctx, userEdited); err != nil {
			return err
		}
		var err error
		if met, err = c.conflicts(ctx, c.first, userEdited); err != nil {
			return err
		}
	}
	shown, err := c.agree(ctx, userEdited)
	if err != nil {
		return err
	}
	c.tellConflicts(met)
	if err := c.settled(met[len(met)-1], shown); err != nil {
		return err
	}
	c.held("both edits were acknowledged; %d nodes show %q, and the other is in the list", len(c.c.keepers()), shown)
	return nil
}

// settled wants a conflict in which what is shown won, and one write lost.
func (c *clash) settled(x client.Conflict, shown string) error {
	if len(x.Winner) != 1 || len(x.Losers) == 0 {
		return fmt.Errorf("LSN %d: %d writes won and %d lost", x.LSN, len(x.Winner), len(x.Losers))
	}
	won := &x.Winner[0]
	if text := textOf(won.Kind, won.Value); !won.Removed && text != shown || won.Removed && shown != "" {
		return fmt.Errorf("LSN %d: %q of %s won, and %q is shown", x.LSN, text, won.Site, shown)
	}
	for i := range x.Losers {
		if x.Losers[i].Dot == won.Dot || x.Losers[i].Time > won.Time {
			return fmt.Errorf("LSN %d: %v of %s lost to %v of %s, which is older", x.LSN, x.Losers[i].Dot, x.Losers[i].Site, won.Dot, won.Site)
		}
	}
	return nil
}

// cutOff parts the last site from the others, writes in all, and sees that none waits.
func (c *clash) cutOff(ctx context.Context) error {
	if _, err := c.put(ctx, c.first, userRemoved, "Dana"); err != nil {
		return err
	}
	if _, err := c.agree(ctx, userRemoved); err != nil {
		return err
	}
	if err := c.apart(ctx, wordCut, c.last); err != nil {
		return err
	}
	var rows [][]string
	for _, x := range c.all {
		for _, key := range []string{userApart, x.key()} {
			text := "Charlie of " + x.name
			began := time.Now()
			r, err := c.put(ctx, x, key, text)
			if err != nil {
				return err
			}
			rows = append(rows, []string{x.name, key, text, r.Dot.String(), names(r.Durable), since(began)})
		}
	}
	r, err := c.remove(ctx, c.first, userRemoved)
	if err != nil {
		return err
	}
	rows = append(rows, []string{c.first.name, userRemoved, "removed", r.Dot.String(), names(r.Durable), ""})
	if r, err = c.put(ctx, c.last, userRemoved, "Dana of "+c.last.name); err != nil {
		return err
	}
	rows = append(rows, []string{c.last.name, userRemoved, "Dana of " + c.last.name, r.Dot.String(), names(r.Durable), ""})
	c.table([]string{"site", "key", "value", "transaction", "durable at", "took"}, rows)
	for _, pair := range [][2]*site{{c.first, c.last}, {c.last, c.first}} {
		if err := until(ctx, func(ctx context.Context) error { return c.ahead(ctx, pair[0], pair[1]) }); err != nil {
			return err
		}
	}
	if err := c.links(ctx); err != nil {
		return err
	}
	if err := c.unseen(ctx); err != nil {
		return err
	}
	c.held("every site acknowledged its writes though %s reaches nobody", c.last.name)
	return nil
}

// key is what a site alone writes while another is cut off.
func (x *site) key() string { return fmt.Sprintf("3%03d", x.number) }

// unseen wants the two sides of a cut to show nothing of one another, though there was
// time for it.
func (c *clash) unseen(ctx context.Context) error {
	pause(ctx, 2*max(c.c.of.Delay(c.first.name, c.last.name), c.c.of.Delay(c.last.name, c.first.name)))
	table, _ := c.writable()
	for _, pair := range [][2]*site{{c.first, c.last}, {c.last, c.first}} {
		at, of := pair[0].leader, pair[1]
		r, err := c.at[at.ID].Get(ctx, table, []byte(of.key()))
		if err == nil {
			return fmt.Errorf("%s shows %q, which %s wrote while it was cut off", at.ID, r.Value, of.name)
		}
		if !errors.Is(err, topology.ErrNotFound) {
			return err
		}
	}
	return nil
}

// ahead returns nil once a site knows that another lacks what it wrote.
func (c *clash) ahead(ctx context.Context, x, other *site) error {
	l, err := c.status(ctx, x.leader)
	if err == nil && siteOf(l, other.name).Ahead.Records == 0 {
		err = fmt.Errorf("%s does not know that %s lacks what it wrote", x.name, other.name)
	}
	return err
}

// siteOf is what a status says of a site.
func siteOf(s topology.Status, name string) topology.SiteStatus {
	for _, x := range s.Sites {
		if x.Site == name {
			return x
		}
	}
	return topology.SiteStatus{}
}

// succeed kills the leader of the first site; its follower takes over with everything.
func (c *clash) succeed(ctx context.Context) error {
	next := c.first.successor()
	c.old = c.first.leader
	if err := c.c.kill(ctx, c.old); err != nil {
		return err
	}
	c.line("%s was killed", c.old.ID)
	if err := c.promote(ctx, next); err != nil {
		return err
	}
	if _, err := c.reads(ctx, c.at[c.first.leader.ID], c.first.leader, userTravels, "Alice", client.Any()); err != nil {
		return err
	}
	c.held("%s leads %s and shows what %s wrote", c.first.leader.ID, c.first.name, c.old.ID)
	return nil
}

// follow starts the old leader again. Then the site has enough nodes for a commit.
func (c *clash) follow(ctx context.Context) error {
	if err := c.c.restart(c.old); err != nil {
		return err
	}
	if err := c.apart(ctx, wordCut, c.last); err != nil { // it has started with whole links
		return err
	}
	if err := until(ctx, func(ctx context.Context) error { return c.led(ctx, c.first) }); err != nil {
		return err
	}
	c.line("%s is back, and follows %s", c.old.ID, c.first.leader.ID)
	r, err := c.put(ctx, c.first, "3100", "Eve of "+c.first.name)
	if err != nil {
		return err
	}
	c.held("%s leads %s, term %d, and goes on where %s ended: %v is acknowledged at %s", c.first.leader.ID, c.first.name, r.Term, c.old.ID, r.Dot, names(r.Durable))
	return nil
}

// promote waits for the successor that the site elects, or makes a node the leader by
// hand.
func (c *clash) promote(ctx context.Context, next *node) error {
	if c.c.of.Control.Elects() {
		old := c.first.leader
		err := until(ctx, func(ctx context.Context) error {
			if c.find(ctx, c.first); c.first.leader == old {
				return fmt.Errorf("%s elects nobody", c.first.name)
			}
			return nil
		})
		c.line("%s leads %s now; no operator was asked", c.first.leader.ID, c.first.name)
		return err
	}
	p, err := c.o.Failover(ctx, c.c.endpoints(), next.ID, true)
	if err != nil {
		return err
	}
	c.line("%s failover --to %s --force", c.o.Command, next.ID)
	c.line("%s leads term %d; not reached: %s", p.Leader, p.Term, names(p.Missed))
	c.lead(c.first, next)
	return nil
}

func (c *clash) heal(ctx context.Context) error {
	if err := c.apart(ctx, wordHeal, c.last); err != nil {
		return err
	}
	if err := until(ctx, c.linked); err != nil {
		return err
	}
	var met []client.Conflict
	for _, key := range []string{userApart, userRemoved} {
		shown, err := c.agree(ctx, key)
		if err != nil {
			return err
		}
		found, err := c.conflicts(ctx, c.last, key)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return fmt.Errorf("%s/%s was written on both sides of the cut, and %s has met no conflict", key, c.last.name, c.last.name)
		}
		met = append(met, found...)
		if err := c.settled(found[len(found)-1], shown); err != nil {
			return err
		}
	}
	c.tellConflicts(met)
	for _, x := range c.all {
		key := x.key()
		if shown, err := c.agree(ctx, key); err != nil || shown != "Charlie of "+x.name {
			return errors.Join(err, fmt.Errorf("%s is %q everywhere, and %q was written in %s", key, shown, "Charlie of "+x.name, x.name))
		}
	}
	c.held("what each site wrote alone is everywhere; what two wrote is settled alike, and what lost is listed")
	return nil
}

// compare reads everything from every node, and wants the same bytes.
func (c *clash) compare(ctx context.Context) error {
	ns := c.c.keepers()
	sums := make([]holding, len(ns))
	g, within := errgroup.WithContext(ctx)
	for i, n := range ns {
		g.Go(func() (err error) {
			sums[i], err = c.hold(within, n)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	table, _ := c.writable()
	var rows [][]string
	for i, n := range ns {
		rows = append(rows, []string{n.site, string(n.ID), string(sums[i].status.Role), fmt.Sprint(sums[i].status.Applied), fmt.Sprint(sums[i].keys[table]), sums[i].sum[:16]})
	}
	c.table([]string{"site", "node", "role", "applied lsn", table, "sha-256"}, rows)
	for i, n := range ns {
		if sums[i].sum != sums[0].sum {
			return fmt.Errorf("%s holds other bytes than %s: SHA-256 %s and %s", n.ID, ns[0].ID, sums[i].sum, sums[0].sum)
		}
	}
	c.held("%d nodes in %d sites hold the same bytes: keys, values, transactions, times", len(ns), len(c.all))
	return nil
}
