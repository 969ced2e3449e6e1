package shell

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/triad-kv/triad/internal/sim/check"
	"github.com/triad-kv/triad/internal/sim/history"
	"github.com/triad-kv/triad/internal/sim/load"
	"github.com/triad-kv/triad/record"
)

// Judge returns what is wrong with a run; nil if nothing is. It searches for
// orders in real time, so not in a bubble.
func (r *Result) Judge() error {
	var errs []error
	for _, f := range r.Faults {
		errs = append(errs, errors.New(f))
	}
	errs = append(errs, r.logsAgree(), r.nowhere())
	if n := len(r.Ops); n < OpsMin {
		errs = append(errs, fmt.Errorf("only %d operations were asked for, not %d", n, OpsMin))
	}
	rules := check.Rules{Counting: []string{load.Accounts}}
	whole, finals := r.Ops, r.Finals
	if r.Forced > 0 {
		errs = append(errs, r.judgeForced(rules))
		whole, finals = until(r.Ops, r.Forced), nil // what is left of it may be lost, and nothing of it is read twice
	}
	c, err := check.New(rules, whole, finals...)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	report := c.Kept().And(c.Nowhere()).And(c.Converged()).And(c.Counters()).And(c.Bank(load.Accounts, accounts, opening)).And(c.Places()).
		And(c.ReadYourWrites()).And(c.MonotonicReads()).And(c.ConsistentPrefix()).And(c.Fresh()).And(c.Linearizable(0))
	return errors.Join(append(errs, report.Err())...)
}

// logsAgree judges that no two logs hold different entries at one place (PS4).
func (r *Result) logsAgree() error {
	first := r.Plan.Nodes[0]
	for _, id := range r.Plan.Nodes[1:] {
		a, b := r.Logs[first].Entries, r.Logs[id].Entries
		for i, j := 0, 0; i < len(a) && j < len(b); {
			switch {
			case a[i].LSN < b[j].LSN:
				i++
			case a[i].LSN > b[j].LSN:
				j++
			case a[i].Entry.Term != b[j].Entry.Term || string(a[i].Bytes) != string(b[j].Bytes):
				return fmt.Errorf("entry %d is of term %d and %v at %s, of term %d and %v at %s",
					a[i].LSN, a[i].Entry.Term, a[i].Dot, first, b[j].Entry.Term, b[j].Dot, id)
			default:
				i, j = i+1, j+1
			}
		}
	}
	return nil
}

// nowhere judges that no log holds what was said not to be applied, and none
// holds a value twice.
func (r *Result) nowhere() error {
	asked := map[string]history.Op{}
	for _, op := range r.Ops {
		if op.Value != "" && strings.HasPrefix(op.Key, load.Registers) { // the values of which are unique
			asked[op.Value] = op
		}
	}
	for _, id := range r.Plan.Nodes {
		seen := map[string]record.LSN{}
		for _, e := range r.Logs[id].Entries {
			for _, m := range e.Mutations {
				op, some := asked[string(m.Value)]
				if !some || m.Table != record.TableDefault {
					continue
				}
				if at, twice := seen[op.Value]; twice {
					return fmt.Errorf("the log of %s holds a write twice, at %d and %d: %v", id, at, e.LSN, op)
				}
				if seen[op.Value] = e.LSN; op.Outcome == history.NotApplied {
					return fmt.Errorf("the log of %s holds at %d what was said not to be applied: %v", id, e.LSN, op)
				}
			}
		}
	}
	return nil
}

// String is the run in some lines.
func (r *Result) String() string {
	outcomes := map[history.Outcome]int{}
	for _, op := range r.Ops {
		outcomes[op.Outcome]++
	}
	var states []string
	for what, n := range r.Reached {
		states = append(states, fmt.Sprintf("%s %d", what, n))
	}
	slices.Sort(states)
	var ends []string
	for _, id := range r.Plan.Nodes {
		ends = append(ends, fmt.Sprintf("%s %d", id, len(r.Logs[id].Entries)))
	}
	return fmt.Sprintf("%v\n%d operations in %v: %d applied, %d not applied, %d unknown; entries: %s\nreached: %s",
		r.Plan, len(r.Ops), r.Took, outcomes[history.Applied], outcomes[history.NotApplied], outcomes[history.Unknown],
		strings.Join(ends, ", "), strings.Join(states, ", "))
}
