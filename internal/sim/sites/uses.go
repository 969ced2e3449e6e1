package sites

import (
	"fmt"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/internal/sim"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
)

// use is a table of a run, and what clients do with its keys.
type use struct {
	name  string
	table record.TableID
	kind  record.Kind
	shown conflict.Resolver // what readers are shown
	keeps conflict.Resolver // what nodes hold: it asks no function (M4)
	parts bool              // keys have fields
}

// asked is what a client asks for, before it is sealed over what its site holds.
type asked struct {
	use      *use
	key      string
	mutation []record.Mutation
	add      int64    // what a counter is to grow by, or what was observed
	elements []string // of a sketch
}

// longest shows the longer of two values, and of two that are as long the greater. It
// forgets deletes.
func longest(_ []byte, vs []record.Version) (conflict.Fold, error) {
	f := conflict.Fold{Absent: true}
	for _, v := range vs {
		if v.Absent {
			continue
		}
		if f.Absent || len(v.Value) > len(f.Value) || len(v.Value) == len(f.Value) && string(v.Value) > string(f.Value) {
			f = conflict.Fold{Value: v.Value}
		}
	}
	return f, nil
}

// total shows the sum of all numbers.
func total(_ []byte, vs []conflict.Sibling[int64]) (sum int64, some bool, err error) {
	for _, v := range vs {
		if !v.Absent {
			sum, some = sum+v.Value, true
		}
	}
	return sum, some, nil
}

// uses are all there are.
func uses() []*use {
	all := []*use{
		{name: "lww", table: record.TableDefault, kind: record.KindBytes, shown: conflict.LWW()},
		{name: "first-writer", kind: record.KindBytes, shown: conflict.FirstWriter()},
		{name: "site-priority", kind: record.KindBytes, shown: conflict.SitePriority(2, 1)},
		{name: "siblings", kind: record.KindBytes, shown: conflict.Siblings()},
		{name: "function", kind: record.KindBytes, shown: conflict.Func("longest", 1, longest)},
		{name: "typed", kind: record.KindBytes, shown: conflict.Typed("total", 1, total)},
		{name: "fields", kind: record.KindRow, shown: conflict.Fields(), parts: true},
		{name: "register", kind: record.KindBytes, shown: conflict.Join()},
		{name: "flag", kind: record.KindFlag, shown: conflict.Join()},
		{name: "set", kind: record.KindSet, shown: conflict.Join(), parts: true},
		{name: "map", kind: record.KindMap, shown: conflict.Join(), parts: true},
		{name: "counter", kind: record.KindCounter, shown: conflict.Join()},
		{name: "max", kind: record.KindMax, shown: conflict.Join()},
		{name: "min", kind: record.KindMin, shown: conflict.Join()},
		{name: "hll", kind: record.KindHLL, shown: conflict.Join()},
	}
	for i, u := range all {
		u.keeps = conflict.Keeper(u.shown)
		if u.table == 0 {
			u.table = record.TableFirst + record.TableID(i)
		}
	}
	return all
}

// drawUses picks which of them a run has: the last writer's always.
func drawUses(s *sim.Sim) []*use {
	all := uses()
	picked := all[:1:1]
	for _, i := range s.Rand.Perm(len(all) - 1)[:s.Between(2, 4)] {
		picked = append(picked, all[i+1])
	}
	return picked
}

// used returns the use of a table; all are known, whether clients use them or not.
func (c *config) used(t record.TableID) *use {
	for _, u := range c.uses {
		if u.table == t {
			return u
		}
	}
	return c.uses[0]
}

// keeper settles what nodes hold.
func (c *config) keeper(t record.TableID) conflict.Resolver { return c.used(t).keeps }

func number(n int64) []byte {
	w := pack.NewWriter(nil)
	w.Int(n)
	return w.Bytes()
}

// ask draws a change of a key. n names it.
func (u *use) ask(s *sim.Sim, key string, n, valueBytes int) *asked {
	a := &asked{use: u, key: key}
	m := record.Mutation{Table: u.table, Key: []byte(key), Op: record.OpPut, Kind: u.kind, Value: fmt.Appendf(nil, "v%d-%0*d", n, s.Rand.IntN(valueBytes+1), 0)}
	gone := s.Chance(0.12)
	if s.Chance(0.15) {
		m.Value = []byte("same") // as somebody else's
	}
	switch {
	case u.name == "typed":
		m.Value = number(int64(s.Between(1, 1000)))
	case u.parts:
		a.mutation = u.edit(s, m, gone)
		return a
	case u.kind == record.KindFlag:
		m.Value, gone = nil, s.Chance(0.3)
	case u.kind == record.KindCounter:
		a.add = int64(s.Between(-5, 10))
		if !s.Chance(0.12) {
			m.Op, gone = record.OpMerge, false
		}
		m.Value = number(a.add)
	case u.kind == record.KindMax, u.kind == record.KindMin:
		a.add = int64(s.Between(-1000, 1000))
		m.Op, m.Value, gone = record.OpMerge, number(a.add), false
	case u.kind == record.KindHLL:
		a.elements = []string{fmt.Sprint("e", s.Rand.IntN(200))}
		w := pack.NewWriter(nil)
		w.Array(1)
		w.Bin([]byte(a.elements[0]))
		m.Op, m.Value, gone = record.OpMerge, w.Bytes(), false
	}
	if gone {
		m.Op, m.Value, a.add = record.OpDelete, nil, 0
	}
	a.mutation = []record.Mutation{m}
	return a
}

// edit changes parts of a key, or removes it whole.
func (u *use) edit(s *sim.Sim, m record.Mutation, gone bool) []record.Mutation {
	if gone {
		m.Op, m.Value = record.OpDelete, nil
		return []record.Mutation{m}
	}
	head := m
	head.Value = nil
	ms := []record.Mutation{head}
	for range s.Between(1, 2) {
		part := m
		part.Field = []byte{byte('p' + s.Rand.IntN(4))}
		if u.kind == record.KindSet {
			part.Value = nil
		}
		if s.Chance(0.25) {
			part.Op, part.Value = record.OpDelete, nil
		}
		ms = append(ms, part)
	}
	return ms
}
