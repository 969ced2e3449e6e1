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
	"github.com/triad-kv/triad/topology"
)

const protocolLog = "log"

// sinks is the follower's side: one sink a stream, of which the core obeys the
// newest of the highest term.
type sinks struct {
	e       *engine
	gate    gate // Begin, Cut, Install and the applier, one at a time
	session atomic.Uint64
	heard   heard

	mu   sync.Mutex
	open []*sink
}

// heard is what the leader last said, for lag and staleness.
type heard struct {
	mu      sync.Mutex
	when    time.Time
	end     record.LSN
	behind  uint64 // bytes of entries at the leader after our end
	lags    lags
	current time.Time // when this node last showed all the leader had
}

func newSinks(e *engine) *sinks { return &sinks{e: e, gate: newGate()} }

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
		s.e.turn.post(event{kind: evGone, session: k.session})
	}()
	return k.r.Run(ctx)
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
	term    atomic.Uint64 // agreed in this term, 0 before
	round   atomic.Uint64
	match   atomic.Uint64 // our log is the leader's up to here
	parts   record.LSN    // a snapshot takes back what is behind it; 0 for nothing
	answer  answer
}

// ask lets the core judge an event of this stream.
func (k *sink) ask(ev event) *answer {
	a := &k.answer
	*a = answer{done: a.done}
	ev.session = k.session
	k.s.e.turn.ask(ev, a)
	return a
}

// Begin implements stream.Sink.
func (k *sink) Begin(ctx context.Context, from topology.Peer, b stream.Begin) (stream.Tail, error) {
	e := k.s.e
	g, err := decodeGroup(b.Body)
	if err != nil {
		return stream.Tail{}, fmt.Errorf("%w: %w", topology.ErrMalformed, err)
	}
	if b.Group != groupName || g.Term != b.Term || g.Leader != from.ID || g.Life != from.Life {
		return stream.Tail{}, fmt.Errorf("%w: the stream of %s claims term %d of group %s, its document says term %d led by %s", topology.ErrMalformed, from.ID, b.Term, b.Group, g.Term, g.Leader)
	}
	if err := k.s.gate.enter(ctx); err != nil {
		return stream.Tail{}, err
	}
	defer k.s.gate.leave()
	ev := event{kind: evBegin, node: from.ID, life: from.Life, term: b.Term}
	a := k.ask(ev)
	if a.err == nil && a.persist {
		if err := e.ballot.accept(ctx, g); err != nil {
			return stream.Tail{Term: e.group.Load().Term}, err
		}
		a = k.ask(ev)
	}
	if a.err != nil {
		return stream.Tail{Term: e.group.Load().Term}, a.err
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
	a := k.ask(event{kind: evCut, cut: c, history: e.env.Log.History()})
	switch {
	case a.err != nil:
		return stream.Tail{Term: e.group.Load().Term}, a.err
	case a.truncate:
		return k.rewind(ctx, a.cutTo, fmt.Sprintf("the log of the leader of term %d parts from ours after entry %d", c.Term, a.cutTo))
	case a.keep:
		k.parts = a.cutTo
	case c.To == c.Asked:
		k.match.Store(uint64(c.To.LSN))
		k.term.Store(c.Term)
	}
	return a.tail, nil
}

// rewind exports and drops what is behind to (S8, C10).
func (k *sink) rewind(ctx context.Context, to record.LSN, why string) (stream.Tail, error) {
	e := k.s.e
	if err := e.export(ctx, to, why); err != nil {
		return stream.Tail{}, err
	}
	b := e.env.Log.Bounds()
	if err := e.env.Log.Truncate(topology.Range{First: b.First, Last: to}); err != nil {
		e.fail(err)
		return stream.Tail{}, err
	}
	a := k.ask(event{kind: evTruncated, lsn: to, term: e.env.Log.History().Last()})
	return a.tail, a.err
}

// export keeps the entries after `to` in a side file.
func (e *engine) export(ctx context.Context, to record.LSN, why string) error {
	if e.env.Log.Bounds().End <= to {
		return nil
	}
	kept, err := e.env.Sidelog.Keep(why, e.env.Log.Read(ctx, to+1))
	if err != nil {
		return fmt.Errorf("the tail after entry %d must be cut and can not be kept aside: %w", to, err)
	}
	e.rewound.Add(kept.Records)
	e.log.Warn("rewound", "records", kept.Records, "first", kept.First, "last", kept.Last, "file", kept.Name, "why", why)
	return nil
}

// Append implements stream.Sink.
func (k *sink) Append(_ context.Context, m *stream.Append) error {
	e := k.s.e
	if err := e.broken(); err != nil {
		return err
	}
	if err := e.env.Clock.Observe(m.Time); err != nil {
		e.env.Clock.Raise(m.Time) // a fact of our own group, whoever's clock is off
		e.log.Warn("the leader's clock is ahead", "reason", err)
	}
	a := k.ask(event{kind: evAppend, append: m})
	if a.err != nil {
		return a.err
	}
	if n := len(m.Entries); n > 0 {
		k.match.Store(max(k.match.Load(), uint64(m.Entries[n-1].LSN)))
	}
	k.round.Store(max(k.round.Load(), m.Round))
	k.s.heard.note(m, e.applier.applied())
	return nil
}

// Ack implements stream.Sink. Nothing above what the logs agree on counts in
// this term.
func (k *sink) Ack() stream.Ack {
	e := k.s.e
	term, match := k.term.Load(), record.LSN(k.match.Load())
	b := e.env.Log.Bounds()
	return stream.Ack{
		Term:    term,
		Written: min(b.End, match),
		Flushed: min(b.Flushed, match),
		Applied: min(e.applier.applied(), match),
		Round:   k.round.Load(),
	}
}

func (h *heard) note(m *stream.Append, applied record.LSN) {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.when, h.end, h.behind = now, m.End, m.Behind
	h.lags.note(m.End, now)
	h.lags.forget(applied)
	if applied >= m.End {
		h.current = now
	}
}
