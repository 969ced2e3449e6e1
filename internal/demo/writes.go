package demo

import (
	"context"
	"fmt"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/internal/demo/grid"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// writes is the scenario of any cluster.
func (d *demo) writes(ctx context.Context) error {
	return d.phases(ctx, []phase{
		{"who is there for what", d.showRoles},
		{"writes to every table", d.writeAll},
		{"who has what", d.showLag},
		{"what everybody holds", d.same},
	})
}

func (d *demo) showRoles(ctx context.Context) error {
	s, err := d.roles(ctx)
	if err != nil {
		return err
	}
	d.held("%s leads term %d and streams its log to %s; a commit waits for %s", s.Node, s.Term, count(len(d.followers()), "node", "nodes"), s.Policy)
	return nil
}

// writesPerTable is how many keys the scenario writes to each table.
const writesPerTable = 10

func (d *demo) writeAll(ctx context.Context) error {
	n := 0
	tables := map[string]record.Kind{tableDefault: record.KindBytes}
	for _, t := range d.c.of.Tables {
		if k, err := triad.ParseKind(t.Kind); err == nil && (k == record.KindRow || k == record.KindBytes) {
			tables[t.Name] = k
		}
	}
	for table, kind := range tables {
		for i := range writesPerTable {
			r, err := d.all.Put(ctx, table, fmt.Appendf(nil, "%d", 1001+i), valueOf(kind, fmt.Sprintf("value %d", i)))
			if err != nil {
				return err
			}
			if r.Durability < topology.Flushed && r.Durability != topology.Durability(d.c.of.Topology.Durability) {
				return fmt.Errorf("LSN %d was acknowledged %v", r.LSN, r.Durability)
			}
			d.latest, n = r, n+1
		}
	}
	d.held("%d writes to %s, the last of them LSN %d, durable at %s", n, count(len(tables), "table", "tables"), d.latest.LSN, names(d.latest.Durable))
	return nil
}

// showLag shows who has what, and waits until all have all.
func (d *demo) showLag(ctx context.Context) error {
	s, err := d.status(ctx, d.leader)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, n := range d.followers() {
		p := peerOf(s, n.ID)
		rows = append(rows, []string{
			string(n.ID), d.wayTo(n), delayOf(n.ApplyDelay), fmt.Sprint(p.Flushed), fmt.Sprint(p.Applied),
			fmt.Sprint(p.Lag.Records), grid.Bytes(p.Lag.Bytes), p.Lag.Time.String(),
		})
	}
	d.table([]string{"node", "from the leader", "apply delay", "flush lsn", "replay lsn", "lag", "in bytes", "in time"}, rows)
	if err := d.caughtUp(ctx, d.latest.Token); err != nil {
		return err
	}
	d.held("every node has applied LSN %d", d.latest.LSN)
	return nil
}
