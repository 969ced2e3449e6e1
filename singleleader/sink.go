package singleleader

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

const protocolLog = "log"

// sinks is the follower's side: one sink a stream, of which the core obeys the
// newest of the highest term.
type sinks struct {
	e       *engine
	gate    gate // Begin, Cut, Install and the applier, one at a time
	session atomic.Uint64
	heard   heard
	aside   tail // kept aside, and not cut yet; owned by whoever holds the gate
	missed  tail // noted as lost, and not replaced yet; likewise
	intake  *intake

	mu   sync.Mutex
	open []*sink
}

// tail is the entries after from of a log that ends at to, with one of term.
type tail struct {
	from, to record.LSN
	term     uint64
}

// heard is what the leader last said, for lag and staleness.
type heard struct {
	mu      sync.Mutex
	when    time.Time
	term    uint64 // in which that was
	end     record.LSN
	behind  uint64 // bytes of entries at the leader after our end
	lags    lags
	current time.Time // when this node last showed all the leader had
	silent  topology.Silences
}

func newSinks(e *engine) *sinks { return &sinks{e: e, gate: newGate(), intake: newIntake(e)} }

// serve takes one stream.
func (s *sinks) serve(ctx context.Context, st topology.Stream) error {
	k := &sink{s: s, session: s.session.Add(1), answer: answer{done: make(chan struct{}, 1)}}
	k.r = stream.NewReceiver(stream.ReceiverConfig{From: st.Peer(), Stream: st, Store: s.e.env.Store, Sink: k})
	s.mu.Lock()
	s.open = append(s.open, k)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.open = slices.DeleteFunc(s.open, func(o *sink) bool { return o == k })
		s.mu.Unlock()
		s.e.turn.post(core.Event{Kind: core.EvGone, Session: k.session})
		s.e.reign.changed()
		nudge(s.intake.looks)
		if s.e.council != nil {
			nudge(s.e.council.looks)
		}
	}()
	return k.r.Run(ctx)
}

// follows reports whether a stream is open.
func (s *sinks) follows() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open) > 0
}

// last returns when the leader of term was last heard of, false if it was not.
func (h *heard) last(term uint64) (time.Time, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.when, h.term == term && !h.when.IsZero()
}

// silences returns how long leaders were silent.
func (h *heard) silences() topology.Silences {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.silent
}

// wake makes the open streams acknowledge.
func (s *sinks) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.open {
		k.r.Wake()
	}
}

// sink implements stream.Sink for one stream.
type sink struct {
	s       *sinks
	r       *stream.Receiver
	session uint64
	parts   record.LSN // a snapshot takes back what is behind it; 0 for nothing
	skewed  bool       // it was said that the leader's clock is ahead; of whoever calls Append
	answer  answer

	mu     sync.Mutex
	agreed core.Agreement
}

// ask lets the core judge an event of this stream.
func (k *sink) ask(ev core.Event) *answer {
	a := &k.answer
	*a = answer{done: a.done}
	ev.Session = k.session
	k.s.e.turn.ask(ev, a)
	return a
}

// Begin implements stream.Sink.
func (k *sink) Begin(ctx context.Context, from topology.Peer, b stream.Begin) (stream.Tail, error) {
	e := k.s.e
	g, err := core.Opening(from, b, e.part.name())
	if err != nil {
		return stream.Tail{}, err
	}
	if e.seats.removed() {
		return stream.Tail{}, fmt.Errorf("%w: %w", topology.ErrConflict, errRemoved)
	}
	if e.restoring.busy.Load() {
		return stream.Tail{}, fmt.Errorf("%w: an operator brings this node back to a point of the past", topology.ErrUnavailable)
	}
	if err := k.s.gate.enter(ctx); err != nil {
		return stream.Tail{}, err
	}
	defer k.s.gate.leave()
	ev := core.Event{Kind: core.EvBegin, Node: g.Leader, Life: g.Life, Term: b.Term, Relay: core.RelayOf(&b)}
	a := k.ask(ev)
	if a.err == nil && a.persist {
		if err := e.ballot.accept(ctx, g); err != nil {
			return stream.Tail{Term: e.group.Load().Term}, err
		}
		a = k.ask(ev)
	}
	if a.err != nil {
		return stream.Tail{Term: k.s.obeys()}, a.err
	}
	tail := a.tail
	tail.Snapshot = tail.Snapshot || e.resync.Load()
	return tail, nil
}

