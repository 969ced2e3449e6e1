package sites

import (
	"context"
	"maps"
	"slices"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/internal/sim"
	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// ledger sees everything, as no site can, and holds the sites to their promises
// while they run.
type ledger struct {
	w       *cluster
	s       *sim.Sim
	writes  map[version.Dot]*written
	order   []version.Dot    // of writes, as they first became durable
	values  map[string]bool  // that are durable somewhere
	refused map[string]bool  // that were answered NotApplied
	found   map[place]stamp  // the greatest that a client knows a site to have shown or taken
	burnt   []version.Vector // what the other sites had when one burnt
	latest  version.Timestamp
}

// written is a write that is durable somewhere.
type written struct {
	sum    uint32
	record record.Record
	acked  bool
}

// place is a key at a site, in one life of it.
type place struct {
	site core.Site
	life uint32
	key  string
}

func (w *written) stamp() stamp { return stamp{w.record.Time, w.record.Dot} }

func newLedger(w *cluster) *ledger {
	return &ledger{w: w, s: w.s, writes: map[version.Dot]*written{}, values: map[string]bool{}, refused: map[string]bool{}, found: map[place]stamp{}}
}

// floor is what a read at a site that is asked now must find at least (PM10).
func (l *ledger) floor(n *node, key string) stamp { return l.found[place{n.name, n.life, key}] }

// flushed: what stands in a log up to lsn is on its disk from now on.
func (l *ledger) flushed(p *process, lsn record.LSN) {
	for e, err := range p.log.Read(context.Background(), p.n.records+1) {
		if err != nil {
			l.s.Fail("PS12", "%s can not read entry %d that it has flushed: %v", p.n.name, p.n.records+1, err)
			return
		}
		if e.LSN > lsn {
			return
		}
		p.n.records = e.LSN
		l.durable(p.n, e)
	}
}

// durable: an entry is on a site's disk, in its place (PM2, PM4).
func (l *ledger) durable(n *node, e record.Entry) {
	r, err := e.Record()
	switch {
	case err != nil:
		l.s.Fail("C5", "entry %d of %s is no record: %v", e.LSN, n.name, err)
		return
	case r.IsNote():
		return
	case r.Seq != n.vector.Get(r.Origin)+1:
		l.s.Fail("PM2", "%s has write %v behind %d of its origin", n.name, r.Dot, n.vector.Get(r.Origin))
	case !n.vector.Descends(r.Deps):
		l.s.Fail("PM4", "%s has write %v before what it depends on", n.name, r.Dot)
	}
	before, time := n.vector, n.time
	n.time = max(n.time, r.Time)
	n.vector = n.vector.With(r.Origin, r.Seq)
	l.latest = max(l.latest, r.Time)
	was, ok := l.writes[r.Dot]
	switch {
	case !ok:
		l.writes[r.Dot] = &written{sum: e.Sum, record: r}
		l.order = append(l.order, r.Dot)
		l.isNew(n, &r, before, time)
	case was.sum != e.Sum:
		l.s.Fail("C1", "write %v on the disk of %s is another than elsewhere", r.Dot, n.name)
	}
}

// isNew: a write became durable for the first time, at the site that made it.
func (l *ledger) isNew(n *node, r *record.Record, before version.Vector, time version.Timestamp) {
	if r.Origin != n.origin() {
		l.s.Fail("M1", "write %v is durable at %s, and not where it was made", r.Dot, n.name)
	}
	if !slices.Equal(r.Deps, before.With(r.Origin, 0)) {
		l.s.Fail("C2a", "write %v says that %v stands before it, and it is %v", r.Dot, r.Deps, before)
	}
	if r.Time <= time {
		l.s.Fail("C3", "write %v does not sort after everything in the log of %s", r.Dot, n.name)
	}
	value := string(r.Mutations[0].Value)
	l.values[value] = true
	if value != "" && l.refused[value] {
		l.s.Fail("C9", "write %v is on the disk of %s, and was answered not applied", r.Dot, n.name)
	}
	for _, m := range r.Deps { // the newest of each origin stands for those it covers
		if o := l.writes[version.Dot(m)]; o == nil || o.record.Time >= r.Time {
			l.s.Fail("C3", "write %v covers %v and does not sort after it", r.Dot, version.Dot(m))
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
		l.s.Fail("PW2", "%s comes back with %d entries, %d were durable", p.n.name, end, p.n.records)
		return
	}
	l.flushed(p, p.log.Bounds().End)
}

// sends: nothing leaves a site, nor is shown as there, before it is committed (M1).
func (l *ledger) sends(p *process, m *core.Message) {
	for _, it := range m.Items {
		if !p.n.vector.Has(it.Dot) {
			l.s.Fail("M1", "%s sends write %v, which is not durable there", p.n.name, it.Dot)
		}
	}
	for _, k := range m.Marks {
		if p.n.vector.Get(k.Origin) < k.Seq {
			l.s.Fail("M1", "%s shows write %d of %v, which is not durable there", p.n.name, k.Seq, k.Origin)
		}
	}
}

// answers: a site answers a write, which is on its disk (PM1).
func (l *ledger) answers(p *process, r *request) {
	if !p.n.vector.Has(r.dot) {
		l.s.Fail("PM1", "write %v is acknowledged by %s, and not on its disk", r.dot, p.n.name)
		return
	}
	l.writes[r.dot].acked = true
}

// heard: a client has its answer.
func (l *ledger) heard(n *node, life uint32, r *request, a *reply) {
	at := place{n.name, life, r.key}
	var is stamp
	switch {
	case a.err != nil:
		l.failed(r, a)
		return
	case r.write:
		is = l.writes[r.dot].stamp()
	case len(a.state.Siblings) > 0:
		v := a.state.Siblings[0]
		is = stamp{v.Time, v.Dot}
		if w := l.writes[v.Dot]; w == nil || string(w.record.Mutations[0].Value) != string(v.Value) {
			l.s.Fail("PM7", "a read of %s at %s found %v, which nobody wrote so", r.key, n.name, v.Dot)
		}
	}
	if !r.write && life == n.life && is.before(r.floor) {
		l.s.Fail("PM10", "a read of %s at %s found %v, and %v was there before", r.key, n.name, is.dot, r.floor.dot)
	}
	if l.found[at].before(is) {
		l.found[at] = is
	}
}

func (l *ledger) failed(r *request, a *reply) {
	switch {
	case !r.write:
	case a.outcome == topology.Unknown:
		l.s.Reach("a write ended unknown")
	default:
		l.s.Reach("a write was refused")
		if r.value != "" {
			l.refused[r.value] = true
			if l.values[r.value] {
				l.s.Fail("C9", "the write of %s was answered not applied, and is on a disk", r.value)
			}
		}
	}
}

// burns: a site's disk is lost. What nobody else has on his is lost with it, or
// comes yet from what is on its way.
func (l *ledger) burns(n *node) {
	var others version.Vector
	for _, o := range l.w.nodes {
		if o != n {
			others = others.Join(o.vector)
		}
	}
	l.burnt = append(l.burnt, others)
	if !others.Descends(n.vector) {
		l.s.Reach("writes burnt with their site")
	}
}

// mayBeLost reports whether a write was on one disk alone when that disk burnt.
func (l *ledger) mayBeLost(d version.Dot) bool {
	life := l.w.nodes[d.Origin.ID-1].life
	return d.Origin.Incarnation < life && slices.ContainsFunc(l.burnt, func(v version.Vector) bool { return !v.Has(d) })
}

// final: everything has healed, and nobody asks any more.
func (l *ledger) final() {
	all := l.w.nodes[0].vector
	winners := map[string]stamp{}
	for _, d := range l.order {
		w := l.writes[d]
		if !all.Has(d) {
			if w.acked && !l.mayBeLost(d) {
				l.s.Fail("PM2", "write %v was acknowledged, and is gone", d)
			}
			continue
		}
		if key := string(w.record.Mutations[0].Key); winners[key].before(w.stamp()) {
			winners[key] = w.stamp()
		}
	}
	for _, n := range l.w.nodes {
		if !slices.Equal(n.vector, all) {
			l.s.Fail("PM3", "%s holds %v, %s holds %v", n.name, n.vector, l.w.nodes[0].name, all)
		}
		l.holds(n.p, winners)
		if k := recount(n.p); k != len(n.p.lost) {
			l.s.Fail("PM7", "%s counts %d writes as lost to a later one, its log says %d", n.name, len(n.p.lost), k)
		}
		c := n.p.core.Counts
		for _, x := range []struct {
			state string
			count uint64
		}{{"a queue was full", c.Dropped}, {"a record came twice", c.Duplicates}, {"a shipment was sent again", c.Resent}} {
			if x.count > 0 {
				l.s.Reach(x.state)
			}
		}
	}
}

// holds: a site's store is the greatest of all writes, by key (PM3, PM7).
func (l *ledger) holds(p *process, winners map[string]stamp) {
	enc := record.NewEncoder()
	for _, key := range slices.Sorted(maps.Keys(winners)) {
		at := winners[key]
		w := l.writes[at.dot]
		want := record.State{Siblings: []record.Version{conflict.VersionOf(&w.record, &w.record.Mutations[0])}}
		got := p.store[key]
		if !slices.Equal(enc.AppendState(nil, &want), enc.AppendState(nil, &got)) {
			l.s.Fail("PM3", "%s holds %+v of %s, the greatest write is %v", p.n.name, got, key, at.dot)
		}
	}
	if len(p.store) != len(winners) {
		l.s.Fail("PM3", "%s holds %d keys, %d were written", p.n.name, len(p.store), len(winners))
	}
}

// recount finds, without Merge, how many writes each key has lost to a later one,
// in the order of a site's log: a write either covers what was there, or one of
// the two is lost.
func recount(p *process) (lost int) {
	held := map[string]record.Version{}
	for e, err := range p.log.Read(context.Background(), 1) {
		var r record.Record
		if err == nil {
			r, err = e.Record()
		}
		if err != nil {
			p.s.Fail("PS12", "%s can not read its log: %v", p.n.name, err)
			return 0
		}
		if r.IsNote() {
			continue
		}
		m := &r.Mutations[0]
		v, was := conflict.VersionOf(&r, m), held[string(m.Key)]
		if !was.Dot.IsZero() && was.Seq > r.Deps.Get(was.Origin) && (was.Origin != r.Origin || was.Seq >= r.Seq) {
			lost++
		}
		if was.Dot.IsZero() || conflict.Compare(v, was) > 0 {
			held[string(m.Key)] = v
		}
	}
	if lost > 0 {
		p.s.Reach("a write was lost to a later one")
	}
	return lost
}
