package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// verdict is what became of a mutant.
type verdict string

const (
	caught   verdict = "caught"
	hangs    verdict = "hangs" // until the time limit: caught, and a bad answer
	survives verdict = "SURVIVES"
	broken   verdict = "does not compile"
	moved    verdict = "does not match"
)

func (v verdict) good() bool { return v == caught || v == hangs }

// runner runs tests over a tree with a file or two replaced.
type runner struct {
	root    string // of the module
	scratch string
	limit   time.Duration // of one go test, its building left out
	deep    bool
}

// result is one mutant's.
type result struct {
	mutant
	verdict verdict
	why     string // the tests that went red, or what is wrong
	output  string
	took    time.Duration
}

// mutate tries one mutant.
func (r *runner) mutate(ctx context.Context, m mutant) (res result) {
	began := time.Now()
	res = result{mutant: m}
	defer func() { res.took = time.Since(began) }()
	overlay, err := r.overlay(m)
	if err != nil {
		res.verdict, res.why = moved, err.Error()
		return res
	}
	commands := m.tests
	if r.deep {
		commands = append(slices.Clone(m.tests), m.deep...)
	}
	var red []string
	for _, args := range commands {
		out, err := r.test(ctx, args, "-overlay", overlay)
		res.output += out
		v, tests := judge(out, err)
		if !v.good() {
			res.verdict, res.why = v, "go test "+strings.Join(args, " ")
			return res
		}
		if res.verdict != hangs {
			res.verdict = v
		}
		red = append(red, tests...)
	}
	res.why = strings.Join(red, " ")
	return res
}

// overlay writes the changed files, and the list that go test wants of them.
func (r *runner) overlay(m mutant) (string, error) {
	files, err := m.apply(r.root)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(r.scratch, m.name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	list := struct{ Replace map[string]string }{map[string]string{}}
	for path, text := range files {
		to := filepath.Join(dir, strings.ReplaceAll(path, "/", "+"))
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			return "", err
		}
		list.Replace[filepath.Join(r.root, filepath.FromSlash(path))] = to
	}
	b, err := json.Marshal(list)
	if err != nil {
		return "", err
	}
	to := filepath.Join(dir, "overlay.json")
	return to, os.WriteFile(to, b, 0o600)
}

// buildLimit is what a build may take on top of the tests.
const buildLimit = 10 * time.Minute

// plain has our own packages compiled without optimisation, which is most of what a
// mutant costs: half as long for a package and its test. What others wrote stays as
// it is everywhere else, and cached.
const plain = "-gcflags=github.com/triad-kv/triad/...=-N -l"

func (r *runner) test(ctx context.Context, args []string, more ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, r.limit+buildLimit)
	defer cancel()
	all := append([]string{"test", "-count=1", "-vet=off", "-failfast", plain, "-timeout", r.limit.String()}, append(more, args...)...)
	if r.draws(args) {
		all = append(all, "-rapid.nofailfile") // what a mutant fails by is nobody's regression test
	}
	cmd := exec.CommandContext(ctx, "go", all...)
	cmd.Dir = r.root
	cmd.WaitDelay = 5 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// draws reports whether a package that is tested knows the flags of rapid.
func (r *runner) draws(args []string) bool {
	for _, pkg := range args {
		dir, ok := strings.CutPrefix(pkg, "./")
		if !ok {
			continue
		}
		files, _ := filepath.Glob(filepath.Join(r.root, filepath.FromSlash(dir), "*_test.go"))
		for _, f := range files {
			if b, err := os.ReadFile(f); err == nil && bytes.Contains(b, []byte(`"pgregory.net/rapid"`)) {
				return true
			}
		}
	}
	return false
}

var failed = regexp.MustCompile(`(?m)^--- FAIL: (\S+)`)

// judge reads what a go test said with a mutant in it.
func judge(out string, err error) (v verdict, red []string) {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return survives, nil
	case !errors.As(err, &exit), strings.Contains(out, "[build failed]"), strings.Contains(out, "[setup failed]"), !strings.Contains(out, "FAIL"):
		return broken, nil
	}
	for _, f := range failed.FindAllStringSubmatch(out, -1) {
		red = append(red, f[1])
	}
	if strings.Contains(out, "panic: test timed out after") {
		return hangs, red
	}
	if len(red) == 0 {
		red = []string{"a panic, or an exit, of the test"}
	}
	return caught, red
}

// baseline runs everything that ms name over the tree as it is: all that is
// named of one package at once.
func (r *runner) baseline(ctx context.Context, ms []mutant) error {
	type run struct {
		rest  []string // arguments but the package and -run
		names []string
	}
	by := map[string]*run{}
	var order []string
	for _, m := range ms {
		commands := m.tests
		if r.deep {
			commands = append(slices.Clone(m.tests), m.deep...)
		}
		for _, args := range commands {
			rest, name := withoutRun(args)
			key := strings.Join(rest, " ")
			if by[key] == nil {
				by[key] = &run{rest: rest}
				order = append(order, key)
			}
			if !slices.Contains(by[key].names, name) {
				by[key].names = append(by[key].names, name)
			}
		}
	}
	var errs []error
	for _, key := range order {
		b := by[key]
		args := b.rest
		if !slices.Contains(b.names, "") {
			args = append(slices.Clone(b.rest), "-run", either(b.names))
		}
		switch out, err := r.test(ctx, args); {
		case err != nil:
			errs = append(errs, fmt.Errorf("go test %s is red without a mutant in it:\n%s", strings.Join(args, " "), out))
		case strings.Contains(out, "[no tests to run]"), strings.Contains(out, "[no test files]"):
			errs = append(errs, fmt.Errorf("go test %s runs no test", strings.Join(args, " ")))
		}
	}
	return errors.Join(errs...)
}

// withoutRun takes the pattern of -run out of the arguments of go test.
func withoutRun(args []string) (rest []string, run string) {
	for i := 0; i < len(args); i++ {
		if args[i] == "-run" && i+1 < len(args) {
			run = args[i+1]
			i++
			continue
		}
		rest = append(rest, args[i])
	}
	return rest, run
}

// either is a pattern for -run that matches what one of names does. Those that
// reach for a part of a test (with a slash) are cut to the test.
func either(names []string) string {
	var all []string
	for _, n := range names {
		n, _, _ = strings.Cut(n, "/")
		all = append(all, n)
	}
	return strings.Join(all, "|")
}
