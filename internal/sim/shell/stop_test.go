package shell

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/history"
	"github.com/triad-kv/triad/internal/sim/load"
	"github.com/triad-kv/triad/quorum"
)

// lines is a log that is kept.
type lines struct {
	mu  sync.Mutex
	all strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// stopWithin bounds the end of a node whose disk and network are well.
const stopWithin = time.Second

// A leader that is stopped in order while clients write answers everybody who
// waits, with an outcome; its followers hear that its streams have ended, and do
// not find out by silence; and what it acknowledged is in its log.
func TestALeaderThatStopsAnswersWhoWaitsAndTellsItsFollowers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPlan(1)
		p.Policy, p.Faults, p.Gossip, p.Clients, p.Remote, p.Think = quorum.Any(1), nil, false, 16, 0, time.Millisecond
		p.Road.Delay, p.Road.Jitter = 5*time.Millisecond, 0
		var heard lines
		w := newWorld(p, slog.New(slog.NewTextHandler(&heard, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		var keepers sync.WaitGroup
		for _, m := range w.machines {
			keepers.Go(func() { m.keep(ctx, nil) })
		}
		require.True(t, w.within(w.began, "the first write is acknowledged", func() bool { return w.operator.write(ctx, endKey) }))
		asks, enough := context.WithCancel(ctx)
		runner := load.Runner{Seed: 1, Timeout: stopWithin, Sessions: p.Clients, Pause: p.Think, Recorder: w.told, Dial: w.dial, Options: load.Options{Mix: load.Mix{Put: 1}}}
		var clients sync.WaitGroup
		clients.Go(func() { runner.Run(asks) })
		time.Sleep(time.Second)

		w.machines["a"].orders <- order{down: time.Hour}
		time.Sleep(stopWithin)
		require.Nil(t, w.machines["a"].process(), "it has ended")
		said := len(heard.String())
		enough()
		clients.Wait()
		for _, op := range w.told.Ops() {
			require.Less(t, op.Return-op.Invoke, stopWithin, "%v: nobody waits until his time is over", op)
		}
		time.Sleep(time.Minute) // longer than any silence is borne
		require.NotContains(t, heard.String()[said:], "handler failed", "the followers had been told by then")
		cancel()
		keepers.Wait()
		w.wait.Wait()
		time.Sleep(lastTimers)
		require.Empty(t, w.faults)
		r := &Result{Plan: p, Ops: w.told.Ops()}
		w.readLogs(r)
		held := map[uint64]bool{}
		for _, e := range r.Logs["a"].Entries {
			held[uint64(e.LSN)] = true
		}
		acked := 0
		for _, op := range r.Ops {
			if op.Outcome == history.Applied && op.Node == "a" {
				require.True(t, held[op.Place.LSN], "%v", op)
				acked++
			}
		}
		require.Greater(t, acked, 100)
	})
}
