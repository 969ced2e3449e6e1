package multileader

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// loop runs a site's core: one goroutine, in the order in which things were posted.
type loop struct {
	e *engine

	mu     sync.Mutex // a leaf
	calls  []func()
	writes []*write
	ended  error // why nothing is taken any more
	wake   chan struct{}
}

func newLoop(e *engine) *loop { return &loop{e: e, wake: make(chan struct{}, 1)} }

// post has f run. It never blocks; once the loop has ended it does nothing.
func (l *loop) post(f func()) {
	l.mu.Lock()
	if l.ended == nil {
		l.calls = append(l.calls, f)
	}
	l.mu.Unlock()
	l.nudge()
}

// write has writes taken together with others that come meanwhile.
func (l *loop) write(ws ...*write) {
	l.mu.Lock()
	err := l.ended
	if err == nil {
		l.writes = append(l.writes, ws...)
	}
	l.mu.Unlock()
	if err != nil {
		for _, w := range ws {
			w.answer(topology.Receipt{}, l.e.errorOf("write", topology.NotApplied, err))
		}
		return
	}
	l.nudge()
}

// call runs f and waits for it; false if the loop has ended.
func (l *loop) call(f func()) bool {
	done := make(chan struct{})
	l.mu.Lock()
	ended := l.ended != nil
	if !ended {
		l.calls = append(l.calls, func() { f(); close(done) })
	}
	l.mu.Unlock()
	if ended {
		return false
	}
	l.nudge()
	<-done
	return true
}

func (l *loop) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Led implements singleleader.Course.
func (l *loop) Led(term uint64, lsn record.LSN, lossy bool) {
	l.post(func() { l.e.lead(term, lsn, lossy) })
}

// Committed implements singleleader.Course.
func (l *loop) Committed(lsn record.LSN) {
	l.post(func() { l.e.step(core.Event{Kind: core.EvCommitted, LSN: lsn}) })
}

// Deposed implements singleleader.Course.
func (l *loop) Deposed(term uint64) { l.post(func() { l.e.deposed(term) }) }

func (l *loop) run(ctx context.Context) error {
	t := time.NewTicker(l.e.o.TickEvery)
	defer t.Stop()
	defer l.stop()
	for {
		select {
		case <-l.wake:
			l.work()
		case <-t.C:
			l.e.tick()
		case <-ctx.Done():
			return nil
		}
	}
}

// work does what was posted, and takes the writes last, as one group.
func (l *loop) work() {
	l.mu.Lock()
	calls, writes := l.calls, l.writes
	l.calls, l.writes = nil, nil
	l.mu.Unlock()
	for _, f := range calls {
		f()
	}
	if len(writes) > 0 {
		l.e.writer.accept(writes)
	}
}

// stop answers everything that waits, as the node ends.
func (l *loop) stop() {
	why := topology.ErrClosed
	if err := l.e.group.Failure(); err != nil {
		why = err
	}
	l.mu.Lock()
	l.ended = why
	calls, writes := l.calls, l.writes
	l.calls, l.writes = nil, nil
	l.mu.Unlock()
	for _, f := range calls {
		f()
	}
	for _, w := range writes {
		w.answer(topology.Receipt{}, l.e.errorOf("write", topology.NotApplied, why))
	}
	l.e.reign.end(l.e, why)
}

// reign is one term of this node at the head of its site; the zero value is none.
type reign struct {
	term    uint64
	core    *core.Core // nil: this node does not lead its site
	append  []record.Entry
	waiting queue
	tail    *tail
	cutter  *cutter
	sweeper sweeper
	alarms  map[version.Origin]string
	reply   *core.Reply
	swept   record.LSN // up to where a snapshot was put in its place; 0: none is
}

// lead begins to lead the site, whose log is committed up to lsn and is what core is
// made from.
func (e *engine) lead(term uint64, lsn record.LSN, lossy bool) {
	p, in, seats, err := e.placeAt(lsn)
	if err != nil {
		e.group.Fail(fmt.Errorf("what the log comes to at entry %d: %w", lsn, err))
		return
	}
	known := e.machine.seats.founding
	if e.council.boot != nil {
		known = e.council.boot
	}
	if seats.Roster == nil && known == nil {
		e.council.wait(term, lsn, lossy)
		return
	}
	c := core.Config{Self: core.Site(e.site), MaxSkew: e.o.MaxSkew, Limits: e.o.Limits, Linked: e.o.linksOf(e.site), Roster: known, Assembly: seats, Filters: e.o.filters, ReadOnly: coreSites(e.o.ReadOnly)}
	if seats.Roster != nil {
		known = seats.Roster
	}
	seat := known.Seat(core.Site(e.site))
	if seat == nil {
		e.group.Fail(fmt.Errorf("%w: site %s is not in the roster of its own log", topology.ErrMalformed, e.site))
		return
	}
	c.Origin = p.own
	if p.own.ID != seat.Number || lossy || p.own.Incarnation < seat.Life && seat.Here() {
		if c.Origin = e.incarnation(seat, p.own); lossy && p.own.ID == 0 {
			c.Origin.Incarnation++ // it may not know of a life that began in this very second
		}
		e.log.Info("a new incarnation", "origin", c.Origin, "before", p.own, "lossy", lossy)
	}
	at := p.Position
	at.Term = min(at.Term, term-1) // the group's own note of this term is in the log
	e.reign = reign{term: term, core: core.New(c, at, in), tail: newTail(e), cutter: &cutter{e: e, last: e.env.Clock.Wall()}, sweeper: sweeper{e: e}, alarms: map[version.Origin]string{}}
	e.step(core.Event{Kind: core.EvLead, Term: term})
	e.leading.Store(term)
	e.machine.dues.note(0)
	if c := e.reign.core; c != nil {
		e.links.follow(c.Roster(), term)
	}
	for _, l := range e.links.list() {
		l.leads(term)
	}
	e.council.nudge()
	e.log.Info("leads its site", "term", term, "origin", c.Origin, "lsn", lsn)
}

