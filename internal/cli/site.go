package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/admin"
	"github.com/triad-kv/triad/internal/demo/grid"
	"github.com/triad-kv/triad/topology"
)

func newSite() *cobra.Command {
	return parent("site", "Show, add, retire and evict the sites of a cluster that runs", newSiteList(), newSiteAdd(), newSiteRetire(), newSiteEvict())
}

func newGC() *cobra.Command {
	return parent("gc", "What is kept of deletes, and why", newGCExplain())
}

// siteRow is a site as one of its cluster's leaders sees it.
type siteRow struct {
	At    topology.NodeID `json:"at"` // who says so
	Sites []admin.Site    `json:"sites"`
}

// sitesSeen returns what a leader of a site says of all, the first of those that answer.
func sitesSeen(ctx context.Context, c *client.Client, r *remote) (row siteRow, err error) {
	all, err := survey(ctx, c, r.endpoints)
	if err != nil {
		return row, err
	}
	for _, leads := range []bool{true, false} {
		for _, a := range all {
			if a.Err == nil && len(a.Status.Sites) > 0 && (!leads || a.Status.Role == topology.RoleLeader) {
				return siteRow{At: a.Status.Node, Sites: admin.StatusOf(a.Status).Sites}, nil
			}
		}
	}
	return row, fmt.Errorf("%w: no node that answers is of a cluster of several sites", topology.ErrUnavailable)
}

func newSiteList() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "Show all sites: what each is in the cluster, and how far behind",
		Long: `Show all sites: what each is in the cluster, and how far behind, as the leader of the
first site that answers sees them. Sites that have left stay in the list: their numbers
are never given out again. Which take writes and which tables one is without is what the
configuration says ("topology.read_only", "tables.NAME.sites"); of its own site the leader
also says of how many records what they wrote to such a table was left out.`,
		Args: exactly(),
	}
	r := remoteFlags(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		var v siteRow
		err := r.with(cmd, func(ctx context.Context, c *client.Client) (err error) {
			v, err = sitesSeen(ctx, c, r)
			return err
		})
		if err != nil {
			return err
		}
		t := grid.Table{Header: []string{"site", "number", "standing", "writes", "without", "link", "behind", "ahead", "snapshot"}}
		for _, s := range v.Sites {
			t.Rows = append(t.Rows, []string{s.Site, fmt.Sprint(s.Number), s.Standing, writesOf(&s), withoutOf(&s), s.State, fmt.Sprint(s.Behind.Records), fmt.Sprint(s.Ahead.Records), s.Snapshot})
		}
		return r.show(cmd, result{value: v, above: grid.Plain(fmt.Sprintf("as %s sees them", v.At)), table: t})
	}
	return c
}

// writesOf says whether a site takes writes, by what it is and by its configuration.
func writesOf(s *admin.Site) string {
	switch {
	case s.ReadOnly:
		return "read-only"
	case s.Standing == "active":
		return "yes"
	}
	return "no"
}

