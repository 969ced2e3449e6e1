package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/triad-kv/triad/topology"
)

// failover kills the leader and watches the others elect another.
func (t *tour) failover(ctx context.Context) error {
	old, before, killed := t.leader, t.latest, time.Now()
	if err := t.c.kill(ctx, old); err != nil {
		return err
	}
	if t.o.Procs {
		t.line("the process of %s was killed with SIGKILL", old.ID)
	} else {
		t.line("%s was cut off from disk and network, as SIGKILL does it: nothing flushed, nobody told", old.ID)
	}
	if err := t.succession(ctx, old, before, killed); err != nil {
		return err
	}
	r, err := t.put(ctx, true, tableUsers, 1004, user("Dana"))
	if err != nil {
		return err
	}
	t.table(writtenHeader, [][]string{t.written(true, tableUsers, 1004, "Dana", r)})
	if r.Term <= before.Term {
		return fmt.Errorf("a write got term %d after one of term %d", r.Term, before.Term)
	}
	for _, w := range t.newest() {
		if err := t.expect(ctx, t.leader, w); err != nil {
			return err
		}
	}
	t.held("%s was elected, %s follow, a write succeeded, and every write acknowledged before is there", t.leader.ID, idsOf(t.followers()))
	return nil
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
