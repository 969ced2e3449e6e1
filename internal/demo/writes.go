package demo

import (
	"context"
	"fmt"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/internal/demo/grid"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// walk is the scenario of any cluster.
type walk struct{ *demo }

func playWrites(ctx context.Context, d *demo) error {
	w := walk{d}
	return d.phases(ctx, []phase{
		{"who is there for what", w.show},
		{"writes to every table", w.write},
		{"who has what", w.lag},
		{"what everybody holds", d.same},
	})
}

func (w walk) show(ctx context.Context) error {
	s, err := w.roles(ctx)
	if err != nil {
		return err
	}
	w.held("%s leads term %d and streams its log to %s; a commit waits for %s", s.Node, s.Term, count(len(w.followers()), "node", "nodes"), s.Policy)
	return nil
}

// writesPerTable is how many keys the scenario writes to each table.
const writesPerTable = 10

func (w walk) write(ctx context.Context) error {
	n := 0
	tables := map[string]record.Kind{tableDefault: record.KindBytes}
	for _, t := range w.c.of.Tables {
		if k, err := triad.ParseKind(t.Kind); err == nil && (k == record.KindRow || k == record.KindBytes) {
			tables[t.Name] = k
		}
	}
	for table, kind := range tables {
		for i := range writesPerTable {
			r, err := w.all.Put(ctx, table, fmt.Appendf(nil, "%d", 1001+i), valueOf(kind, fmt.Sprintf("value %d", i)))
			if err != nil {
				return err
			}
			if r.Durability < topology.Flushed && r.Durability != topology.Durability(w.c.of.Topology.Durability) {
				return fmt.Errorf("LSN %d was acknowledged %v", r.LSN, r.Durability)
			}
			w.latest, n = r, n+1
		}
	}
	w.held("%d writes to %s, the last of them LSN %d, durable at %s", n, count(len(tables), "table", "tables"), w.latest.LSN, names(w.latest.Durable))
	return nil
}

// lag shows who has what, and waits until all have all.
func (w walk) lag(ctx context.Context) error {
	s, err := w.status(ctx, w.leader)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, n := range w.followers() {
		p := peerOf(s, n.ID)
		rows = append(rows, []string{
			string(n.ID), w.wayTo(n), delayOf(n.ApplyDelay), fmt.Sprint(p.Flushed), fmt.Sprint(p.Applied),
			fmt.Sprint(p.Lag.Records), grid.Bytes(p.Lag.Bytes), p.Lag.Time.String(),
		})
	}
	w.table([]string{"node", "from the leader", "apply delay", "flush lsn", "replay lsn", "lag", "in bytes", "in time"}, rows)
	if err := w.caughtUp(ctx, w.latest.Token); err != nil {
		return err
	}
	w.held("every node has applied LSN %d", w.latest.LSN)
	return nil
}
