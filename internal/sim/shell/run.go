package shell

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/triad-kv/triad/internal/sim/history"
	"github.com/triad-kv/triad/internal/sim/load"
)

// lastTimers is how long after the last node timers may still run that nobody
// waits for: those of the gossip library.
const lastTimers = 2 * time.Minute

// Run runs a plan. It must be called in a bubble, as its root, and returns when
// every goroutine has ended.
func Run(p Plan, logger *slog.Logger) *Result {
	w := newWorld(p, logger)
	r := &Result{Plan: p}
	ctx, cancel := context.WithCancel(context.Background())
	for i, id := range p.Nodes {
		m := w.machines[id]
		w.wait.Go(func() { m.keep(ctx, rand.New(rand.NewPCG(p.Seed, uint64(i)))) })
	}
	if w.within(w.began, "the first write is acknowledged", func() bool { return w.operator.write(ctx, endKey) }) {
		w.work(ctx)
		w.settle(ctx, r)
	}
	cancel()
	w.wait.Wait()
	w.readLogs(r)
	time.Sleep(lastTimers)
	r.Ops, r.Faults, r.Reached, r.Took, r.Forced = w.told.Ops(), w.faults, w.reached, time.Since(w.began), w.operator.forced
	return r
}

// work lets the clients ask while faults come, until the heal and some time more.
func (w *world) work(ctx context.Context) {
	watch, cancel := context.WithCancel(ctx)
	asks, enough := context.WithCancel(ctx)
	var watching, clients sync.WaitGroup
	runner := load.Runner{
		Options: load.Options{
			Registers: w.plan.Keys, Counters: 2, Accounts: accounts,
			Reads: []history.Request{{}, {}, {}, {Guarantee: history.Session}, {Guarantee: history.Session}, {Guarantee: history.Any},
				{Guarantee: history.Bounded, Bound: w.plan.Bound}},
		},
		Seed: w.plan.Seed, Sessions: w.plan.Clients, Pause: w.plan.Think, Retreat: w.plan.Think, Opening: opening,
		Recorder: w.told, Dial: w.dial,
	}
	if err := runner.Open(ctx); err != nil {
		w.fault("%v", err)
	}
	clients.Go(func() { runner.Run(asks) })
	watching.Go(func() { w.operator.operate(watch) })
	w.direct(ctx)
	w.within(time.Now(), "enough was asked", func() bool { return w.told.Len() >= OpsMin })
	enough()
	clients.Wait()
	w.within(time.Now(), "damage is found, and every directory counted", func() bool { return w.losses.look(ctx) || w.losses.waits() })
	w.within(time.Now(), "the leader takes a write", func() bool { return w.operator.write(ctx, endKey) })
	cancel()
	watching.Wait()
	for _, c := range w.remotes {
		if err := c.Close(); err != nil {
			w.fault("a client could not be closed: %v", err)
		}
	}
}

const (
	accounts = 4
	opening  = 100
)
