package oneleader

import (
	"context"
	"math"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// applying makes what is committed visible.
type applying struct {
	target  record.LSN
	busy    bool
	waiters []waiter

	requests *core.Requests // of what is applied
	most     record.LSN     // nothing behind it is applied; 0: it may be
}

type waiter struct {
	lsn  record.LSN
	then func()
}

// reach raises what may be applied.
func (a *applying) reach(p *process, lsn record.LSN) {
	a.target = max(a.target, lsn)
	if a.busy {
		return
	}
	a.busy = true
	p.after(p.s.Lasting(0, p.w.c.rest), func() {
		a.busy = false
		if !p.dead {
			a.some(p)
		}
	})
}

// wait runs then once the store shows lsn.
func (a *applying) wait(p *process, lsn record.LSN, then func()) {
	if p.store.Applied() >= lsn {
		then()
		return
	}
	a.waiters = append(a.waiters, waiter{lsn, then})
}

// reset moves the position after a snapshot replaced the store's contents.
func (a *applying) reset(p *process, lsn record.LSN) {
	a.target = lsn
	a.wakes(p, lsn)
}

func (a *applying) wakes(p *process, lsn record.LSN) {
	ready := a.waiters
	a.waiters = nil
	for _, w := range ready {
		if w.lsn <= lsn {
			w.then()
		} else {
			a.waiters = append(a.waiters, w)
		}
	}
}

// some applies one group from the log.
func (a *applying) some(p *process) {
	from := p.store.Applied() + 1
	to := a.target
	if a.most > 0 {
		to = min(to, a.most)
	}
	if from > to {
		return
	}
	var edits []topology.Edit
	var arena []byte
	var rec record.Record
	enc := p.w.enc
	last, n := from-1, 0
	for e, err := range p.log.Read(context.Background(), from) {
		if err == nil {
			err = record.Decode(e.Bytes, &rec)
		}
		if err != nil {
			p.s.Fail("C6", "%s can not apply entry %d: %v", p.n.id, from, err)
			return
		}
		if e.LSN > to || n == p.w.c.applyMost {
			break
		}
		edits, arena = core.AppendEdits(edits, arena, enc, &rec)
		edits, arena = a.requests.Add(edits, arena, enc, &rec)
		last = e.LSN
		n++
	}
	if last < from {
		p.s.Fail("C6", "%s: entry %d is committed and not in the log", p.n.id, from)
		return
	}
	p.w.ledger.applies(p, from, last)
	if err := p.store.Apply(last, edits); err != nil {
		p.fail(err)
		return
	}
	if p.s.Chance(0.2) { // the store has made itself durable
		if err := p.n.save(p.store, false); err != nil {
			p.fail(err)
		}
	}
	a.wakes(p, last)
	p.step(core.Event{Kind: core.EvApplied, LSN: last}, nil)
	for _, k := range p.sinks.open {
		k.wake()
	}
	if a.target > last {
		a.reach(p, a.target)
	}
}

// trimLater keeps the log short: what the store has durable and no member needs
// goes.
func (p *process) trimLater() {
	p.after(p.w.c.trim/2+p.s.Lasting(0, p.w.c.trim), func() {
		if p.dead {
			return
		}
		p.trim()
		p.trimLater()
	})
}

func (p *process) trim() {
	if p.s.Chance(0.7) {
		if err := p.n.save(p.store, true); err != nil {
			p.fail(err)
			return
		}
	}
	var flushed record.LSN
	for _, k := range p.n.shown {
		if k.flushed {
			flushed = k.snap.Applied()
		}
	}
	b := p.log.Bounds()
	keep := min(flushed+1, p.reign.needs(p), b.End+1, core.Keep(&p.core, &p.group))
	if keep <= b.First {
		return
	}
	if err := p.log.Truncate(topology.Range{First: keep, Last: math.MaxUint64}); err != nil {
		if !passing(err) {
			p.fail(err)
		}
		return
	}
	if p.log.Bounds().First > b.First {
		p.s.Reach("a log was trimmed")
	}
}
