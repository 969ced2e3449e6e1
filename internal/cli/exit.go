package cli

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/internal/config/strict"
	"github.com/triad-kv/triad/internal/demo"
	"github.com/triad-kv/triad/internal/demo/grid"
	"github.com/triad-kv/triad/internal/transport"
	"github.com/triad-kv/triad/topology"
)

// Exit codes.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2 // of the command line, the environment or a configuration
	exitNotReady = 3 // nobody could answer now; trying again may help
	exitCheck    = 4 // a check did not hold
)

// usageError is a fault of whoever typed the command.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }

func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// hinted is an error with what can be done about it.
type hinted struct {
	err  error
	hint string
}

func (e *hinted) Error() string { return e.err.Error() + "; " + e.hint }

func (e *hinted) Unwrap() error { return e.err }

// errDamaged says that what was verified is not whole.
var errDamaged = errors.New("damaged")

// codeOf returns the exit code of a command that ended with err.
func codeOf(err error) int {
	var usage *usageError
	var refused *strict.Refused
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage), errors.As(err, &refused), errors.Is(err, demo.ErrInput):
		return exitUsage
	case errors.Is(err, demo.ErrCheck), errors.Is(err, errDamaged), errors.Is(err, errDiffers):
		return exitCheck
	}
	for _, passing := range []error{
		topology.ErrUnavailable, topology.ErrTimeout, topology.ErrNotLeader, topology.ErrOverloaded, topology.ErrStale, topology.ErrClosed,
	} {
		if errors.Is(err, passing) {
			return exitNotReady
		}
	}
	return exitFailed
}

// explain is an error in one line that a terminal does not obey; a configuration
// that is refused is explained with its lines.
func explain(err error) string {
	if r := (*strict.Refused)(nil); errors.As(err, &r) {
		return strings.TrimSuffix(plain(r.Report()), "\n")
	}
	var parts []string
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); line != "" {
			parts = append(parts, line)
		}
	}
	return grid.Plain(strings.Join(parts, "; "))
}

// plain is text of several lines that a terminal does not obey.
func plain(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(grid.Plain(strings.TrimSuffix(line, "\n")) + "\n")
	}
	return b.String()
}

// advise adds to an error of a call what its reader can do.
func advise(err error) error {
	var dial *net.OpError
	var refusal *transport.Refusal
	var write *topology.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refusal) && refusal.Code == transport.RefusedClusterName:
		return &usageError{&hinted{err, "name its cluster with --cluster"}}
	case errors.As(err, &dial) && dial.Op == "dial":
		return &hinted{err, "start a cluster with `triad demo`, or name the nodes of one with --endpoints or TRIAD_ENDPOINTS"}
	case errors.As(err, &write) && write.Outcome == topology.Unknown && !write.Dot.IsZero() && write.Op != "resolve":
		return &hinted{err, fmt.Sprintf("`triad resolve %s` tells what became of it", writeName(write.Dot, write.Term))}
	case errors.Is(err, topology.ErrTimeout):
		return &hinted{err, "`triad status` shows who answers; --timeout waits longer"}
	case errors.Is(err, topology.ErrNoTable):
		return &hinted{err, "`triad table list` shows those there are, `triad table create` defines one"}
	case errors.Is(err, topology.ErrNotLeader), errors.Is(err, topology.ErrUnavailable):
		return &hinted{err, "`triad status` shows who leads; where nobody does, `triad failover --to NODE` makes a leader"}
	}
	return err
}

// exactly wants n arguments with those names.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		if len(names) == 0 {
			return usagef("%s takes no argument, and %q was given; see `%s --help`", cmd.CommandPath(), args[0], cmd.CommandPath())
		}
		return usagef("%s wants %s, and %d of %d were given; see `%s --help`",
			cmd.CommandPath(), strings.Join(names, " "), len(args), len(names), cmd.CommandPath())
	}
}
