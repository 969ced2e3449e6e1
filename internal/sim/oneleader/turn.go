package oneleader

import (
	"context"

	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// answer receives the effects of an event that a message caused.
type answer struct {
	tail     stream.Tail
	persist  bool
	truncate bool
	keep     bool
	cutTo    record.LSN
	err      error
}

// step lets the core judge an event, and carries out what it says.
func (p *process) step(ev core.Event, a *answer) {
	if p.dead {
		if a != nil {
			a.err = topology.ErrClosed
		}
		return
	}
	if a == nil {
		a = &answer{}
	}
	ev.At = mono(p)
	p.perform(ev, p.core.Step(ev), a)
}

func (p *process) perform(ev core.Event, effects []core.Effect, a *answer) {
	for i := range effects {
		x := &effects[i]
		switch x.Kind {
		case core.DoStart:
			p.startTerm(x)
		case core.DoReceived:
			p.writing.release(p, topology.Received, x.LSN)
		case core.DoCommit:
			p.w.ledger.committed(p, x.LSN)
			p.reign.wake(p)
			p.writing.release(p, topology.Flushed, x.LSN)
			p.writing.tellLooks(p)
		case core.DoShow:
			p.writing.release(p, topology.Applied, x.LSN)
		case core.DoApply:
			p.w.ledger.mayApply(p, x.LSN)
			p.applying.reach(p, x.LSN)
			p.feeding.wake(p)
		case core.DoRound:
			p.reign.round = x.Round
			p.reign.wake(p)
		case core.DoAnswer:
			p.reading.answer(x.Round)
		case core.DoStepDown:
			p.s.Reach("a leader stepped down")
			p.s.Note(string(p.n.id), "steps down", x.Term)
			p.writing.stop(p)
			p.reading.stop()
			p.reign.stop()
		case core.DoCopy:
			p.copy(ev.Append.Entries[x.N:], a)
		case core.DoTail:
			a.tail = x.Tail
		case core.DoKeep:
			a.keep, a.cutTo = true, x.LSN
		case core.DoRefuse:
			a.err = x.Err
		case core.DoPersist:
			a.persist = true
		case core.DoTruncate:
			a.truncate, a.cutTo = true, x.LSN
		}
	}
}

// startTerm appends the mark that starts a term.
func (p *process) startTerm(x *core.Effect) {
	r := p.group.Mark(x.LSN, p.clock.Now())
	if _, err := p.log.Append(x.Term, r); err != nil {
		p.core.NotStarted(p.log.Bounds().End, p.log.History().Last())
		p.s.Reach("a term was begun and never started")
		if !passing(err) {
			p.fail(err)
		}
		p.flushLater() // looks for space
		return
	}
	p.s.Note(string(p.n.id), "leads", x.Term, uint64(x.LSN))
	p.ballot.since = p.s.Now()
	p.w.ledger.leads(p, x.Term, x.LSN)
	p.w.ledger.appended(p, x.LSN, x.LSN)
	p.writing.recent, p.writing.named.asked = nil, nil
	p.flushLater()
	p.after(0, func() { p.reign.start(p) })
}

func (p *process) copy(es []record.Entry, a *answer) {
	err := p.log.Copy(es...)
	if err != nil {
		a.err = err
		p.core.NotCopied(p.log.Bounds().End, p.log.History().Last())
		p.s.Reach("a follower's log took no entries")
		if !passing(err) {
			p.fail(err)
		}
		p.flushLater() // looks for space
		return
	}
	p.w.ledger.appended(p, es[0].LSN, es[len(es)-1].LSN)
	p.flushLater()
}

// flushLater sees to it that what was appended is written.
func (p *process) flushLater() {
	if p.flushing {
		return
	}
	p.flushing = true
	p.after(p.n.m.Disk.SyncTime(), func() {
		p.flushing = false
		if !p.dead {
			p.flush()
		}
	})
}

// flush writes one group. What the disk has no room for waits.
func (p *process) flush() {
	wrote, err := p.log.Write()
	if err != nil || p.dead {
		return // the log has told
	}
	if b := p.log.Bounds(); b.Flushed < b.End {
		if !wrote {
			p.s.Reach("a log waited for space")
		}
		p.flushLater()
	} else if p.s.Chance(0.05) {
		if err := p.log.Rest(); err != nil {
			p.fail(err)
		}
	}
}

// flushed is called by the log after each flush, and once when it fails.
func (p *process) flushed(b topology.Bounds, err error) {
	if err != nil {
		p.fail(err)
		return
	}
	p.n.isDurable(b, p.log.History())
	p.s.Note(string(p.n.id), "flushed", uint64(b.Flushed))
	p.step(core.Event{Kind: core.EvFlushed, LSN: b.Flushed}, nil)
	p.feeding.wake(p)
	for _, k := range p.sinks.open {
		k.wake()
	}
}

func (n *node) isDurable(b topology.Bounds, h topology.History) { n.durable, n.history = b, h }

// flushAll makes everything durable before anything else happens.
func (p *process) flushAll() error {
	for p.log.Bounds().Flushed < p.log.Bounds().End {
		wrote, err := p.log.Write()
		if err != nil {
			return err
		}
		if !wrote {
			return topology.ErrDiskFull
		}
	}
	return p.log.Flushed(context.Background(), p.log.Bounds().End)
}
