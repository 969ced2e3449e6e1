package oneleader

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/triad-kv/triad/internal/sim"
	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// sinks is the follower's side: one sink a stream.
type sinks struct {
	open    []*sink
	session uint64
}

// sink takes one stream.
type sink struct {
	p       *process
	conn    *sim.Conn
	from    topology.Peer
	session uint64
	agreed  core.Agreement
	ships   bool // the logs have agreed: entries come
	told    stream.Ack
	due     bool
	waking  bool

	offer stream.Offer
	stage topology.Stage // while a snapshot is received
	mark  stream.Mark
	parts record.LSN // a snapshot takes back what is behind it; 0 for nothing
}

// serve takes a stream that was opened from another node.
func (p *process) serve(conn *sim.Conn, from topology.Peer) {
	p.sinks.session++
	k := &sink{p: p, conn: conn, from: from, session: p.sinks.session}
	p.sinks.open = append(p.sinks.open, k)
	conn.Take = k.take
	conn.Closed = k.gone
}

func (k *sink) gone() {
	p := k.p
	for i, o := range p.sinks.open {
		if o == k {
			p.sinks.open = append(p.sinks.open[:i:i], p.sinks.open[i+1:]...)
		}
	}
	p.step(core.Event{Kind: core.EvGone, Session: k.session}, nil)
	p.council.left()
}

func (k *sink) end() {
	k.conn.Close()
	k.gone()
}

func (k *sink) send(m stream.Message) { k.conn.Send(stream.Encode(m)) }

// take takes one message.
func (k *sink) take(b []byte) {
	if k.p.dead {
		return
	}
	m, err := stream.Decode(b)
	if err != nil {
		k.p.s.Fail("floor", "%s does not understand %s: %v", k.p.n.id, k.from.ID, err)
		return
	}
	var tail stream.Tail
	switch m := m.(type) {
	case *stream.Begin:
		tail, err = k.begin(m)
	case *stream.Cut:
		if tail, err = k.cut(m); err == nil && m.To == m.Asked {
			k.ships = true
			k.wake()
			return
		}
	case *stream.Offer:
		if err = k.open(m); err == nil {
			return
		}
	case *stream.Chunk:
		var done bool
		if tail, done, err = k.chunk(m); err == nil && !done {
			return
		}
	case *stream.Append:
		if err = k.append(m); err == nil {
			return
		}
	default:
		err = fmt.Errorf("%w: a %T to a receiver", topology.ErrMalformed, m)
	}
	if err != nil {
		k.p.s.Note(string(k.p.n.id), "refuses a stream", k.session)
		k.p.s.Say(string(k.p.n.id), "%v", err)
		if errors.Is(err, topology.ErrNotLeader) {
			k.p.s.Reach("a follower refused an old term")
		}
		k.send(&stream.Refusal{Term: max(k.p.group.Term, k.p.core.Pledge), Err: err})
		k.end()
		return
	}
	k.send(&tail)
}

// ask lets the core judge an event of this stream.
func (k *sink) ask(ev core.Event) answer {
	var a answer
	ev.Session = k.session
	k.p.step(ev, &a)
	return a
}

func (k *sink) begin(b *stream.Begin) (stream.Tail, error) {
	p := k.p
	g, err := core.Opening(k.from, *b, core.GroupName)
	if err != nil {
		return stream.Tail{}, err
	}
	if removed(&p.council) {
		return stream.Tail{}, topology.ErrConflict
	}
	if p.feeding.restoring {
		return stream.Tail{}, topology.ErrUnavailable
	}
	ev := core.Event{Kind: core.EvBegin, Node: g.Leader, Life: g.Life, Term: b.Term, Relay: core.RelayOf(b)}
	a := k.ask(ev)
	if a.err == nil && a.persist {
		if err := p.ballot.accept(g); err != nil {
			return stream.Tail{}, err
		}
		a = k.ask(ev)
	}
	if a.err != nil {
		return stream.Tail{}, a.err
	}
	a.tail.Snapshot = a.tail.Snapshot || p.resync
	return a.tail, nil
}

func (k *sink) cut(c *stream.Cut) (stream.Tail, error) {
	a := k.ask(core.Event{Kind: core.EvCut, Cut: *c, History: k.p.log.History(), Forks: k.p.group.Forks})
	switch {
	case a.err != nil:
		return stream.Tail{}, a.err
	case a.truncate:
		return k.rewind(a.cutTo, fmt.Sprintf("the log of the leader of term %d parts from ours after entry %d", c.Term, a.cutTo))
	case a.keep:
		k.parts = a.cutTo
	case c.To == c.Asked:
		k.agreed.Met(*c)
	}
	return a.tail, nil
}

// rewind exports and drops what is behind to (S8, C10).
func (k *sink) rewind(to record.LSN, why string) (stream.Tail, error) {
	p := k.p
	if err := p.export(to, why); err != nil {
		return stream.Tail{}, err
	}
	p.w.ledger.cuts(p, to)
	if err := p.log.Truncate(core.Rewound(p.log.Bounds(), p.log.History(), to)); err != nil {
		p.fail(err)
		return stream.Tail{}, err
	}
	p.n.isDurable(p.log.Bounds(), p.log.History())
	p.s.Reach("a diverged tail was rewound")
	if to > 0 && p.log.History().Last() == 0 {
		p.s.Fail("S8", "the log of %s ends at %d, and knows no term", p.n.id, to)
	}
	p.s.Note(string(p.n.id), "rewinds", uint64(to))
	a := k.ask(core.Event{Kind: core.EvTruncated, LSN: to, Term: p.log.History().Last()})
	return a.tail, a.err
}

