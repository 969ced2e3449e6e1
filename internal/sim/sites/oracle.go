package sites

import (
	"bytes"
	"maps"
	"slices"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/crdt"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// What a reader has to be shown who has seen the writes of a vector follows from those
// writes alone: in whatever order they came, and whatever was collected meanwhile. This
// says what it is a second way, from what clients asked for and from what their sites had
// seen, without Merge, Seal or Prune. As vectors are closed under what writes depend on,
// a read that shows what its vector says can not show an effect without its cause.

// spec is the writes of each key, in causal order.
type spec map[keyID][]*written

// shows returns what is shown of a key, by field.
func (sp spec) shows(v version.Vector, u *use, key string) map[string][]conflict.Value {
	k := keyID{u.table, key}
	switch u.kind {
	case record.KindCounter:
		return whole(sp.counts(v, k))
	case record.KindMax, record.KindMin:
		return whole(sp.extreme(v, k, u.kind))
	case record.KindHLL:
		return whole(sp.sketch(v, k))
	}
	held := sp.kept(v, k)
	if k.table == record.TableDefault {
		held[""] = greatest(held[""])
	}
	return settled(u, k, held)
}

// greatest is the last of some writes.
func greatest(vs []record.Version) []record.Version {
	at := 0
	for i, v := range vs {
		if version.CompareWrites(v.Time, v.Dot, vs[at].Time, vs[at].Dot) > 0 {
			at = i
		}
	}
	return vs[min(at, len(vs)):min(at+1, len(vs))]
}

func whole(b []byte) map[string][]conflict.Value {
	if b == nil {
		return nil
	}
	return map[string][]conflict.Value{"": {{Bytes: b}}}
}

// settled asks the resolver of a table about what is held of a key.
func settled(u *use, k keyID, held map[string][]record.Version) map[string][]conflict.Value {
	out := map[string][]conflict.Value{}
	for f, vs := range held {
		if len(vs) == 0 {
			continue
		}
		s := u.shown.Settle(record.Cell{Table: k.table, Key: []byte(k.key), Field: []byte(f)}, vs)
		if len(s.Shown) > 0 {
			out[f] = s.Shown
		}
	}
	return out
}

// kept returns what no other write of v has seen, by field.
func (sp spec) kept(v version.Vector, k keyID) map[string][]record.Version {
	held := map[string][]record.Version{}
	drop := func(f string, r *record.Record) {
		held[f] = slices.DeleteFunc(held[f], func(o record.Version) bool { return covers(r, o.Dot) })
	}
	for _, w := range sp[k] {
		r := &w.record
		if !v.Has(r.Dot) {
			continue
		}
		last := map[string]record.Version{}
		for i := range r.Mutations {
			m := &r.Mutations[i]
			if m.Op == record.OpDelete && len(m.Field) == 0 {
				for f := range held {
					drop(f, r)
				}
			}
			last[string(m.Field)] = conflict.VersionOf(r, m)
		}
		for f, x := range last {
			drop(f, r)
			held[f] = append(held[f], x)
		}
	}
	for _, vs := range held {
		slices.SortFunc(vs, func(a, b record.Version) int { return a.Dot.Compare(b.Dot) })
	}
	return held
}

// counts is what a counter shows: the latest put of those that no other put or delete
// has seen, and all that was added and that no put or delete has seen.
func (sp spec) counts(v version.Vector, k keyID) []byte {
	var sets, adds []*written
	for _, w := range sp[k] {
		switch {
		case !v.Has(w.record.Dot):
		case w.asked.mutation[0].Op == record.OpMerge:
			adds = append(adds, w)
		default:
			sets = append(sets, w)
		}
	}
	seen := func(d version.Dot) bool {
		return slices.ContainsFunc(sets, func(s *written) bool { return covers(&s.record, d) })
	}
	n, there := int64(0), false
	var at *written
	for _, s := range sets {
		if s.asked.mutation[0].Op == record.OpPut && !seen(s.record.Dot) && (at == nil || later(s, at)) {
			at, n, there = s, s.asked.add, true
		}
	}
	for _, a := range adds {
		if !seen(a.record.Dot) {
			n, there = n+a.asked.add, true
		}
	}
	if !there {
		return nil
	}
	return number(n)
}

func later(a, b *written) bool {
	return version.CompareWrites(a.record.Time, a.record.Dot, b.record.Time, b.record.Dot) > 0
}

// extreme is the greatest or the least that was observed.
func (sp spec) extreme(v version.Vector, k keyID, kind record.Kind) []byte {
	n, some := int64(0), false
	for _, w := range sp[k] {
		if x := w.asked.add; v.Has(w.record.Dot) && (!some || (x > n) == (kind == record.KindMax)) {
			n, some = x, true
		}
	}
	if !some {
		return nil
	}
	return number(n)
}

// sketch is that of all elements.
func (sp spec) sketch(v version.Vector, k keyID) []byte {
	var h crdt.HLL
	some := false
	for _, w := range sp[k] {
		if v.Has(w.record.Dot) {
			some = true
			for _, e := range w.asked.elements {
				h.Add([]byte(e))
			}
		}
	}
	if !some {
		return nil
	}
	b, err := h.AppendBinary(nil)
	if err != nil {
		return []byte(err.Error())
	}
	return b
}

// read: a node serves a read at the vector that it shows.
func (l *ledger) read(p *process, r *request) {
	if f := p.n.site.fork; f != nil && f.twice {
		return
	}
	x, k := p.store, keyID{r.use.table, r.key}
	held := map[string][]record.Version{}
	for f, s := range x.keys[k] {
		held[f] = s.Siblings
	}
	got, want := settled(r.use, k, held), l.spec.shows(x.vector, r.use, r.key)
	if f, same := alike(r.use, got, want); !same {
		p.s.Fail("PM4", "a read of %s, field %q, at %s shows %v, and what it has seen, %v, comes to %v", r.key, f, p.n.name, got[f], x.vector, want[f])
	}
	if len(want[""]) > 1 {
		p.s.Reach("a read showed siblings")
	}
	if !x.vector.Descends(r.token) {
		p.s.Fail("PM10", "a read at %s shows %v to a session that has seen %v", p.n.name, x.vector, r.token)
	}
}

// alike compares what is shown with what has to be; else it names a field.
func alike(u *use, got, want map[string][]conflict.Value) (string, bool) {
	both := maps.Clone(got)
	if both == nil {
		both = map[string][]conflict.Value{}
	}
	maps.Copy(both, want)
	for _, f := range slices.Sorted(maps.Keys(both)) {
		a, b := got[f], want[f]
		if !slices.EqualFunc(a, b, func(a, b conflict.Value) bool {
			return bytes.Equal(a.Bytes, b.Bytes) && a.Absent == b.Absent && (u.merges() || slices.Equal(a.From, b.From))
		}) {
			return f, false
		}
	}
	return "", true
}

// merges reports whether clients ask for changes, of which values are made.
func (u *use) merges() bool {
	switch u.kind {
	case record.KindCounter, record.KindMax, record.KindMin, record.KindHLL:
		return true
	}
	return false
}
