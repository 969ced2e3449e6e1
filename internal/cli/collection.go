package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/admin"
	"github.com/triad-kv/triad/internal/demo/grid"
	"github.com/triad-kv/triad/topology"
)

// keptDeletes is what a node keeps of deletes, where nobody leads.
type keptDeletes struct {
	At        topology.NodeID `json:"at"` // who says so
	Kept      uint64          `json:"deletes_kept"`
	Collected uint64          `json:"cells_collected"`
	Holds     []heldBack      `json:"holds"`
}

type heldBack struct {
	Node       topology.NodeID `json:"node"`
	Partitions int             `json:"partitions"`
	Writes     uint64          `json:"writes"`
	Silent     int             `json:"partitions_silent"`
	Why        string          `json:"why,omitempty"`
}

// explainDeletes says why nodes keep deletes where nobody leads; false if there is a leader.
func (r *remote) explainDeletes(cmd *cobra.Command) (is bool, err error) {
	v := []keptDeletes{}
	err = r.with(cmd, func(ctx context.Context, c *client.Client) error {
		all, err := survey(ctx, c, r.endpoints)
		if err != nil {
			return err
		}
		for _, a := range all {
			if a.Err != nil || a.Status.Kind != "leaderless" {
				continue
			}
			is = true
			k, err := client.RepairsOf(c.Operator()).Collection(ctx, a.Addr)
			if err != nil {
				return err
			}
			v = append(v, keptOf(a, &k))
		}
		return nil
	})
	if err != nil || !is {
		return is, err
	}
	t := grid.Table{Header: []string{"at", "keeps", "has forgotten", "node", "is not known to have", "why"}}
	for _, k := range v {
		for _, h := range k.Holds {
			why := h.Why
			if why == "" {
				why = "it has all"
			}
			t.Rows = append(t.Rows, []string{string(k.At), fmt.Sprintf("%d deletes", k.Kept), fmt.Sprintf("%d cells", k.Collected), string(h.Node), fmt.Sprintf("%d writes in %d partitions", h.Writes, h.Partitions), grid.Plain(why)})
		}
	}
	return true, r.show(cmd, result{value: v, table: t})
}

func keptOf(a admin.Answer, k *topology.Collection) keptDeletes {
	out := keptDeletes{At: a.Status.Node, Kept: k.Kept, Collected: k.Collected, Holds: []heldBack{}}
	for _, h := range k.Holds {
		out.Holds = append(out.Holds, heldBack(h))
	}
	return out
}
