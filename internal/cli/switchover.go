package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/admin"
	"github.com/triad-kv/triad/topology"
)

func newSwitchover() *cobra.Command {
	c := &cobra.Command{
		Use:   "switchover --to NODE",
		Short: "Have the leader hand over to another node, and lose nothing",
		Long: `Have the leader hand over to another node in sync, or, under first k, to one that
keeps up and is let in first. New writes wait until that has everything, which takes
milliseconds; nothing is lost, and nobody's write ends unknown.
It is for groups that elect their leader (control raft); where people say who leads,
use failover.`,
		Args: exactly(),
	}
	r := remoteFlags(c)
	r.attempts = 1
	to := c.Flags().String("to", "", "the node that is to lead")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		id := topology.NodeID(*to)
		if !id.Valid() {
			return usagef("--to: %q is not a node's name; `triad status` lists them", *to)
		}
		var p topology.Promotion
		err := r.with(cmd, func(ctx context.Context, c *client.Client) error {
			all, err := survey(ctx, c, r.endpoints)
			if err != nil {
				return err
			}
			for _, a := range sameSite(all, id) {
				if a.Err == nil && a.Status.Role == topology.RoleLeader {
					p, err = c.Operator().Switchover(ctx, a.Addr, id)
					return err
				}
			}
			return fmt.Errorf("%w: no node that was reached leads", topology.ErrUnavailable)
		})
		if err != nil {
			return err
		}
		return r.show(cmd, promotionResult(p))
	}
	return c
}

func newPause() *cobra.Command {
	return pauses("pause", "Keep the cluster from electing a leader by itself", true,
		`Keep the cluster from electing a leader by itself, over restarts, until triad resume:
for work on machines or networks. Failover and switchover by command still go.`)
}

func newResume() *cobra.Command {
	return pauses("resume", "Let the cluster elect its leader by itself again", false,
		"Let the cluster elect its leader by itself again, after triad pause.")
}

func pauses(use, short string, paused bool, long string) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Long: long, Args: exactly()}
	r := remoteFlags(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return r.with(cmd, func(ctx context.Context, c *client.Client) error {
			all, err := survey(ctx, c, r.endpoints)
			if err != nil {
				return err
			}
			said := map[string]error{} // by site, where every site has a leader
			for _, a := range all {
				if err, asked := said[a.Status.Site]; a.Err == nil && (!asked || err != nil) {
					said[a.Status.Site] = c.Operator().Pause(ctx, a.Addr, paused)
				}
			}
			if len(said) == 0 {
				return fmt.Errorf("%w: no node was reached", topology.ErrUnavailable)
			}
			return errors.Join(slices.Collect(maps.Values(said))...)
		})
	}
	return c
}

// sameSite returns the answers of the nodes that follow the same leader as one of them.
func sameSite(all []admin.Answer, id topology.NodeID) []admin.Answer {
	i := slices.IndexFunc(all, func(a admin.Answer) bool { return a.Err == nil && a.Status.Node == id })
	if i < 0 {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(a admin.Answer) bool { return a.Err == nil && a.Status.Site != all[i].Status.Site })
}
