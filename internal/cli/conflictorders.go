package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/admin"
	"github.com/triad-kv/triad/internal/demo/grid"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

func newConflictsWatch() *cobra.Command {
	c := &cobra.Command{
		Use:   "watch",
		Short: "Print conflicts as they are met, until interrupted",
		Long: `Print the conflicts that one node meets from now on, or behind an LSN, one a line, until
interrupted. The node is the first of --endpoints that answers.`,
		Example: "  triad conflicts watch\n  triad conflicts watch --after 120 -o json",
		Args:    exactly(),
	}
	r := remoteFlags(c)
	r.attempts = 1
	after := c.Flags().Uint64("after", 0, "begin behind this LSN; without it, with what comes")
	every := c.Flags().Duration("every", time.Second, "how often the node is asked")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if *every < time.Millisecond {
			return usagef("--every: %v is less than 1ms", *every)
		}
		err := r.with(cmd, func(ctx context.Context, c *client.Client) error {
			a, err := anyOf(ctx, c, r.endpoints)
			if err != nil {
				return err
			}
			from := client.ConflictPlace{LSN: record.LSN(*after), Change: ^uint16(0)}
			switch {
			case !cmd.Flags().Changed("after"):
				from.LSN = a.Status.Applied
			case *after == 0:
				from.Change = 0
			}
			for x, err := range c.Operator().WatchConflicts(ctx, a.Addr, from, conflictCut, *every) {
				if err != nil {
					return err
				}
				m := meetingOf(x)
				if err := r.show(cmd, result{value: m, table: grid.Table{Rows: [][]string{m.row()}}}); err != nil {
					return err
				}
			}
			return nil
		})
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}
	return c
}

// placeOf reads where a conflict stands, as the list shows it: LSN or LSN/CHANGE.
func placeOf(text string) (client.ConflictPlace, error) {
	word, change, _ := strings.Cut(text, "/")
	lsn, err := strconv.ParseUint(word, 10, 64)
	n := uint64(0)
	if err == nil && change != "" {
		n, err = strconv.ParseUint(change, 10, 16)
	}
	if err != nil || lsn == 0 {
		return client.ConflictPlace{}, usagef("%q is no place of a conflict; `triad conflicts list` has them, as LSN or LSN/CHANGE", text)
	}
	return client.ConflictPlace{LSN: record.LSN(lsn), Change: uint16(n)}, nil
}

// decided is what was written again of a conflict.
type decided struct {
	Node    topology.NodeID `json:"node"`
	Values  []rival         `json:"values"`
	Same    bool            `json:"same,omitempty"`
	Written bool            `json:"written"`
	Receipt string          `json:"transaction,omitempty"`
}

func newConflictsReplay() *cobra.Command {
	c := &cobra.Command{
		Use:   "replay LSN[/CHANGE] [--write]",
		Short: "Ask the present resolver about what met, and write what it makes of it",
		Long: `Show what the table's resolver makes now of all that met in a conflict. With --write
that is written, as a new write of the site, and reaches all others; it is refused where
the key holds by then a write that the conflict has not seen. The conflict is one of the
list of the first of --endpoints that answers, or of its site's leader.`,
		Example: "  triad conflicts replay 121\n  triad conflicts replay 121 --write",
		Args:    exactly("LSN"),
	}
	r := remoteFlags(c)
	r.attempts = 1
	write := c.Flags().Bool("write", false, "write the result")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		at, err := placeOf(args[0])
		if err != nil {
			return err
		}
		return r.decide(cmd, *write, func(ctx context.Context, o client.Operator, addr string) (client.Replayed, error) {
			return o.ReplayConflict(ctx, addr, at, *write)
		})
	}
	return c
}

func newConflictsRevert() *cobra.Command {
	c := &cobra.Command{
		Use:   "revert LSN[/CHANGE] [--transaction DOT]",
		Short: "Write again what lost in a conflict",
		Long: `Write again what lost in a conflict, as a new write of the site, which reaches all
others; it is refused where the key holds by then a write that the conflict has not seen.
Where several lost, --transaction says which is meant; conflicts show has them.`,
		Example: "  triad conflicts revert 121\n  triad conflicts revert 121 --transaction 2.61842112:7",
		Args:    exactly("LSN"),
	}
	r := remoteFlags(c)
	r.attempts = 1
	which := c.Flags().String("transaction", "", "which of those that lost, as conflicts show prints it")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		at, err := placeOf(args[0])
		if err != nil {
			return err
		}
		var loser version.Dot
		if *which != "" {
			if loser, err = parseDot(*which); err != nil {
				return usagef("--transaction: %w", err)
			}
		}
		return r.decide(cmd, true, func(ctx context.Context, o client.Operator, addr string) (client.Replayed, error) {
			return o.RevertConflict(ctx, addr, at, loser)
		})
	}
	return c
}

