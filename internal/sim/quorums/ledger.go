package quorums

import (
	"context"

	"github.com/triad-kv/triad/internal/sim"
	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// ledger sees everything, as no node can, and holds the nodes to their promises
// while they run.
type ledger struct {
	w         *cluster
	s         *sim.Sim
	writes    map[version.Dot]*written
	order     []version.Dot    // of writes, as they first became durable
	acked     map[string]stamp // by key, the greatest write that a client knows of
	found     map[string]stamp // and the greatest that a client has read
	acks      []version.Dot
	values    map[string]version.Dot
	refused   map[string]bool  // values that were answered NotApplied
	forgotten map[string]stamp // by key, the greatest delete that somebody has forgotten
	latest    version.Timestamp
}

// written is a write that is durable somewhere.
type written struct {
	sum    uint32
	record record.Record
}

func (w *written) stamp() stamp { return stamp{w.record.Time, w.record.Dot} }

func newLedger(w *cluster) *ledger {
	return &ledger{w: w, s: w.s, writes: map[version.Dot]*written{}, acked: map[string]stamp{}, found: map[string]stamp{}, refused: map[string]bool{}, forgotten: map[string]stamp{}, values: map[string]version.Dot{}}
}

// floor is what a read that is asked now must find at least.
func (l *ledger) floor(key string) (at stamp) {
	if l.w.c.strict() {
		at = l.acked[key]
	}
	if f := l.found[key]; l.w.c.repair >= core.RepairBlocking && at.before(f) {
		at = f
	}
	return at
}

// flushed: what stands in a log up to lsn is on its disk from now on.
func (l *ledger) flushed(p *process, lsn record.LSN) {
	for e, err := range p.log.Read(context.Background(), p.n.records+1) {
		if err != nil {
			l.s.Fail("PS12", "%s can not read entry %d that it has flushed: %v", p.n.id, p.n.records+1, err)
			return
		}
		if e.LSN > lsn {
			return
		}
		p.n.records = e.LSN
		l.durable(p, e)
	}
}

func (l *ledger) durable(p *process, e record.Entry) {
	r, err := e.Record()
	if err != nil {
		l.s.Fail("C5", "entry %d of %s is no record: %v", e.LSN, p.n.id, err)
		return
	}
	before := p.n.time
	l.latest, p.n.time = max(l.latest, r.Time), max(before, r.Time)
	if r.IsNote() {
		l.note(p, &r)
		return
	}
	was, ok := l.writes[r.Dot]
	switch {
	case !ok:
		l.writes[r.Dot] = &written{e.Sum, r}
		l.order = append(l.order, r.Dot)
		l.values[string(r.Mutations[0].Value)] = r.Dot
		l.isNew(p, &r, before)
	case was.sum != e.Sum:
		l.s.Fail("C1", "write %v on the disk of %s is another than elsewhere", r.Dot, p.n.id)
	}
	p.n.durable[r.Dot] = true
}

// note: what one replica was told by another is durable there; by a set, all that those
// writes come to.
func (l *ledger) note(p *process, r *record.Record) {
	if r.Mutations[0].Op != record.OpMark {
		l.s.Reach("a replica was repaired")
		return
	}
	q, set, err := core.Learnt(r)
	if err != nil {
		l.s.Fail("C5", "a note of %s: %v", p.n.id, err)
		return
	}
	for _, d := range l.order {
		if set != nil && l.partition(d) == q && set.Has(d) {
			p.n.durable[d] = true
		}
	}
}

func (l *ledger) partition(d version.Dot) int {
	return l.w.chart.now.Partition(l.writes[d].record.Mutations[0].Key)
}

// isNew: a write became durable for the first time, at its coordinator.
func (l *ledger) isNew(p *process, r *record.Record, before version.Timestamp) {
	o := l.w.chart.origin(p.n.id, l.w.chart.now.Partition(r.Mutations[0].Key))
	if r.Origin != o {
		l.s.Fail("C2", "write %v is durable at %s, and not where it was made", r.Dot, p.n.id)
	}
	if l.refused[string(r.Mutations[0].Value)] {
		l.s.Fail("C9", "write %v is on the disk of %s, and was answered not applied", r.Dot, p.n.id)
	}
	if r.Time <= before {
		l.s.Fail("C3", "write %v does not sort after everything in the log of %s", r.Dot, p.n.id)
	}
	for _, d := range r.Context.Missing(nil, 1<<20) {
		if o := l.writes[d]; o != nil && o.record.Time >= r.Time {
			l.s.Fail("C3", "write %v covers %v and does not sort after it", r.Dot, d)
		}
	}
}

// minted: a time was given out, whether the record comes to a disk or not.
func (l *ledger) minted(e *record.Entry) {
	if r, err := e.Record(); err == nil {
		l.latest = max(l.latest, r.Time)
	}
}

// booted: a log that was recovered has all that was durable in it (PW2).
func (l *ledger) booted(p *process) {
	if end := p.log.Bounds().End; end < p.n.records {
		l.s.Fail("PW2", "%s comes back with %d entries, %d were durable", p.n.id, end, p.n.records)
		return
	}
	l.flushed(p, p.log.Bounds().End)
}

// sends: a record that leaves a node is durable there (C2).
func (l *ledger) sends(p *process, m *core.Message) {
	switch m.Kind {
	case core.MsgRecord:
		r, err := m.Entry.Record()
		if err != nil || !p.n.durable[r.Dot] {
			l.s.Fail("C2", "%s sends write %v, which is not durable there (%v)", p.n.id, r.Dot, err)
		}
	case core.MsgNack:
		if len(m.Delta) > 0 {
			l.s.Reach("an old map was refused")
		}
	case core.MsgAsk:
		if m.Full {
			l.s.Reach("a value came in a second round")
		}
	}
}

// answers: a coordinator answers a request. A put that is applied is on W disks.
func (l *ledger) answers(p *process, r *request, a *core.Answer) {
	if !r.puts() || a.Err != nil {
		return
	}
	var on []topology.NodeID
	for _, n := range l.w.nodes {
		if n.durable[a.Dot] {
			on = append(on, n.id)
		}
	}
	part := p.n.place.Part(p.n.place.Partition([]byte(r.key)))
	need, err := part.WriteNeed(l.w.c.write.Expr(), "")
	if err != nil || !need.MetBy(on...) {
		l.s.Fail("PW1", "write %v is acknowledged by %s, and on the disks of %v; it is %v, old %v, new %v (%v)", a.Dot, p.n.id, on, part.Stage, part.Old, part.New, err)
	}
	if part.Moving() {
		l.s.Reach("a write was acknowledged while its partition moved")
	}
}

// heard: a client has its answer.
func (l *ledger) heard(r *request, a *core.Answer) {
	switch {
	case a.Err != nil:
		if r.puts() && r.value != "" && topology.OutcomeOf(a.Err) == topology.NotApplied {
			l.refuses(r.value)
		}
	case r.puts():
		l.acks = append(l.acks, a.Dot)
		if at := l.writes[a.Dot].stamp(); l.acked[r.key].before(at) {
			l.acked[r.key] = at
		}
	default:
		l.reads(r, a)
	}
}

func (l *ledger) refuses(value string) {
	l.refused[value] = true
	if d, ok := l.values[value]; ok {
		l.s.Fail("C9", "write %v was answered not applied, and is on a disk", d)
	}
}

// reads judges what a read has found.
func (l *ledger) reads(r *request, a *core.Answer) {
	var at stamp
	if len(a.State().Siblings) > 0 {
		v := a.State().Siblings[0]
		at = stampOf(v)
		w := l.writes[v.Dot]
		if w == nil || string(w.record.Mutations[0].Key) != r.key || w.record.Time != v.Time || string(w.record.Mutations[0].Value) != string(v.Value) {
			l.s.Fail("PL1", "a read of %s found %v, which nobody wrote so", r.key, v.Dot)
			return
		}
	} else {
		at = l.forgotten[r.key] // what says that there is nothing may be gone
	}
	if at.before(r.acked) && !l.w.c.strict() {
		l.w.stale++
		l.s.Reach("a read was stale, as its level says")
	}
	if r.floor != (stamp{}) {
		l.s.Reach("a read stood behind a write")
	}
	switch acked := l.acked[r.key]; {
	case !at.before(r.floor):
	case l.w.c.strict() && !acked.before(r.floor):
		l.s.Fail("PL1", "a read of %s found %v, and %v was known when it was asked", r.key, at.dot, r.floor.dot)
	default:
		l.s.Fail("L4", "a read of %s found %v, and an earlier one %v", r.key, at.dot, r.floor.dot)
	}
	if l.found[r.key].before(at) {
		l.found[r.key] = at
	} else if l.w.c.repair >= core.RepairBlocking && at != (stamp{}) {
		l.s.Reach("a read stood behind a read")
	}
}
