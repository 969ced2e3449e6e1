package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/demo/grid"
	"github.com/triad-kv/triad/topology"
)

func newFailover() *cobra.Command {
	c := &cobra.Command{
		Use:   "failover --to NODE",
		Short: "Make a node the leader of a new term, by hand",
		Long: `Make a node the leader of a new term, by hand. It is refused where a committed write
could be lost or two leaders could be; --force does it all the same, and gives up
what is missing. A refusal that comes after the others have accepted the new term
leaves nobody leading: its error names the node to run this command for.
"triad failover explain" shows who may lead, and what would be lost.`,
		Args: exactly(),
	}
	c.AddCommand(newExplain())
	r := remoteFlags(c)
	r.attempts = 1 // one node alone will do, and it is there or not
	to := c.Flags().String("to", "", "the node that is to lead")
	force := c.Flags().Bool("force", false, "even if writes that were acknowledged are lost")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		id := topology.NodeID(*to)
		if !id.Valid() {
			return usagef("--to: %q is not a node's name; `triad status` lists them", *to)
		}
		var p topology.Promotion
		err := r.with(cmd, func(ctx context.Context, c *client.Client) (err error) {
			p, err = promote(ctx, c, r.endpoints, id, *force)
			return err
		})
		if err != nil {
			return err
		}
		return r.show(cmd, promotionResult(p))
	}
	return c
}

// failover makes a node the leader. It is the whole of the subcommand, and what
// the demo does too.
func failover(cluster string) func(context.Context, []string, topology.NodeID, bool) (topology.Promotion, error) {
	return func(ctx context.Context, endpoints []string, to topology.NodeID, force bool) (topology.Promotion, error) {
		c, err := client.Dial(endpoints, client.Options{Cluster: cluster, AttemptsMax: 1})
		if err != nil {
			return topology.Promotion{}, err
		}
		defer func() { _ = c.Close() }() // it only ends connections
		return promote(ctx, c, endpoints, to, force)
	}
}

// promote finds the node and has it promoted.
func promote(ctx context.Context, c *client.Client, endpoints []string, to topology.NodeID, force bool) (topology.Promotion, error) {
	all, err := survey(ctx, c, endpoints)
	if err != nil {
		return topology.Promotion{}, err
	}
	var others []topology.NodeID
	for _, a := range all {
		switch {
		case a.Err != nil:
		case a.Status.Node == to && a.Status.Role == topology.RoleLeader:
			return topology.Promotion{}, fmt.Errorf("%s leads already, in term %d", to, a.Status.Term)
		case a.Status.Node == to:
			return c.Promote(ctx, a.Addr, force)
		default:
			others = append(others, a.Status.Node)
		}
	}
	return topology.Promotion{}, fmt.Errorf("%w: %s was not reached; these were: %s; name its address with --endpoints", topology.ErrUnavailable, to, list(others))
}

// promoted is a topology.Promotion as it is shown.
type promoted struct {
	Leader   topology.NodeID   `json:"leader"`
	Term     uint64            `json:"term"`
	StartLSN uint64            `json:"start_lsn"`
	Reached  []topology.NodeID `json:"reached"`
	Missed   []topology.NodeID `json:"missed"`
}

func promotionResult(p topology.Promotion) result {
	v := promoted{Leader: p.Leader, Term: p.Term, StartLSN: uint64(p.Start), Reached: p.Reached, Missed: p.Missed}
	if v.Missed == nil {
		v.Missed = []topology.NodeID{}
	}
	return result{value: v, table: grid.Table{
		Header: []string{"leader", "term", "from lsn", "accepted by", "not reached"},
		Rows:   [][]string{{string(p.Leader), fmt.Sprint(p.Term), fmt.Sprint(uint64(p.Start)), list(p.Reached), list(p.Missed)}},
	}}
}
