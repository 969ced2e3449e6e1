package leaderless

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// loop runs the core: one goroutine, in the order in which things were posted.
type loop struct {
	e *engine

	mu    sync.Mutex // a leaf
	calls []func()
	ended error // why nothing is taken any more
	wake  chan struct{}
	begun chan struct{} // closed once there is a core

	// What follows belongs to the loop's goroutine.
	core     *core.Core
	op       uint64
	requests map[uint64]*request
	append   []record.Entry
	next     []core.Event
	alarms   map[string]bool
	durable  []durable
	keeper   *keeper // of the log
	counting map[string]counting
	stays    string // why this node is not to be restarted, as of some ticks ago
}

// restartTicks is after how many ticks it is found out anew whether this node may be
// restarted.
const restartTicks = 10

// durable is who waits for the log to be so up to an LSN.
type durable struct {
	lsn  record.LSN
	done chan struct{}
}

func newLoop(e *engine) *loop {
	return &loop{e: e, keeper: newKeeper(e), wake: make(chan struct{}, 1), begun: make(chan struct{}), requests: map[uint64]*request{}, counting: map[string]counting{}, alarms: map[string]bool{}}
}

// begin makes the core of what the machine has recovered.
func (l *loop) begin() {
	e := l.e
	l.core = core.New(core.Config{
		Self: e.env.Self, Map: e.place.Current(), Incarnation: e.life.incarnation, CatchingUp: !e.life.votes, MaxSkew: e.o.MaxSkew,
		Limits: e.o.Limits, Known: e.machine.tables.knows, Keeps: e.machine.tables.keeps,
	}, e.machine.position())
	// Names of requests grow over restarts too: an answer to one of before is not taken for another's.
	l.op = uint64(e.env.Clock.Wall().UnixNano())
	e.env.Log.Notify(func(b topology.Bounds, err error) {
		if err != nil {
			e.fail(fmt.Errorf("the log: %w", err))
			return
		}
		l.post(func() { l.step(core.Event{Kind: core.EvFlushed, LSN: b.Flushed}) })
	})
	l.publish()
	close(l.begun)
}

// started returns once there is a core.
func (l *loop) started(ctx context.Context) error {
	select {
	case <-l.begun:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: this node has not started yet: %w", topology.ErrUnavailable, ctx.Err())
	}
}

// post has f run. It never blocks; once the loop has ended it returns why.
func (l *loop) post(f func()) error {
	l.mu.Lock()
	err := l.ended
	if err == nil {
		l.calls = append(l.calls, f)
	}
	l.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return nil
}

// call runs f and waits for it.
func (l *loop) call(f func()) error {
	done := make(chan struct{})
	if err := l.post(func() { f(); close(done) }); err != nil {
		return err
	}
	<-done
	return nil
}

func (l *loop) run(ctx context.Context) error {
	t := time.NewTicker(l.e.o.TickEvery)
	defer t.Stop()
	defer l.stop()
	for {
		select {
		case <-l.wake:
			l.work()
		case <-t.C:
			l.step(core.Event{Kind: core.EvTick})
			_ = l.flush() // the core has told who asked
			l.keeper.tick()
			if l.keeper.ticks%restartTicks == 1 {
				l.stays = ""
				if err := (replicas{l.e}).restartable(); err != nil {
					l.stays = err.Error()
				}
			}
			l.tidy()
			l.publish()
		case <-ctx.Done():
			return nil
		}
	}
}

// work does what was posted; what that appends is one group.
func (l *loop) work() {
	l.mu.Lock()
	calls := l.calls
	l.calls = nil
	l.mu.Unlock()
	for _, f := range calls {
		f()
	}
	_ = l.flush() // the core has told who asked
}

// stop answers everything that waits, as the node ends.
func (l *loop) stop() {
	l.e.env.Log.Notify(nil)
	why := topology.ErrClosed
	if err := l.e.failure(); err != nil {
		why = err
	}
	l.mu.Lock()
	l.ended = why
	calls := l.calls
	l.calls = nil
	l.mu.Unlock()
	for _, f := range calls {
		f()
	}
	for _, r := range l.requests {
		outcome := topology.Unknown
		if r.event.Kind == core.EvGet {
			outcome = topology.NotApplied
		}
		r.answer(core.Answer{Err: &topology.Error{Op: r.op(), Node: l.e.env.Self, Outcome: outcome, Err: why}})
	}
	clear(l.requests)
	for _, d := range l.durable {
		close(d.done)
	}
	l.durable = nil
}

// step lets the core judge an event and carries out what it says.
func (l *loop) step(ev core.Event) {
	l.next = append(l.next, ev)
	for len(l.next) > 0 {
		ev, l.next = l.next[0], l.next[1:]
		l.judge(&ev)
	}
	l.next = l.next[:0]
	l.release()
}

// judge is one event. What a put says is settled when it is about to be placed in the
// log, and not before: others may have been placed since it was asked.
func (l *loop) judge(ev *core.Event) {
	var c *counting
	var cell record.Cell
	if ev.Kind == core.EvPut && ev.Repair != core.RepairWriteBack {
		var err error
		if c, cell, err = l.seal(ev); err == nil {
			err = l.covers(ev)
		}
		if err != nil {
			l.answer(&core.Effect{Kind: core.DoAnswer, Op: ev.Op, Answer: core.Answer{Err: l.e.errorOf("put", topology.NotApplied, err)}})
			return
		}
	}
	before := l.core.End
	ev.Now = l.e.env.Clock.Wall()
	for _, x := range l.core.Step(*ev) {
		l.perform(&x)
	}
	if c != nil && l.core.End > before {
		l.counts(cell, c)
	}
}

