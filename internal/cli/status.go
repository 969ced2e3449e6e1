package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/admin"
	"github.com/triad-kv/triad/internal/demo/grid"
)

func newStatus() *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "Show who leads, and who has what",
		Long: `Show who leads, and who has what: every node that one of --endpoints is, or that
its leader knows. LSNs are places in the log: sent, what the leader has sent to a node; write, what
that has received; flush, what it has durable; replay, what it shows. A read replica is counted by no commit and made leader by nobody;
upstream is the follower that feeds it, where the leader does not (cascade).
Where every site has a leader, all sites are shown, each with its own, and how their links are: behind, what the other
site is known to have and this one has not; ahead, what this one has and the other is not known to have.
Where nobody leads every node has a log of its own, and its LSNs are of that.
Exit code 3 if no node answered, or none of them leads or, where nobody does, takes writes; or, of several sites, one has no leader.`,
		Args: exactly(),
	}
	r := remoteFlags(c)
	r.attempts = 1 // who is not there is what it shows
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		var o overview
		err := r.with(cmd, func(ctx context.Context, c *client.Client) (err error) {
			o, err = look(ctx, c, r.endpoints)
			return err
		})
		if err != nil {
			return err
		}
		if err := r.show(cmd, o.result()); err != nil {
			return err
		}
		return o.unled()
	}
	return c
}

// askAll asks every address at once. It fails only where nobody answered.
func askAll(ctx context.Context, c *client.Client, addrs []string) ([]admin.Answer, error) {
	all := make([]admin.Answer, len(addrs))
	var wait sync.WaitGroup
	for i, addr := range addrs {
		wait.Go(func() {
			// One that hangs must not keep the others' answers from being shown.
			ctx, cancel := context.WithTimeout(ctx, askTimeout)
			defer cancel()
			s, err := c.StatusOf(ctx, addr)
			all[i] = admin.Answer{Addr: addr, Status: s, Err: err}
		})
	}
	wait.Wait()
	for _, a := range all {
		if a.Err == nil {
			return all, nil
		}
	}
	return nil, all[0].Err
}

// atFirst does something with the first node that answers.
func (r *remote) atFirst(cmd *cobra.Command, do func(ctx context.Context, c *client.Client, a admin.Answer) error) error {
	return r.with(cmd, func(ctx context.Context, c *client.Client) error {
		nodes, err := askAll(ctx, c, r.endpoints)
		if err != nil {
			return err
		}
		return do(ctx, c, nodes[slices.IndexFunc(nodes, func(a admin.Answer) bool { return a.Err == nil })])
	})
}

// askTimeout bounds the question to one node.
const askTimeout = 3 * time.Second

// survey asks the endpoints, and the members that their leader names besides; where
// every site has a leader, those of all sites.
func survey(ctx context.Context, c *client.Client, endpoints []string) ([]admin.Answer, error) {
	all, err := askAll(ctx, c, endpoints)
	if err != nil {
		return nil, err
	}
	var more []string
	for _, a := range all {
		for _, p := range a.Status.Peers {
			known := slices.Contains(endpoints, p.Addr) || slices.Contains(more, p.Addr) || admin.Answers(all, p.Node)
			if p.Addr != "" && !known {
				more = append(more, p.Addr)
			}
		}
	}
	if slices.ContainsFunc(all, func(a admin.Answer) bool { return len(a.Status.Sites) > 0 }) {
		members, err := c.Members(ctx)
		if err != nil {
			return nil, err
		}
		for _, m := range members {
			if m.Addr != "" && !slices.Contains(endpoints, m.Addr) && !slices.Contains(more, m.Addr) && !admin.Answers(all, m.ID) {
				more = append(more, m.Addr)
			}
		}
	}
	if len(more) > 0 {
		if others, err := askAll(ctx, c, more); err == nil {
			all = append(all, others...)
		}
	}
	return all, nil
}

// ofOneSite returns the answers of the nodes that follow one leader: those of the site
// of the first that has answered, where every site has a leader.
func ofOneSite(all []admin.Answer) []admin.Answer {
	i := slices.IndexFunc(all, func(a admin.Answer) bool { return a.Err == nil })
	if i < 0 {
		return all
	}
	return sameSite(all, all[i].Status.Node)
}

// look makes the overview.
func look(ctx context.Context, c *client.Client, endpoints []string) (overview, error) {
	all, err := survey(ctx, c, endpoints)
	if err != nil {
		return overview{}, err
	}
	return overview(admin.OverviewOf(all)), nil
}

// overview is the whole answer of `triad status`.
type overview admin.Overview

func (o overview) result() result {
	r := result{value: o, table: grid.Table{Header: []string{"node", "role", "state", "commit", "term", "sent lsn", "write lsn", "flush lsn", "replay lsn", "lag", "in bytes", "in time", "apply delay", "upstream", "address"}}}
	var below []string
	if len(o.Sites) > 0 {
		r.above, below = o.sites()
		r.table.Header = slices.Insert(r.table.Header, 0, "site")
	} else if admin.Overview(o).Leaderless() {
		r.above = grid.Plain(fmt.Sprintf("cluster %s: leaderless, every node takes writes, %s", o.Cluster, o.Policy))
	} else {
		r.above = grid.Plain(fmt.Sprintf("cluster %s: %s, %s, commits wait for %s", o.Cluster, o.Topology, leads(o.Leader, o.Term), o.Policy))
	}
	if o.Paused {
		below = append(below, "automatic failover is paused")
	}
	if c := o.Change; c != nil {
		below = append(below, grid.Plain(fmt.Sprintf("%s %s: %s", c.Op, c.Node, c.Waits)))
	}
	for _, m := range o.Members {
		lag := time.Duration(m.LagSeconds * float64(time.Second)).Round(time.Millisecond)
		cells := []string{
			string(m.Node), string(m.Role), m.State, m.Commit, termText(m.Term), fmt.Sprint(m.SentLSN), fmt.Sprint(m.WriteLSN), fmt.Sprint(m.FlushLSN), fmt.Sprint(m.ReplayLSN),
			fmt.Sprint(m.LagRecords), grid.Bytes(m.LagBytes), lag.String(), delayText(m.DelaySecs), string(m.Upstream), m.Address,
		}
		if len(o.Sites) > 0 {
			cells = slices.Insert(cells, 0, m.Site)
		}
		r.table.Rows = append(r.table.Rows, cells)
		if m.Problem != "" {
			below = append(below, grid.Plain(fmt.Sprintf("%s: %s", m.Node, m.Problem)))
		}
		if m.Rewound > 0 {
			below = append(below, fmt.Sprintf("%s: %d records were rewound; `triad rewound list DIR` shows them", m.Node, m.Rewound))
		}
		if len(m.Undefined) > 0 {
			below = append(below, grid.Plain(fmt.Sprintf("%s: its configuration's tables are not defined yet: %s", m.Node, list(m.Undefined))))
		}
		for _, w := range m.Warnings {
			below = append(below, grid.Plain(fmt.Sprintf("%s: warning: %s", m.Node, w)))
		}
	}
	for _, n := range o.Silent {
		below = append(below, grid.Plain(n.Address+": "+n.Problem))
	}
	r.below = strings.Join(below, "\n")
	return r
}

// delayText is empty where a node applies at once.
func delayText(seconds float64) string {
	if seconds == 0 {
		return ""
	}
	return time.Duration(seconds * float64(time.Second)).Round(time.Millisecond).String()
}

// termText is empty where no term is known.
func termText(t uint64) string {
	if t == 0 {
		return ""
	}
	return fmt.Sprint(t)
}
