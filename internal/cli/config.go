package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/internal/config/strict"
	"github.com/triad-kv/triad/internal/demo/grid"
)

func newConfig(files config.Reader) *cobra.Command {
	return parent("config", "Check and show configuration files", newConfigCheck(files), newConfigShow(files))
}

func newConfigCheck(files config.Reader) *cobra.Command {
	c := &cobra.Command{
		Use:   "check FILE...",
		Short: "Say what files of nodes and clusters would run, and what is wrong with them",
		Long: `Read configuration files, of a node or of a cluster, and say what each would run
and what is unsafe about it. It looks at the files alone, at no directory, port or
variable. Exit code 2 if one is refused; then all that is wrong with it is shown.`,
		Example: "  triad config check node.yaml\n  triad config check examples/clusters/*.yaml",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("%s wants a file; see `%s --help`", cmd.CommandPath(), cmd.CommandPath())
			}
			return nil
		},
	}
	form := outputFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		var taken []checked
		var refused strict.Refused
		for _, name := range args {
			text, err := readFile(cmd, name)
			if err != nil {
				return err
			}
			f, err := files.Read(fileName(name), text)
			var r *strict.Refused
			switch {
			case errors.As(err, &r):
				refused.Findings = append(refused.Findings, r.Findings...)
			case err != nil:
				return err
			default:
				taken = append(taken, checked{File: name, Runs: f.Describe(), Warnings: warningsOf(f.Warnings()), findings: f.Warnings()})
			}
		}
		err := showChecked(cmd.OutOrStdout(), form.value, taken)
		if len(refused.Findings) > 0 {
			err = errors.Join(&refused, err)
		}
		return err
	}
	return c
}

// checked is a file that was taken.
type checked struct {
	File     string        `json:"file"`
	Runs     []config.Line `json:"runs"`
	Warnings []warning     `json:"warnings,omitempty"`

	findings []strict.Finding
}

// warning is one thing that is taken and unsafe.
type warning struct {
	At  string `json:"at"`
	Key string `json:"key,omitempty"`
	Why string `json:"why"`
}

func warningsOf(fs []strict.Finding) (ws []warning) {
	for _, f := range fs {
		ws = append(ws, warning{At: f.At.String(), Key: f.Path, Why: f.Why})
	}
	return ws
}

// showChecked prints the files that were taken.
func showChecked(w io.Writer, form string, all []checked) error {
	if form != "table" {
		return (&result{value: all}).write(w, form)
	}
	for i, c := range all {
		t := grid.Table{Header: []string{"part", "as it would run"}, Indent: "  "}
		for _, l := range c.Runs {
			t.Rows = append(t.Rows, []string{l.What, l.Says})
		}
		var below strings.Builder
		for _, f := range c.findings {
			below.WriteString("warning: " + plain(f.Error()+"\n"+f.Excerpt()))
		}
		if i < len(all)-1 {
			below.WriteString("\n")
		}
		r := result{above: grid.Plain(c.File), table: t, below: strings.TrimSuffix(below.String(), "\n")}
		if err := r.write(w, form); err != nil {
			return err
		}
	}
	return nil
}

func newConfigShow(files config.Reader) *cobra.Command {
	c := &cobra.Command{
		Use:   "show -c FILE",
		Short: "Show every value of a node's configuration, and where it comes from",
		Long: `Show every value that a node would run with, and where it comes from: the file, a
variable, a flag, or nobody, which is the default. Secrets are not shown. With a file
of a cluster, its values. Exit code 2 if the configuration is refused.`,
		Example: "  triad config show -c node.yaml --listen-peers 127.0.0.1:7500",
		Args:    exactly(),
	}
	form := outputFlag(c)
	s := settingFlags(c, files)
	given := c.Flags().Bool("given", false, "without the defaults")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		f, err := s.any(cmd)
		if err != nil {
			return err
		}
		r := result{table: grid.Table{Header: []string{"key", "value", "from"}}}
		var shown []shownValue
		for _, v := range f.Values() {
			if *given && v.Origin.From == strict.Default {
				continue
			}
			shown = append(shown, shownValue{Key: v.Path, Value: v.Text, From: v.Origin.String()})
			r.table.Rows = append(r.table.Rows, []string{v.Path, v.Text, v.Origin.String()})
		}
		r.value = shown
		return r.write(cmd.OutOrStdout(), form.value)
	}
	return c
}

// shownValue is a value as `triad config show` shows it.
type shownValue struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	From  string `json:"from"`
}

// any reads the file, of whichever kind it is. What overrides it is of nodes
// alone.
func (s *settings) any(cmd *cobra.Command) (config.File, error) {
	if s.file == "" {
		n, _, err := s.node(cmd)
		return n, err
	}
	text, err := readFile(cmd, s.file)
	if err != nil {
		return nil, err
	}
	over, _, err := s.overrides(cmd.Root(), os.Environ())
	if err != nil {
		return nil, err
	}
	return s.files.Read(fileName(s.file), text, over...)
}

// readFile reads a configuration, never more of it than one may be long.
func readFile(cmd *cobra.Command, name string) ([]byte, error) {
	in := cmd.InOrStdin()
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, &usageError{fmt.Errorf("configuration: %w", err)}
		}
		defer func() { _ = f.Close() }() // it was only read
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, strict.FileBytesMax+1))
	if err != nil {
		return nil, &usageError{fmt.Errorf("configuration: %w", err)}
	}
	if text == nil {
		text = []byte{}
	}
	return text, nil
}

// fileName is how findings call a file.
func fileName(name string) string {
	if name == "-" {
		return "standard input"
	}
	return name
}