// export keeps the entries after `to` in a side file.
func (p *process) export(to record.LSN, why string) error {
	if p.log.Bounds().End <= to {
		return nil
	}
	kept, err := p.home.Sidelog().Keep(why, p.log.Read(context.Background(), to+1))
	if err != nil {
		return fmt.Errorf("the tail after entry %d must be cut and can not be kept aside: %w", to, err)
	}
	p.w.ledger.aside(p, kept)
	return nil
}

func (k *sink) open(o *stream.Offer) error {
	st, err := k.p.store.Stage(o.ID)
	if err != nil {
		return err
	}
	if k.mark, err = stream.DecodeMark(st.Resume()); err != nil {
		return err
	}
	if k.mark.Count > 0 {
		k.p.s.Reach("a snapshot was resumed")
	}
	k.offer, k.stage = *o, st
	m := stream.Resume(k.mark)
	k.send(&m)
	return nil
}

func (k *sink) chunk(c *stream.Chunk) (stream.Tail, bool, error) {
	if k.stage == nil {
		return stream.Tail{}, false, fmt.Errorf("%w: a chunk of no snapshot", topology.ErrMalformed)
	}
	var err error
	if k.mark, err = k.mark.Over(c); err != nil {
		return stream.Tail{}, false, err
	}
	if !c.Done {
		return stream.Tail{}, false, k.stage.Put(k.mark.Encode(), c.Edits)
	}
	tail, err := k.install()
	return tail, true, err
}

// install makes the snapshot this node's state (S12).
func (k *sink) install() (stream.Tail, error) {
	p, o := k.p, k.offer
	applied := p.store.Applied()
	if k.parts == 0 {
		k.parts = core.Parts(p.log.History(), p.log.Bounds().End, o.History, o.LSN)
	}
	back := p.w.c.sync.Kind == quorum.KindAsync || core.TakesBack(&p.group, p.log.History().Last(), k.parts)
	if err := core.Installable(o.LSN, applied, p.resync, back); err != nil {
		return stream.Tail{}, err
	}
	to := core.Leaves(p.log.Bounds().First, applied, k.parts)
	if err := p.export(to, fmt.Sprintf("a snapshot of term %d at entry %d replaced the log", o.Term, o.LSN)); err != nil {
		return stream.Tail{}, err
	}
	i := core.Install{ID: o.ID, LSN: o.LSN, History: o.History}
	if err := p.home.Save(stableInstall, i.Encode()); err != nil {
		return stream.Tail{}, err
	}
	p.w.ledger.installs(p, o)
	if err := k.stage.Install(o.LSN); err != nil {
		return stream.Tail{}, err
	}
	p.n.halved = true
	if err := p.n.save(p.store, true); err != nil {
		return stream.Tail{}, err
	}
	if err := p.log.Truncate(i.Range()); err != nil {
		p.fail(err)
		return stream.Tail{}, err
	}
	p.n.halved = false
	p.n.isDurable(p.log.Bounds(), p.log.History())
	p.s.Reach("a snapshot was installed")
	p.s.Note(string(p.n.id), "installs", uint64(o.LSN), o.Term)
	p.resync = false
	if err := p.loadRequests(); err != nil {
		p.fail(err)
		return stream.Tail{}, err
	}
	p.applying.reset(p, o.LSN)
	a := k.ask(core.Event{Kind: core.EvTruncated, LSN: o.LSN, Term: o.History.Last(), N: 1})
	return a.tail, a.err
}

// finishInstall makes the log follow a store that a snapshot has replaced.
func (p *process) finishInstall() error {
	b, err := p.home.Load(stableInstall)
	if err != nil || b == nil {
		return err
	}
	i, err := core.DecodeInstall(b)
	if err != nil {
		return err
	}
	snap, err := p.store.Snapshot()
	if err != nil {
		return err
	}
	installed, err := snap.Installed()
	if err != nil {
		return err
	}
	if i.Unfinished(installed, p.positions()) {
		p.s.Reach("an install was finished after a crash")
		if !p.n.halved {
			p.s.Fail("S12", "%s replaces its log after entry %d for a snapshot that never came into its store", p.n.id, i.LSN)
		}
		err = p.log.Truncate(i.Range())
	}
	p.n.halved = p.n.halved && err != nil
	return err
}

func (k *sink) append(m *stream.Append) error {
	p := k.p
	if p.dead {
		return topology.ErrClosed
	}
	if err := p.clock.Observe(m.Time); err != nil {
		p.clock.Raise(m.Time)
		p.s.Reach("a leader's clock was ahead")
	}
	if a := k.ask(core.Event{Kind: core.EvAppend, Append: m}); a.err != nil {
		return a.err
	}
	k.due = k.due || m.Count == 0
	k.agreed.Took(m)
	p.council.hears(m.Term)
	p.feeding.heard = p.s.Now() - m.Age
	k.wake()
	return nil
}

// wake sees to it that an ack is sent, if there is something to say.
func (k *sink) wake() {
	if k.waking || !k.ships {
		return
	}
	k.waking = true
	k.p.after(k.p.s.Lasting(0, time.Millisecond), func() {
		k.waking = false
		if k.p.dead {
			return
		}
		now := k.agreed.Ack(k.p.log.Bounds(), k.p.store.Applied())
		if !k.due && now == k.told {
			return
		}
		k.due = false
		k.told = now
		k.p.w.ledger.acks(k.p, now)
		k.send(&now)
	})
}
