package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/topology"
)

// roles waits until the cluster is one, and shows who is what.
func (d *demo) roles(ctx context.Context) (topology.Status, error) {
	if err := d.ready(ctx); err != nil {
		return topology.Status{}, err
	}
	s, err := d.status(ctx, d.leader)
	if err != nil {
		return s, err
	}
	rows := [][]string{{string(s.Node), string(s.Role), d.leader.site, "", "", "", d.leader.addr}}
	for _, n := range d.followers() {
		f, err := d.status(ctx, n)
		if err != nil {
			return s, err
		}
		counted := peerOf(s, n.ID).Sync
		if f.Delay != n.ApplyDelay {
			return s, fmt.Errorf("%s applies after %v, not after %v", n.ID, f.Delay, n.ApplyDelay)
		}
		if counted && n.readsOnly() {
			return s, fmt.Errorf("commits wait for %s, which is a %s", n.ID, n.role)
		}
		rows = append(rows, []string{
			string(n.ID), string(f.Role), n.site, commitMode(counted), d.wayTo(n), delayOf(f.Delay), n.addr,
		})
	}
	for _, n := range d.c.living() {
		if n.role == config.RoleWitness {
			rows = append(rows, []string{string(n.ID), string(topology.RoleWitness), n.site, "votes", d.wayTo(n), "", n.addr})
		}
	}
	d.table([]string{"node", "role", "site", "commit", "from the leader", "apply delay", "address"}, rows)
	return s, nil
}

// wayTo is how far a node is from the leader.
func (g *group) wayTo(n *node) string { return delayOf(g.c.of.Delay(g.leader.site, n.site)) }

// counted are the followers that commits wait for, or may count.
func (g *group) counted(s topology.Status) (counted, others []*node) {
	for _, n := range g.followers() {
		if peerOf(s, n.ID).Sync {
			counted = append(counted, n)
		} else {
			others = append(others, n)
		}
	}
	return counted, others
}

// write puts a value into the table that a demo may write to, through the leader.
func (g *group) write(ctx context.Context, key, text string) (client.Receipt, error) {
	table, kind := g.writable()
	r, err := g.all.Put(ctx, table, []byte(key), valueOf(kind, text))
	if err == nil {
		g.latest = r
	}
	return r, err
}

// reads reads what write wrote, from a node's own store, and fails if it is not
// text.
func (g *group) reads(ctx context.Context, c *client.Client, n *node, key, text string, o client.Option) (client.Reading, error) {
	table, kind := g.writable()
	r, err := c.Get(ctx, table, []byte(key), o)
	switch {
	case err != nil:
		return r, fmt.Errorf("%s/%s at %s: %w", table, key, n.ID, err)
	case string(r.Value) != string(valueOf(kind, text)):
		return r, fmt.Errorf("%s/%s at %s is %q, not %q", table, key, n.ID, r.Value, text)
	case r.Served != n.ID:
		return r, fmt.Errorf("%s/%s was asked of %s and served by %s", table, key, n.ID, r.Served)
	}
	return r, nil
}

// refused wants a failover to n to be refused, and nothing to change.
func (d *demo) refused(ctx context.Context, n *node) error {
	before, err := d.status(ctx, d.leader)
	if err != nil {
		return err
	}
	_, err = d.o.Failover(ctx, d.c.endpoints(), n.ID, false)
	if err == nil {
		return fmt.Errorf("a failover to %s, a %s, succeeded", n.ID, n.role)
	}
	d.line("%s failover --to %s", d.o.Command, n.ID)
	d.note("%v", err)
	after, err := d.status(ctx, d.leader)
	if err != nil {
		return err
	}
	if after.Role != topology.RoleLeader || after.Term != before.Term {
		return fmt.Errorf("%s is %s of term %d after a failover that was refused, and was leader of %d", d.leader.ID, after.Role, after.Term, before.Term)
	}
	return nil
}

// holding is what one node holds.
type holding struct {
	status topology.Status
	keys   map[string]int
	sum    string
}

// same reads everything from every node at the same LSN, and wants the same bytes.
func (d *demo) same(ctx context.Context) error {
	_, err := d.holdings(ctx)
	return err
}

func (d *demo) holdings(ctx context.Context) ([]holding, error) {
	living := d.timely()
	if wait := d.slowest(); wait > time.Second {
		d.line("waiting for those that apply late, %v at most", wait)
	}
	if err := d.caughtUp(ctx, d.latest.Token); err != nil {
		return nil, err
	}
	held := make([]holding, len(living))
	g, within := errgroup.WithContext(ctx)
	for i, n := range living {
		g.Go(func() (err error) {
			held[i], err = d.hold(within, n)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	tables := []string{}
	for name := range held[0].keys {
		tables = append(tables, name)
	}
	slices.Sort(tables)
	header := append(append([]string{"node", "role", "records applied"}, tables...), "sha-256")
	var rows [][]string
	for i, n := range living {
		h := &held[i]
		row := []string{string(n.ID), string(h.status.Role), fmt.Sprint(h.status.Applied)}
		for _, t := range tables {
			row = append(row, fmt.Sprint(h.keys[t]))
		}
		rows = append(rows, append(row, h.sum[:16]))
	}
	d.table(header, rows)
	for i, n := range living {
		switch h := &held[i]; {
		case h.status.Applied != d.latest.LSN:
			return nil, fmt.Errorf("%s has applied LSN %d, and the last write is %d", n.ID, h.status.Applied, d.latest.LSN)
		case h.sum != held[0].sum:
			return nil, fmt.Errorf("%s holds other bytes than %s: SHA-256 %s and %s", n.ID, living[0].ID, h.sum, held[0].sum)
		}
	}
	d.held("%d nodes have applied all %d records and hold the same bytes: keys, values, transactions, times", len(living), d.latest.LSN)
	return held, nil
}

// timely are the living nodes that are waited for.
func (g *group) timely() []*node {
	return slices.DeleteFunc(g.c.keepers(), func(n *node) bool { return n.ApplyDelay > lateMax })
}

// hold reads every table of a node from its own store, at one LSN.
func (g *group) hold(ctx context.Context, n *node) (holding, error) {
	h := holding{keys: map[string]int{}}
	tables, err := g.at[n.ID].Tables(ctx)
	if err != nil {
		return h, err
	}
	slices.SortFunc(tables, func(a, b client.Table) int { return strings.Compare(a.Name, b.Name) })
	sum := newDigest()
	for _, table := range tables {
		sum.field([]byte(table.Name))
		sum.number(uint64(table.Kind))
		h.keys[table.Name] = 0
		for item, err := range g.at[n.ID].Scan(ctx, table.Name, nil, nil, client.After(g.latest.Token)) {
			if err != nil {
				return h, fmt.Errorf("%s: %w", n.ID, err)
			}
			sum.field(item.Key)
			sum.field(item.Value)
			sum.field([]byte(item.Dot.String()))
			sum.number(uint64(item.Time))
			h.keys[table.Name]++
		}
	}
	h.sum = sum.String()
	// Read last: had anything been applied meanwhile, it would show here.
	h.status, err = g.status(ctx, n)
	return h, err
}
