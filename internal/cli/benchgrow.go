package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/internal/bench"
	"github.com/triad-kv/triad/internal/bench/scenario"
)

// Limits of triad bench grow.
const (
	growKeysDefault = 1_000_000
	growTimeMin     = 10 * time.Millisecond
)

func newBenchGrow() *cobra.Command {
	c := &cobra.Command{
		Use:   "grow [AXIS]...",
		Short: "Measure what a write costs as the work grows",
		Long: `Measure what a write costs in bytes, syncs, messages and CPU, and how fast it is, as the
work grows along one axis after another: ` + strings.Join(bench.AxisNames(), ", ") + `. Of each figure it
says by which power it grows, and of clients where more of them bring no more, with a
profile of the CPU taken there. Without an AXIS it goes along all. An interrupted run
keeps what it has measured.`,
		Example:   "  triad bench grow\n  triad bench grow clients --repeats 5\n  triad bench grow keys --keys-max 10000000",
		ValidArgs: bench.AxisNames(),
	}
	o := bench.GrowOptions{}
	var out string
	c.Flags().StringVar(&out, "out", "triad-bench", "where the report goes")
	c.Flags().StringVar(&o.Dir, "dir", "", "where nodes keep their files meanwhile: the disk that is measured; default the system's place for such")
	c.Flags().IntVar(&o.Repeats, "repeats", 3, "how often each place is measured")
	c.Flags().DurationVar(&o.Time, "time", time.Second, "how long each run measures")
	c.Flags().IntVar(&o.Seed, "seed", 1, "of all that is drawn")
	c.Flags().IntVar(&o.KeysMax, "keys-max", growKeysDefault, "the most keys of the axis keys, up to 10000000")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		for _, name := range args {
			if !slices.Contains(bench.AxisNames(), name) {
				return usagef("%q is no axis; there are %s", name, strings.Join(bench.AxisNames(), ", "))
			}
		}
		switch {
		case o.Repeats < 1 || o.Repeats > scenario.RepeatsMax:
			return usagef("--repeats: %d: from 1 to %d", o.Repeats, scenario.RepeatsMax)
		case o.Time < growTimeMin || o.Time > scenario.TimeMax:
			return usagef("--time: %v: from %v to %v", o.Time, growTimeMin, scenario.TimeMax)
		}
		if o.Axes = args; len(args) == 0 {
			o.Axes = bench.AxisNames()
		}
		return runGrow(cmd, o, out)
	}
	return c
}

func runGrow(cmd *cobra.Command, o bench.GrowOptions, out string) error {
	ranBy(cmd, &o.Options)
	report, err := bench.Grow(cmd.Context(), o)
	if werr := bench.GrowthText(cmd.OutOrStdout(), report); werr != nil {
		return errors.Join(err, werr)
	}
	paths, werr := bench.SaveGrowth(report, out)
	tellPaths(cmd, paths)
	return errors.Join(err, werr)
}

// tellPaths says where a report is.
func tellPaths(cmd *cobra.Command, paths []string) {
	for _, path := range paths {
		if abs, err := filepath.Abs(path); err == nil {
			path = abs
		}
		_, _ = fmt.Fprintln(cmd.OutOrStdout(), path)
	}
}
