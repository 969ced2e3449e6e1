package sites

import (
	"bytes"
	"maps"
	"slices"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// chosen: a roster was agreed upon (K5): one for each version.
func (l *ledger) chosen(p *process, r *core.Roster) {
	if was, ok := l.roster[r.Version]; ok && was != r.Digest() {
		p.s.Fail("K5", "%s has version %d of the roster agreed upon (%s), of which there is another one", p.n.name, r.Version, r.Cause)
	}
	l.roster[r.Version] = r.Digest()
	if l.newest == nil || r.Version > l.newest.Version {
		l.newest = r
	}
}

// seated: a site goes by a roster.
func (l *ledger) seated(p *process, r *core.Roster) {
	if r.Version > 1 {
		l.chosen(p, r)
	}
	switch s := r.Seat(p.n.site.name); {
	case s == nil:
	case s.Standing == core.Joining:
		p.s.Reach("a site joined")
	}
	for i := range r.Seats {
		p.s.Reach("a site was " + r.Seats[i].Standing.String())
	}
}

// left: a site hears that it has left. What it has and does not count is put aside, and
// its machines are off.
func (l *ledger) left(p *process, r *core.Roster, self *core.SiteSeat) {
	t := p.n.site
	for _, it := range p.items {
		if it.Dot.Origin.ID == self.Number && it.Dot.Seq > self.Final.Get(it.Dot.Origin) {
			l.aside[it.Dot] = true
			p.s.Reach("an orphan was put aside")
		}
	}
	p.s.Note(p.n.name, "has left", r.Version)
	if log := p.first; log > 1 {
		dropped(l, t, p.items)
	}
	p.n.m.After(0, func() {
		if !t.out {
			l.loses(t)
			t.stop()
		}
	})
}

// dropped: the log of a site that has left does not hold all that it has written.
func dropped(l *ledger, t *site, items []core.Item) {
	has := map[version.Dot]bool{}
	for _, it := range items {
		has[it.Dot] = true
	}
	for _, w := range l.order {
		if d := w.record.Dot; d.Origin.ID == t.number() && t.truth.vector.Has(d) && !has[d] {
			l.aside[d] = true // known gap: what the log has dropped is not put aside
		}
	}
}

// here are the sites that take part in the end.
func (w *cluster) here() (sites []*site) {
	r := w.ledger.newest
	if r == nil {
		r = w.founding
	}
	for _, t := range w.sites {
		if s := r.Seat(t.name); s != nil && s.Here() {
			sites = append(sites, t)
		}
	}
	return sites
}

// final: everything has healed, and nobody asks any more.
func (l *ledger) final() {
	s, sites := l.w.s, l.w.here()
	first := sites[0].reign().p
	all := first.store.vector
	enc := record.NewEncoder()
	want := first.store.bytes(enc)
	for _, t := range sites {
		for _, n := range t.nodes {
			x := n.p.store
			if !slices.Equal(x.vector, all) {
				s.Fail("PM3", "%s holds %v, %s holds %v", n.name, x.vector, first.n.name, all)
			}
			if !bytes.Equal(x.bytes(enc), want) {
				s.Fail("PM3", "%s and %s hold the same writes, and differ: %s", n.name, first.n.name, differs(first.store, x))
			}
		}
		counted(t)
	}
	for _, w := range l.order {
		l.stays(w, all)
	}
	for _, k := range sortedKeys(l.spec) {
		l.holds(first, k, all)
	}
}

// counted notes which of its limits a site has met.
func counted(t *site) {
	c := t.reign().core.Counts
	for _, x := range []struct {
		state string
		count uint64
	}{
		{"a queue was full", c.Dropped}, {"a record came twice", c.Duplicates}, {"a shipment was sent again", c.Resent},
		{"an origin was parked", c.Parked}, {"a snapshot was asked for", c.Fetched},
	} {
		if x.count > 0 {
			t.w.s.Reach(x.state)
		}
	}
}

// stays: a write that was acknowledged is there, or it is known why not (PM2).
func (l *ledger) stays(w *written, all version.Vector) {
	d := w.record.Dot
	if !w.acked || all.Has(d) || l.gone[d] {
		return
	}
	if r := l.newest; r != nil {
		if s := r.Numbered(d.Origin.ID); s != nil && d.Origin.Incarnation < s.Life && d.Seq > s.Final.Get(d.Origin) {
			if !l.aside[d] {
				l.w.s.Fail("M6a", "write %v was acknowledged by a site that was given up, does not count, and was not put aside", d)
			}
			return
		}
	}
	l.w.s.Fail("PM2", "write %v was acknowledged, and is gone", d)
}

// holds: what a store has of a key is all that nobody has overwritten who had seen it,
// but for what the list of conflicts has, and what may be forgotten (PM3, PM6, PM7).
func (l *ledger) holds(p *process, k keyID, all version.Vector) {
	u, s := l.w.c.used(k.table), p.s
	held := map[string][]record.Version{}
	for f, x := range p.store.keys[k] {
		held[f] = x.Siblings
	}
	got, want := settled(u, k, held), l.spec.shows(all, u, k.key)
	if f, same := alike(u, got, want); !same {
		s.Fail("PM3", "%s, field %q, shows %v, and all writes come to %v", k.key, f, got[f], want[f])
	}
	s.Reach("a table was settled by " + u.name)
	if u.merges() {
		return
	}
	kept := l.spec.kept(all, k)
	for _, f := range slices.Sorted(maps.Keys(kept)) {
		cell := record.Cell{Table: k.table, Key: []byte(k.key), Field: []byte(f)}
		lasting := kept[f]
		if k.table == record.TableDefault {
			lasting = greatest(kept[f])
			for _, v := range kept[f] {
				if v.Dot != lasting[0].Dot && !l.lost[v.Dot] {
					s.Fail("C10", "write %v of %s is gone, and no list of conflicts has it", v.Dot, k.key)
				}
			}
		}
		for _, v := range conflict.Lasting(u.keeps, cell, lasting) {
			if !slices.ContainsFunc(held[f], func(h record.Version) bool { return conflict.Same(h, v) }) {
				s.Fail("PM6", "write %v of %s is in no store, and nobody has overwritten it", v.Dot, k.key)
			}
		}
		for _, h := range held[f] {
			if !slices.ContainsFunc(kept[f], func(v record.Version) bool { return conflict.Same(h, v) }) {
				s.Fail("PM6", "write %v of %s is in the stores, and was overwritten", h.Dot, k.key)
			}
		}
	}
}

// differs names the first key that two stores hold differently.
func differs(a, b *state) string {
	enc := record.NewEncoder()
	both := maps.Clone(a.keys)
	maps.Copy(both, b.keys)
	for _, k := range sortedKeys(both) {
		x, y := state{keys: map[keyID]map[string]record.State{k: a.keys[k]}}, state{keys: map[keyID]map[string]record.State{k: b.keys[k]}}
		if !bytes.Equal(x.bytes(enc), y.bytes(enc)) {
			return k.key
		}
	}
	return "nothing"
}
