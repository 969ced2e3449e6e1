package cli

import (
	"context"
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/demo/grid"
	"github.com/triad-kv/triad/topology"
)

func newMember() *cobra.Command {
	return parent("member", "Add and remove members of a cluster that runs", newMemberAdd(), newMemberRemove())
}

func newMemberAdd() *cobra.Command {
	c := &cobra.Command{
		Use:   "add NAME --addr HOST:PORT",
		Short: "Take a node into the cluster, while that works",
		Long: `Take a node into the cluster, while that works. The node starts from an empty directory
with a configuration that names itself and the others; before or after this command. It
follows at once, and a voter is counted once it has caught up, which this command waits
for. It is for groups that elect their leader (control raft). One change of the members is
under way at a time; one that --timeout cuts short goes on, as "triad status" shows, and
"triad member remove" takes it back.`,
		Args: exactly("NAME"),
	}
	r := remoteFlags(c)
	r.attempts = 1
	var s topology.Seat
	c.Flags().StringVar(&s.Addr, "addr", "", "host:port of its peers port")
	c.Flags().StringVar(&s.Site, "site", "", "its data centre")
	c.Flags().BoolVar(&s.Votes, "vote", false, "give it a vote in the control too: its own control.voters names it")
	role := wordFlag(c, "role", "", string(topology.MemberVoter), "what it is there for",
		string(topology.MemberVoter), string(topology.MemberReadReplica), string(topology.MemberWitness))
	c.RunE = func(cmd *cobra.Command, args []string) error {
		s.ID, s.Role = topology.NodeID(args[0]), topology.MemberRole(role.value)
		if !s.ID.Valid() {
			return usagef("NAME: %q is not a node's name ([a-z][a-z0-9-]{0,62})", s.ID)
		}
		if _, _, err := net.SplitHostPort(s.Addr); err != nil {
			return usagef("--addr: %q is not host:port", s.Addr)
		}
		if s.Site != "" && !topology.NodeID(s.Site).Valid() {
			return usagef("--site: %q is not a name ([a-z][a-z0-9-]{0,62})", s.Site)
		}
		return r.change(cmd, s.ID, topology.Adding, func(ctx context.Context, c *client.Client, leader string) error {
			return c.Operator().AddMember(ctx, leader, s)
		})
	}
	return c
}

func newMemberRemove() *cobra.Command {
	c := &cobra.Command{
		Use:   "remove NAME",
		Short: "Let a node go from the cluster, while that works",
		Long: `Let a node go from the cluster, while that works; whether it still answers or not. One that
commits count is counted until another may be in its place, which this command waits for.
Then the node may be stopped. The leader is not removed: let it hand over first, by
"triad switchover". Nor is a node without which too few would be left for any commit.
What --timeout cuts short goes on, and "triad member add" takes it back.`,
		Args: exactly("NAME"),
	}
	r := remoteFlags(c)
	r.attempts = 1
	c.RunE = func(cmd *cobra.Command, args []string) error {
		id := topology.NodeID(args[0])
		if !id.Valid() {
			return usagef("NAME: %q is not a node's name; `triad status` lists them", id)
		}
		return r.change(cmd, id, topology.Removing, func(ctx context.Context, c *client.Client, leader string) error {
			return c.Operator().RemoveMember(ctx, leader, id)
		})
	}
	return c
}

// enrolled is a change of the members that is over.
type enrolled struct {
	Node topology.NodeID `json:"node"`
	Done string          `json:"done"` // added, removed
}

// change has the leader do something about a member, and shows what was done.
func (r *remote) change(cmd *cobra.Command, id topology.NodeID, op topology.MemberOp, do func(ctx context.Context, c *client.Client, leader string) error) error {
	err := r.with(cmd, func(ctx context.Context, c *client.Client) error {
		all, err := survey(ctx, c, r.endpoints)
		if err != nil {
			return err
		}
		for _, a := range all {
			if a.Err == nil && a.Status.Role == topology.RoleLeader {
				err := do(ctx, c, a.Addr)
				if err != nil && topology.OutcomeOf(err) == topology.Unknown {
					err = fmt.Errorf("%w; what has begun goes on by itself, and `triad member %s %s` takes it back", err, op.Back(), id)
				}
				return err
			}
		}
		return fmt.Errorf("%w: no node that was reached leads", topology.ErrUnavailable)
	})
	if err != nil {
		return err
	}
	v := enrolled{Node: id, Done: "added"}
	if op == topology.Removing {
		v.Done = "removed"
	}
	return r.show(cmd, result{value: v, table: grid.Table{Header: []string{"node", "done"}, Rows: [][]string{{string(v.Node), v.Done}}}})
}
