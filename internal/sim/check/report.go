package check

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/triad-kv/triad/internal/sim/history"
)

// Violation is one promise broken once.
type Violation struct {
	Promise string       // the checker's name for it
	Key     string       // empty where it is about no one key
	Why     string       // what is wrong, in a sentence
	Ops     []history.Op // which show it, at most opsNamedMax
}

// Limits of what a report names: the first ones, which are the causes.
const (
	opsNamedMax        = 8
	violationsNamedMax = 20
)

func (v Violation) String() string {
	var b strings.Builder
	b.WriteString(v.Promise)
	if v.Key != "" {
		fmt.Fprintf(&b, ", key %s", v.Key)
	}
	fmt.Fprintf(&b, ": %s", v.Why)
	for _, op := range v.Ops {
		fmt.Fprintf(&b, "\n    %v", op)
	}
	return b.String()
}

// Report is what a checker found.
type Report struct {
	Violations []Violation
	Undecided  []string // what was to be judged and was not, and why
	Judged     int      // how many answers, or cells of final states, were judged
}

// And adds what another checker found.
func (r Report) And(o Report) Report {
	return Report{
		Violations: append(r.Violations, o.Violations...),
		Undecided:  append(r.Undecided, o.Undecided...),
		Judged:     r.Judged + o.Judged,
	}
}

// ErrUndecided is within the error of a report that leaves something open.
var ErrUndecided = errors.New("undecided")

// Err is nil if everything was judged and nothing is wrong.
func (r Report) Err() error {
	var errs []error
	for i, v := range r.Violations {
		if i == violationsNamedMax {
			errs = append(errs, fmt.Errorf("and %d more violations", len(r.Violations)-i))
			break
		}
		errs = append(errs, errors.New(v.String()))
	}
	for _, u := range r.Undecided {
		errs = append(errs, fmt.Errorf("%w: %s", ErrUndecided, u))
	}
	return errors.Join(errs...)
}

// Broken returns which promises are broken, each once, in the order of finding.
func (r Report) Broken() []string {
	var names []string
	seen := map[string]bool{}
	for _, v := range r.Violations {
		if !seen[v.Promise] {
			seen[v.Promise] = true
			names = append(names, v.Promise)
		}
	}
	return names
}

func (r *Report) broke(promise, key string, ops []history.Op, why string, args ...any) {
	var named []history.Op
	for _, op := range ops {
		if len(named) < opsNamedMax && !slices.ContainsFunc(named, func(o history.Op) bool { return o.ID == op.ID }) {
			named = append(named, op)
		}
	}
	r.Violations = append(r.Violations, Violation{Promise: promise, Key: key, Why: fmt.Sprintf(why, args...), Ops: named})
}
