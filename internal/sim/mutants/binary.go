package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// binaries are the tests of several packages, each built with every mutant in it.
type binaries struct {
	cloth
	dir  string
	paid map[test]time.Duration // with no mutant awake
}

// test is one test, and what it is run with but for -run.
type test struct{ with, name string }

// weaves is how often the mutants are woven, each time without those that the
// compiler refused the time before, which then get a build of their own.
const weaves = 4

// build weaves all mutants into the tree, and builds the tests that ms name. All,
// so that what is built is the same whichever are tried, and is built but once.
func (r *runner) build(ctx context.Context, all, ms []mutant) error {
	dir := filepath.Join(r.scratch, "tests")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var alone map[string]string
	var out string
	for range weaves {
		c, err := weave(r.root, all, alone)
		if err != nil {
			return err
		}
		overlay, err := r.overlay("woven", c.files)
		if err != nil {
			return err
		}
		if out, err = r.compile(ctx, overlay, dir, r.packages(ms)); err == nil {
			r.bins = binaries{cloth: c, dir: dir, paid: map[test]time.Duration{}}
			return nil
		}
		names := blamed(out, all)
		if len(names) == 0 {
			return fmt.Errorf("the tests do not compile with the mutants in them:\n%s", last(out, 40))
		}
		alone = maps.Clone(c.alone)
		for _, name := range names {
			alone[name] = "it does not compile beside the others"
		}
	}
	return fmt.Errorf("%d times mutants that do not compile were left out, and more come:\n%s", weaves, last(out, 40))
}

// packages lists the packages whose tests ms name.
func (r *runner) packages(ms []mutant) []string {
	var pkgs []string
	for _, m := range ms {
		for _, args := range r.commands(m) {
			pkgs = append(pkgs, args[0])
		}
	}
	slices.Sort(pkgs)
	return slices.Compact(pkgs)
}

// compile builds the tests of pkgs into dir. Those whose folders have one name can
// not be built by one command.
func (r *runner) compile(ctx context.Context, overlay, dir string, pkgs []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, buildLimit)
	defer cancel()
	for len(pkgs) > 0 {
		var now, later []string
		taken := map[string]bool{}
		for _, p := range pkgs {
			name := path.Base(p)
			if taken[name] {
				later = append(later, p)
				continue
			}
			taken[name] = true
			now = append(now, p)
		}
		pkgs = later
		into := filepath.Join(dir, "built")
		cmd := exec.CommandContext(ctx, "go", append([]string{
			"test", "-c", "-vet=off", "-ldflags=-s -w", "-gcflags=-e", "-overlay", overlay, "-o", into + string(filepath.Separator)}, now...)...)
		cmd.Dir = r.root
		if out, err := cmd.CombinedOutput(); err != nil {
			return string(out), err
		}
		for _, p := range now {
			name := path.Base(p)
			if p == "." {
				name = r.name
			}
			from := filepath.Join(into, name+".test")
			if _, err := os.Stat(from); err != nil {
				continue // the package has no tests, as whoever runs them will say
			}
			if err := os.Rename(from, filepath.Join(dir, file(p))); err != nil {
				return "", err
			}
		}
	}
	return "", nil
}

// file is the name of a package's tests.
func file(pkg string) string {
	return strings.ReplaceAll(strings.TrimPrefix(pkg, "./"), "/", "+") + ".test"
}

// run runs tests of a package with one mutant awake, or with none, and reports
// whether what it changes was run.
func (r *runner) run(ctx context.Context, awake string, args ...string) (out string, reached bool, err error) {
	dir, err := os.MkdirTemp(r.scratch, "run")
	if err != nil {
		return "", false, err
	}
	defer os.RemoveAll(dir)
	mark, tmp := filepath.Join(dir, "mark"), filepath.Join(dir, "t")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		return "", false, err
	}
	// The limit is for the test to keep; this one is for a test that does not come to it.
	ctx, cancel := context.WithTimeout(ctx, r.limit+r.limit/2)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(r.bins.dir, file(args[0])), r.flags(args)...)
	cmd.Dir = filepath.Join(r.root, filepath.FromSlash(args[0]))
	cmd.Env = append(cmd.Environ(), awakeEnv+"="+awake, markEnv+"="+mark, "TMPDIR="+tmp)
	cmd.WaitDelay = 5 * time.Second
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	err = cmd.Run()
	_, unmarked := os.Stat(mark)
	return b.String(), unmarked == nil, err
}

