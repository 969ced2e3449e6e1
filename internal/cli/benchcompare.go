package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/internal/bench"
	measured "github.com/triad-kv/triad/internal/bench/result"
	"github.com/triad-kv/triad/internal/demo/grid"
)

func newBenchCompare() *cobra.Command {
	c := &cobra.Command{
		Use:   "compare OLD NEW",
		Short: "Hold two reports against one another, and say which differences are more than chance",
		Long: `Hold two reports against one another: of each figure both medians, how far the runs
lie apart, the ratio, and p, the probability that runs of one and the same thing differ
as much by chance (Mann-Whitney U test, two-sided). Below 0.05 it is called a
difference; the others show ~. Each report needs four runs of a kind or more for that.`,
		Example: "  triad bench compare before/report.json after/report.json",
		Args:    exactly("OLD", "NEW"),
	}
	form := outputFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		before, err := measured.Read(args[0])
		after, err2 := measured.Read(args[1])
		if err := errors.Join(err, err2); err != nil {
			return &usageError{err}
		}
		changes := measured.Compare(before, after)
		if len(changes) == 0 {
			return usagef("%s and %s have no subject and workload in common", args[0], args[1])
		}
		r := benchCompared(changes)
		return r.write(cmd.OutOrStdout(), form.value)
	}
	return c
}

// benchCompared shows changes as a table.
func benchCompared(changes []measured.Change) result {
	t := grid.Table{Header: []string{"work", "subject", "figure", "old", "±", "new", "±", "ratio", "p", "runs"}}
	for _, c := range changes {
		ratio := "~"
		if c.Significant() {
			ratio = fmt.Sprintf("%.2f", c.Ratio)
		}
		t.Rows = append(t.Rows, []string{
			c.Workload, c.Subject, c.What, fmt.Sprintf("%.4g", c.Old), fmt.Sprintf("%.0f%%", 100*c.OldSpread),
			fmt.Sprintf("%.4g", c.New), fmt.Sprintf("%.0f%%", 100*c.NewSpread), ratio, fmt.Sprintf("%.3f", c.P), fmt.Sprintf("%d+%d", c.OldRuns, c.NewRuns),
		})
	}
	return result{value: changes, table: t}
}

func newBenchShow() *cobra.Command {
	c := &cobra.Command{
		Use:     "show REPORT",
		Short:   "Show a report that was written before",
		Example: "  triad bench show triad-bench/report.json",
		Args:    exactly("REPORT"),
	}
	form := wordFlag(c, "form", "", "text", "text, or markdown as benchmarks/RESULTS.md has it", "text", "markdown")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := measured.Read(args[0])
		if err != nil {
			return &usageError{err}
		}
		if form.value == "markdown" {
			return bench.Markdown(cmd.OutOrStdout(), r)
		}
		return bench.Text(cmd.OutOrStdout(), r)
	}
	return c
}
