package load

import (
	"context"
	"sync"
	"time"
)

// Loop says when things are asked. It is the one loop of everything that puts load
// on a system: simulations, tests of real processes, benchmarks.
//
// Closed, a worker asks again once it was answered: a system that stalls is asked
// less, which is what finds out how much it bears. Open, things are due by a
// schedule whatever is answered, as the users of a service come: how long one took
// counts from when it was due, so that a stall shows in everything that came during
// it and not in one answer alone.
type Loop struct {
	// Workers are how many ask at once, each one thing at a time. Open, that is a
	// bound: no more are made than are needed.
	Workers int
	// Rate is how many are due a second; 0 for a closed loop.
	Rate float64
	// Shed is called for what was due while all workers waited, which is then not
	// asked for. Nil asks for it as soon as one is free.
	Shed func()
}

// Step asks for one thing, and waits for its answer. due is when it was to be asked:
// now, in a closed loop. It returns how long the worker rests before the next, which
// an open loop ignores, and whether there is a next.
type Step func(due time.Time) (rest time.Duration, more bool)

// Run makes workers and lets them take steps until ctx ends or none of them has
// more. What is under way then is waited for: it ends as itself. A step is taken on
// a goroutine of its worker's, one at a time; worker is called where Run was, if the
// loop is open.
func (l Loop) Run(ctx context.Context, worker func(i int) Step) {
	var wait sync.WaitGroup
	defer wait.Wait()
	if l.Rate == 0 {
		for i := range l.Workers {
			wait.Go(func() { closed(ctx, worker(i)) })
		}
		return
	}
	p := pool{Loop: l, worker: worker, idle: make(chan Step, l.Workers)}
	began, every := time.Now(), time.Duration(float64(time.Second)/l.Rate)
	for due := began; pause(ctx, time.Until(due)); due = due.Add(every) {
		step, more := p.take(ctx)
		if !more {
			return
		}
		if step == nil {
			l.Shed()
			continue
		}
		wait.Go(func() {
			if _, more := step(due); !more {
				step = nil
			}
			p.idle <- step // there is room for all
		})
	}
}

func closed(ctx context.Context, step Step) {
	for ctx.Err() == nil {
		rest, more := step(time.Now())
		if !more || !pause(ctx, rest) {
			return
		}
	}
}

// pool is the workers of an open loop.
type pool struct {
	Loop
	worker      func(i int) Step
	idle        chan Step // those that wait for nothing; nil for one that has ended
	made, ended int
}

// take returns the step of who waits for nothing; none, if it is to be shed. It is
// false once there is nobody any more, or ctx has ended.
func (p *pool) take(ctx context.Context) (Step, bool) {
	for {
		select {
		case s := <-p.idle:
			if s != nil {
				return s, true
			}
			p.ended++
			continue
		default:
		}
		switch {
		case p.made < p.Workers:
			p.made++
			return p.worker(p.made - 1), true
		case p.ended == p.Workers:
			return nil, false
		case p.Shed != nil:
			return nil, true
		}
		select {
		case s := <-p.idle:
			if s != nil {
				return s, true
			}
			p.ended++
		case <-ctx.Done():
			return nil, false
		}
	}
}

// pause waits, and reports whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
