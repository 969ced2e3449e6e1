package singleleader

import (
	"context"
	"runtime"
	"sync"

	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
)

// turn runs an engine's core: one goroutine at a time, in the order in which
// things were posted. Whoever posts while nobody runs takes the turn himself,
// so that an ack is counted on the goroutine that received it and a flush on
// the log's writer, without a hop; what is posted meanwhile is taken along as a
// round of its own. A turn never waits: it appends to the log, notes, and wakes.
type turn struct {
	run  func(*round)
	kick chan struct{} // asks the engine's own goroutine to take over

	mu      sync.Mutex
	busy    bool
	gathers bool // a writer lets others go first, and takes a turn then
	owned   bool // the engine's own goroutine is there
	next    *round
	spare   *round
}

// round is what was posted since the last one.
type round struct {
	asks   []ask
	writes []*write
	calls  []func()
}

// ask is an event, and where its effects are wanted, if anywhere.
type ask struct {
	core.Event
	answer *answer
}

// answer receives the effects of one event that a message caused.
type answer struct {
	tail     stream.Tail
	persist  bool
	truncate bool
	keep     bool
	cutTo    record.LSN
	err      error
	done     chan struct{}
}

// roundsMax is how many rounds a poster works through before the engine's own
// goroutine takes over, so that no caller serves the others for long.
const roundsMax = 2

func newTurn(run func(*round)) *turn {
	return &turn{run: run, kick: make(chan struct{}, 1), next: &round{}, spare: &round{}}
}

// post adds an event.
func (t *turn) post(ev core.Event) {
	t.mu.Lock()
	t.next.asks = append(t.next.asks, ask{Event: ev})
	t.take()
}

// ask adds an event and waits for its answer, which takes one turn.
func (t *turn) ask(ev core.Event, a *answer) {
	t.mu.Lock()
	t.next.asks = append(t.next.asks, ask{ev, a})
	t.take()
	<-a.done
}

// write adds writes, each to be answered on its own channel, with nothing of
// others between them. Before it takes a turn it lets those go first who are about
// to write too: they are released in groups and come back in groups, and a turn
// wakes the log and every sender, for one write as for fifty. That is no delay where
// nobody else is ready to run, and an event that is posted meanwhile takes the
// turn, and the writes along.
func (t *turn) write(ws ...*write) {
	t.mu.Lock()
	t.next.writes = append(t.next.writes, ws...)
	if t.busy || t.gathers {
		t.mu.Unlock()
		return
	}
	t.gathers = true
	t.mu.Unlock()
	runtime.Gosched()
	t.mu.Lock()
	t.gathers = false
	t.take()
}

// call runs f within a turn and waits for it.
func (t *turn) call(f func()) {
	done := make(chan struct{})
	t.mu.Lock()
	t.next.calls = append(t.next.calls, func() { f(); close(done) })
	t.take()
	<-done
}

// take is called with mu held, which it releases. It works until nothing is
// left, or hands over.
func (t *turn) take() {
	if t.busy {
		t.mu.Unlock()
		return
	}
	t.busy = true
	t.work(roundsMax)
}

// work is called with mu held and busy set; it releases mu.
func (t *turn) work(most int) {
	for {
		r := t.next
		if len(r.asks) == 0 && len(r.writes) == 0 && len(r.calls) == 0 {
			t.busy = false
			t.mu.Unlock()
			return
		}
		if most == 0 && t.owned {
			t.kick <- struct{}{} // never blocks: room for one, and only who is busy sends
			t.mu.Unlock()        // only now, so that an owner who leaves sees it
			return
		}
		t.next, t.spare = t.spare, r
		t.mu.Unlock()
		t.run(r)
		clear(r.asks)
		clear(r.writes)
		clear(r.calls)
		r.asks, r.writes, r.calls = r.asks[:0], r.writes[:0], r.calls[:0]
		if most > 0 {
			most--
		}
		t.mu.Lock()
	}
}

// own takes over long turns until ctx ends.
func (t *turn) own(ctx context.Context) {
	t.mu.Lock()
	t.owned = true
	t.mu.Unlock()
	for {
		select {
		case <-t.kick:
			t.mu.Lock()
			t.work(-1)
		case <-ctx.Done():
			t.mu.Lock()
			t.owned = false
			handed := len(t.kick) > 0
			t.mu.Unlock()
			if handed {
				<-t.kick
				t.mu.Lock()
				t.work(-1)
			}
			return
		}
	}
}
