package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/admin"
	"github.com/triad-kv/triad/internal/demo/grid"
	"github.com/triad-kv/triad/internal/progress"
	"github.com/triad-kv/triad/topology"
)

// repaired is what a repair of all nodes came to, as it is shown.
type repaired struct {
	Nodes       []repairedNode `json:"nodes"`
	Differences []difference   `json:"differences"`
}

type repairedNode struct {
	Node      topology.NodeID `json:"node"`
	Parts     int             `json:"parts"`
	Reread    uint64          `json:"cells_reread"`
	Corrected int             `json:"sums_corrected"`
	Leaves    int             `json:"leaves_apart"`
	Differ    int             `json:"differ"`
	Mended    int             `json:"mended"`
	Unclear   int             `json:"unclear"`
	Undecided int             `json:"undecided"`
	Bytes     uint64          `json:"bytes_exchanged"`
	Problem   string          `json:"problem,omitempty"`
}

// repairing is what is asked of the command line.
type repairing struct {
	r      *remote
	o      client.RepairOptions
	reread bool
}

func newRepair() *cobra.Command {
	c := &cobra.Command{
		Use:   "repair [TABLE]",
		Short: "Compare what the replicas of each key hold, where nobody leads, and mend it",
		Long: `Have every node read again what it holds, and compare it with the other replicas of its
keys, while writes go on: sums of everything first, then of less and less where they
differ, at last cells. What is on its way is no difference. A cell that replicas hold
differently though they have applied the same is damage; it is mended where it is known
what it comes to: by a later write that one has and another not, by a value that is
younger than all that was deleted for good, or by more than half of the replicas.
Where none of these tells, --from names the node that is right.

Nodes do this by themselves, too, every topology.repair_every. The exit code is 4 if
something differs and was not mended, or a node could not be compared with.`,
		Example: "  triad repair\n  triad repair users --check\n  triad repair users --from b",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("%s takes one table, and %d were given", cmd.CommandPath(), len(args))
			}
			return nil
		},
	}
	p := repairing{r: remoteFlags(c)}
	p.r.attempts = 1
	flag := c.Flags().Lookup("timeout")
	p.r.timeout, flag.DefValue = repairTimeout, repairTimeout.String()
	from := c.Flags().String("from", "", "the node that is right where it is not known who is")
	c.Flags().BoolVar(&p.o.Check, "check", false, "change nothing, tell what differs")
	c.Flags().BoolVar(&p.reread, "reread", true, "have nodes read all they hold first; without, what a disk has lost since the last time is not seen")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if *from != "" && !topology.NodeID(*from).Valid() {
			return usagef("--from: %q is not a node's name", *from)
		}
		p.o.Tables, p.o.From = args, topology.NodeID(*from)
		v, err := p.run(cmd)
		if err != nil {
			return err
		}
		if err := p.r.show(cmd, v.result()); err != nil {
			return err
		}
		return v.verdict()
	}
	return c
}

const repairTimeout = time.Hour

// run has all nodes that answer do their share, part by part.
func (p *repairing) run(cmd *cobra.Command) (v repaired, err error) {
	err = p.r.with(cmd, func(ctx context.Context, c *client.Client) error {
		all, err := survey(ctx, c, p.r.endpoints)
		if err != nil {
			return err
		}
		v = repaired{Nodes: []repairedNode{}, Differences: []difference{}}
		reps := client.RepairsOf(c.Operator())
		w := cmd.ErrOrStderr()
		if err := p.prepare(ctx, w, reps, all, &v); err != nil {
			return err
		}
		total := 0
		for i := range v.Nodes {
			total += v.Nodes[i].Parts
		}
		bar := progress.New(w, isTerminal(w), "parts compared", total)
		defer bar.Done()
		for i, a := range all {
			for part := 1; part <= v.Nodes[i].Parts && v.Nodes[i].Problem == ""; part++ {
				o := p.o
				o.Part = part
				x, err := reps.Run(ctx, a.Addr, o)
				if err != nil {
					v.Nodes[i].Problem = err.Error()
					break
				}
				v.take(&v.Nodes[i], &x)
				bar.Add(1)
			}
		}
		return nil
	})
	return v, err
}

// prepare has all nodes read what they hold, and asks how many parts there are.
func (p *repairing) prepare(ctx context.Context, w io.Writer, reps client.Repairs, all []admin.Answer, v *repaired) error {
	what := "nodes asked"
	if p.reread {
		what = "nodes read again"
	}
	bar := progress.New(w, isTerminal(w), what, len(all))
	defer bar.Done()
	for _, a := range all {
		n := repairedNode{Node: a.Status.Node}
		if a.Err != nil {
			n.Node, n.Problem = topology.NodeID(a.Addr), a.Err.Error()
		} else {
			o := p.o
			o.Part, o.Reread = -1, p.reread
			x, err := reps.Run(ctx, a.Addr, o)
			if errors.Is(err, topology.ErrUnsupported) || errors.Is(err, topology.ErrNoTable) || errors.Is(err, topology.ErrMalformed) {
				return err // it is so at every node
			}
			if err != nil {
				n.Problem = err.Error()
			}
			n.Parts, n.Reread, n.Corrected = x.Parts, x.Reread, x.Corrected
		}
		v.Nodes = append(v.Nodes, n)
		bar.Add(1)
	}
	return nil
}

func (v *repaired) take(n *repairedNode, x *client.Repaired) {
	n.Leaves, n.Differ, n.Mended, n.Unclear, n.Bytes = n.Leaves+x.Leaves, n.Differ+x.Differ, n.Mended+x.Mended, n.Unclear+x.Unclear, n.Bytes+x.Bytes
	for _, p := range x.Peers {
		n.Undecided += p.Undecided
		if p.Problem != "" {
			n.Problem = string(p.Node) + ": " + p.Problem
		}
	}
	var c comparison
	c.take(x.Verification)
	v.Differences = append(v.Differences, c.Differences...)
}

func (v *repaired) result() result {
	r := result{value: v, table: grid.Table{Header: []string{"node", "parts", "cells read", "sums corrected", "differ", "mended", "unclear", "undecided", "bytes", "problem"}}}
	for _, n := range v.Nodes {
		r.table.Rows = append(r.table.Rows, []string{
			string(n.Node), fmt.Sprint(n.Parts), fmt.Sprint(n.Reread), fmt.Sprint(n.Corrected), fmt.Sprint(n.Differ), fmt.Sprint(n.Mended),
			fmt.Sprint(n.Unclear), fmt.Sprint(n.Undecided), fmt.Sprint(n.Bytes), grid.Plain(n.Problem),
		})
	}
	r.below = tellDifferences(v.Differences)
	return r
}

// verdict is an error if something is left that should not be.
func (v *repaired) verdict() error {
	left := 0
	for _, n := range v.Nodes {
		if n.Problem != "" {
			return fmt.Errorf("%w, for all that is known: %s was not compared: %s", errDiffers, n.Node, n.Problem)
		}
		left += n.Differ - n.Mended
	}
	if left > 0 {
		return &hinted{fmt.Errorf("%w in %d cells", errDiffers, left), "`triad repair --from NODE` has all hold what a node holds that you know to be right"}
	}
	return nil
}
