package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/internal/bench"
	"github.com/triad-kv/triad/internal/bench/scenario"
	"github.com/triad-kv/triad/internal/config/strict"
)

const benchDefault = "quick"

func newBench() *cobra.Command {
	c := &cobra.Command{
		Use:   "bench [NAME|FILE]",
		Short: "Measure what each topology gives, costs and loses, side by side",
		Long: `Run a scenario on every subject it names, in turns, on this machine, and report
speed, staleness, anomalies, lost writes, what faults cost, and what an operation
takes. The report goes to a directory: JSON, and one page of HTML that needs no
network. An interrupted run keeps what it has measured. Exit code 4 if a promise was
broken.

Ready scenarios: ` + strings.Join(scenario.Names(), ", ") + `.
A FILE describes one of your own; benchmarks/scenarios holds those of the ready ones.`,
		Example: "  triad bench\n  triad bench wan-partition\n  triad bench -c ./scenario.yaml --repeats 5\n  triad bench compare before/report.json after/report.json",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("%s takes one scenario, and %d were given: %s", cmd.CommandPath(), len(args), strings.Join(args, " "))
			}
			return nil
		},
		ValidArgs: scenario.Names(),
	}
	var o bench.Options
	var file, out string
	c.Flags().StringVarP(&file, "config", "c", "", "the file of the scenario, instead of NAME")
	c.Flags().StringVar(&out, "out", "triad-bench", "where the report goes")
	c.Flags().StringVar(&o.Dir, "dir", "", "where nodes keep their files meanwhile: the disk that is measured; default the system's place for such")
	overrides := benchOverrides(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if file != "" && len(args) > 0 {
			return usagef("%q and --config %s are two scenarios", args[0], file)
		}
		if err := findScenario(&o, strings.Join(args, ""), file, overrides(cmd)); err != nil {
			return err
		}
		return runBench(cmd, o, out)
	}
	c.AddCommand(newBenchCompare(), newBenchShow(), newBenchGrow())
	return c
}

// benchOverrides adds flags for keys of a scenario that are often another for one run.
func benchOverrides(c *cobra.Command) func(cmd *cobra.Command) []strict.Override {
	keys := map[string]string{
		"repeats": "how often each is measured; default what the scenario says",
		"time":    "how long each run measures; default what the scenario says",
		"seed":    "of all that is drawn; default what the scenario says",
	}
	for key, usage := range keys {
		c.Flags().String(key, "", usage)
	}
	return func(cmd *cobra.Command) (all []strict.Override) {
		for key := range keys {
			if f := cmd.Flags().Lookup(key); f.Changed {
				all = append(all, strict.Override{Path: key, Text: f.Value.String(), Origin: strict.Origin{From: strict.Flag, Name: "--" + key}})
			}
		}
		return all
	}
}

// findScenario reads a ready scenario or a file.
func findScenario(o *bench.Options, name, file string, overrides []strict.Override) (err error) {
	if name == "" && file == "" {
		name = benchDefault
	}
	if file == "" {
		o.Name = name
		if o.Scenario, o.Text, err = scenario.Ready(name, overrides...); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		file = name
	}
	o.Name = file
	o.Text, err = os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && file == name:
		why := fmt.Sprintf("there is no scenario %q, nor such a file", name)
		if near := strict.Nearest(name, scenario.Names()); near != "" {
			return usagef("%s; did you mean %s?", why, near)
		}
		return usagef("%s; ready ones are %s", why, strings.Join(scenario.Names(), ", "))
	case err != nil:
		return usagef("%w", err)
	}
	o.Scenario, err = scenario.Read(file, o.Text, overrides...)
	return err
}

// commit is what the binary was built from; where the tool chain has not noted it, as in
// a `go run`, that of the module in the working directory. Empty if neither is known.
func commit(ctx context.Context) string {
	b := built()
	if b.Commit == "" {
		if _, err := os.Stat(filepath.Join("cmd", "triad", "main.go")); err != nil {
			return ""
		}
		head, err := exec.CommandContext(ctx, "git", "rev-parse", "HEAD").Output()
		if err != nil {
			return "" // no git, or no repository
		}
		changed, err := exec.CommandContext(ctx, "git", "status", "--porcelain", "--untracked-files=no").Output()
		b.Commit, b.Modified = strings.TrimSpace(string(head)), err != nil || len(changed) > 0
	}
	if b.Modified {
		return b.Commit + " and changes"
	}
	return b.Commit
}

// ranBy notes what was asked for, and by whom the report is read.
func ranBy(cmd *cobra.Command, o *bench.Options) {
	o.Commit = commit(cmd.Context())
	o.Command = strings.Join(append([]string{"triad"}, os.Args[1:]...), " ")
	o.Err = cmd.ErrOrStderr()
	o.Terminal = isTerminal(o.Err)
}

func runBench(cmd *cobra.Command, o bench.Options, out string) error {
	ranBy(cmd, &o)
	report, err := bench.Run(cmd.Context(), o)
	if werr := bench.Text(cmd.OutOrStdout(), report); werr != nil {
		return errors.Join(err, werr)
	}
	paths, werr := bench.Save(report, out)
	tellPaths(cmd, paths)
	return errors.Join(err, werr)
}
