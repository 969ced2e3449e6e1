package cli

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8/cwriter"

	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/internal/demo"
)

func newDemo(controls []config.ControlKind) *cobra.Command {
	c := &cobra.Command{
		Use:   "demo [NAME|FILE]",
		Short: "Run a cluster on this machine, and prove what it says",
		Long: `Run a cluster on this machine, with real directories and real sockets, and prove
phase by phase that it does what it says. Then it stays up until Ctrl-C, and other
commands of triad can be tried on it. Exit code 4 if a check did not hold.

Ready clusters: ` + strings.Join(demo.Names(), ", ") + `.
A FILE describes one of your own: nodes, sites with delays between them, roles, the
policy, tables; examples/clusters holds those of the ready ones.`,
		Example: "  triad demo\n  triad demo geo-readers --once\n  triad demo ./cluster.yaml --procs\n  triad demo --load $(go env GOROOT)/src",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("%s takes one cluster, and %d were given: %s", cmd.CommandPath(), len(args), strings.Join(args, " "))
			}
			return nil
		},
		ValidArgs: demo.Names(),
	}
	var o demo.Options
	scenario := wordFlag(c, "scenario", "", "", "what is played; default the one that belongs to the cluster, or load with --load", demo.ScenarioNames()...)
	c.Flags().StringVar(&o.Load, "load", "", "instead of the tour, write every file below this folder as a row, and compare")
	c.Flags().BoolVar(&o.Once, "once", false, "end after the scenario")
	c.Flags().BoolVar(&o.Procs, "procs", false, "run every node as a process of its own")
	c.Flags().StringVar(&o.Dir, "dir", "", "keep the nodes' directories here; default a temporary one, removed at the end")
	c.Flags().StringVar(&o.Cluster, "cluster", "", "name of the cluster; default that of the file, or triad for a ready cluster")
	c.Flags().BoolVar(&o.Verbose, "verbose", false, "print what the nodes log, too")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		layout, err := demo.Find(strings.Join(args, ""), controls...)
		if err != nil {
			return err
		}
		binary, err := os.Executable()
		if err != nil {
			return err
		}
		o.Scenario, o.Binary, o.Command = scenario.value, binary, spell(binary)
		o.Layout, o.RESP = layout, demoRESP
		o.Failover = failover(layout.ClusterName(o.Cluster))
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