// perform carries out one effect. What it learns the core is told afterwards.
func (l *loop) perform(x *core.Effect) {
	e := l.e
	switch x.Kind {
	case core.DoAppend:
		l.append = append(l.append, x.Entry)
	case core.DoApply:
		if err := e.machine.apply(x.LSN, l.keeper.gone...); err != nil {
			e.fail(err)
		}
		l.keeper.gone = l.keeper.gone[:0]
		l.forgets(func(lsn record.LSN) bool { return lsn <= x.LSN })
	case core.DoSend:
		if p := e.peer(x.Node); p != nil {
			p.send(&x.Message)
		}
	case core.DoLook:
		cells, err := e.machine.cells(&x.Range)
		switch {
		case errors.Is(err, topology.ErrTooLarge):
			l.alarm(err) // who asked waits in vain
			return
		case err != nil:
			e.fail(err)
			return
		}
		ev := core.Event{Kind: core.EvLooked, Node: x.Node, Op: x.Op, Range: x.Range, Full: x.Full, Cells: cells}
		if e.machine.tables.keeps(x.Range.Table) {
			ev.Part.Applied = e.machine.at.At(placementOf(e, x.Range.Table, x.Range.Key)).Clone()
		}
		l.next = append(l.next, ev)
	case core.DoFill:
		es, err := e.machine.records(x.Dots, x.Most)
		if err != nil {
			e.fail(err)
			return
		}
		if len(es) > 0 {
			l.next = append(l.next, core.Event{Kind: core.EvFound, Node: x.Node, Op: x.Op, Entries: es})
		}
	case core.DoForward, core.DoAnswer:
		l.answer(x)
	case core.DoPlace:
		if ev, ok := e.chart.take(x.Map); ok {
			l.next = append(l.next, ev)
		}
	case core.DoPut:
		if r := l.requests[x.Op]; r != nil {
			ev := r.event
			ev.Repair, ev.Context.Time = core.RepairNone, x.Time
			l.next = append(l.next, ev)
		}
	case core.DoAlarm:
		l.alarm(x.Err)
	case core.DoIncarnate:
		n, err := e.life.incarnate()
		if err != nil {
			e.fail(err)
			return
		}
		l.next = append(l.next, core.Event{Kind: core.EvIncarnate, Incarnation: n})
	}
}

// answer ends a request here: it was answered, or goes on at another node.
func (l *loop) answer(x *core.Effect) {
	r := l.requests[x.Op]
	if r == nil {
		return
	}
	delete(l.requests, x.Op)
	if x.Kind == core.DoForward {
		r.forward = x.Node
	}
	r.answer(x.Answer)
}

// alarm tells a person once what does not go on.
func (l *loop) alarm(err error) {
	const most = 256
	if why := err.Error(); !l.alarms[why] {
		if len(l.alarms) >= most {
			clear(l.alarms)
		}
		l.alarms[why] = true
		l.e.log.Warn("alarm", "err", err)
	}
}

// flush puts what the core has placed in the log. If that takes nothing of it, the core
// has heard so when flush returns.
func (l *loop) flush() error {
	es := l.append
	if len(es) == 0 {
		return nil
	}
	l.append = nil
	err := l.e.env.Log.Copy(es...)
	if err == nil {
		l.e.machine.placed(es)
		return nil
	}
	l.alarm(fmt.Errorf("the log took nothing: %w", err))
	l.forgets(func(lsn record.LSN) bool { return lsn >= es[0].LSN })
	l.step(core.Event{Kind: core.EvNotAppended, LSN: es[0].LSN - 1, Err: err})
	return err
}

// begin lets the core judge a request, which is answered once it has ended.
func (l *loop) request(r *request) {
	if err := l.e.failure(); err != nil {
		r.answer(core.Answer{Err: &topology.Error{Op: r.op(), Node: l.e.env.Self, Outcome: topology.NotApplied, Err: err}})
		return
	}
	l.op++
	r.event.Op = l.op
	l.requests[l.op] = r
	l.step(r.event)
}

// release tells those who wait for the log.
func (l *loop) release() {
	keep := l.durable[:0]
	for _, d := range l.durable {
		if d.lsn <= l.core.Flushed {
			close(d.done)
		} else {
			keep = append(keep, d)
		}
	}
	l.durable = keep
}

// publish tells others what they may want to know.
func (l *loop) publish() {
	l.e.stats.shown.Store(&shown{
		Counts: l.core.Counts, life: l.core.Life, catchingUp: l.core.CatchingUp,
		end: uint64(l.core.End), flushed: uint64(l.core.Flushed), busy: l.core.Busy(), stays: l.stays, collected: l.e.machine.deletes.gone, at: l.e.env.Clock.Wall(),
	})
}

// request is what a caller waits for.
type request struct {
	event   core.Event
	got     core.Answer
	forward topology.NodeID // who coordinates it instead; empty: it was answered here
	done    chan struct{}
}

func newRequest(ev core.Event) *request { return &request{event: ev, done: make(chan struct{})} }

func (r *request) op() string {
	if r.event.Kind == core.EvPut {
		return "put"
	}
	return "get"
}

func (r *request) answer(a core.Answer) {
	r.got = a
	close(r.done)
}
