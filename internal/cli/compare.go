package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/admin"
	"github.com/triad-kv/triad/internal/demo/grid"
	"github.com/triad-kv/triad/topology"
)

// comparison is what was found, as it is shown.
type comparison struct {
	Node        topology.NodeID `json:"node"` // which compared
	Peers       []compared      `json:"peers"`
	Differences []difference    `json:"differences"`
}

type compared struct {
	Node      topology.NodeID `json:"node"`
	Site      string          `json:"site"`
	Cells     uint64          `json:"cells"`
	Differ    int             `json:"differ"`
	Undecided int             `json:"undecided"`
	Problem   string          `json:"problem,omitempty"`
}

type difference struct {
	Peer     topology.NodeID `json:"peer"`
	Site     string          `json:"site"`
	Table    string          `json:"table"`
	Key      shown           `json:"key"`
	Field    *shown          `json:"field,omitempty"`
	Mine     []rival         `json:"mine"`
	Theirs   []rival         `json:"theirs"`
	Repaired bool            `json:"repaired"`
}

// errDiffers says that nodes hold what they should not.
var errDiffers = errors.New("nodes hold different things")

const verifyTimeout = 10 * time.Minute

func newCompare() *cobra.Command {
	c := &cobra.Command{
		Use:   "verify",
		Short: "Compare what several sites hold, while they write",
		Long: `Have one node compare what it holds with a node of every other site, and with every other
node of its own: every cell, with the transactions that it is made of. What is on its way
is no difference; one is reported if both sides have all that either is made of, and each
stays with something else. That is a fault of a disk or of a program, and none that the
sites would mend by themselves.

--repair-from replaces, in the site of the node that is asked, what differs from what
another site holds; ask the leader of the site that is wrong. What was replaced is listed
by "triad conflicts list" there.

The first of --endpoints that answers compares. The exit code is 4 if something differs
and was not repaired, or a node could not be compared with.`,
		Example: "  triad verify\n  triad verify --table users --endpoints 127.0.0.1:7402\n  triad verify --repair-from us --endpoints 127.0.0.1:7402",
		Args:    exactly(),
	}
	r := remoteFlags(c)
	r.attempts = 1
	flag := c.Flags().Lookup("timeout")
	r.timeout, flag.DefValue = verifyTimeout, verifyTimeout.String()
	tables := c.Flags().StringSlice("table", nil, "compare this table alone; may be given several times")
	from := c.Flags().String("repair-from", "", "the site whose cells replace those that differ")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if *from != "" && !topology.NodeID(*from).Valid() {
			return usagef("--repair-from: %q is not a site's name", *from)
		}
		v, err := r.verify(cmd, *tables, *from)
		if err != nil {
			return err
		}
		if err := r.show(cmd, v.result()); err != nil {
			return err
		}
		return v.verdict()
	}
	return c
}

// verify has the first node that answers compare.
func (r *remote) verify(cmd *cobra.Command, tables []string, from string) (v comparison, err error) {
	err = r.atFirst(cmd, func(ctx context.Context, c *client.Client, a admin.Answer) error {
		v.Node = a.Status.Node
		found, err := c.Operator().Verify(ctx, a.Addr, tables, from)
		if err == nil {
			v.take(found)
		}
		return err
	})
	return v, err
}

func (v *comparison) take(found client.Verification) {
	v.Peers, v.Differences = []compared{}, []difference{}
	for _, p := range found.Peers {
		v.Peers = append(v.Peers, compared(p))
	}
	for _, d := range found.Differences {
		x := difference{Peer: d.Peer, Site: d.Site, Table: d.Table, Key: showBytes(d.Key), Mine: rivalsOf(d.Mine), Theirs: rivalsOf(d.Theirs), Repaired: d.Repaired}
		if x.Table == "" {
			x.Table = tableOfTables
		}
		if len(d.Field) > 0 {
			f := showBytes(d.Field)
			x.Field = &f
		}
		v.Differences = append(v.Differences, x)
	}
}

func (v *comparison) result() result {
	r := result{value: v, above: "what " + string(v.Node) + " holds, compared with", table: grid.Table{Header: []string{"site", "node", "cells", "differ", "undecided", "problem"}}}
	for _, p := range v.Peers {
		r.table.Rows = append(r.table.Rows, []string{p.Site, string(p.Node), fmt.Sprint(p.Cells), fmt.Sprint(p.Differ), fmt.Sprint(p.Undecided), grid.Plain(p.Problem)})
	}
	r.below = tellDifferences(v.Differences)
	return r
}

// tellDifferences says of every cell what is held where.
func tellDifferences(ds []difference) (text string) {
	for i, d := range ds {
		if i > 0 {
			text += "\n"
		}
		m := meeting{Table: d.Table, Key: d.Key, Field: d.Field}
		text += grid.Plain(fmt.Sprintf("%s: here %s; at %s %s", m.place(), holds(d.Mine), d.Peer, holds(d.Theirs)))
		if d.Repaired {
			text += grid.Plain("; replaced")
		}
	}
	return text
}

// holds says what is held, for people.
func holds(rs []rival) string {
	if len(rs) == 0 {
		return "nothing"
	}
	return texts(rs)
}

// verdict is an error if something differs that should not, or was not compared.
func (v *comparison) verdict() error {
	differ, repaired := 0, 0
	for _, p := range v.Peers {
		if p.Problem != "" {
			return fmt.Errorf("%w, for all that is known: %s was not compared with", errDiffers, p.Node)
		}
		differ += p.Differ
	}
	for _, d := range v.Differences {
		if d.Repaired {
			repaired++
		}
	}
	if differ > repaired {
		return &hinted{fmt.Errorf("%w in %d cells", errDiffers, differ-repaired), "`triad verify --repair-from SITE`, at the leader of the site that is wrong, replaces them"}
	}
	return nil
}
