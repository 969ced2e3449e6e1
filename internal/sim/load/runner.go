package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/triad-kv/triad/internal/sim/history"
)

// Client asks on behalf of one session, one thing at a time.
type Client interface {
	// Do asks op once and returns it with what it was told: the outcome, and
	// what an answer holds. An empty outcome is Unknown. Do returns soon
	// after ctx ends.
	Do(ctx context.Context, op history.Op) history.Op
}

// Runner asks operations from several goroutines and records them.
type Runner struct {
	Options
	Seed     uint64        // of what is asked; when it is asked the scheduler decides
	Sessions int           // each asks one thing at a time; default 8
	Rate     float64       // operations that are due a second, as in [Loop]; 0: each asks again once it was answered
	Shed     func()        // as in [Loop]
	OpsMax   int           // of a session; 0: until the context ends
	Timeout  time.Duration // of one operation; default 1 s
	Pause    time.Duration // of a session between two operations
	Retreat  time.Duration // instead, after one that was not applied; default 1 ms
	Opening  int64         // what each account is opened with; default 100
	Recorder *history.Recorder
	// Dial returns the client of a session, from 1.
	Dial func(session uint64) Client
	// Told is called with every operation once it is recorded, by who asked it; nil
	// for nobody.
	Told func(op history.Op)

	clients atomic.Uint64
}

func (r *Runner) defaults() {
	r.Options = r.withDefaults()
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&r.Timeout, time.Second)
	set(&r.Retreat, time.Millisecond)
	if r.Sessions == 0 {
		r.Sessions = 8
	}
	if r.Opening == 0 {
		r.Opening = 100
	}
}

// Open opens the accounts, before anything is to go wrong: it fails unless every
// one is acknowledged.
func (r *Runner) Open(ctx context.Context) error {
	r.defaults()
	c, id := r.Dial(0), r.clients.Add(1)
	for i := range r.Accounts {
		op := history.Op{Client: id, Kind: history.Put, Key: Account(i), Value: fmt.Sprint(r.Opening)}
		if op = r.ask(ctx, c, op); op.Outcome != history.Applied {
			return fmt.Errorf("the accounts cannot be opened: %v", op)
		}
	}
	return nil
}

// Run asks until every session has asked OpsMax times, or ctx ends; what is
// under way then is waited for.
func (r *Runner) Run(ctx context.Context) {
	r.defaults()
	ends := context.WithoutCancel(ctx)
	Loop{Workers: r.Sessions, Rate: r.Rate, Shed: r.Shed}.Run(ctx, func(i int) Step { return r.session(ends, uint64(i+1)) })
}

// session is what one session asks, step by step.
func (r *Runner) session(ctx context.Context, id uint64) Step {
	rng := rand.New(rand.NewPCG(r.Seed, id))
	source := NewSource(r.Options, id, r.clients.Add(1))
	client := r.Dial(id)
	n := 0
	return func(due time.Time) (time.Duration, bool) {
		op := source.Next(rng)
		if r.Rate > 0 {
			op.Late = max(time.Since(due), 0)
		}
		op = r.ask(ctx, client, op)
		source.Observe(op)
		rest := r.Pause
		switch op.Outcome {
		case history.Unknown:
			source.Retire(r.clients.Add(1))
		case history.NotApplied:
			rest = max(rest, r.Retreat)
		}
		n++
		return rest, r.OpsMax == 0 || n < r.OpsMax
	}
}

func (r *Runner) ask(ctx context.Context, c Client, op history.Op) history.Op {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	asked := r.Recorder.Begin(op)
	told := c.Do(ctx, asked)
	told.ID = asked.ID
	if told.Outcome == "" {
		told.Outcome = history.Unknown
	}
	told = r.Recorder.End(told)
	if r.Told != nil {
		r.Told(told)
	}
	return told
}
