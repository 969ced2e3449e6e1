package demo

import (
	"context"
	"fmt"
	"time"

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

// compare reads everything from every node at the same LSN.
func (t *tour) compare(ctx context.Context) error {
	held, err := t.holdings(ctx)
	if err != nil {
		return err
	}
	own := len(t.sent)
	t.line("records written: %d by this demo, %d by the cluster itself (terms begun, tables defined)", own, int(t.latest.LSN)-own)
	for i := range held {
		for table, keys := range t.keys {
			if held[i].keys[table] != keys {
				return fmt.Errorf("%s holds %v keys, and %v were written", held[i].status.Node, held[i].keys, t.keys)
			}
		}
	}
	return nil
}
