package singleleader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// pending is what waits for the core: writes for their durability, reads for
// their round. Turns own it; only the budget is shared.
type pending struct {
	budget *semaphore.Weighted
	most   int64
	taken  atomic.Int64 // of it

	held    []*write // wait for the term's start to be durable, or for a switchover
	pausing bool     // a switchover is under way
	group   []*write // being taken by this turn
	records []record.Record
	queues  [topology.Applied + 1]queue // by durability
	looks   []*write                    // of this turn: who changes nothing
	recent  *core.Recent                // nil while nobody needs it
	named   named                       // requests behind what the store shows
	next    atomic.Pointer[index]       // gathers reads while asked is under way; not only turns add to it
	asked   *index                      // whose round is under way
	seen    []*index                    // confirmed, with looks that wait for what they saw
	eager   atomic.Bool                 // somebody waits for less than flushed
}

// queue is writes in the order of their LSNs.
type queue struct {
	ws   []*write
	head int
}

// waits reports whether there is one.
func (q *queue) waits() bool { return q.head < len(q.ws) }

// index is a group of reads, or of who changes nothing, that share one
// round. One round is under way at a time, and the reads that come meanwhile are
// the next one's: a round costs every member a message each way, whether one read
// waits for it or a thousand.
type index struct {
	round uint64
	lsn   record.LSN // what its reads must see
	err   error
	done  chan struct{} // closed once lsn and err are there

	looks []*write
	seen  record.LSN // is to be committed before looks are answered,
	shown record.LSN // and this to be applied
}

func newPending(most int64) *pending {
	return &pending{budget: semaphore.NewWeighted(most), most: most}
}

// reserve takes n bytes of the budget, waiting for others to be answered if
// there is no room.
func (p *pending) reserve(ctx context.Context, n int64) error {
	if err := p.budget.Acquire(ctx, min(n, p.most)); err != nil {
		return fmt.Errorf("%w: %d bytes of writes are waiting already: %w", topology.ErrOverloaded, p.most, err)
	}
	p.taken.Add(min(n, p.most))
	return nil
}

// free gives back what reserve took for n bytes.
func (p *pending) free(n int64) {
	p.taken.Add(-min(n, p.most))
	p.budget.Release(min(n, p.most))
}

// wait queues an appended write for its durability.
func (p *pending) wait(w *write) {
	q := &p.queues[w.durability]
	q.ws = append(q.ws, w)
	if w.durability == topology.Received {
		p.eager.Store(true)
	}
}

// release answers the writes up to lsn that wait for durability d.
func (p *pending) release(e *engine, d topology.Durability, lsn record.LSN) {
	q := &p.queues[d]
	var durable []topology.NodeID
	for q.head < len(q.ws) && q.ws[q.head].receipt.LSN <= lsn {
		w := q.ws[q.head]
		q.ws[q.head] = nil
		q.head++
		if durable == nil {
			durable = e.durableAt(lsn)
		}
		w.receipt.Durability, w.receipt.Durable = d, durable
		p.answer(w, w.ground)
	}
	if q.head == len(q.ws) {
		q.ws, q.head = q.ws[:0], 0
		if d == topology.Received && p.eager.Load() {
			p.eager.Store(false)
		}
	} else if q.head > 4096 && q.head > len(q.ws)/2 {
		q.ws, q.head = append(q.ws[:0], q.ws[q.head:]...), 0
	}
}

// durableAt returns who has lsn flushed, as far as the leader knows; the leader
// first if it does itself.
func (e *engine) durableAt(lsn record.LSN) []topology.NodeID {
	l := &e.core.Lead
	out := make([]topology.NodeID, 0, len(l.Flushed))
	for i, at := range l.Flushed {
		if at >= uint64(lsn) {
			out = append(out, e.reign.names[i])
		}
	}
	return out
}

func (p *pending) answer(w *write, err error) {
	n := w.bytes
	w.err = err
	w.done <- struct{}{}
	p.free(n)
}

func (p *pending) answerAll(ws []*write, err error) {
	for _, w := range ws {
		p.answer(w, err)
	}
}

