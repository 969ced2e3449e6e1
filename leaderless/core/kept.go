package core

import (
	"bytes"
	"slices"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// keeper settles tables that keep all versions which did not know of one another.
var keeper = conflict.Siblings()

// Covering returns what a replica holds of a cell, of a table that keeps siblings, as
// others are told it: its context knows, too, the writes that are applied to the
// partition. A version that is among those and not among the siblings was superseded
// there; no context has to be kept with the key for that. applied must be what it was
// when the cell was read: a write more would be taken for superseded elsewhere. Of a cell
// that is not there nothing is told, so that one that was lost by a fault takes nothing
// from the others.
func Covering(s record.State, applied *version.Set) record.State {
	seen := applied.Clone()
	if seen == nil {
		seen = &version.Set{}
	}
	seen.Union(s.Context)
	s.Context = seen
	return s
}

// covering is [Covering] of cells.
func covering(cells []Held, applied *version.Set) []Held {
	out := slices.Clone(cells)
	for i := range out {
		out[i].State = Covering(out[i].State, applied)
	}
	return out
}

// cellOf returns the index of a cell among some of one key, and whether it is there.
func cellOf(cells []Held, field []byte) (int, bool) {
	return slices.BinarySearchFunc(cells, field, func(h Held, f []byte) int { return bytes.Compare(h.Field, f) })
}

// bareKept returns cells without their values, of a table that keeps siblings.
func bareKept(cells []Held) []Held {
	out := bare(cells)
	for i := range out {
		out[i].State.Context = cells[i].State.Context
	}
	return out
}

// strange reports whether somebody holds a version that is not among ours, and that was
// not superseded here.
func strange(theirs, ours []Held) bool {
	for _, h := range theirs {
		var s record.State
		if i, ok := cellOf(ours, h.Field); ok {
			s = ours[i].State
		}
		for _, v := range h.State.Siblings {
			if !holds(&s, v.Dot) && !s.Context.Has(v.Dot) {
				return true
			}
		}
	}
	return false
}

func holds(s *record.State, d version.Dot) bool {
	_, ok := slices.BinarySearchFunc(s.Siblings, d, func(v record.Version, d version.Dot) int { return v.Compare(d) })
	return ok
}

// joinKept merges what another replica holds into what is here. Of what came without
// values the versions that are here stand for it: others were superseded here.
func joinKept(local, in []Held) ([]Held, error) {
	out := slices.Clone(local)
	for _, h := range in {
		i, ok := cellOf(out, h.Field)
		if !ok {
			out = slices.Insert(out, i, Held{Cell: h.Cell})
		}
		s := &out[i].State
		kept, _, err := conflict.Merge(s.Siblings, s.Context, h.State.Siblings, h.State.Context)
		if err != nil {
			return nil, err
		}
		seen := s.Context.Clone()
		if seen == nil {
			seen = &version.Set{}
		}
		seen.Union(h.State.Context)
		out[i].State = record.State{Siblings: kept, Context: seen}
	}
	return out, nil
}

// standIn gives versions that came without values those of ours, and leaves out what we
// do not hold.
func standIn(theirs, ours []Held) []Held {
	out := slices.Clone(theirs)
	for i := range out {
		var s record.State
		if j, ok := cellOf(ours, out[i].Field); ok {
			s = ours[j].State
		}
		var vs []record.Version
		for _, v := range s.Siblings {
			if holds(&out[i].State, v.Dot) {
				vs = append(vs, v)
			}
		}
		out[i].State.Siblings = vs
	}
	return out
}

// differing returns the cells of all of which somebody holds other versions.
func differing(all, theirs []Held) (out []Held) {
	for _, h := range all {
		var s record.State
		if i, ok := cellOf(theirs, h.Field); ok {
			s = theirs[i].State
		}
		same := slices.EqualFunc(h.State.Siblings, s.Siblings, func(v, w record.Version) bool { return v.Dot == w.Dot })
		if !same {
			out = append(out, h)
		}
	}
	return out
}

// shownIn is the context of who is shown cells: exactly their versions (X1).
func shownIn(cells []Held) Context {
	c := Context{Seen: &version.Set{}}
	for i := range cells {
		for _, v := range cells[i].State.Siblings {
			c.Seen.Add(v.Dot)
			c.Time = max(c.Time, v.Time)
		}
	}
	return c
}

// settleKept is settle where all that is concurrent is kept: the value is what all who
// were heard hold, less what one of them has superseded. Versions that are not here are
// fetched from whoever holds them, one after another.
func (g *get) settleKept(c *Core) {
	for i := range g.heard {
		h := &g.heard[i]
		if h.node != c.Self && strange(h.cells, g.value) {
			c.Counts.Second++
			g.fetching = h.node
			g.ask(c, h.node, true)
			return
		}
	}
	for i := range g.heard {
		if h := &g.heard[i]; h.node != c.Self {
			joined, err := joinKept(g.value, standIn(h.cells, g.value))
			if err != nil {
				g.forked(c, h.node, err)
				return
			}
			g.value = joined
		}
	}
	g.settled = true
	g.mend(c)
}

// behind returns the cells in which somebody who holds theirs is behind the value.
func (g *get) behind(theirs []Held) []Held {
	if g.keeps {
		return differing(g.value, theirs)
	}
	return lacking(g.value, theirs)
}
