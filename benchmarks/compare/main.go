package compare

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
)

// The words with which this program starts itself.
const (
	verbHost  = "host"
	verbChild = "child"
)

// Exit codes, as the commands of the house have them.
const (
	exitFailed = 1
	exitUsage  = 2
)

// Main is all of a benchmark's main function: it reads the arguments behind the
// program's name, measures, reports, and returns the exit code. The program
// starts itself again, and must then come here with the arguments it got.
func Main(args []string, subjects ...Subject) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if IsChild(args) {
		return serve(ctx, subjects, args[0], args[1], args[2:])
	}
	var names []string
	for _, s := range subjects {
		names = append(names, s.Name())
	}
	o, err := parse(args, names, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return exitUsage
	}
	if err := o.leaveOut(subjects, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitFailed
	}
	if err := run(ctx, o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitFailed
	}
	return 0
}

// leaveOut drops what is not on this machine, says why, and notes what the others promise.
func (o *Options) leaveOut(subjects []Subject, out io.Writer) error {
	o.promises = map[string]string{}
	o.Subjects = slices.DeleteFunc(o.Subjects, func(name string) bool {
		s := subjects[slices.IndexFunc(subjects, func(s Subject) bool { return s.Name() == name })]
		if p, ok := s.(Promiser); ok {
			o.promises[name] = p.Promise()
		}
		i, ok := s.(Installer)
		if !ok {
			return false
		}
		err := i.Installed()
		if err != nil {
			fmt.Fprintf(out, "%s is left out: %v\n", name, err)
			o.leftOut = append(o.leftOut, fmt.Sprintf("%s: %v", name, err))
		}
		return err != nil
	})
	if len(o.Subjects) == 0 {
		return errors.New("nothing that was asked for is on this machine")
	}
	return nil
}

// IsChild reports whether these arguments are those of a program that has
// started itself. Test binaries ask, and then go to Main.
func IsChild(args []string) bool {
	return len(args) > 1 && (args[0] == verbHost || args[0] == verbChild)
}

// serve is Main in a process that this program has started.
func serve(ctx context.Context, subjects []Subject, verb, name string, args []string) int {
	i := slices.IndexFunc(subjects, func(s Subject) bool { return s.Name() == name })
	var err error
	switch {
	case i < 0:
		err = fmt.Errorf("no subject %q", name)
	case verb == verbChild:
		err = serveChild(ctx, subjects[i], args, os.Stdin, os.Stdout)
	case len(args) != 1:
		err = fmt.Errorf("a host needs a folder, not %q", args)
	default:
		err = serveHost(ctx, subjects[i], args[0], os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s %s: %v\n", verb, name, err)
		return exitFailed
	}
	return 0
}

// run brings every subject up and lets them take turns.
func run(ctx context.Context, o Options, out, progress io.Writer) (err error) {
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "triad-bench-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		o.Dir = dir
	}
	if o.Profile != "" {
		if err := os.MkdirAll(o.Profile, 0o755); err != nil {
			return err
		}
	}
	var hosts []*host
	defer func() {
		for _, h := range hosts {
			err = errors.Join(err, h.close())
		}
	}()
	for _, name := range o.Subjects {
		dir := filepath.Join(o.Dir, name)
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		fmt.Fprintf(progress, "starting %s\n", name)
		h, err := startHost(name, dir)
		if err != nil {
			return err
		}
		hosts = append(hosts, h)
	}
	cells, err := turns(ctx, o, hosts, progress)
	if err != nil {
		return err
	}
	return report(o, cells, out)
}

// turns measures every cell: in each round every number of writers, and for
// each number every subject in turn, each round starting with another.
func turns(ctx context.Context, o Options, hosts []*host, progress io.Writer) ([]Cell, error) {
	var cells []Cell
	for round := range o.Rounds {
		for _, writers := range o.Writers {
			for i := range hosts {
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				h := hosts[(i+round)%len(hosts)]
				c, err := h.measure(order{
					Op: o.Op, Round: round + 1, Writers: writers, Keys: o.KeyCount, Value: o.Value,
					Rate: o.Rate, Warm: o.Warm, Time: o.Time, Quiet: o.Quiet, Seed: o.Seed, Profile: o.profileOf(h.name, writers, round+1),
				})
				if err != nil {
					return nil, err
				}
				cells = append(cells, c)
				fmt.Fprintf(progress, "round %d, %3d %s, %-10s %9.0f %s/s, p50 %6.0f µs, p99 %6.0f µs, others %.2f cores\n",
					c.Round, c.Writers, o.clients(), c.Subject, c.PerSecond, o.many(), c.P50, c.P99, c.Foreign)
			}
		}
	}
	return cells, nil
}
