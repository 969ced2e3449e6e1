package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/admin"
	"github.com/triad-kv/triad/internal/demo/grid"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

func newRestore() *cobra.Command {
	c := &cobra.Command{
		Use:   "restore --to NODE (--at LSN | --time TIME) [--give-up N]",
		Short: "Have a delayed replica lead from a point before a mistake",
		Long: `Have a delayed replica lead from a point before a mistake. The node goes on to that point
and no further, keeps aside what its log holds after it, and leads a new term from there;
all others give up what came after, applied or not, keep it aside, and follow.

The point is the last entry that is kept: --at names it, --time the last one accepted
then or before (2026-01-02T15:04:05Z, or 15:04:05 of today). The node must not show
more already, and commits must not count it: a delayed node, or a read replica.

Without --give-up nothing happens: it says how many records would be given up. With it
that many may be, as far as the node has them. Stop who writes first: what is
acknowledged meanwhile is given up too. "triad rewound list DIR" lists what each node
kept, "triad rewound replay" writes it again.`,
		Args: exactly(),
	}
	r := remoteFlags(c)
	r.attempts = 1
	to := c.Flags().String("to", "", "the node that is to lead from there")
	at := c.Flags().Uint64("at", 0, "the last entry that is kept")
	when := c.Flags().String("time", "", "keep what was accepted then or before")
	giveUp := c.Flags().Uint64("give-up", 0, "how many records may be given up")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		id := topology.NodeID(*to)
		if !id.Valid() {
			return usagef("--to: %q is not a node's name; `triad status` lists them", *to)
		}
		point, err := pointOf(*at, *when, time.Now())
		if err != nil {
			return err
		}
		var p topology.Restoration
		err = r.with(cmd, func(ctx context.Context, c *client.Client) (err error) {
			p, err = restore(ctx, c, r.endpoints, id, point, *giveUp)
			return err
		})
		if err != nil {
			return err
		}
		return r.show(cmd, restorationResult(id, p))
	}
	return c
}

// pointOf reads a point of the past, of which now is the present.
func pointOf(at uint64, when string, now time.Time) (p topology.Point, err error) {
	switch {
	case at > 0 && when != "":
		return p, usagef("--at and --time: one of them says where to go on from")
	case at > 0:
		return topology.Point{LSN: record.LSN(at)}, nil
	case when == "":
		return p, usagef("--at or --time: where to go on from is missing")
	}
	if p.Time, err = time.Parse(time.RFC3339Nano, when); err == nil {
		return p, nil
	}
	of, err := time.ParseInLocation("15:04:05.999999999", when, now.Location())
	if err != nil {
		return p, usagef("--time: %q is neither like 2026-01-02T15:04:05Z nor like 15:04:05", when)
	}
	y, m, d := now.Date()
	p.Time = time.Date(y, m, d, of.Hour(), of.Minute(), of.Second(), of.Nanosecond(), now.Location())
	return p, nil
}

// restore finds the node and has it restored.
func restore(ctx context.Context, c *client.Client, endpoints []string, to topology.NodeID, p topology.Point, giveUp uint64) (topology.Restoration, error) {
	all, err := survey(ctx, c, endpoints)
	if err != nil {
		return topology.Restoration{}, err
	}
	var others []topology.NodeID
	for _, a := range all {
		switch {
		case a.Err != nil:
		case a.Status.Node == to:
			return c.Operator().Restore(ctx, a.Addr, p, giveUp)
		default:
			others = append(others, a.Status.Node)
		}
	}
	return topology.Restoration{}, fmt.Errorf("%w: %s was not reached; these were: %s; name its address with --endpoints", topology.ErrUnavailable, to, list(others))
}

func restorationResult(id topology.NodeID, p topology.Restoration) result {
	v := admin.RestoredOf(id, p)
	r := result{value: v, table: grid.Table{
		Header: []string{"leader", "term", "keeps up to lsn", "of", "gives up", "lsns", "from", "to"},
		Rows: [][]string{{
			string(id), termText(p.Term), fmt.Sprint(v.KeepLSN), timeText(p.Time), fmt.Sprintf("%d records", p.Records),
			fmt.Sprintf("%d-%d", v.KeepLSN+1, v.LastLSN), timeText(p.First), timeText(p.Newest),
		}},
	}}
	if !v.Done {
		r.below = fmt.Sprintf("nothing was done: --at %d --give-up %d does it", v.KeepLSN, v.Records)
	}
	return r
}

// timeText is empty where no time is known.
func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format("2006-01-02T15:04:05.000Z07:00")
}
