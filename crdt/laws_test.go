package crdt_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/triad-kv/triad/crdt"
	"github.com/triad-kv/triad/crdt/crdttest"
	"github.com/triad-kv/triad/version"
)

const (
	originBytes = 10 // of an origin, at most
	dotBytes    = originBytes + 9
	seenBytes   = 3*dotBytes + 16 // once everything was taken in
	origins     = 3
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func number(t *rapid.T, e *crdttest.Event, from, to int) int64 {
	e.N = int64(rapid.IntRange(from, to).Draw(t, "n"))
	if e.N == 0 {
		e.N = 1
	}
	return e.N
}

func text(t *rapid.T, e *crdttest.Event) string {
	e.Text = crdttest.Pick(t, "text", "x", "y", "z", "")
	return e.Text
}

func what(t *rapid.T, e *crdttest.Event, of ...string) string {
	e.What = crdttest.Pick(t, "what", of...)
	return e.What
}

func TestGCounterLaws(t *testing.T) {
	crdttest.Laws(t, crdttest.Subject[*crdt.GCounter]{
		New: func() *crdt.GCounter { return &crdt.GCounter{} },
		Change: func(t *rapid.T, c *crdt.GCounter, e *crdttest.Event) *crdt.GCounter {
			e.What = "add"
			return must(c.Add(e.By, uint64(number(t, e, 1, 5))))
		},
		Show:   func(c *crdt.GCounter) string { return fmt.Sprint(c.Value()) },
		Spec:   specCount,
		Retire: (*crdt.GCounter).Retire,
		Bound:  func(*crdt.GCounter, events) int { return 4 + origins*dotBytes },
	})
}

func TestPNCounterLaws(t *testing.T) {
	crdttest.Laws(t, crdttest.Subject[*crdt.PNCounter]{
		New: func() *crdt.PNCounter { return &crdt.PNCounter{} },
		Change: func(t *rapid.T, c *crdt.PNCounter, e *crdttest.Event) *crdt.PNCounter {
			if what(t, e, "add", "add", "reset") == "reset" {
				return c.Reset()
			}
			return must(c.Add(e.By, number(t, e, -5, 5)))
		},
		Show:   func(c *crdt.PNCounter) string { return fmt.Sprint(c.Value()) },
		Spec:   specCount,
		Retire: (*crdt.PNCounter).Retire,
		Bound:  func(*crdt.PNCounter, events) int { return 4 + origins*(originBytes+4*9) },
	})
}

func showExtreme(n int64, some bool) string {
	if !some {
		return "none"
	}
	return fmt.Sprint(n)
}

func TestMaxLaws(t *testing.T) {
	crdttest.Laws(t, crdttest.Subject[*crdt.Max]{
		New: func() *crdt.Max { return &crdt.Max{} },
		Change: func(t *rapid.T, m *crdt.Max, e *crdttest.Event) *crdt.Max {
			return m.Observe(number(t, e, -5, 5))
		},
		Show:  func(m *crdt.Max) string { return showExtreme(m.Value()) },
		Spec:  specExtreme(func(a, b int64) int64 { return max(a, b) }),
		Bound: func(*crdt.Max, events) int { return 11 },
	})
}

func TestMinLaws(t *testing.T) {
	crdttest.Laws(t, crdttest.Subject[*crdt.Min]{
		New: func() *crdt.Min { return &crdt.Min{} },
		Change: func(t *rapid.T, m *crdt.Min, e *crdttest.Event) *crdt.Min {
			return m.Observe(number(t, e, -5, 5))
		},
		Show:  func(m *crdt.Min) string { return showExtreme(m.Value()) },
		Spec:  specExtreme(func(a, b int64) int64 { return min(a, b) }),
		Bound: func(*crdt.Min, events) int { return 11 },
	})
}

func TestLWWRegisterLaws(t *testing.T) {
	crdttest.Laws(t, crdttest.Subject[*crdt.LWWRegister]{
		New: func() *crdt.LWWRegister { return &crdt.LWWRegister{} },
		Change: func(t *rapid.T, r *crdt.LWWRegister, e *crdttest.Event) *crdt.LWWRegister {
			if what(t, e, "set", "set", "clear") == "clear" {
				return r.Clear(e.Stamp)
			}
			return must(r.Set(e.Stamp, fmt.Append(nil, number(t, e, 1, 9))))
		},
		Show: func(r *crdt.LWWRegister) string {
			if v, ok := r.Value(); ok {
				return string(v)
			}
			return "none"
		},
		Spec:  specLast,
		Bound: func(*crdt.LWWRegister, events) int { return 3 + 9 + dotBytes + 4 },
	})
}

func TestMVRegisterLaws(t *testing.T) {
	crdttest.Laws(t, crdttest.Subject[*crdt.MVRegister]{
		New:    func() *crdt.MVRegister { return &crdt.MVRegister{} },
		Change: changeRegister,
		Show:   func(r *crdt.MVRegister) string { return showRegister(r.Values()) },
		Spec:   specRegister,
		Bound:  func(*crdt.MVRegister, events) int { return seenBytes + origins*(dotBytes+3) },
	})
}

func changeRegister(t *rapid.T, r *crdt.MVRegister, e *crdttest.Event) *crdt.MVRegister {
	if what(t, e, "set", "set", "set", "clear") == "clear" {
		return r.Clear()
	}
	return must(r.Set(e.By, []byte(text(t, e))))
}

func showRegister(values [][]byte) string {
	var out []string
	for _, v := range values {
		out = append(out, string(v))
	}
	slices.Sort(out)
	return fmt.Sprintf("%q", out)
}

func TestFlagLaws(t *testing.T) {
	crdttest.Laws(t, crdttest.Subject[*crdt.Flag]{
		New:    func() *crdt.Flag { return &crdt.Flag{} },
		Change: changeFlag,
		Show:   func(f *crdt.Flag) string { return fmt.Sprint(f.Value()) },
		Spec:   specFlag,
		Bound:  func(*crdt.Flag, events) int { return seenBytes + origins*dotBytes },
	})
}

func changeFlag(t *rapid.T, f *crdt.Flag, e *crdttest.Event) *crdt.Flag {
	if what(t, e, "enable", "disable") == "disable" {
		return f.Disable()
	}
	return must(f.Enable(e.By))
}

func TestDotCounterLaws(t *testing.T) {
	crdttest.Laws(t, crdttest.Subject[*crdt.DotCounter]{
		New:     func() *crdt.DotCounter { return &crdt.DotCounter{} },
		Change:  changeCounter,
		Show:    func(c *crdt.DotCounter) string { return fmt.Sprint(c.Value()) },
		Spec:    specCount,
		Compact: (*crdt.DotCounter).Compact,
		Stable:  func(c *crdt.DotCounter, _ events) version.Vector { return c.Seen().Prefix },
		Bound:   func(_ *crdt.DotCounter, done events) int { return seenBytes + len(done)*(dotBytes+18) },
	})
}

func changeCounter(t *rapid.T, c *crdt.DotCounter, e *crdttest.Event) *crdt.DotCounter {
	if what(t, e, "add", "add", "add", "reset") == "reset" {
		return c.Reset()
	}
	return must(c.Add(e.By, number(t, e, -5, 5)))
}

func TestORSetLaws(t *testing.T) {
	crdttest.Laws(t, crdttest.Subject[*crdt.ORSet]{
		New:    func() *crdt.ORSet { return &crdt.ORSet{} },
		Change: changeSet,
		Show:   func(s *crdt.ORSet) string { return showSet(s.Elements()) },
		Spec:   specSet,
		Bound: func(s *crdt.ORSet, _ events) int {
			return seenBytes + s.Len()*(4+origins*dotBytes)
		},
	})
}

func showSet(elements []string) string { return fmt.Sprintf("%q", elements) }

func changeSet(t *rapid.T, s *crdt.ORSet, e *crdttest.Event) *crdt.ORSet {
	switch what(t, e, "add", "add", "add", "remove", "remove", "clear") {
	case "remove":
		return s.Remove(text(t, e))
	case "clear":
		return s.Clear()
	}
	return must(s.Add(e.By, text(t, e)))
}

func TestLWWMapLaws(t *testing.T) {
	crdttest.Laws(t, crdttest.Subject[*crdt.LWWMap]{
		New: func() *crdt.LWWMap { return &crdt.LWWMap{} },
		Change: func(t *rapid.T, m *crdt.LWWMap, e *crdttest.Event) *crdt.LWWMap {
			if what(t, e, "set", "set", "delete") == "delete" {
				return must(m.Delete(e.Stamp, text(t, e)))
			}
			return must(m.Set(e.Stamp, text(t, e), fmt.Append(nil, number(t, e, 1, 9))))
		},
		Show: func(m *crdt.LWWMap) string {
			var out []string
			for k, v := range m.All() {
				out = append(out, fmt.Sprintf("%s=%s", k, v))
			}
			return strings.Join(out, " ")
		},
		Spec:    specLastMap,
		Compact: (*crdt.LWWMap).Compact,
		Stable:  func(_ *crdt.LWWMap, done events) version.Vector { return allOf(done) },
		Bound: func(m *crdt.LWWMap, _ events) int {
			return 5 + (m.Len()+m.Tombstones())*(3+9+dotBytes+1+4)
		},
	})
}

// allOf is the vector of everything that was done.
func allOf(done events) version.Vector {
	var v version.Vector
	for _, e := range done {
		v = v.With(e.By, max(v.Get(e.By), e.Stamp.Dot.Seq))
	}
	return v
}

func TestHLLLaws(t *testing.T) {
	crdttest.Laws(t, crdttest.Subject[*crdt.HLL]{
		New:    func() *crdt.HLL { return &crdt.HLL{} },
		Change: func(t *rapid.T, h *crdt.HLL, e *crdttest.Event) *crdt.HLL { return h.Add([]byte(text(t, e))) },
		Show:   func(h *crdt.HLL) string { return fmt.Sprint(h.Count()) },
		Spec:   specDistinct,
		Bound:  func(h *crdt.HLL, _ events) int { return 5 + 4*int(h.Count()) },
	})
}

// mapFields are the fields of the maps under the laws, at every level.
var mapFields = []crdt.Field{
	{Kind: crdt.KindFlag, Name: "f"}, {Kind: crdt.KindRegister, Name: "r"}, {Kind: crdt.KindCounter, Name: "c"},
	{Kind: crdt.KindSet, Name: "f"}, {Kind: crdt.KindMap, Name: "m"},
}

func TestORMapLaws(t *testing.T) {
	crdttest.Laws(t, crdttest.Subject[*crdt.ORMap]{
		New:     func() *crdt.ORMap { return &crdt.ORMap{} },
		Change:  func(t *rapid.T, m *crdt.ORMap, e *crdttest.Event) *crdt.ORMap { return changeMap(t, m, e, 0) },
		Show:    showMap,
		Spec:    specMap,
		Compact: (*crdt.ORMap).Compact,
		Stable:  func(m *crdt.ORMap, _ events) version.Vector { return m.Seen().Prefix },
		Bound:   func(_ *crdt.ORMap, done events) int { return seenBytes + len(done)*(dotBytes+40) },
	})
}

func changeMap(t *rapid.T, m *crdt.ORMap, e *crdttest.Event, depth int) *crdt.ORMap {
	f := crdttest.Pick(t, "field", mapFields...)
	switch crdttest.Pick(t, "do", 0, 1, 2, 3, 4, 5, 6, 7, 8, 9) {
	case 0, 1:
		e.What, e.Field = "drop", f
		return m.Remove(f)
	case 2:
		e.What = "clear"
		return m.Clear()
	}
	if depth == 2 && f.Kind == crdt.KindMap {
		f = mapFields[0]
	}
	e.Path = append(e.Path, f)
	switch f.Kind {
	case crdt.KindFlag:
		return must(m.UpdateFlag(f.Name, func(c *crdt.Flag) error { changeFlag(t, c, e); return nil }))
	case crdt.KindRegister:
		return must(m.UpdateRegister(f.Name, func(c *crdt.MVRegister) error { changeRegister(t, c, e); return nil }))
	case crdt.KindCounter:
		return must(m.UpdateCounter(f.Name, func(c *crdt.DotCounter) error { changeCounter(t, c, e); return nil }))
	case crdt.KindSet:
		return must(m.UpdateSet(f.Name, func(c *crdt.ORSet) error { changeSet(t, c, e); return nil }))
	}
	return must(m.UpdateMap(f.Name, func(c *crdt.ORMap) error { changeMap(t, c, e, depth+1); return nil }))
}

func showMap(m *crdt.ORMap) string {
	var out []string
	for f := range m.Fields() {
		v := ""
		switch f.Kind {
		case crdt.KindFlag:
			v = fmt.Sprint(m.Flag(f.Name))
		case crdt.KindRegister:
			v = showRegister(m.Register(f.Name))
		case crdt.KindCounter:
			v = fmt.Sprint(m.Counter(f.Name))
		case crdt.KindSet:
			v = showSet(m.Set(f.Name))
		case crdt.KindMap:
			v = showMap(m.Map(f.Name))
		}
		out = append(out, fmt.Sprintf("%d%s=%s", f.Kind, f.Name, v))
	}
	return "{" + strings.Join(out, " ") + "}"
}