// stop answers everything that waits, because this node stopped leading or
// running: what was appended may yet be committed by another leader.
func (p *pending) stop(e *engine, why error) {
	for d := range p.queues {
		q := &p.queues[d]
		for _, w := range q.ws[q.head:] {
			err := e.errorOf("write", nil, topology.Unknown, fmt.Errorf("%w before the write was committed", why))
			if err.Dot, err.Term = w.receipt.Dot, w.receipt.Term; w.idle {
				err.Outcome, err.Dot, err.Term = topology.NotApplied, version.Dot{}, 0
			}
			p.answer(w, err)
		}
		q.ws, q.head = nil, 0
	}
	held := e.errorOf("write", nil, topology.NotApplied, why)
	if errors.Is(why, topology.ErrNotLeader) {
		held = e.notLeader("write", topology.NotApplied)
	}
	p.answerAll(p.held, held)
	p.held = nil
	for _, r := range []*index{p.asked, p.next.Swap(nil)} {
		if r != nil {
			p.refuse(e, r, why)
		}
	}
	for _, r := range p.seen {
		p.answerAll(r.looks, e.errorOf("update", nil, topology.NotApplied, why))
	}
	p.asked, p.seen, p.recent, p.named.asked = nil, nil, nil, nil
}

// refuse answers a group of reads that was not confirmed.
func (p *pending) refuse(e *engine, r *index, why error) {
	r.err = why
	close(r.done)
	p.answerAll(r.looks, e.errorOf("update", nil, topology.NotApplied, why))
}

// join adds a read to the group whose round was not asked yet, or opens one, and
// then reports that a turn has to be seen to: it ends with asking the round. Any
// goroutine may call it.
func (p *pending) join() (r *index, opened bool) {
	var own *index
	for {
		if r = p.next.Load(); r != nil {
			return r, false
		}
		if own == nil {
			own = &index{done: make(chan struct{})}
		}
		if p.next.CompareAndSwap(nil, own) {
			return own, true
		}
	}
}

// askReads asks the round of the reads that have gathered, unless one is under
// way. It is called within a turn, with no effects outstanding. Whoever found the
// group did so before it is taken from its place here, so that what is committed
// now is no less than when he came.
func (e *engine) askReads() {
	p := e.pending
	if p.asked != nil || p.next.Load() == nil {
		return
	}
	r := p.next.Swap(nil)
	if e.core.Role != core.Leader {
		p.refuse(e, r, topology.ErrNotLeader)
		return
	}
	effects := step(e, core.Event{Kind: core.EvRead})
	r.round, r.lsn = e.core.Lead.Round, e.core.Commit
	p.asked = r
	e.perform(&ask{}, effects)
}

// answerReads releases the reads whose round has been answered up to round. What
// was committed when it was asked is what they must see at least; before the
// term's start was committed that is the start itself.
func (p *pending) answerReads(e *engine, round uint64) {
	if r := p.asked; r != nil && r.round <= round {
		p.asked = nil
		r.lsn = max(r.lsn, e.core.Lead.Start)
		close(r.done)
		if len(r.looks) > 0 {
			p.seen = append(p.seen, r)
		}
	}
	p.answerSeen(e)
}

// answerSeen answers confirmed looks whose sight will stay.
func (p *pending) answerSeen(e *engine) {
	p.seen = slices.DeleteFunc(p.seen, func(r *index) bool {
		if r.seen > e.core.Commit || r.shown > e.core.Applied {
			return false
		}
		for _, w := range r.looks {
			w.receipt.Durability = w.durability
			p.answer(w, w.ground)
		}
		return true
	})
}

// shows reports whether somebody waits for what is committed to be applied.
func (p *pending) shows() bool { return p.queues[topology.Applied].waits() || len(p.seen) > 0 }

// lags remembers when a log had reached what, to tell a distance in time.
type lags struct {
	at [64]struct {
		lsn  record.LSN
		when time.Time
	}
	n int
}

// note remembers that the log ended at lsn at a time; when full, every second
// mark is forgotten.
func (l *lags) note(lsn record.LSN, when time.Time) {
	if l.n > 0 && l.at[l.n-1].lsn >= lsn {
		return
	}
	if l.n == len(l.at) {
		for i := range l.n / 2 {
			l.at[i] = l.at[2*i]
		}
		l.n /= 2
	}
	l.at[l.n].lsn, l.at[l.n].when = lsn, when
	l.n++
}

// behind returns how long ago the first entry after lsn came, 0 if there is none.
func (l *lags) behind(lsn record.LSN, now time.Time) time.Duration {
	for i := range l.n {
		if l.at[i].lsn > lsn {
			return max(0, now.Sub(l.at[i].when))
		}
	}
	return 0
}

// forget drops marks that lsn has passed.
func (l *lags) forget(lsn record.LSN) {
	k := 0
	for k < l.n && l.at[k].lsn <= lsn {
		k++
	}
	copy(l.at[:], l.at[k:l.n])
	l.n -= k
}
