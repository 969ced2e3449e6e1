package oneleader

import (
	"context"
	"errors"

	"github.com/triad-kv/triad/internal/sim"
	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// ledger sees everything, as nobody in the group can, and holds the group to its
// promises while it runs.
type ledger struct {
	w        *cluster
	s        *sim.Sim
	entries  map[ending]entry
	log      []uint64 // the term of every committed entry, by LSN; 0 is not used
	leaders  map[uint64]leadership
	acked    []*write
	rotten   map[*node]bool
	promised map[*node]record.LSN  // what a node has acknowledged as flushed, in its present log
	refuses  map[string]bool       // values that were answered NotApplied
	keys     map[string]record.LSN // how far each is known to have come
	lost     map[ending]bool       // committed by a leader alone, and given up by force
	forcing  bool                  // some term was forced, whether it was started or not
	pending  uint64                // the newest that was forced, until it or a later one is started
	restored bool                  // the group went back to a point of its past
	forced   uint64                // the newest term that was started since
	asides   map[ending]bool       // what stands in side files
	era      int                   // how often an election has lost something that was acknowledged
	asked    map[ending][]record.Condition
	refusals []refusal
	changes  map[string][]change // of keys, by the log, in the end
}

// entry is what one place of the log holds, wherever it stands.
type entry struct {
	sum   uint32
	prev  uint64 // the term of the entry before it
	bytes []byte
}

// refusal is a conditional write that was refused, while the log went from floor
// to until.
type refusal struct {
	*op
	until record.LSN
}

type change struct {
	lsn record.LSN
	dot version.Dot
}

type leadership struct {
	node *node
	life uint64
	boot uint64
}

func newLedger(w *cluster) *ledger {
	return &ledger{
		w: w, s: w.s, entries: map[ending]entry{}, log: []uint64{0}, leaders: map[uint64]leadership{}, rotten: map[*node]bool{},
		promised: map[*node]record.LSN{}, refuses: map[string]bool{}, keys: map[string]record.LSN{}, lost: map[ending]bool{}, asides: map[ending]bool{}, asked: map[ending][]record.Condition{}, changes: map[string][]change{},
	}
}

// leads: at most one node leads in a term, and starts it once (PS1, S2).
func (l *ledger) leads(p *process, term uint64, start record.LSN) {
	if was, ok := l.leaders[term]; ok {
		l.s.Fail("PS1", "%s leads term %d, which %s has led", p.n.id, term, was.node.id)
		return
	}
	l.leaders[term] = leadership{p.n, p.n.life(), p.n.m.Boots()}
	switch {
	case term < l.forced:
		return // nobody told it that it is over
	case l.forcing:
		l.forces(p, term)
		if term >= l.pending {
			l.pending = 0
		}
	}
	h := p.log.History()
	if lag := l.w.c.lag; lag > 0 {
		lossy{l}.lacks(p, lag, start)
		return
	}
	for lsn := record.LSN(1); lsn < record.LSN(len(l.log)); lsn++ {
		if at, ok := h.TermAt(lsn); lsn >= start || !ok && lsn >= p.log.Bounds().First || ok && at != l.log[lsn] {
			l.s.Fail("PS2", "%s leads term %d from entry %d on without entry %d of term %d, which was committed", p.n.id, term, start, lsn, l.log[lsn])
			return
		}
	}
}

// termAt returns the term of an entry that the log has, or had until it was
// trimmed.
func (p *process) termAt(lsn record.LSN) (uint64, bool) { return p.log.History().TermAt(lsn) }

// appended: equal places are equal entries, with equal ones before them (PS4).
func (l *ledger) appended(p *process, from, to record.LSN) {
	prev, _ := p.termAt(from - 1)
	next := from
	for e, err := range p.log.Read(context.Background(), from) {
		if err != nil {
			l.s.Fail("PS12", "%s can not read entry %d that it has appended: %v", p.n.id, next, err)
			return
		}
		if e.LSN > to {
			break
		}
		l.holds(p, e, prev)
		prev, next = e.Term, e.LSN+1
	}
}

func (l *ledger) holds(p *process, e record.Entry, prev uint64) {
	at := ending{e.Term, e.LSN}
	was, ok := l.entries[at]
	switch {
	case !ok:
		l.entries[at] = entry{e.Sum, prev, e.Bytes}
	case was.sum != e.Sum || string(was.bytes) != string(e.Bytes):
		l.s.Fail("PS4", "%s holds something else at entry %d of term %d", p.n.id, e.LSN, e.Term)
	case prev != 0 && was.prev != 0 && was.prev != prev:
		l.s.Fail("PS4", "%s has entry %d of term %d behind one of term %d, elsewhere it is behind one of %d", p.n.id, e.LSN, e.Term, prev, was.prev)
	}
}

// booted: a log that was recovered has all that its node had acknowledged as
// flushed, and nothing that never was in it (PW2, PW3); and the store is not
// ahead of it.
func (l *ledger) booted(p *process) {
	delete(l.rotten, p.n)
	if end := p.log.Bounds().End; end > 0 && p.log.History().Last() == 0 {
		l.s.Fail("S8", "the log of %s ends at %d, and knows no term", p.n.id, end)
	}
	b := p.log.Bounds()
	if p.resync {
		l.s.Fail("C6", "the store of %s shows %d, its log goes from %d to %d", p.n.id, p.store.Applied(), b.First, b.End)
	}
	if had := l.promised[p.n]; b.End < had {
		l.s.Fail("PW1", "the log of %s ends at %d after a restart, %d was acknowledged as flushed", p.n.id, b.End, had)
	}
	p.n.isDurable(b, p.log.History())
	if b.End >= b.First {
		l.appended(p, b.First, b.End)
	}
	h := p.log.History()
	for lsn := record.LSN(1); lsn <= min(p.store.Applied(), record.LSN(len(l.log)-1)); lsn++ {
		if at, ok := h.TermAt(lsn); ok && at != l.log[lsn] && !l.lost[ending{at, lsn}] {
			l.s.Fail("PS4", "the store of %s shows entry %d of term %d, committed was that of term %d", p.n.id, lsn, at, l.log[lsn])
			return
		}
	}
}

// wiped: nothing is left of what a node had acknowledged.
func (l *ledger) wiped(n *node) {
	delete(l.promised, n)
	delete(l.rotten, n)
}

// refused: only what was damaged may not start.
func (l *ledger) refused(n *node, err error) {
	if !l.rotten[n] && !n.damaged {
		l.s.Fail("PW3", "%s does not take its own log: %v", n.id, err)
	}
	l.s.Reach("damage was found")
}

// committed: enough of those the policy names have the entry durably, and nobody
// has committed another one in its place (PS2, PS4).
func (l *ledger) committed(p *process, to record.LSN) {
	l.w.commits = max(l.w.commits, to)
	l.s.Note(string(p.n.id), "commits", uint64(to), p.core.Term)
	if to < p.core.Lead.Start {
		l.s.Fail("S4", "%s commits entry %d of an older term by itself, its own starts at %d", p.n.id, to, p.core.Lead.Start)
	}
	l.enough(p, to)
	h := p.log.History()
	for lsn := p.sure + 1; lsn <= to; lsn++ {
		at, ok := h.TermAt(lsn)
		switch {
		case !ok:
			l.s.Fail("PS4", "%s commits entry %d and does not know its term", p.n.id, lsn)
		case lsn < record.LSN(len(l.log)) && l.log[lsn] == at:
			p.sure = lsn
			continue
		case l.w.c.lag > 0 && lsn < record.LSN(len(l.log)):
			if !(lossy{l}).loses(p, lsn) {
				return
			}
			l.log = append(l.log, at)
			p.sure = lsn
			continue
		case p.core.Term < l.forced: // nobody told it that it is over
			l.s.Reach("a leader went on alone after another was forced")
			l.lost[ending{at, lsn}] = true
			continue
		case lsn < record.LSN(len(l.log)):
			l.s.Fail("PS4", "%s commits entry %d of term %d, committed was that of term %d", p.n.id, lsn, at, l.log[lsn])
		default:
			l.log = append(l.log, at)
			p.sure = lsn
			continue
		}
		return
	}
}

// enough holds a commit to what really is on disks (PW1).
func (l *ledger) enough(p *process, lsn record.LSN) {
	at, _ := p.termAt(lsn)
	names := p.core.Lead.Rule.Members()
	if !p.core.Lead.Rule.Satisfied(func(i int) bool {
		n := l.w.node(names[i])
		if (n.repair || n.damaged) && p.reign.heard[n] != n.life() {
			return true // what it had acknowledged before its disk was lost
		}
		if slack := p.core.Lead.Slack; i > 0 && slack > 0 {
			return uint64(n.durable.Flushed)+slack >= uint64(lsn)
		}
		t, ok := n.history.TermAt(lsn)
		return ok && t == at && n.durable.Flushed >= lsn
	}) {
		l.s.Fail("PW1", "%s commits entry %d of term %d, which too few have durably", p.n.id, lsn, at)
	}
}

// mayApply: a commit LSN is right wherever it is believed, and durable there.
func (l *ledger) mayApply(p *process, to record.LSN) {
	b := p.log.Bounds()
	if to > b.Flushed {
		l.s.Fail("S3", "%s may apply %d, durable is %d", p.n.id, to, b.Flushed)
	}
	l.agreed(p, to, to)
}

func (l *ledger) agreed(p *process, from, to record.LSN) {
	h := p.log.History()
	for lsn := from; lsn <= to; lsn++ {
		at, ok := h.TermAt(lsn)
		if !ok || lsn >= record.LSN(len(l.log)) || l.log[lsn] != at {
			if l.lost[ending{at, lsn}] {
				continue
			}
			l.s.Fail("PS4", "%s takes entry %d of term %d for committed, which it is not", p.n.id, lsn, at)
			return
		}
	}
}

// applies: only what is committed and durable here is shown (S3, PW1).
func (l *ledger) applies(p *process, from, to record.LSN) {
	b := p.log.Bounds()
	if to > p.core.Commit || to > b.Flushed {
		l.s.Fail("S3", "%s applies %d, committed is %d and durable %d", p.n.id, to, p.core.Commit, b.Flushed)
	}
	l.agreed(p, from, to)
	l.s.Note(string(p.n.id), "applies", uint64(to))
}

// acks: what is acknowledged as flushed is.
func (l *ledger) acks(p *process, a stream.Ack) {
	if a.Flushed > p.log.Bounds().Flushed {
		l.s.Fail("PW1", "%s acknowledges %d, durable is %d", p.n.id, a.Flushed, p.log.Bounds().Flushed)
	}
	l.promised[p.n] = max(l.promised[p.n], a.Flushed)
}

// reports: the same of an answer to a poll.
func (l *ledger) reports(p *process, last stream.Place) {
	l.promised[p.n] = max(l.promised[p.n], last.LSN)
}

// cuts: what was committed is not cut, and what is cut was kept aside (PS16).
func (l *ledger) cuts(p *process, to record.LSN) {
	for lsn := to + 1; lsn <= p.log.Bounds().End; lsn++ {
		at, _ := p.termAt(lsn)
		if lsn < record.LSN(len(l.log)) && l.log[lsn] == at && p.core.Term >= l.forced && l.w.c.lag == 0 {
			l.s.Fail("PS4", "%s cuts entry %d of term %d, which is committed", p.n.id, lsn, at)
		}
	}
	cutsBack(l, p, to)
}

// cutsBack: the same of who cuts what is committed because an operator wants it, and whom
// no commit counts.
func cutsBack(l *ledger, p *process, to record.LSN) {
	for lsn := to + 1; lsn <= p.log.Bounds().End; lsn++ {
		at, _ := p.termAt(lsn)
		e := ending{at, lsn}
		if !l.asides[e] {
			l.s.Fail("PS16", "%s cuts entry %d of term %d, which is in no side file", p.n.id, lsn, at)
		}
	}
	l.promised[p.n] = min(l.promised[p.n], to)
	p.sure = min(p.sure, to)
}

// aside reads a side file back.
func (l *ledger) aside(p *process, k topology.Kept) {
	n := uint64(0)
	for e, err := range p.home.Sidelog().Entries(k.Name) {
		if err != nil {
			l.s.Fail("PS16", "%s can not read its side file %s: %v", p.n.id, k.Name, err)
			return
		}
		l.holds(p, e, 0)
		l.asides[ending{e.Term, e.LSN}] = true
		n++
	}
	if n != k.Records {
		l.s.Fail("PS16", "%s kept %d entries aside, %d are there", p.n.id, k.Records, n)
	}
}

// installs: a snapshot holds what was committed and nothing else, and what it
// takes out of the log was kept aside.
func (l *ledger) installs(p *process, o stream.Offer) {
	for lsn := record.LSN(1); lsn <= o.LSN; lsn++ {
		if at, ok := o.History.TermAt(lsn); lsn >= record.LSN(len(l.log)) || !ok || at != l.log[lsn] {
			if l.lost[ending{at, lsn}] {
				continue
			}
			l.s.Fail("PS4", "%s installs a snapshot up to %d, of which entry %d of term %d is not committed", p.n.id, o.LSN, lsn, at)
			return
		}
	}
	b := p.log.Bounds()
	for lsn := max(b.First, p.store.Applied()+1); lsn <= b.End; lsn++ {
		at, _ := p.termAt(lsn)
		if !l.asides[ending{at, lsn}] {
			l.s.Fail("PS16", "a snapshot takes entry %d of term %d out of the log of %s, which is in no side file", lsn, at, p.n.id)
			return
		}
	}
	l.promised[p.n], p.sure = o.LSN, 0
}

// mayForce reports whether an operator may force a leader: who forces two at
// once, or one beside nodes that have not heard of the last, has two leaders in
// one term, and is told so beforehand.
func (l *ledger) mayForce() bool {
	for _, n := range l.w.nodes {
		if p := n.live(); l.forcing && (l.pending != 0 || p == nil || p.core.Term < l.forced) {
			return false
		}
	}
	return true
}

// forces: who is made leader by force takes the loss, which is counted (S9).
func (l *ledger) forces(p *process, term uint64) {
	l.forced = term
	end, h := p.log.Bounds().End, p.log.History()
	for lsn := record.LSN(1); lsn < record.LSN(len(l.log)); lsn++ {
		if at, ok := h.TermAt(lsn); lsn <= end && (!ok || at == l.log[lsn]) {
			continue
		}
		l.s.Reach("a forced leader lost what was committed")
		for i := lsn; i < record.LSN(len(l.log)); i++ {
			l.lost[ending{l.log[i], i}] = true
		}
		l.log = l.log[:lsn]
		clear(l.keys)
		for _, n := range l.w.nodes {
			if n.p != nil {
				n.p.sure = 0
			}
		}
		return
	}
}

// acknowledges: a write is answered when its entry is committed (PS2).
func (l *ledger) acknowledges(p *process, w *write) {
	if w.lsn >= record.LSN(len(l.log)) || l.log[w.lsn] != w.term {
		if !l.lost[ending{w.term, w.lsn}] {
			l.s.Fail("PS2", "%s answers a write at entry %d of term %d, which is not committed", p.n.id, w.lsn, w.term)
		}
		return
	}
	l.acked = append(l.acked, w)
}

// answered: with the log for an order of all operations, each must stand in it
// where its time says (PS5): behind what was answered before it was asked.
func (l *ledger) answered(c *client, o *op, r reply) {
	var t *topology.Error
	if r.refused {
		l.refusals = append(l.refusals, refusal{o, record.LSN(len(l.log) - 1)})
	}
	if r.err != nil {
		if r.outcome == topology.NotApplied && o.value != "" && !errors.As(r.err, &t) {
			l.refuses[o.value] = true
		}
		return
	}
	at := record.LSN(r.seen.Seq)
	strict := o.value != ""
	if strict {
		at = r.lsn
	}
	if l.forced != 0 && mayLose(l) || o.era != l.era {
		return // what was acknowledged may be gone, and is counted
	}
	switch {
	case o.local:
		if r.lsn < o.session {
			l.s.Fail("PS7", "client %d had seen %d and reads at %d", c.number, o.session, r.lsn)
		}
		return
	case at < o.floor || strict && at == o.floor && at != 0:
		l.s.Fail("PS5", "client %d: operation %d on %s stands at entry %d, %d was answered before it was asked", c.number, o.number, o.key, at, o.floor)
	}
	if o.cas && o.expect.Seq > 0 && o.floor > record.LSN(o.expect.Seq) {
		l.s.Fail("PS5", "client %d: operation %d replaced entry %d of %s, and %d was answered before it was asked", c.number, o.number, o.expect.Seq, o.key, o.floor)
	}
	l.keys[o.key] = max(l.keys[o.key], at)
}

func valueOf(r *record.Record) string {
	for i := range r.Mutations {
		if m := &r.Mutations[i]; m.Op == record.OpPut && m.Table == record.TableDefault {
			return string(m.Value)
		}
	}
	return ""
}

// at is the entry that was committed at lsn.
func (l *ledger) at(lsn record.LSN) (entry, bool) {
	e, ok := l.entries[ending{l.log[lsn], lsn}]
	return e, ok
}
