package sites

import (
	"slices"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// ledger sees everything, as no site can, and holds the sites to their promises while
// they run.
type ledger struct {
	w      *cluster
	writes map[version.Dot]*written
	order  []*written           // as they were committed first, which extends causal order
	spec   spec                 // in that order
	asked  map[minting]*asked   // what clients asked for, by what their sites made of it
	undone map[minting]bool     // what was answered NotApplied
	lost   map[version.Dot]bool // listed as lost, somewhere
	gone   map[version.Dot]bool // was at one site alone when that lost it
	aside  map[version.Dot]bool // what sites that were given up put aside
	roster map[uint64][8]byte   // what was agreed upon, by version
	newest *core.Roster         // of them
	latest version.Timestamp
}

// written is a write that is committed.
type written struct {
	sum    uint32
	record record.Record
	asked  *asked // nil: a cut
	acked  bool
}

// minting is a write under a dot: a dot that was given out and not committed may be
// given out again.
type minting struct {
	dot version.Dot
	sum uint32
}

func newLedger(w *cluster) *ledger {
	return &ledger{
		w: w, writes: map[version.Dot]*written{}, spec: spec{}, asked: map[minting]*asked{}, undone: map[minting]bool{},
		lost: map[version.Dot]bool{}, gone: map[version.Dot]bool{}, aside: map[version.Dot]bool{}, roster: map[uint64][8]byte{},
	}
}

// covers reports whether the writer of r had seen d (X): what stood before it in its
// site's log, but for what its client had not been shown.
func covers(r *record.Record, d version.Dot) bool {
	switch {
	case r.Context != nil && r.Context.Has(d):
		return false
	case r.Origin == d.Origin:
		return d.Seq < r.Seq
	}
	return r.Deps.Has(d)
}

// resets has the ledger know of a site what its store says: it has lost the rest.
func (l *ledger) resets(t *site, x *state) {
	was := t.truth
	t.truth = truth{model: map[string]record.Version{}}
	if x == nil {
		return
	}
	t.truth.lsn, t.truth.from, t.truth.vector, t.truth.time = x.pos.LSN, was.from, x.vector, x.pos.Time
	if was.lsn >= x.pos.LSN && was.from <= x.pos.LSN {
		t.truth.sums, t.truth.counts = slices.Clone(was.sums[:x.pos.LSN-was.from]), slices.Clone(was.counts[:x.pos.LSN-was.from])
	} else {
		t.truth.from = x.pos.LSN
	}
	l.remodel(t, x)
}

// remodel takes the winners as a store has them.
func (l *ledger) remodel(t *site, x *state) {
	t.truth.model, t.truth.lost = map[string]record.Version{}, x.losses.lww
	for k, fields := range x.keys {
		if k.table == record.TableDefault {
			t.truth.model[k.key] = fields[""].Siblings[0]
		}
	}
	for _, d := range x.losses.all {
		l.lost[d] = true
	}
}

// leads: a node leads its site: what was committed there is in its log (PS2).
func (l *ledger) leads(p *process) {
	t, s := &p.n.site.truth, p.s
	if p.end() <= t.lsn {
		s.Fail("PS2", "%s leads with a log of %d entries, and %d were committed", p.n.name, p.end()-1, t.lsn)
		return
	}
	for lsn := max(p.first, t.from+1); lsn <= t.lsn; lsn++ {
		if p.item(lsn).Entry.Sum != t.sums[lsn-t.from-1] {
			s.Fail("PS2", "%s leads with another entry %d than was committed", p.n.name, lsn)
			return
		}
	}
}

// commits: an entry is committed at a site, for the first time as far as is known.
func (l *ledger) commits(p *process, e record.Entry, r *record.Record) {
	site := p.n.site
	t, s := &site.truth, p.s
	if e.LSN <= t.lsn {
		return
	}
	if e.LSN != t.lsn+1 {
		s.Fail("floor", "%s commits entry %d behind %d", p.n.name, e.LSN, t.lsn)
		return
	}
	t.lsn, t.sums, t.counts = e.LSN, append(t.sums, e.Sum), append(t.counts, -1)
	if r.IsNote() {
		at := core.Position{LSN: e.LSN - 1}
		if _, err := at.Add(e); err == nil { // of a snapshot
			t.vector, t.time = t.vector.Join(vectorOf(at.Marks)), max(t.time, at.Time)
		}
		return
	}
	switch {
	case r.Seq != t.vector.Get(r.Origin)+1:
		s.Fail("PM2", "%s has write %v behind %d of its origin", site.name, r.Dot, t.vector.Get(r.Origin))
	case !t.vector.Descends(r.Deps):
		s.Fail("PM4", "%s has write %v before what it depends on", site.name, r.Dot)
	}
	before, time := t.vector, t.time
	t.vector, t.time = t.vector.With(r.Origin, r.Seq), max(t.time, r.Time)
	was, ok := l.writes[r.Dot]
	switch {
	case !ok:
		l.isNew(site, e.Sum, r, before, time)
	case was.sum != e.Sum && l.twice(site, r):
		return
	case was.sum != e.Sum:
		s.Fail("C1", "write %v at %s is another than elsewhere", r.Dot, site.name)
		return
	}
	l.meets(t, r)
	t.counts[len(t.counts)-1] = t.lost
}

// isNew: a write is committed for the first time, at the site that made it.
func (l *ledger) isNew(t *site, sum uint32, r *record.Record, before version.Vector, time version.Timestamp) {
	s, w := l.w.s, &written{sum: sum, record: *r}
	if r.Origin.ID != t.number() {
		s.Fail("M1", "write %v is committed at %s, and not where it was made", r.Dot, t.name)
	}
	if !slices.Equal(r.Deps, before.With(r.Origin, 0)) {
		s.Fail("C2a", "write %v says that %v stands before it, and it is %v", r.Dot, r.Deps, before)
	}
	if r.Time <= time {
		s.Fail("C3", "write %v does not sort after everything in the log of %s", r.Dot, t.name)
	}
	for _, m := range r.Deps { // the newest of each origin stands for those it covers
		if o := l.writes[version.Dot(m)]; o == nil || o.record.Time >= r.Time {
			s.Fail("C3", "write %v covers %v and does not sort after it", r.Dot, version.Dot(m))
		}
	}
	l.latest = max(l.latest, r.Time)
	id := minting{r.Dot, sum}
	if l.undone[id] {
		s.Fail("C9", "write %v is committed at %s, and was answered not applied", r.Dot, t.name)
	}
	w.asked = l.asked[id]
	l.writes[r.Dot] = w
	l.order = append(l.order, w)
	if w.asked == nil {
		if core.CutOf(r) == nil {
			s.Fail("floor", "nobody asked for write %v", r.Dot)
		}
		return
	}
	k := keyID{w.asked.use.table, w.asked.key}
	l.spec[k] = append(l.spec[k], w)
}

// meets takes a write into the model of the table where the last writer wins (PM7): it
// supersedes what its writer had seen, and one of the two is lost otherwise.
func (l *ledger) meets(t *truth, r *record.Record) {
	m := &r.Mutations[0]
	if m.Table != record.TableDefault || m.Op == record.OpMark {
		return
	}
	key, v := string(m.Key), conflict.VersionOf(r, m)
	was, ok := t.model[key]
	wins := !ok || version.CompareWrites(v.Time, v.Dot, was.Time, was.Dot) > 0
	if ok && !covers(r, was.Dot) {
		if was.Time == v.Time {
			l.w.s.Reach("two writes of a key had one time")
		}
		t.lost++
		l.w.s.Reach("a write was lost to a later one")
	}
	if wins {
		t.model[key] = v
	}
}

// applied: a node has applied an entry. What it lists as lost is what was (PM7).
func (l *ledger) applied(p *process, lsn record.LSN, r *record.Record) {
	t, x := &p.n.site.truth, p.store
	for _, d := range x.losses.all[len(x.losses.all)-x.losses.fresh:] {
		l.lost[d] = true
	}
	if p.reign != nil && lsn == t.lsn && core.Raises(r) { // what met in it had met elsewhere
		if x.losses.last > 0 {
			p.s.Reach("a snapshot cost a write")
		}
		l.remodel(p.n.site, x)
	}
	if lsn <= t.from || lsn > t.lsn || p.n.site.fork != nil {
		return
	}
	if n := t.counts[lsn-t.from-1]; n >= 0 && n != x.losses.lww {
		p.s.Fail("PM7", "%s lists %d writes as lost to a later one by entry %d, and %d were", p.n.name, x.losses.lww, lsn, n)
	}
}

// minted: a time was given out, whether the record comes to a disk or not.
func (l *ledger) minted(e *record.Entry) {
	if r, err := e.Record(); err == nil {
		l.latest = max(l.latest, r.Time)
	}
}

// accepted: a site has made a record of what a client asked for.
func (l *ledger) accepted(r *request, it *core.Item) {
	l.asked[minting{it.Dot, it.Entry.Sum}] = r.write
}

// refused: a client is told that it did not happen.
func (l *ledger) refused(it *core.Item) { l.undone[minting{it.Dot, it.Entry.Sum}] = true }

// sends: nothing leaves a site, nor is shown as there, before it is committed (M1).
func (l *ledger) sends(p *process, m *core.Message) {
	v := p.n.site.truth.vector
	for _, it := range m.Items {
		if !v.Has(it.Dot) {
			p.s.Fail("M1", "%s sends write %v, which is not committed there", p.n.name, it.Dot)
		}
	}
	for _, k := range m.Marks {
		if v.Get(k.Origin) < k.Seq {
			p.s.Fail("M1", "%s shows write %d of %v, which is not committed there", p.n.name, k.Seq, k.Origin)
		}
	}
}

// answers: a site answers a write, which is committed there (PM1).
func (l *ledger) answers(p *process, r *request) {
	if !p.n.site.truth.vector.Has(r.dot) || l.writes[r.dot] == nil {
		p.s.Fail("PM1", "write %v is acknowledged by %s, and not committed", r.dot, p.n.name)
		return
	}
	l.writes[r.dot].acked = true
}

func (l *ledger) failed(r *request, a *reply) {
	switch {
	case r.write == nil:
	case a.outcome == topology.Unknown:
		l.w.s.Reach("a write ended unknown")
	default:
		l.w.s.Reach("a write was refused")
	}
}

// loses: what is committed at a site is lost there. What nobody else has is lost with
// it, or comes yet from what is on its way.
func (l *ledger) loses(t *site) {
	var others version.Vector
	for _, o := range l.w.sites {
		if o != t && !o.out {
			others = others.Join(o.truth.vector)
		}
	}
	for _, w := range l.order {
		if d := w.record.Dot; t.truth.vector.Has(d) && !others.Has(d) {
			l.gone[d] = true
			l.w.s.Reach("writes were lost with their site")
		}
	}
}
