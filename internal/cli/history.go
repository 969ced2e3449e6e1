package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/demo/grid"
	"github.com/triad-kv/triad/topology"
)

// reign is one term as `triad history` shows it.
type reign struct {
	Term    uint64            `json:"term"`
	Leader  topology.NodeID   `json:"leader"`
	Cause   string            `json:"cause"`
	Time    time.Time         `json:"time"`
	Start   uint64            `json:"start_lsn"`
	Rewound uint64            `json:"rewound_records"` // which this term has others in place of, at the nodes that answer
	By      []topology.NodeID `json:"rewound_by,omitempty"`
}

func newHistory() *cobra.Command {
	c := &cobra.Command{
		Use:   "history",
		Short: "List the terms: who led, since when and why",
		Long: `List the terms: who led, since when and why, the last thousand. Records rewound
were written by a leader before, and cut from the logs of nodes as the term had others
in their place; those of nodes that do not answer, or lost their directories, are not
counted. Where every site has a leader, the terms are those of the site of the first of
--endpoints that answers.`,
		Args: exactly(),
	}
	r := remoteFlags(c)
	r.attempts = 1
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		var all []reign
		err := r.with(cmd, func(ctx context.Context, c *client.Client) (err error) {
			all, err = remember(ctx, c, r.endpoints)
			return err
		})
		if err != nil {
			return err
		}
		v := result{value: all, table: grid.Table{Header: []string{"term", "leader", "cause", "since", "from lsn", "rewound"}}}
		for _, t := range all {
			rewound := ""
			if t.Rewound > 0 {
				rewound = fmt.Sprintf("%d by %s", t.Rewound, list(t.By))
			}
			v.table.Rows = append(v.table.Rows, []string{
				fmt.Sprint(t.Term), string(t.Leader), t.Cause, t.Time.Format("2006-01-02 15:04:05.000"), fmt.Sprint(t.Start), rewound,
			})
		}
		return r.show(cmd, v)
	}
	return c
}

// remember asks all nodes for what they remember. The terms are those of whoever
// knows of the most; what was rewound is put to the term that took its place.
func remember(ctx context.Context, c *client.Client, endpoints []string) ([]reign, error) {
	nodes, err := survey(ctx, c, endpoints)
	if err != nil {
		return nil, err
	}
	nodes = ofOneSite(nodes)
	reigns := []reign{}
	pasts := map[topology.NodeID]client.Past{}
	var last error
	for _, a := range nodes {
		if a.Err != nil {
			continue
		}
		p, err := c.Operator().PastOf(ctx, a.Addr)
		if err != nil {
			last = err
			continue
		}
		pasts[a.Status.Node] = p
		if n := len(p.Reigns); n > 0 && (len(reigns) == 0 || p.Reigns[n-1].Term > reigns[len(reigns)-1].Term) {
			reigns = reigns[:0]
			for _, t := range p.Reigns {
				reigns = append(reigns, reign{Term: t.Term, Leader: t.Leader, Cause: t.Cause, Time: t.Time.UTC(), Start: uint64(t.Start)})
			}
		}
	}
	if len(pasts) == 0 {
		return nil, last
	}
	for _, a := range nodes {
		for _, k := range pasts[a.Status.Node].Kept {
			if a.Err == nil {
				note(reigns, a.Status.Node, k)
			}
		}
	}
	return reigns, nil
}

// note adds a side file to the term that took the place of what it holds: the last
// that starts no later.
func note(reigns []reign, by topology.NodeID, k topology.Kept) {
	for i := range reigns {
		t := &reigns[i]
		next := i+1 == len(reigns) || reigns[i+1].Start > uint64(k.First)
		if t.Start <= uint64(k.First) && next {
			t.Rewound += k.Records
			t.By = append(t.By, by)
			return
		}
	}
}
