package core

import (
	"fmt"
	"math"
	"slices"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Cut is what a site says it has for good: a record of its own, so that whoever
// delivers it has all the site wrote before, and knows that all it writes after has
// seen that much (rule M6). Its value is an array of six:
//
//	0  format   uint, 1
//	1  has      array of 3n: id, incarnation, seq; by origin
//	2  members  array of n: the numbers of all sites, as this one is configured
//	3  dead     array of 2n: earlier lives of this site that write no more; by origin
//	4  losers   uint
//	5  places   uint
type Cut struct {
	Has     version.Vector   // what every node has durably that may lead the site
	Members []uint32         // all sites, ascending
	Dead    []version.Origin // ascending
	// Of the writer's own log: lists and places before these are not asked for any more.
	Losers record.LSN
	Places record.LSN

	Time version.Timestamp // of its record; not part of the value
}

const (
	cutFormat  = 1
	cutFields  = 6
	membersMax = 64
)

func (c *Cut) encode() []byte {
	w := pack.NewWriter(nil)
	w.Array(cutFields)
	w.Uint(cutFormat)
	w.Array(3 * len(c.Has))
	for _, m := range c.Has {
		w.Uint(uint64(m.Origin.ID))
		w.Uint(uint64(m.Origin.Incarnation))
		w.Uint(m.Seq)
	}
	w.Array(len(c.Members))
	for _, m := range c.Members {
		w.Uint(uint64(m))
	}
	w.Array(2 * len(c.Dead))
	for _, o := range c.Dead {
		w.Uint(uint64(o.ID))
		w.Uint(uint64(o.Incarnation))
	}
	w.Uint(uint64(c.Losers))
	w.Uint(uint64(c.Places))
	return w.Bytes()
}

func decodeCut(b []byte) (*Cut, error) {
	r := pack.NewReader(b)
	r.ArrayOf(cutFields)
	if f := r.Uint(); r.Err() == nil && f != cutFormat {
		return nil, fmt.Errorf("a cut has format %d, this version knows %d: %w", f, cutFormat, topology.ErrUnsupported)
	}
	origin := func() version.Origin {
		return version.Origin{ID: uint32(r.UintMax(math.MaxUint32)), Incarnation: uint32(r.UintMax(math.MaxUint32))}
	}
	c := &Cut{}
	n := r.ArrayMax(3 * record.MarksMax)
	for ; n >= 3 && r.Err() == nil; n -= 3 {
		c.Has = append(c.Has, version.Mark{Origin: origin(), Seq: r.Uint()})
	}
	if n != 0 || !c.Has.Valid() {
		r.Fail("what it has is no vector in canonical form")
	}
	for n = r.ArrayMax(membersMax); n > 0 && r.Err() == nil; n-- {
		c.Members = append(c.Members, uint32(r.UintMax(math.MaxUint32)))
	}
	for n = r.ArrayMax(2 * record.MarksMax); n >= 2 && r.Err() == nil; n -= 2 {
		c.Dead = append(c.Dead, origin())
	}
	if n != 0 {
		r.Fail("lives are not whole")
	}
	c.Losers, c.Places = record.LSN(r.Uint()), record.LSN(r.Uint())
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("a cut: %w: %w", topology.ErrMalformed, err)
	}
	return c, nil
}

// CutOf returns the cut that r is, nil if it is none. One that cannot be read is none:
// it holds back what it would have let go.
func CutOf(r *record.Record) *Cut {
	for i := range r.Mutations {
		m := &r.Mutations[i]
		if m.Op == record.OpMark && m.Table == record.TableSystem && string(m.Key) == record.MarkCut {
			if c, err := decodeCut(m.Value); err == nil {
				c.Time = r.Time
				return c
			}
		}
	}
	return nil
}

// cut writes what this site has for good.
func cut(c *Core, x *Cut) {
	if s := seat(c).Standing; c.Open() && owing(c) == nil && !c.Beyond() && (s == Active || s == Joining) && len(c.log.tail) < c.cfg.Limits.Uncommitted {
		c.mint([]record.Mutation{{Table: record.TableSystem, Op: record.OpMark, Key: []byte(record.MarkCut), Value: x.encode()}}, record.RequestID{}, nil)
	}
}

// Stable returns what every site of members has for good, of each origin: at or below
// it, whatever may still come has seen it. cuts holds the last cut of each origin that
// was delivered here, applied what was; ok is false as long as a site has said nothing,
// or as what an earlier life of one wrote may still be on its way: why says which.
//
// An earlier life is passed once its site says that it writes no more, and all sites
// have said that they have as much of it as there is here: nobody can have more.
func Stable(members []uint32, cuts map[version.Origin]*Cut, applied version.Vector) (stable version.Vector, ok bool, why string) {
	current := map[uint32]version.Origin{}
	for _, m := range applied {
		if m.Origin.Incarnation >= current[m.Origin.ID].Incarnation {
			current[m.Origin.ID] = m.Origin
		}
	}
	for i, id := range members {
		c := cuts[current[id]]
		if c == nil {
			return nil, false, fmt.Sprintf("site %d has not said what it has", id)
		}
		if i == 0 {
			stable = c.Has
			continue
		}
		stable = meet(stable, c.Has)
	}
	for _, m := range applied {
		now := current[m.Origin.ID]
		if m.Origin == now || !slices.Contains(members, m.Origin.ID) {
			continue // who has left has ended, and what counts of it is here: else it would be a member
		}
		if c := cuts[now]; c == nil || !slices.Contains(c.Dead, m.Origin) {
			return nil, false, fmt.Sprintf("an earlier life of site %d, %v, is not known to write no more", m.Origin.ID, m.Origin)
		}
		for _, id := range members {
			if cuts[current[id]].Has.Get(m.Origin) != m.Seq {
				return nil, false, fmt.Sprintf("site %d has not said that it has all of %v, an earlier life of site %d", id, m.Origin, m.Origin.ID)
			}
		}
	}
	return stable, true, ""
}

// meet is what both know.
func meet(v, w version.Vector) (out version.Vector) {
	for _, m := range v {
		if seq := min(m.Seq, w.Get(m.Origin)); seq > 0 {
			out = append(out, version.Mark{Origin: m.Origin, Seq: seq})
		}
	}
	return out
}
