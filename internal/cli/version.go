package cli

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/internal/demo/grid"
)

// build is what the binary knows of itself.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Time     string `json:"time,omitempty"`
	Modified bool   `json:"modified,omitempty"` // built from a tree with changes that were not committed
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersion() *cobra.Command {
	c := &cobra.Command{Use: "version", Short: "Print the version of this binary", Args: exactly()}
	form := outputFlag(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		b := built()
		commit := b.Commit
		if b.Modified {
			commit += " and changes"
		}
		r := result{value: b, table: grid.Table{
			Header: []string{"version", "commit", "built from", "go", "platform"},
			Rows:   [][]string{{b.Version, commit, b.Time, b.Go, b.Platform}},
		}}
		return r.write(cmd.OutOrStdout(), form.value)
	}
	return c
}

// built reads what the tool chain wrote into the binary.
func built() build {
	b := build{Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	i, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if i.Main.Version != "" {
		b.Version = i.Main.Version
	}
	for _, s := range i.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}