// withoutOf names the tables that a site does not hold; with how many records that leaves
// something out, where that is known.
func withoutOf(s *admin.Site) string {
	var words []string
	for _, t := range s.Without {
		word := t.Table
		if t.Records > 0 {
			word += fmt.Sprintf(" (%d records)", t.Records)
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

func newGCExplain() *cobra.Command {
	c := &cobra.Command{
		Use:   "explain",
		Short: "Show who holds back what could be forgotten, and since when",
		Long: `Where several sites write, show which site holds back what could be forgotten, and since when. What is deleted is
kept until every site has said, in what it writes, that it has the delete for good: a
site that is away holds back all that was written since. It lets go when it comes back,
or once it was given up ("triad site evict"). As the leader of the first site that
answers sees it.

Where nobody leads, show for each node how many deletes it keeps, and which replica is not
known to have all that the node has: a delete goes once every replica of its key is known
to have it, and what it could be needed against.`,
		Args: exactly(),
	}
	r := remoteFlags(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if is, err := r.explainDeletes(cmd); is || err != nil {
			return err
		}
		var v siteRow
		err := r.with(cmd, func(ctx context.Context, c *client.Client) (err error) {
			v, err = sitesSeen(ctx, c, r)
			return err
		})
		if err != nil {
			return err
		}
		t := grid.Table{Header: []string{"site", "standing", "holds back", "last heard", "why"}}
		for _, s := range v.Sites {
			said := "never"
			if !s.Said.IsZero() {
				said = s.Said.UTC().Format(time.RFC3339)
			}
			t.Rows = append(t.Rows, []string{s.Site, s.Standing, fmt.Sprintf("%d records", s.Holds), said, heldFor(&s)})
		}
		return r.show(cmd, result{value: v, above: grid.Plain(fmt.Sprintf("as %s sees them", v.At)), table: t})
	}
	return c
}

// heldFor says in words why a site holds back what it does.
func heldFor(s *admin.Site) string {
	switch {
	case s.Holds == 0 && (s.Standing == "retired" || s.Standing == "evicted"):
		return "it has left"
	case s.Holds == 0:
		return "it has all"
	case s.Said.IsZero():
		return "it has not said yet what it has"
	case s.Standing == "evicting":
		return "it is given up, and others have yet to say what they have of it"
	case s.Own:
		return "its next word is due"
	case s.State == "up":
		return "it has not said that it has the newest"
	case s.Problem != "":
		return "it is away: " + s.Problem
	}
	return "it is away"
}

// order has a leader of a site that takes part do something about a site.
func (r *remote) order(cmd *cobra.Command, name, done string, do func(ctx context.Context, o client.Operator, addr string) error) error {
	if !topology.NodeID(name).Valid() {
		return usagef("NAME: %q is not a site's name ([a-z][a-z0-9-]{0,62})", name)
	}
	err := r.with(cmd, func(ctx context.Context, c *client.Client) error {
		all, err := survey(ctx, c, r.endpoints)
		if err != nil {
			return err
		}
		err = fmt.Errorf("%w: no leader of another site was reached", topology.ErrUnavailable)
		for _, a := range all {
			if a.Err != nil || a.Status.Role != topology.RoleLeader || a.Status.Site == name || a.Status.Site == "" {
				continue
			}
			if err = do(ctx, c.Operator(), a.Addr); err == nil || !errors.Is(err, topology.ErrNotLeader) {
				return err
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	v := ordered{Site: name, Done: done}
	return r.show(cmd, result{value: v, table: grid.Table{Header: []string{"site", "done"}, Rows: [][]string{{v.Site, v.Done}}}})
}

// ordered is a change of the sites that is agreed upon.
type ordered struct {
	Site string `json:"site"`
	Done string `json:"done"` // joins, retires, given up
}

func newSiteAdd() *cobra.Command {
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Let a site join the others, while they work",
		Long: `Let a site join the others, while they work: a new one, which gets the next number, or one
that has left, in a new life. Its nodes start with empty directories and topology.joins in
their configuration, before or after this command; the nodes of the other sites know
their addresses by then, by gossip or by their members. It takes a snapshot, and takes
writes by itself once it has all and every other site waits for it, as "triad site list"
shows. More than half of the sites that take writes have to answer.`,
		Args: exactly("NAME"),
	}
	r := remoteFlags(c)
	r.attempts = 1
	var links []string
	c.Flags().StringSliceVar(&links, "link", nil, "a site it exchanges with, where topology.links is a list")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return r.order(cmd, args[0], "joins", func(ctx context.Context, o client.Operator, addr string) error {
			return o.AddSite(ctx, addr, args[0], links...)
		})
	}
	return c
}

func newSiteRetire() *cobra.Command {
	c := &cobra.Command{
		Use:   "retire NAME",
		Short: "Let a site leave the others, with nothing lost",
		Long: `Let a site leave the others, with nothing lost: it takes no more writes from now on, and is
out once the others have all that it has written, as "triad site list" shows. Then its
nodes may be stopped. A site that is lost is evicted instead. More than half of the sites
that take writes have to answer.`,
		Args: exactly("NAME"),
	}
	r := remoteFlags(c)
	r.attempts = 1
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return r.order(cmd, args[0], "retires", func(ctx context.Context, o client.Operator, addr string) error {
			return o.RetireSite(ctx, addr, args[0])
		})
	}
	return c
}

func newSiteEvict() *cobra.Command {
	c := &cobra.Command{
		Use:   "evict NAME",
		Short: "Give up a site that is lost",
		Long: `Give up a site that is lost: what none of the others has of it counts no more. All others
say how much they have of it, and hold nothing back for it from then on. If it shows up
again it takes no writes, its links are refused, and its leader puts aside what nobody
has ("triad rewound list"); with empty directories it may join again. More than half of
the sites that take writes have to answer, itself included; --force does without its
vote, as the last of two sites needs to: two sites that give each other up by force are
two clusters from then on.`,
		Args: exactly("NAME"),
	}
	r := remoteFlags(c)
	r.attempts = 1
	var force bool
	c.Flags().BoolVar(&force, "force", false, "do without its vote")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return r.order(cmd, args[0], "given up", func(ctx context.Context, o client.Operator, addr string) error {
			return o.EvictSite(ctx, addr, args[0], force)
		})
	}
	return c
}