// decide has a conflict decided again: by the leader of the site of the first node that
// answers, if that is to be written.
func (r *remote) decide(cmd *cobra.Command, write bool, f func(context.Context, client.Operator, string) (client.Replayed, error)) error {
	return r.with(cmd, func(ctx context.Context, c *client.Client) error {
		a, err := anyOf(ctx, c, r.endpoints)
		if err == nil && write {
			a.Status.Node, a.Addr, err = leaderOf(ctx, c, a.Status, a.Addr)
		}
		if err != nil {
			return err
		}
		p, err := f(ctx, c.Operator(), a.Addr)
		if err != nil {
			return err
		}
		v := decided{Node: a.Status.Node, Values: rivalsOf(p.Values), Same: p.Same, Written: p.Written}
		out := result{table: grid.Table{Header: []string{"", "time", "bytes", "value"}}}
		for _, x := range v.Values {
			out.table.Rows = append(out.table.Rows, []string{"shown", x.Time.Format("2006-01-02 15:04:05.000"), fmt.Sprint(x.Bytes), grid.Plain(x.text())})
		}
		switch {
		case p.Written:
			v.Receipt = p.Receipt.Dot.String()
			out.below = fmt.Sprintf("written at %s as %s", v.Node, v.Receipt)
		case p.Same:
			out.below = "the key shows just that already"
		case !write:
			out.below = "not written: --write"
		}
		if len(v.Values) == 0 {
			out.table.Header, out.above = nil, "nothing is there: the key is removed"
		}
		out.value = v
		return r.show(cmd, out)
	})
}

func newConflictsRelease() *cobra.Command {
	c := &cobra.Command{
		Use:   "release TABLE",
		Short: "Take back the quarantine of a table's resolver",
		Long: `Take back the quarantine of a table's resolver, in all sites, once its function is the
same everywhere again: it is asked from then on, and shows what it makes of all that was
written meanwhile. Until then the last writer is shown. triad status says which tables are
quarantined, and why.`,
		Args: exactly("TABLE"),
	}
	r := remoteFlags(c)
	r.attempts = 1
	c.ValidArgsFunction = r.completeTables
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return r.with(cmd, func(ctx context.Context, c *client.Client) error {
			a, err := anyOf(ctx, c, r.endpoints)
			addr := a.Addr
			if err == nil {
				_, addr, err = leaderOf(ctx, c, a.Status, a.Addr)
			}
			if err == nil {
				_, err = c.Operator().ReleaseTable(ctx, addr, args[0])
			}
			if err != nil {
				return err
			}
			return r.show(cmd, changed(tableShown{Name: args[0]}, "released"))
		})
	}
	return c
}

// anyOf is the answer of the first endpoint that answers.
func anyOf(ctx context.Context, c *client.Client, endpoints []string) (admin.Answer, error) {
	all, err := askAll(ctx, c, endpoints)
	if err != nil {
		return admin.Answer{}, err
	}
	for _, a := range all {
		if a.Err == nil {
			return a, nil
		}
	}
	return admin.Answer{}, all[0].Err
}

// leaderOf is who leads the site of a node that said s, and its address.
func leaderOf(ctx context.Context, c *client.Client, s topology.Status, addr string) (topology.NodeID, string, error) {
	if s.Role == topology.RoleLeader {
		return s.Node, addr, nil
	}
	members, err := c.Members(ctx)
	if err != nil {
		return "", "", err
	}
	for _, m := range members {
		if m.ID == s.Leader && m.Addr != "" {
			return m.ID, m.Addr, nil
		}
	}
	return "", "", fmt.Errorf("%w: %s follows %q, whose address nobody has told", topology.ErrUnavailable, s.Node, s.Leader)
}