// Cut implements stream.Sink.
func (k *sink) Cut(ctx context.Context, c stream.Cut) (stream.Tail, error) {
	e := k.s.e
	if err := k.s.gate.enter(ctx); err != nil {
		return stream.Tail{}, err
	}
	defer k.s.gate.leave()
	a := k.ask(core.Event{Kind: core.EvCut, Cut: c, History: e.env.Log.History(), Forks: e.group.Load().Forks})
	switch {
	case a.err != nil:
		return stream.Tail{Term: e.group.Load().Term}, a.err
	case a.truncate:
		return k.rewind(ctx, a.cutTo, fmt.Sprintf("the log of the leader of term %d parts from ours after entry %d", c.Term, a.cutTo))
	case a.keep:
		k.parts = a.cutTo
	case c.To == c.Asked:
		k.mu.Lock()
		k.agreed.Met(c)
		k.mu.Unlock()
		e.reign.changed()
		nudge(k.s.intake.looks)
	}
	return a.tail, nil
}

// rewind exports and drops what is behind to (S8, C10).
func (k *sink) rewind(ctx context.Context, to record.LSN, why string) (stream.Tail, error) {
	e := k.s.e
	if err := e.rewinds(to); err != nil {
		return stream.Tail{}, err
	}
	if err := e.export(ctx, to, why); err != nil {
		return stream.Tail{}, err
	}
	if err := e.env.Log.Truncate(core.Rewound(e.env.Log.Bounds(), e.env.Log.History(), to)); err != nil {
		if !e.passing(err) { // else the leader's next stream tries again
			e.fail(err)
		}
		return stream.Tail{}, err
	}
	k.s.aside = tail{}
	a := k.ask(core.Event{Kind: core.EvTruncated, LSN: to, Term: e.env.Log.History().Last()})
	return a.tail, a.err
}

// export keeps the entries after `to` in a side file: once, however often the disk
// then has no room to cut them.
func (e *engine) export(ctx context.Context, to record.LSN, why string) error {
	kept := tail{to, e.env.Log.Bounds().End, e.env.Log.History().Last()}
	if kept.to <= to || kept == e.sinks.aside {
		return nil
	}
	f, err := e.env.Sidelog.Keep(why, e.env.Log.Read(ctx, to+1))
	if err != nil {
		return fmt.Errorf("the tail after entry %d must be cut and can not be kept aside: %w", to, err)
	}
	e.sinks.aside = kept
	e.rewound.Add(f.Records)
	e.rewoundBytes.Add(e.env.Log.Offset(f.Last) - e.env.Log.Offset(f.First-1))
	e.log.Warn("rewound", "records", f.Records, "first", f.First, "last", f.Last, "file", f.Name, "why", why)
	return nil
}

// Append implements stream.Sink.
func (k *sink) Append(_ context.Context, m *stream.Append) error {
	e := k.s.e
	if err := e.broken(); err != nil {
		return err
	}
	if e.seats.removed() { // and acknowledges nothing more (S15)
		return fmt.Errorf("%w: %w", topology.ErrConflict, errRemoved)
	}
	k.observe(m.Time)
	a := k.ask(core.Event{Kind: core.EvAppend, Append: m})
	if a.err != nil {
		return a.err
	}
	k.mu.Lock()
	k.agreed.Took(m)
	k.mu.Unlock()
	k.s.heard.note(m, e.applier.applied())
	return nil
}

// observe raises the clock to the leader's: its times are facts of our own group,
// whoever's clock is off. That one is off is said once a stream, not once a
// message: it lasts until somebody sets the clock.
func (k *sink) observe(ts version.Timestamp) {
	e := k.s.e
	err := e.env.Clock.Observe(ts)
	if err == nil {
		return
	}
	e.env.Clock.Raise(ts)
	if !k.skewed {
		k.skewed = true
		e.log.Warn("the leader's clock is ahead", "reason", err)
	}
}

// Ack implements stream.Sink.
func (k *sink) Ack() stream.Ack {
	k.mu.Lock()
	agreed := k.agreed // before the positions: they are of no older log
	k.mu.Unlock()
	return agreed.Ack(k.s.e.env.Log.Bounds(), k.s.e.applier.applied())
}

func (h *heard) note(m *stream.Append, applied record.LSN) {
	now := time.Now().Add(-m.Age)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.term == m.Term {
		h.silent.Note(now.Sub(h.when))
	}
	h.when, h.term, h.end, h.behind = now, m.Term, m.End, m.Behind
	h.lags.note(m.End, now)
	h.lags.forget(applied)
	if applied >= m.End {
		h.current = now
	}
}
