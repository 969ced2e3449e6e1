package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// failover kills the leader and has a follower promoted.
func (t *tour) failover(ctx context.Context) error {
	old := t.leader
	if err := t.c.kill(ctx, old); err != nil {
		return err
	}
	if t.o.Procs {
		t.line("the process of %s was killed with SIGKILL", old.ID)
	} else {
		t.line("%s was cut off from disk and network, as SIGKILL does it: nothing flushed, nobody told", old.ID)
	}
	to, err := t.elect(ctx)
	if err != nil {
		return err
	}
	started := time.Now()
	p, err := t.o.Failover(ctx, t.c.endpoints(), to.ID, false)
	if err != nil {
		return err
	}
	t.leader = to
	t.line("%s failover --to %s: term %d from LSN %d on, accepted by %s", t.o.Command, to.ID, p.Term, p.Start, names(p.Reached))
	if p.Leader != to.ID || p.Start <= t.latest.LSN {
		return fmt.Errorf("%s leads from LSN %d on, and LSN %d was acknowledged", p.Leader, p.Start, t.latest.LSN)
	}
	if err := until(ctx, t.led); err != nil {
		return err
	}
	t.line("%s follow it after %v", idsOf(t.followers()), time.Since(started).Round(time.Millisecond))
	r, err := t.put(ctx, true, tableUsers, 1004, user("Dana"))
	if err != nil {
		return err
	}
	t.table(writtenHeader, [][]string{t.written(true, tableUsers, 1004, "Dana", r)})
	if r.Term != p.Term {
		return fmt.Errorf("a write got term %d, not %d", r.Term, p.Term)
	}
	for _, w := range t.newest() {
		if err := t.expect(ctx, to, w); err != nil {
			return err
		}
	}
	t.held("%s leads, %s follow, a write succeeded, and every write acknowledged before is there", to.ID, idsOf(t.followers()))
	return nil
}

// elect returns the follower with the highest LSN.
func (t *tour) elect(ctx context.Context) (*node, error) {
	var rows [][]string
	var to *node
	var best record.LSN
	for _, n := range t.followers() {
		s, err := t.status(ctx, n)
		if err != nil {
			return nil, err
		}
		rows = append(rows, []string{string(n.ID), fmt.Sprint(s.Term), fmt.Sprint(s.Flushed), fmt.Sprint(s.Applied)})
		if to == nil || s.Flushed > best {
			to, best = n, s.Flushed
		}
	}
	t.table([]string{"follower", "term", "flush lsn", "replay lsn"}, rows)
	t.line("%s has the highest flush LSN", to.ID)
	return to, nil
}

func idsOf(ns []*node) string {
	var ids []topology.NodeID
	for _, n := range ns {
		ids = append(ids, n.ID)
	}
	return names(ids)
}

// holding is what one node holds.
type holding struct {
	status topology.Status
	keys   map[string]int
	sum    string
}

// compare reads everything from every node at the same LSN.
func (t *tour) compare(ctx context.Context) error {
	if err := t.caughtUp(ctx, t.latest.Token); err != nil {
		return err
	}
	living := t.c.living()
	held := make([]holding, len(living))
	g, within := errgroup.WithContext(ctx)
	for i, n := range living {
		g.Go(func() (err error) {
			held[i], err = t.hold(within, n)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	var rows [][]string
	for i, n := range living {
		h := &held[i]
		rows = append(rows, []string{
			string(n.ID), string(h.status.Role), fmt.Sprint(h.status.Applied), fmt.Sprint(h.keys[tableUsers]), fmt.Sprint(h.keys[tableOrders]), h.sum[:16],
		})
	}
	t.table([]string{"node", "role", "records applied", "users", "orders", "sha-256"}, rows)
	own := len(t.sent)
	t.line("records written: %d by this demo, %d by the cluster itself (terms begun, tables defined)", own, int(t.latest.LSN)-own)
	for i, n := range living {
		switch h := &held[i]; {
		case h.status.Applied != t.latest.LSN:
			return fmt.Errorf("%s has applied LSN %d, and the last write is %d", n.ID, h.status.Applied, t.latest.LSN)
		case h.keys[tableUsers] != t.keys[tableUsers] || h.keys[tableOrders] != t.keys[tableOrders]:
			return fmt.Errorf("%s holds %v keys, and %v were written", n.ID, h.keys, t.keys)
		case h.sum != held[0].sum:
			return fmt.Errorf("%s holds other bytes than %s: SHA-256 %s and %s", n.ID, living[0].ID, h.sum, held[0].sum)
		}
	}
	t.held("%d nodes have applied all %d records and hold the same bytes: keys, values, transactions, times", len(living), t.latest.LSN)
	return nil
}

// hold reads every table of a node from its own store, at one LSN.
func (t *tour) hold(ctx context.Context, n *node) (holding, error) {
	h := holding{keys: map[string]int{}}
	tables, err := t.at[n.ID].Tables(ctx)
	if err != nil {
		return h, err
	}
	slices.SortFunc(tables, func(a, b client.Table) int { return strings.Compare(a.Name, b.Name) })
	sum := newDigest()
	for _, table := range tables {
		sum.field([]byte(table.Name))
		sum.number(uint64(table.Kind))
		for item, err := range t.at[n.ID].Scan(ctx, table.Name, nil, nil, client.After(t.latest.Token)) {
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
	h.status, err = t.status(ctx, n)
	return h, err
}
