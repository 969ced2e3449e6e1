package core

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Copy is what one replica holds of a cell, and what it had applied by then: of one
// moment.
type Copy struct {
	Node      topology.NodeID
	Held      record.State      // of the cell
	Head      record.State      // of the cell of its key that has no field; zero where it is that
	Applied   *version.Set      // to its partition
	Collected version.Timestamp // the latest time of a delete in its partition that it has forgotten
}

// Finding is what is known of a cell that replicas hold differently.
type Finding uint8

// The findings.
const (
	Alike   Finding = iota // they show the same
	Coming                 // somebody has not applied yet what another's is made of
	Damaged                // they have applied the same, and it is known what it comes to
	Unclear                // they have applied the same, and it is not known which of them is right
)

func (f Finding) String() string {
	return [...]string{"alike", "coming", "damaged", "unclear"}[min(f, Unclear)]
}

// Judgement says of a cell what all are to hold.
type Judgement struct {
	Finding
	Good   record.State
	Behind []topology.NodeID // who holds something else
	Why    string            // in words, of Damaged and Unclear
}

// Judge holds against one another what replicas of a cell hold, out of so many that
// there are (rule L7). What one shows and another does not is either on its way, or one of
// them has a fault: both had it, and one has lost it, or one has not followed a later write.
//
// A replica that holds nothing may also have forgotten a delete, which it does once all
// have applied it: then who still shows something is at fault. If the value is younger
// than every delete that the replica has forgotten it is not that; else the greater half
// of all replicas decides, and without one a person has to name a replica that is right
// (from, if it is not empty).
func Judge(copies []Copy, of int, from topology.NodeID) Judgement {
	for i := range copies[1:] {
		if !shownAlike(&copies[0], &copies[i+1]) {
			return judge(copies, of, from)
		}
	}
	return Judgement{Finding: Alike}
}

func judge(copies []Copy, of int, from topology.NodeID) Judgement {
	for i := range copies {
		for j := range copies {
			if coming(&copies[i], &copies[j]) {
				return Judgement{Finding: Coming}
			}
		}
	}
	if from != "" {
		if i := slices.IndexFunc(copies, func(c Copy) bool { return c.Node == from }); i >= 0 {
			return damaged(copies, &copies[i], "an operator named "+string(from)+" as right")
		}
	}
	for i := range copies {
		if len(copies[i].Held.Siblings) > 1 || i > 0 && forked(&copies[0], &copies[i]) {
			return most(copies, of, "of the versions of the cell")
		}
	}
	best := 0
	for i := range copies {
		if after(copies[i].last(), copies[best].last()) {
			best = i
		}
	}
	b := &copies[best]
	if len(shownBy(b)) == 0 {
		return damaged(copies, b, "a later write deletes what others still show")
	}
	v := b.last()
	for i := range copies {
		if c := &copies[i]; len(c.Held.Siblings) == 0 && v.Time <= c.Collected {
			return most(copies, of, "whether the cell was deleted")
		}
	}
	return damaged(copies, b, "a write is missing where it was applied")
}

// last is the write that a replica's cell goes by: of the cell, or the delete of its key.
func (c *Copy) last() record.Version {
	v := newest(&c.Held)
	if h := newest(&c.Head); h.Absent && after(h, v) {
		return h
	}
	return v
}

// shownBy are the versions of a cell that a replica shows.
func shownBy(c *Copy) (out []record.Version) {
	for _, v := range c.Held.Siblings {
		if Visible(v, &c.Head) {
			out = append(out, v)
		}
	}
	return out
}

func sameVersion(v, w record.Version) bool {
	return v.Dot == w.Dot && v.Time == w.Time && v.Expires == w.Expires && v.Kind == w.Kind && v.Absent == w.Absent && bytes.Equal(v.Value, w.Value)
}

func shownAlike(a, b *Copy) bool { return slices.EqualFunc(shownBy(a), shownBy(b), sameVersion) }

// forked reports whether two replicas hold one write with two contents.
func forked(a, b *Copy) bool {
	for _, v := range a.Held.Siblings {
		for _, w := range b.Held.Siblings {
			if v.Dot == w.Dot && !sameVersion(v, w) {
				return true
			}
		}
	}
	return false
}

// coming reports whether b has yet to apply what a's cell is made of. Of siblings one may
// have been superseded by a write that is in neither cell any more, so there nothing is
// said before both have applied the same.
func coming(a, b *Copy) bool {
	if len(a.Held.Siblings) > 1 || len(b.Held.Siblings) > 1 {
		return len(a.Applied.Missing(b.Applied, 1)) > 0
	}
	made := append(slices.Clone(a.Held.Siblings), a.Head.Siblings...)
	return slices.ContainsFunc(made, func(v record.Version) bool { return !b.Applied.Has(v.Dot) })
}

// most goes by what more than half of all replicas show.
func most(copies []Copy, of int, about string) Judgement {
	for i := range copies {
		n := 0
		for j := range copies {
			if shownAlike(&copies[i], &copies[j]) {
				n++
			}
		}
		if 2*n > of {
			return damaged(copies, &copies[i], fmt.Sprintf("%d of %d replicas agree", n, of))
		}
	}
	return Judgement{Finding: Unclear, Why: fmt.Sprintf("no more than half of the %d replicas agree %s", of, about)}
}

// damaged has all hold what one shows.
func damaged(copies []Copy, good *Copy, why string) Judgement {
	j := Judgement{Finding: Damaged, Why: why}
	switch {
	case len(shownBy(good)) > 0:
		j.Good = good.Held
	case len(good.Held.Siblings) > 0 && good.Held.Siblings[0].Absent:
		j.Good = good.Held
	}
	for i := range copies {
		if !shownAlike(&copies[i], good) {
			j.Behind = append(j.Behind, copies[i].Node)
		}
	}
	return j
}
