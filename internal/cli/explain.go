package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/admin"
	"github.com/triad-kv/triad/internal/demo/grid"
	"github.com/triad-kv/triad/topology"
)

func newExplain() *cobra.Command {
	c := &cobra.Command{
		Use:   "explain",
		Short: "Show who would lead if the leader failed now, and why nobody else",
		Long: `Show who would lead if the leader failed now, and why nobody else would: not in sync,
behind, a read replica, without an answer, paused. Where people name the leader (control
static), who may be named without --force. Records put aside are durable at the leader
alone and not committed; records lost are committed, and the winner does not have them.
Where every site has a leader, it is that of the first of --endpoints that answers.
Nothing is changed. Exit code 3 if no node answered.`,
		Args: exactly(),
	}
	r := remoteFlags(c)
	r.attempts = 1
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		var x topology.Explanation
		err := r.with(cmd, func(ctx context.Context, c *client.Client) error {
			all, err := survey(ctx, c, r.endpoints)
			if err != nil {
				return err
			}
			all = ofOneSite(all)
			slices.SortStableFunc(all, func(a, b admin.Answer) int { return -leadsFirst(a) + leadsFirst(b) })
			for _, a := range all { // the leader's word first, and anybody's else
				if a.Err != nil {
					continue
				}
				if x, err = c.Operator().Explain(ctx, a.Addr); err == nil {
					return nil
				}
			}
			return err
		})
		if err != nil {
			return err
		}
		return r.show(cmd, explained(admin.ExplainedOf(x)).result())
	}
	return c
}

// leadsFirst sorts the leader before others.
func leadsFirst(a admin.Answer) int {
	if a.Err == nil && a.Status.Role == topology.RoleLeader {
		return 1
	}
	return 0
}

// explained is the whole answer of `triad failover explain`.
type explained admin.Explained

func (x explained) result() result {
	r := result{value: x, table: grid.Table{Header: []string{"node", "role", "answers", "in sync", "flush lsn", "behind", "would lose", "why not"}}}
	leader := "nobody leads"
	if x.Leader != "" {
		leader = fmt.Sprintf("%s leads term %d", x.Leader, x.Term)
	}
	r.above = grid.Plain(fmt.Sprintf("%s, commits wait for %s; if it failed now: %s", leader, x.Policy, x.Why))
	for _, m := range x.Members {
		why := strings.Join(m.Reasons, "; ")
		if m.Node == x.Winner {
			why = "would lead"
		}
		row := []string{string(m.Node), string(m.Role), yes(m.Answers), yes(m.InSync), "", "", "", grid.Plain(why)}
		if m.Answers {
			row[4], row[5], row[6] = fmt.Sprint(m.EndLSN), fmt.Sprint(m.BehindRecords), fmt.Sprint(m.LosesRecords)
		}
		r.table.Rows = append(r.table.Rows, row)
	}
	var below []string
	if x.Winner != "" {
		risk := fmt.Sprintf("%d records would be put aside, %d committed ones lost", x.Tail, x.Lost)
		if !x.Known {
			risk += ", as far as is known: the leader does not answer"
		}
		below = append(below, risk)
	}
	if x.ReignSecs > 0 {
		below = append(below, fmt.Sprintf("nobody is elected for %v yet: the leader's least reign lasts as long (topology.min_reign)", time.Duration(x.ReignSecs*float64(time.Second)).Round(time.Millisecond)))
	}
	if x.BackOffSecs > 0 {
		below = append(below, fmt.Sprintf("leaders change often: an election waits %v longer", time.Duration(x.BackOffSecs*float64(time.Second)).Round(time.Millisecond)))
	}
	r.below = strings.Join(below, "\n")
	return r
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
