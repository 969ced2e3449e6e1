package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8/cwriter"

	"github.com/triad-kv/triad/internal/demo"
)

const topologySingleLeader = "single-leader"

func newDemo() *cobra.Command {
	c := &cobra.Command{
		Use:   "demo [single-leader]",
		Short: "Run a cluster on this machine, from the first write to a failover",
		Long: `Run a cluster of one leader and three followers on this machine, with real
directories and real sockets, and prove in eight phases that it does what it says.
Then the cluster stays up until Ctrl-C, and other commands of triad can be tried on
it. Exit code 4 if a check did not hold.`,
		Example: "  triad demo\n  triad demo --once --procs\n  triad demo --load $(go env GOROOT)/src",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 && args[0] != topologySingleLeader {
				return usagef("there is no demo %q; there is: %s", strings.Join(args, " "), topologySingleLeader)
			}
			return nil
		},
		ValidArgs: []string{topologySingleLeader},
	}
	var o demo.Options
	scenario := wordFlag(c, "scenario", "", "", "what is played; default tour, or load with --load", demo.ScenarioTour, demo.ScenarioLoad)
	c.Flags().StringVar(&o.Load, "load", "", "instead of the tour, write every file below this folder as a row, and compare")
	c.Flags().BoolVar(&o.Once, "once", false, "end after the scenario")
	c.Flags().BoolVar(&o.Procs, "procs", false, "run every node as a process of its own")
	c.Flags().StringVar(&o.Dir, "dir", "", "keep the nodes' directories here; default a temporary one, removed at the end")
	c.Flags().StringVar(&o.Cluster, "cluster", "triad", "name of the cluster")
	c.Flags().BoolVar(&o.Verbose, "verbose", false, "print what the nodes log, too")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		binary, err := os.Executable()
		if err != nil {
			return err
		}
		o.Scenario, o.Binary, o.Command = scenario.value, binary, spell(binary)
		o.Failover = failover(o.Cluster)
		o.Out, o.Err = cmd.OutOrStdout(), cmd.ErrOrStderr()
		o.Color, o.Terminal = isTerminal(o.Out) && os.Getenv("NO_COLOR") == "", isTerminal(o.Err)
		return demo.Run(cmd.Context(), o)
	}
	return c
}

// isTerminal reports whether a person looks at w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && cwriter.IsTerminal(int(f.Fd()))
}

// spell is how the reader can call this command: by its name if that finds it, by
// `go run` if the tool chain built it for one run in the folder of the module,
// else by its path.
func spell(binary string) string {
	if found, err := exec.LookPath("triad"); err == nil && sameFile(found, binary) {
		return "triad"
	}
	folder := filepath.ToSlash(binary)
	if slices.ContainsFunc(strings.Split(folder, "/"), func(s string) bool { return strings.HasPrefix(s, "go-build") }) {
		if _, err := os.Stat(filepath.Join("cmd", "triad", "main.go")); err == nil {
			return "go run ./cmd/triad"
		}
	}
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, binary); err == nil && !strings.HasPrefix(rel, "..") {
			return "." + string(filepath.Separator) + rel
		}
	}
	return binary
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}
