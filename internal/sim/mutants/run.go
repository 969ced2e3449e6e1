package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
	asleep   verdict = "is not run" // though a test went red
	broken   verdict = "does not compile"
	moved    verdict = "does not match"
)

func (v verdict) good() bool { return v == caught || v == hangs }

// runner tries mutants on the tree at root, which stays as it is.
type runner struct {
	root    string // of the module
	name    string // of the module: the last part of its path
	scratch string
	limit   time.Duration // of one run of a test, its building left out
	deep    bool
	bins    binaries
}

// result is one mutant's.
type result struct {
	mutant
	verdict verdict
	why     string // the tests that went red, or what is wrong
	output  string
	took    time.Duration
}

// commands are the arguments of go test that must go red for m, each with the
// package first.
func (r *runner) commands(m mutant) [][]string {
	if r.deep {
		return append(slices.Clone(m.tests), m.deep...)
	}
	return m.tests
}

// mutate tries one mutant: awake in the tests that hold all of them, or in a build
// of its own.
func (r *runner) mutate(ctx context.Context, m mutant) (res result) {
	began := time.Now()
	res = result{mutant: m}
	defer func() { res.took = time.Since(began) }()
	try := func(args []string) (string, bool, error) { return r.run(ctx, m.name, args...) }
	alone := r.bins.alone[m.name]
	if alone != "" {
		files, err := m.apply(r.root)
		if err == nil {
			var overlay string
			overlay, err = r.overlay(m.name, files)
			try = func(args []string) (string, bool, error) {
				out, err := r.test(ctx, args, "-overlay", overlay)
				return out, true, err // as it is the only one, and who calls it is the same
			}
		}
		if err != nil {
			res.verdict, res.why = moved, err.Error()
			return res
		}
	}
	var red []string
	for _, args := range r.commands(m) {
		out, reached, err := try(args)
		res.output += out
		v, tests := judge(out, err)
		if v.good() && !reached {
			v = asleep
		}
		if !v.good() {
			res.verdict, res.why = v, "go test "+strings.Join(args, " ")
			if v == survives && !reached {
				res.why += ", which does not run what it changes"
			}
			return res
		}
		if res.verdict != hangs {
			res.verdict = v
		}
		red = append(red, tests...)
	}
	res.why = strings.Join(red, " ")
	if alone != "" {
		res.why += " (a build of its own: " + alone + ")"
	}
	return res
}

// overlay writes files, and the list that the go command wants of what they
// replace, or are more.
func (r *runner) overlay(name string, files map[string]string) (string, error) {
	dir := filepath.Join(r.scratch, name)
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

// test builds and runs tests in one: for a mutant that needs a build of its own.
func (r *runner) test(ctx context.Context, args []string, more ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, r.limit+buildLimit)
	defer cancel()
	all := append([]string{"test", "-count=1", "-vet=off", "-failfast", "-timeout", r.limit.String()}, append(more, args...)...)
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
	case !errors.As(err, &exit), strings.Contains(out, "[build failed]"), strings.Contains(out, "[setup failed]"):
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
