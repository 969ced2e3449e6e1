package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/triad-kv/triad/internal/config"
)

func newRoot(controls ...config.ControlKind) *cobra.Command {
	files := config.Reader{Controls: controls}
	root := &cobra.Command{
		Use:   "triad",
		Short: "One write-ahead log, three ways to replicate it",
		Long: `One write-ahead log, three ways to replicate it.

Every flag can be set by the environment: TRIAD_ENDPOINTS sets --endpoints. A flag
that is given wins.

Exit codes: 0 done, 1 failed, 2 wrong command line or configuration, 3 nobody was
ready to answer, 4 a check did not hold.`,
		SilenceUsage:               true,
		SilenceErrors:              true,
		SuggestionsMinimumDistance: 2,
		Args:                       known,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return fromEnvironment(cmd.Flags(), os.LookupEnv)
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w; see `%s --help`", err, cmd.CommandPath())
	})
	root.AddCommand(
		newDemo(controls),
		newStatus(),
		newTable(),
		newGet(),
		newPut(),
		newDel(),
		newScan(),
		newWatch(),
		newSlot(),
		newFailover(),
		newSwitchover(),
		newMember(),
		newRing(),
		newLocate(),
		newHandoff(),
		newSite(),
		newGC(),
		newPause(),
		newResume(),
		newResolve(),
		newHistory(),
		newConflicts(),
		newCompare(),
		newRepair(),
		newWAL(),
		newRewound(),
		newVersion(),
		newNode(controls),
		newConfig(files),
		newServer(files),
		newCert(),
		newQuorum(),
		newBench(),
		newRestore(),
	)
	return root
}

// known refuses a word that is no subcommand, and names the nearest ones.
func known(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return usagef("there is no command %q; did you mean %s?", args[0], strings.Join(near, " or "))
	}
	return usagef("there is no command %q; see `%s --help`", args[0], cmd.CommandPath())
}

// parent makes a command that only holds others.
func parent(use, short string, children ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: known, SuggestionsMinimumDistance: 2, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	c.AddCommand(children...)
	return c
}

// fromEnvironment sets every flag that was not given and that the environment
// names.
func fromEnvironment(flags *pflag.FlagSet, lookup func(string) (string, bool)) error {
	var fault error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "help" || fault != nil || f.Annotations[keyOfFlag] != nil {
			return // a key of a file is read from the environment with the file
		}
		name := variable(f.Name)
		if v, ok := lookup(name); ok {
			if err := flags.Set(f.Name, v); err != nil {
				fault = usagef("environment: %s=%q: %w", name, v, err)
			}
		}
	})
	return fault
}

// variable is the environment's name of a flag.
func variable(flag string) string {
	return "TRIAD_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// oneOf is a flag that takes one of some words.
type oneOf struct {
	value string
	words []string
}

func (o *oneOf) String() string { return o.value }

func (o *oneOf) Type() string { return strings.Join(o.words, "|") }

func (o *oneOf) Set(s string) error {
	if !slices.Contains(o.words, s) {
		return fmt.Errorf("%q is none of %s", s, strings.Join(o.words, ", "))
	}
	o.value = s
	return nil
}

// complete offers the words of a flag to the shell.
func (o *oneOf) complete(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return o.words, cobra.ShellCompDirectiveNoFileComp
}

// wordFlag adds a flag that takes one of some words; value is its default.
func wordFlag(c *cobra.Command, name, short, value, usage string, words ...string) *oneOf {
	o := &oneOf{value: value, words: words}
	c.Flags().VarP(o, name, short, usage)
	_ = c.RegisterFlagCompletionFunc(name, o.complete) // it fails only where there is no such flag
	return o
}