// flags are those of a test that is run by hand for arguments of go test.
func (r *runner) flags(args []string) []string {
	flags := []string{"-test.paniconexit0", "-test.failfast", "-test.timeout=" + r.limit.String()}
	if r.draws(args) {
		// What a mutant fails by is nobody's regression test, and nobody reads it.
		flags = append(flags, "-rapid.nofailfile", "-rapid.shrinktime=0s")
	}
	for _, arg := range args[1:] {
		if arg == "-run" {
			arg = "-test.run"
		}
		flags = append(flags, arg)
	}
	return flags
}

// baseline runs everything that ms name with no mutant awake: all tests that are
// named of one package at once, parts of tests each for itself. So it is known that what goes red does so by the mutant, and
// about how long each test takes.
func (r *runner) baseline(ctx context.Context, ms []mutant, jobs int) error {
	type run struct {
		rest  []string // arguments but -run
		names []string
	}
	by := map[string]*run{}
	var order []string
	for _, m := range ms {
		for _, args := range r.commands(m) {
			rest, name := withoutRun(args)
			key := strings.Join(rest, " ")
			if strings.Contains(name, "/") {
				key += " -run " + name
			}
			if by[key] == nil {
				by[key] = &run{rest: rest}
				order = append(order, key)
			}
			if !slices.Contains(by[key].names, name) {
				by[key].names = append(by[key].names, name)
			}
		}
	}
	errs, outs := make([]error, len(order)), make([]string, len(order))
	each(ctx, jobs, len(order), func(i int, _ func()) {
		b := by[order[i]]
		args := b.rest
		if !slices.Contains(b.names, "") {
			args = append(slices.Clone(b.rest), "-run", strings.Join(b.names, "|"))
		}
		out, _, err := r.run(ctx, "", append(slices.Clone(args), "-test.v")...)
		var exit *exec.ExitError
		switch {
		case errors.Is(err, os.ErrNotExist), strings.Contains(out, "no tests to run"):
			errs[i] = fmt.Errorf("go test %s runs no test", strings.Join(args, " "))
		case errors.As(err, &exit):
			errs[i] = fmt.Errorf("go test %s is red without a mutant in it:\n%s", strings.Join(args, " "), last(out, 60))
		case err != nil:
			errs[i] = fmt.Errorf("go test %s: %w", strings.Join(args, " "), err)
		}
		outs[i] = out
	})
	for i, out := range outs {
		for _, took := range passed.FindAllStringSubmatch(out, -1) {
			t := test{strings.Join(by[order[i]].rest, " "), took[1]}
			d, _ := time.ParseDuration(took[2])
			r.bins.paid[t] = max(d, r.bins.paid[t])
		}
	}
	return errors.Join(errs...)
}

var passed = regexp.MustCompile(`(?m)^--- PASS: (\S+) \((\S+)\)$`)

// cost is about how long the tests of m take if they find nothing.
func (r *runner) cost(m mutant) (sum time.Duration) {
	switch {
	case m.waits:
		return 2 * buildLimit
	case r.bins.alone[m.name] != "":
		return buildLimit
	}
	for _, args := range r.commands(m) {
		rest, run := withoutRun(args)
		run, _, _ = strings.Cut(run, "/")
		named, err := regexp.Compile(run)
		for t, took := range r.bins.paid {
			if err == nil && t.with == strings.Join(rest, " ") && named.MatchString(t.name) {
				sum += took
			}
		}
	}
	return sum
}