// epoch is when incarnations begin to be counted, in seconds: 2024-01-01.
const epoch = 1704067200

// incarnation returns an origin under which this site has not written yet. A site that
// has lost its log does not know which it had; so the time of day tells them apart,
// and a life that is known is never below the one before.
func (e *engine) incarnation(self *core.SiteSeat, before version.Origin) version.Origin {
	o := version.Origin{ID: self.Number, Incarnation: uint32(max(1, e.env.Clock.Wall().Unix()-epoch))}
	known := max(self.Life, 1) - 1
	if before.ID == self.Number {
		known = max(known, before.Incarnation)
	}
	if c := e.reign.core; c != nil {
		for _, m := range c.Known() {
			if m.ID == self.Number {
				known = max(known, m.Incarnation)
			}
		}
	}
	o.Incarnation = max(o.Incarnation, known+1)
	return o
}

// deposed ends a term. What was appended and not committed may yet be.
func (e *engine) deposed(term uint64) {
	e.council.deposed(term)
	if e.reign.term != term {
		return
	}
	e.leading.Store(0)
	for _, l := range e.links.list() {
		l.leads(0)
	}
	e.reign.end(e, topology.ErrNotLeader)
	e.reign = reign{}
}

// end answers what waits in a term that is over.
func (r *reign) end(e *engine, why error) {
	for _, w := range r.waiting.all() {
		err := e.errorOf("write", topology.Unknown, fmt.Errorf("%w before the write was committed", why))
		if err.Dot, err.Term = w.receipt.Dot, w.receipt.Term; w.idle {
			err.Outcome, err.Term = topology.NotApplied, 0
		}
		w.answer(topology.Receipt{}, err)
	}
	r.core = nil
}

// tick lets time pass. A term whose first note the log did not take is begun again.
func (e *engine) tick() {
	e.judge.look(e.machine.tables.known.Load())
	if c := e.reign.core; c != nil && c.Term == 0 {
		e.lead(e.reign.term, c.End(), false)
		return
	}
	e.step(core.Event{Kind: core.EvTick})
	if e.reign.core != nil {
		e.reign.tail.tick()
		e.reign.cutter.cut(e.env.Clock.Wall())
		e.reign.sweeper.sweep()
		e.judge.prosecute()
		settle(e)
	}
	e.publish()
}

// step lets the core judge an event and carries out what it says.
func (e *engine) step(ev core.Event) {
	if e.reign.core == nil {
		return
	}
	ev.Now = e.env.Clock.Wall()
	effects := e.reign.core.Step(ev)
	e.perform(effects, nil)
	if lsn, err := e.flush(); err != nil && e.reign.core != nil {
		e.step(core.Event{Kind: core.EvNotAppended, LSN: lsn})
	}
}

// perform carries out effects in order; writes are those of the event.
func (e *engine) perform(effects []core.Effect, writes []*write) {
	for i := range effects {
		x := &effects[i]
		switch x.Kind {
		case core.DoAppend:
			e.reign.append = append(e.reign.append, x.Item.Entry)
			if e.reign.tail.live {
				e.reign.tail.placed(x.Item.Entry)
			}
		case core.DoAccept:
			writes[x.N].accepted(x)
		case core.DoRefuse:
			writes[x.N].refused(e, x.Err)
		case core.DoCommit:
			e.reign.waiting.release(e, x.LSN)
		case core.DoSend:
			if l := e.link(x.Peer); l != nil {
				l.send(x.Session, &x.Message)
			}
		case core.DoRead, core.DoFill, core.DoServe:
			if l := e.link(x.Peer); l != nil {
				l.todo.add(*x)
			}
		case core.DoReply:
			e.reign.reply = x.Reply
		case core.DoRoster:
			reseat(e)
		case core.DoFreeze:
			if l := e.link(x.Peer); l != nil {
				l.froze(x.Err)
			}
			e.log.Error("a link is frozen", "peer", x.Peer, "err", x.Err)
		case core.DoAlarm:
			e.alarm(x)
		case core.DoIncarnate:
			o := e.incarnation(e.reign.core.Roster().Seat(core.Site(e.site)), x.Origin)
			e.log.Warn("this site has lost writes that a peer knows, and goes on as a new incarnation", "before", x.Origin, "origin", o)
			e.loop.post(func() { e.step(core.Event{Kind: core.EvIncarnate, Origin: o}) })
		}
	}
}

// alarm tells a person once what does not go on.
func (e *engine) alarm(x *core.Effect) {
	if l := e.link(x.Peer); l != nil {
		l.stuck(x.Err)
	}
	if why := x.Err.Error(); e.reign.alarms[x.Origin] != why {
		e.reign.alarms[x.Origin] = why
		e.log.Warn("alarm", "origin", x.Origin, "err", x.Err)
	}
}

// flush puts what the core has placed in the group's log. On an error the log ends at
// lsn and has taken none of it.
func (e *engine) flush() (lsn record.LSN, err error) {
	es := e.reign.append
	if len(es) == 0 {
		return 0, nil
	}
	e.reign.append = es[:0]
	err = e.group.Append(es...)
	if err == nil {
		return 0, nil
	}
	e.reign.tail.live = false // it holds what is not to be
	if !errors.Is(err, topology.ErrNotLeader) {
		e.log.Warn("the log took nothing", "err", err)
	}
	return es[0].LSN - 1, err
}
