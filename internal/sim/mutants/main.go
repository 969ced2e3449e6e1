package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// options are the flags.
type options struct {
	run     string
	deep    bool
	verbose bool
	table   bool
	jobs    int
	limit   time.Duration
	doc     string
}

func main() {
	var o options
	flag.StringVar(&o.run, "run", "", "only mutants whose name or rule matches this pattern")
	flag.BoolVar(&o.deep, "deep", false, "what is named as deep must find them too")
	flag.BoolVar(&o.verbose, "v", false, "print what the tests said")
	flag.IntVar(&o.jobs, "jobs", runtime.NumCPU(), "how many at once")
	flag.DurationVar(&o.limit, "limit", time.Minute, "of one test with a mutant in it")
	flag.StringVar(&o.doc, "write", "", "where all were tried and caught, write the table into this `document`")
	flag.BoolVar(&o.table, "table", false, "try nothing, only bring the table up to date, as after a merge")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := mutate(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		stop()
		os.Exit(1)
	}
}

// mutate is the command.
func mutate(ctx context.Context, o options, out io.Writer) error {
	root, name, err := whereabouts(ctx)
	if err != nil {
		return err
	}
	all, err := read(filepath.Join(root, "internal", "sim", "mutants"))
	if err != nil {
		return err
	}
	if o.table {
		return write(filepath.Join(root, "docs", "testing.md"), all)
	}
	ms, err := pick(all, o.run)
	if err != nil {
		return err
	}
	if len(ms) == 0 {
		return fmt.Errorf("there is no such mutant among %d", len(all))
	}
	scratch, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	r := &runner{root: root, name: name, scratch: scratch, limit: o.limit, deep: o.deep}
	began := time.Now()
	if err := r.build(ctx, all, ms); err != nil {
		return err
	}
	fmt.Fprintf(out, "the tests are built with %d mutants in them, %v\n", len(all)-len(r.bins.alone), time.Since(began).Round(time.Second))
	began = time.Now()
	if err := r.baseline(ctx, ms, o.jobs); err != nil {
		return err
	}
	fmt.Fprintf(out, "the tests of %d mutants are green while all sleep, %v\n", len(ms), time.Since(began).Round(time.Second))
	if err := r.all(ctx, ms, o, out); err != nil {
		return err
	}
	if o.doc != "" && len(ms) == len(all) {
		return write(o.doc, all)
	}
	return nil
}

// pick returns the mutants whose name or rule matches.
func pick(all []mutant, run string) ([]mutant, error) {
	re, err := regexp.Compile(run)
	if err != nil {
		return nil, fmt.Errorf("-run: %w", err)
	}
	var picked []mutant
	for _, m := range all {
		if re.MatchString(m.name) || re.MatchString(m.rule) {
			picked = append(picked, m)
		}
	}
	return picked, nil
}

// all tries ms, some at once, and prints each as it ends, and the score. Those
// begin that wait long, or may take long.
func (r *runner) all(ctx context.Context, ms []mutant, o options, out io.Writer) error {
	ms = slices.Clone(ms)
	slices.SortStableFunc(ms, func(a, b mutant) int { return cmp.Compare(r.cost(b), r.cost(a)) })
	results := make(chan result)
	go func() {
		each(ctx, o.jobs, len(ms), func(i int, waits func()) {
			if ms[i].waits {
				waits()
			}
			results <- r.mutate(ctx, ms[i])
		})
		close(results)
	}()
	began, good, bad := time.Now(), 0, []error(nil)
	for res := range results {
		fmt.Fprintf(out, "%-8s %-12s %-40s %4.0fs  %s\n", res.verdict, res.rule, res.name, res.took.Seconds(), res.why)
		if o.verbose {
			fmt.Fprintln(out, indent(res.output))
		}
		if res.verdict.good() {
			good++
			continue
		}
		bad = append(bad, fmt.Errorf("%s %s (%s): %s\n%s", res.name, res.verdict, res.at, res.why, indent(last(res.output, 20))))
	}
	fmt.Fprintf(out, "%d of %d caught, %v\n", good, len(ms), time.Since(began).Round(time.Second))
	return errors.Join(append(bad, ctx.Err())...)
}

// last returns the last n lines of s.
func last(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func indent(s string) string { return "    " + strings.ReplaceAll(s, "\n", "\n    ") }

// whereabouts is the folder of the module that this command is run in, and what its
// root package is called.
func whereabouts(ctx context.Context) (dir, name string, err error) {
	b, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}\n{{.Path}}").Output()
	dir, name, found := strings.Cut(strings.TrimSpace(string(b)), "\n")
	if err != nil || !found {
		return "", "", fmt.Errorf("run it within the module: go list -m says %q (%v)", b, err)
	}
	return dir, path.Base(name), nil
}
