package shell

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/triad-kv/triad/internal/sim/check"
	"github.com/triad-kv/triad/internal/sim/history"
	"github.com/triad-kv/triad/internal/sim/load"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// judgeForced judges what holds although a leader was forced, in an asynchronous
// group (S9): each acknowledged write that is lost was kept aside by a node that had
// it, or noted by one whose log had it no more (C10), and all nodes hold the same, in which everything else is.
func (r *Result) judgeForced(rules check.Rules) error {
	rules.Lossy = true
	c, err := check.New(rules, r.Ops, r.Finals...)
	if err != nil {
		return err
	}
	var errs []error
	lost := r.lost()
	for _, f := range r.Finals {
		for _, op := range c.Lost(f) {
			lost[op.ID] = true
		}
	}
	for _, op := range r.Ops {
		p := op.Place
		switch {
		case !lost[op.ID] || p.Dot.IsZero() || r.Aside[check.Write{Dot: p.Dot, Time: p.Time}]:
		case r.noted(p):
			r.Reached[reachedMissing]++
		default:
			errs = append(errs, fmt.Errorf("it was acknowledged and is lost, and no node has kept it aside: %v", op))
		}
	}
	if len(lost) > 0 {
		r.Reached[reachedLost]++
	}
	c, err = check.New(rules, doubted(r.Ops, lost), r.Finals...)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	report := c.Kept().And(c.Nowhere()).And(c.Converged()).And(c.Counters()).And(c.Bank(load.Accounts, accounts, opening)).And(c.Places())
	return errors.Join(append(errs, report.Err())...)
}

// noted reports whether a node says that what it had at a place is lost, which it
// could not keep aside, as its log had been trimmed.
func (r *Result) noted(p history.Place) bool {
	return slices.ContainsFunc(r.Missing, func(k topology.Kept) bool {
		return k.First <= record.LSN(p.LSN) && record.LSN(p.LSN) <= k.Last
	})
}

// lost are the acknowledged writes in whose places all logs have another term, also
// where those logs begin later.
func (r *Result) lost() map[uint64]bool {
	lost := map[uint64]bool{}
	for _, op := range r.Ops {
		if op.Kind.Writes() && op.Outcome == history.Applied && op.Place.LSN != 0 && !r.holds(op.Place) {
			lost[op.ID] = true
		}
	}
	return lost
}

func (r *Result) holds(p history.Place) bool {
	for _, log := range r.Logs {
		end := log.First - 1 + record.LSN(len(log.Entries))
		if at, known := log.Terms.TermAt(record.LSN(p.LSN)); known && at == p.Term && record.LSN(p.LSN) <= end {
			return true
		}
	}
	return false
}

// until is the history up to a time: of a write that was under way by then nobody
// knows what became of it.
func until(ops []history.Op, end time.Duration) (before []history.Op) {
	for _, op := range ops {
		switch {
		case op.Invoke >= end:
		case op.Return < end || op.Outcome == history.Unknown:
			before = append(before, op)
		case op.Kind.Writes():
			before = append(before, unknown(op))
		}
	}
	return before
}

func unknown(op history.Op) history.Op {
	op.Outcome, op.Refused, op.Got, op.Place, op.Error = history.Unknown, false, nil, history.Place{}, "the history ends before"
	return op
}

// doubted are the writes of a history, with those that were lost as if nobody knew
// what had become of them. Each of these has a client of its own, as that of
// another has gone on.
func doubted(ops []history.Op, lost map[uint64]bool) (writes []history.Op) {
	clients := uint64(0)
	for _, op := range ops {
		clients = max(clients, op.Client)
	}
	for _, op := range ops {
		if !op.Kind.Writes() {
			continue
		}
		if lost[op.ID] {
			clients++
			op = unknown(op)
			op.Client = clients
		}
		writes = append(writes, op)
	}
	return writes
}
