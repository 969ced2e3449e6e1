// Package cli is the command triad: it runs, shows and operates Triad clusters.
// A program is a main function that calls [Main], with the controls that its files may
// name besides those that every binary has.
//
//	triad demo                       a cluster on this machine, from the first write to a failover
//	triad bench                      what each topology gives, costs and loses, side by side
//	triad server -c node.yaml        one node, from a file; triad config check says what it would run
//	triad status                     who leads, and who has what
//	triad put users 1001 '{…}'       and get, del, scan
//	triad failover --to standby-1    make a node the leader, by hand
//	triad wal verify DIR             check every sum of a log that nobody has open
//
// Results go to standard output, in the form that --output names; progress, logs
// and errors go to standard error. An error is one line that says where and what
// to do. Every flag can be set by the environment, as TRIAD_ENDPOINTS sets
// --endpoints; a flag that is given wins.
//
// Exit codes: 0 done, 1 failed, 2 a wrong command line or configuration, 3 nobody
// was ready to answer: to be tried again, 4 a check did not hold.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/triad-kv/triad/internal/config"
)

// Main runs the command that the process was started with, and ends the process
// with its exit code. Files of nodes and clusters may name the controls. It takes the process's signals: the first one ends the
// command in order, the next one at once.
func Main(controls ...config.ControlKind) {
	// A reader that goes away is an error of a write, so that a demo whose output
	// nobody reads any more still ends its nodes.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the next one ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, controls...))
}

// run is the whole command: it returns the exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer, controls ...config.ControlKind) int {
	root := newRoot(controls...)
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	if err != nil && !errors.Is(err, syscall.EPIPE) {
		_, _ = fmt.Fprintln(errs, "triad: "+explain(err)) // there is nowhere else to say it
	}
	return codeOf(err)
}
