// Package bench is the harness: it runs a scenario over every subject, in turns, and
// writes down what that gives, costs and loses.
//
// A run is one kind of work on one subject: new nodes in an empty directory, load that
// warms up and is then measured, sessions beside it whose every operation is judged,
// faults by the clock, and a look at what all nodes hold once they have converged.
// Repeats go over all subjects before any is measured again, so that what else the
// machine does meanwhile falls on all alike: A B A B.
//
// What stands between the load and the nodes is told in [world], what is measured in
// [gauge], what is judged in [probe] and [work], and what a report holds in [result].
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/triad-kv/triad/internal/bench/machine"
	"github.com/triad-kv/triad/internal/bench/page"
	"github.com/triad-kv/triad/internal/bench/result"
	"github.com/triad-kv/triad/internal/bench/scenario"
	"github.com/triad-kv/triad/internal/bench/world"
	"github.com/triad-kv/triad/internal/demo"
	"github.com/triad-kv/triad/internal/progress"
)

// Options say what is run, and where its results go.
type Options struct {
	Scenario *scenario.Scenario
	Name     string // of the scenario, or of its file
	Text     []byte // of that
	Command  string // that was typed
	Commit   string // that the binary was built from; empty if not known
	Dir      string // where nodes keep their files meanwhile; empty: the system's place for such
	Err      io.Writer
	Terminal bool   // Err is one
	Binary   string // triad, of nodes that are processes; default this program
}

// Run runs a scenario. It always returns a report: one that is partial if ctx ended or
// something failed, with what had been measured by then. [demo.ErrCheck] is within the
// error of a run that found what a promise forbids, or did not find what it was to find.
func Run(ctx context.Context, o Options) (*result.Report, error) {
	b := &bench{o: o, report: result.Report{
		Format: result.Format, Scenario: o.Name, About: o.Scenario.About, Text: string(o.Text), Command: o.Command, Commit: o.Commit,
		Machine: machine.Name(), Cores: runtime.NumCPU(), Go: runtime.Version(), Began: time.Now().UTC().Truncate(time.Second), Seed: o.Scenario.Seed,
	}}
	for _, f := range o.Scenario.Faults {
		b.report.Faults = append(b.report.Faults, result.Fault{
			Name: f.Name, Do: string(f.Do), Who: f.Who, At: time.Duration(f.At).Seconds(), For: time.Duration(f.For).Seconds(),
		})
	}
	began, busy, own := time.Now(), machine.Busy(), machine.CPU()
	err := b.all(ctx)
	b.report.Took = time.Since(began).Seconds()
	b.report.Foreign = max(machine.Busy()-busy-(machine.CPU()-own), 0) / b.report.Took
	b.check()
	if err == nil && len(b.report.Checks) > 0 {
		var what []string
		for _, c := range b.report.Checks[:min(len(b.report.Checks), checksNamed)] {
			what = append(what, c.What)
		}
		if more := len(b.report.Checks) - len(what); more > 0 {
			what = append(what, fmt.Sprintf("and %d more", more))
		}
		err = fmt.Errorf("%w: %s", demo.ErrCheck, strings.Join(what, "; "))
	}
	return &b.report, err
}

// checksNamed is how many checks an error names; the report has all.
const checksNamed = 3

type bench struct {
	o      Options
	report result.Report
}

// all does every run, in turns.
func (b *bench) all(ctx context.Context) (err error) {
	s := b.o.Scenario
	var subjects []scenario.Variant
	for _, v := range s.Variants() {
		if err := world.Available(v); err != nil {
			if !slices.Contains(b.report.LeftOut, err.Error()) {
				b.report.LeftOut = append(b.report.LeftOut, err.Error())
			}
			continue
		}
		subjects = append(subjects, v)
		for _, w := range s.Workloads {
			b.report.Cells = append(b.report.Cells, result.Cell{
				Subject: v.Name, Topology: string(v.Topology), Workload: w.Name, Kind: w.Kind, Promise: v.Promise(), Read: string(v.Read), OpenLoop: w.Rate > 0, Disks: v.Durable(s.Voters(v)), Via: far(v.Via),
			})
		}
	}
	if len(subjects) == 0 {
		return fmt.Errorf("nothing to measure: %s", strings.Join(b.report.LeftOut, "; "))
	}
	dir, err := os.MkdirTemp(b.o.Dir, "triad-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	total := s.Repeats * len(b.report.Cells)
	bar := progress.New(b.o.Err, b.o.Terminal, "runs", total)
	defer bar.Done()
	done, began := 0, time.Now()
	for repeat := range s.Repeats {
		if took := time.Since(began); s.Within > 0 && repeat > 0 && took+took/time.Duration(repeat) > time.Duration(s.Within) {
			b.report.Fewer = fmt.Sprintf("%d of %d repeats were made: one more would have taken it beyond %v", repeat, s.Repeats, time.Duration(s.Within))
			return nil
		}
		for _, v := range subjects {
			for _, w := range s.Workloads {
				seed := uint64(s.Seed)<<16 + uint64(repeat)
				r, found, err := one(ctx, s, v, w, place{dir, b.o.Binary}, seed)
				if err != nil {
					b.report.Partial = fmt.Sprintf("%d of %d runs were measured; %s with %s: %v", done, total, v.Name, w.Name, cut(err))
					return fmt.Errorf("%s with %s: %w", v.Name, w.Name, err)
				}
				c := b.report.Find(v.Name, w.Name)
				c.Runs, c.Anomalies = append(c.Runs, r), sum(c.Anomalies, found)
				done++
				bar.Add(1)
			}
		}
	}
	return nil
}

// far is a way to nodes that are processes; empty to others.
func far(v scenario.Via) string {
	if v.Processes() {
		return string(v)
	}
	return ""
}

// cut is an error in a word where somebody ended the run.
func cut(err error) string {
	if errors.Is(err, context.Canceled) {
		return "it was interrupted"
	}
	return err.Error()
}

// check notes what had to hold and did not.
func (b *bench) check() {
	seen := map[string][]scenario.Anomaly{}
	for _, c := range b.report.Cells {
		for _, a := range c.Anomalies {
			if a.Found == 0 {
				continue
			}
			seen[c.Subject] = append(seen[c.Subject], a.What)
			if a.Forbidden {
				at := ""
				if a.Level != "" {
					at = fmt.Sprintf(", reads %s", a.Level)
				}
				b.report.Checks = append(b.report.Checks, result.Check{
					What:    fmt.Sprintf("%s with %s%s: %s, %d of %d, which it promises not to happen", c.Subject, c.Workload, at, a.What, a.Found, a.Judged),
					Example: a.Example,
				})
			}
		}
	}
	if b.report.Partial != "" {
		return // who has not seen all can not miss anything
	}
	for _, x := range b.o.Scenario.Shows {
		for _, what := range x.What {
			found := slices.ContainsFunc(b.o.Scenario.Variants(), func(v scenario.Variant) bool {
				return v.Of == x.Subject && slices.Contains(seen[v.Name], what)
			})
			if !found {
				b.report.Checks = append(b.report.Checks, result.Check{What: fmt.Sprintf("%s: no %s were found, which it allows and this scenario brings about", x.Subject, what)})
			}
		}
	}
}

// Files of a report.
const (
	FileJSON = "report.json"
	FileHTML = "report.html"
)

// Save writes a report into a directory, which it makes, and returns the path of each
// file.
func Save(r *result.Report, dir string) (paths []string, err error) {
	return save(dir, file{FileJSON, r.JSON}, file{FileHTML, func() ([]byte, error) { return page.HTML(r) }})
}
