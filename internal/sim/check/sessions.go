package check

import (
	"slices"

	"github.com/triad-kv/triad/internal/sim/history"
)

// Names of the promises, as reports call them.
const (
	PromiseOwnWrites  = "read-your-writes"
	PromiseMonotonic  = "monotonic reads"
	PromisePrefix     = "consistent prefix"
	PromiseFresh      = "bounded staleness"
	PromiseKept       = "every acknowledged write is there"
	PromiseNowhere    = "what was not applied is nowhere"
	PromiseConverged  = "convergence"
	PromiseBank       = "bank"
	PromiseCounter    = "counter"
	PromisePlaces     = "places"
	PromiseLinearized = "linearizable"
)

// ReadYourWrites judges every read that asked for its session, or more: it shows
// the session's own last acknowledged write of the key, or a later one.
func (c *Case) ReadYourWrites() (r Report) {
	for _, s := range c.sessions() {
		last := map[string]history.Op{}
		for _, op := range s {
			c.sessionRead(op, func(op history.Op, key string, values []string) {
				r.Judged++
				if w, some := last[key]; some && w.Return <= op.Invoke && c.misses(key, values, op.Return, w) {
					r.broke(PromiseOwnWrites, key, []history.Op{w, op}, "session %d wrote, was acknowledged, and then read %s, which is older", op.Session, shown(values))
				}
			})
			if op.Kind.Writes() && op.Outcome == history.Applied {
				last[op.Key] = op
			}
		}
	}
	return r
}

// sessions returns the operations of each session, by time of asking.
func (b *book) sessions() [][]history.Op {
	by := map[uint64][]history.Op{}
	var order []uint64
	for _, op := range b.ops {
		if op.Session == 0 {
			continue
		}
		if by[op.Session] == nil {
			order = append(order, op.Session)
		}
		by[op.Session] = append(by[op.Session], op)
	}
	all := make([][]history.Op, 0, len(order))
	for _, id := range order {
		all = append(all, by[id])
	}
	return all
}

// sessionRead calls f for what op read, if it was promised to its session.
func (b *book) sessionRead(op history.Op, f func(op history.Op, key string, values []string)) {
	g := op.Guarantee()
	if op.Outcome == history.Applied && (g == history.Session || g == history.Linearizable) {
		b.readsOf(op, f)
	}
}

// MonotonicReads judges every read that asked for its session, or more: it shows
// nothing older than what the session has read of that key before, and what it
// has seen go does not come back.
func (c *Case) MonotonicReads() (r Report) {
	for _, s := range c.sessions() {
		m := monotonic{book: c.book, r: &r, seen: map[string][]pair{}, gone: map[valueOf]history.Op{}}
		for _, op := range s {
			if op.Outcome == history.Applied {
				c.readsOf(op, m.read)
			}
		}
	}
	return r
}

// pair is a write, and the operation that showed it.
type pair struct{ write, by history.Op }

// monotonic follows one session.
type monotonic struct {
	*book
	r    *Report
	seen map[string][]pair      // by key: what was read, without what is known to be older than another
	gone map[valueOf]history.Op // what was seen, and the first read that was promised to show no less and did not
}

func (m *monotonic) read(op history.Op, key string, values []string) {
	if g := op.Guarantee(); g == history.Session || g == history.Linearizable {
		m.r.Judged++
		m.judge(op, key, values)
		for _, p := range m.seen[key] {
			at := valueOf{key, p.write.Value}
			if _, already := m.gone[at]; !already && p.by.Return <= op.Invoke && !slices.Contains(values, p.write.Value) {
				m.gone[at] = op
			}
		}
	}
	for _, v := range values {
		if w, known := m.writer[valueOf{key, v}]; known {
			m.seen[key] = slices.DeleteFunc(m.seen[key], func(p pair) bool { return p.write.ID == w.ID || m.before(p.write, w) })
			m.seen[key] = append(m.seen[key], pair{w, op})
		}
	}
}

func (m *monotonic) judge(op history.Op, key string, values []string) {
	for _, p := range m.seen[key] {
		if p.by.Return <= op.Invoke && m.misses(key, values, op.Return, p.write) {
			m.r.broke(PromiseMonotonic, key, []history.Op{p.write, p.by, op}, "session %d read %s and then %s, which is older", op.Session, p.write.Value, shown(values))
			return
		}
	}
	for _, v := range values {
		if left, was := m.gone[valueOf{key, v}]; was && left.Return <= op.Invoke {
			m.r.broke(PromiseMonotonic, key, []history.Op{left, op}, "session %d saw %s go, and come back", op.Session, v)
			return
		}
	}
}

// ConsistentPrefix judges that what is read is a prefix of the writes in their
// order, over all keys: a session that has seen a write, its own or another's,
// sees everything that came before it in every read that asks for the session or
// more; and so does each scan, whatever it asked for, within itself.
func (c *Case) ConsistentPrefix() (r Report) {
	for _, op := range c.ops {
		if op.Kind == history.Scan && op.Outcome == history.Applied {
			var f floor
			c.readsOf(op, func(op history.Op, key string, values []string) { f.raise(c.book, op, key, values) })
			c.readsOf(op, func(op history.Op, key string, values []string) { c.reaches(&r, f, op, key, values) })
		}
	}
	for _, s := range c.sessions() {
		var f floor
		for _, op := range s {
			c.sessionRead(op, func(op history.Op, key string, values []string) { c.reaches(&r, f, op, key, values) })
			if op.Outcome != history.Applied {
				continue
			}
			if op.Kind.Writes() {
				f.add(op, op)
			}
			c.readsOf(op, func(op history.Op, key string, values []string) { f.raise(c.book, op, key, values) })
		}
	}
	return r
}

// floor is how far a reader has seen: the latest writes it is known to include,
// by place in each origin, and by time of asking.
type floor struct {
	placed map[uint64]pair // by origin
	asked  pair
}

func (f *floor) raise(c *book, op history.Op, key string, values []string) {
	for _, v := range values {
		if w, known := c.writer[valueOf{key, v}]; known {
			f.add(w, op)
		}
	}
}

func (f *floor) add(w, by history.Op) {
	if f.placed == nil {
		f.placed = map[uint64]pair{}
	}
	if d := w.Place.Dot; !d.IsZero() {
		if old := f.placed[originOf(w)]; old.write.Place.Dot.Seq < d.Seq {
			f.placed[originOf(w)] = pair{w, by}
		}
	}
	if f.asked.write.Invoke <= w.Invoke {
		f.asked = pair{w, by}
	}
}

func originOf(op history.Op) uint64 {
	o := op.Place.Dot.Origin
	return uint64(o.ID)<<32 | uint64(o.Incarnation)
}

// reaches reports where a read shows less of key than the floor includes.
func (b *book) reaches(r *Report, f floor, op history.Op, key string, values []string) {
	r.Judged++
	for _, w := range b.writes[key] {
		if w.Outcome != history.Applied || !b.misses(key, values, op.Return, w) {
			continue
		}
		p, some := f.placed[originOf(w)]
		if !some || w.Place.Dot.IsZero() || p.write.Place.Dot.Seq < w.Place.Dot.Seq {
			if p = f.asked; b.rules.Sites || p.write.ID == 0 || w.Return >= p.write.Invoke {
				continue
			}
		}
		r.broke(PromisePrefix, key, []history.Op{w, p.write, p.by, op}, "#%d came after #%d, and #%d has seen it; but then #%d shows %s, which is older than #%d",
			p.write.ID, w.ID, p.by.ID, op.ID, shown(values), w.ID)
		return
	}
}
