package conflict_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/crdt/crdttest"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/version"
)

// deed is one write as its writer meant it: the specifications go by these.
type deed struct {
	rec   record.Record
	field string
	what  string // put, del, drop (of the key), merge
	n     int64
	saw   map[*deed]bool
}

func (d *deed) at() record.Version { return record.Version{Dot: d.rec.Dot, Time: d.rec.Time} }

// site holds one key, takes records in causal order, and knows what it truly took in.
type site struct {
	minted uint64
	cells  map[string]record.State
	vector version.Vector
	clock  version.Timestamp
	took   map[*deed]bool
	last   []version.Vector // of each site, what its last record here had seen, itself included
}

// Cell and Fields implement conflict.Cells.
func (s *site) Cell(c record.Cell) (record.State, error) { return s.cells[string(c.Field)], nil }

func (s *site) Fields(record.TableID, []byte) ([][]byte, error) {
	var out [][]byte
	for _, f := range slices.Sorted(maps.Keys(s.cells)) {
		if f != "" {
			out = append(out, []byte(f))
		}
	}
	return out, nil
}

// law is one resolver under random writes: what is drawn, and what is right.
type law struct {
	resolver conflict.Resolver
	kind     record.Kind
	fields   []string
	whats    []string
	spec     func(took []*deed, field string) string
	show     func(conflict.Settled) string
}

type sites struct {
	law
	all  []*site
	logs [][]*deed
}

var spot = record.Cell{Table: record.TableFirst, Key: []byte("key")}

func numberBytes(n int64) []byte {
	w := pack.NewWriter(nil)
	w.Int(n)
	return w.Bytes()
}

func (w *sites) write(t *rapid.T, i int, beat bool) {
	s := w.all[i]
	d := &deed{field: crdttest.Pick(t, "field", w.fields...), what: crdttest.Pick(t, "what", w.whats...), saw: maps.Clone(s.took)}
	if beat {
		d.what, d.field = "beat", "no field of the key"
	}
	d.n = int64(rapid.IntRange(-9, 9).Draw(t, "n"))
	if d.what == "del" && d.field == "" {
		d.what = "drop"
	}
	m := record.Mutation{Table: spot.Table, Key: spot.Key, Field: []byte(d.field), Op: record.OpPut, Kind: w.kind, Value: numberBytes(d.n)}
	switch d.what {
	case "del":
		m.Op, m.Value = record.OpDelete, nil
	case "drop":
		m.Op, m.Value, m.Field, d.field = record.OpDelete, nil, nil, ""
	case "merge":
		m.Op = record.OpMerge
	case "beat": // a record that changes nothing and shows what its site has seen
		m = record.Mutation{Op: record.OpMark, Key: []byte("beat")}
	}
	s.clock += version.Timestamp(crdttest.Pick(t, "clock", 1, 2, 3))
	dot := version.Dot{Origin: version.Origin{ID: uint32(i + 1), Incarnation: 1}, Seq: uint64(len(w.logs[i]) + 1)}
	require.NoError(t, conflict.Seal(&m, dot, s.cells[string(m.Field)].Siblings))
	d.rec = record.Record{Dot: dot, Time: s.clock, Deps: s.vector.With(dot.Origin, 0), Mutations: []record.Mutation{m}}
	w.logs[i] = append(w.logs[i], d)
	w.take(t, i, d)
}

// covers is a record's deps and all its origin wrote before it.
type beforeIt struct{ r *record.Record }

func (b beforeIt) Has(d version.Dot) bool {
	if d.Origin == b.r.Origin {
		return d.Seq < b.r.Seq
	}
	return b.r.Deps.Has(d)
}

func (w *sites) take(t *rapid.T, i int, d *deed) {
	s, r := w.all[i], &d.rec
	s.clock = max(s.clock, r.Time)
	changes, err := conflict.Apply(r, func(record.TableID) conflict.Resolver { return w.resolver }, s.vector, beforeIt{r}, s)
	require.NoError(t, err)
	for _, c := range changes {
		s.cells[string(c.Cell.Field)] = c.State
		if len(c.State.Siblings) == 0 {
			delete(s.cells, string(c.Cell.Field))
		}
	}
	s.vector = s.vector.With(r.Origin, r.Seq)
	s.took[d] = true
	s.last[r.Origin.ID-1] = r.Deps.With(r.Origin, r.Seq)
}

// deliver takes the next record of from, if all it depends on is here.
func (w *sites) deliver(t *rapid.T, i, from int) bool {
	s := w.all[i]
	n := int(s.vector.Get(version.Origin{ID: uint32(from + 1), Incarnation: 1}))
	if i == from || n >= len(w.logs[from]) || !s.vector.Descends(w.logs[from][n].rec.Deps) {
		return false
	}
	w.take(t, i, w.logs[from][n])
	return true
}

func (w *sites) deliverAll(t *rapid.T) {
	for progress := true; progress; {
		progress = false
		for i := range w.all {
			for j := range w.all {
				progress = w.deliver(t, i, j) || progress
			}
		}
	}
}

// round makes all that was written stable: everybody has it, and says so.
func (w *sites) round(t *rapid.T) {
	w.deliverAll(t)
	for i := range w.all {
		w.write(t, i, true)
	}
	w.deliverAll(t)
}

// prune drops what no site needs, below the cut that i knows (rule M6).
func (w *sites) prune(t *rapid.T, i int) {
	s := w.all[i]
	var stable version.Vector
	for _, m := range s.vector {
		seq := m.Seq
		for p, v := range s.last {
			if p != i {
				seq = min(seq, v.Get(m.Origin))
			}
		}
		stable = stable.With(m.Origin, seq)
	}
	for f, state := range s.cells {
		state.Siblings = conflict.Prune(w.resolver, record.Cell{Table: spot.Table, Key: spot.Key, Field: []byte(f)}, state.Siblings, stable)
		s.cells[f] = state
		if len(state.Siblings) == 0 {
			delete(s.cells, f)
		}
	}
}

func (w *sites) shown(s *site, field string) string {
	held := s.cells[field].Siblings
	if len(held) == 0 {
		return ""
	}
	settled := w.resolver.Settle(record.Cell{Table: spot.Table, Key: spot.Key, Field: []byte(field)}, held)
	if settled.Fault != nil {
		return settled.Fault.Error()
	}
	return w.show(settled)
}

func (w *sites) hold(t *rapid.T, s *site) {
	var took []*deed
	for _, log := range w.logs {
		for _, d := range log {
			if s.took[d] {
				took = append(took, d)
			}
		}
	}
	for _, f := range w.fields {
		require.Equal(t, w.spec(took, f), w.shown(s, f), "field %q", f)
	}
}

func (l law) check(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const n = 3
		w := &sites{law: l, logs: make([][]*deed, n)}
		for range n {
			w.all = append(w.all, &site{cells: map[string]record.State{}, took: map[*deed]bool{}, last: make([]version.Vector, n)})
		}
		for range crdttest.Pick(t, "steps", 3, 6, 12, 25, 40) {
			i, j := crdttest.Pick(t, "site", 0, 1, 2), crdttest.Pick(t, "from", 0, 1, 2)
			switch crdttest.Pick(t, "step", "write", "write", "write", "deliver", "deliver", "deliver", "prune", "round") {
			case "write":
				w.write(t, i, false)
			case "round":
				w.round(t)
			case "deliver":
				w.deliver(t, i, j)
			case "prune":
				w.prune(t, i)
			}
			w.hold(t, w.all[i])
		}
		w.deliverAll(t)
		for _, s := range w.all {
			w.hold(t, s)
			require.Equal(t, w.all[0].vector, s.vector)
			for _, f := range w.fields {
				require.Equal(t, w.lasting(w.all[0], f), w.lasting(s, f), "what lasts of field %q", f)
			}
		}
	})
}

// lasting is what sites that have the same hold alike, whatever each has let go.
func (w *sites) lasting(s *site, field string) []record.Version {
	return append([]record.Version{}, conflict.Lasting(w.resolver, record.Cell{Table: spot.Table, Key: spot.Key, Field: []byte(field)}, s.cells[field].Siblings)...)
}

// maximal are the writes of one cell that no other that writes it, or deletes its
// key, had seen.
func maximal(took []*deed, field string) []*deed {
	var out []*deed
	for _, d := range took {
		writes := func(e *deed) bool { return e.field == field || e.what == "drop" }
		if d.field == field && !slices.ContainsFunc(took, func(e *deed) bool { return writes(e) && e.saw[d] }) {
			out = append(out, d)
		}
	}
	return out
}

func pickDeed(ds []*deed, greater func(a, b *deed) bool) *deed {
	var out *deed
	for _, d := range ds {
		if out == nil || greater(d, out) {
			out = d
		}
	}
	return out
}

func later(a, b *deed) bool { return conflict.Compare(a.at(), b.at()) > 0 }

// chosenOf shows the greatest of the maximal writes, nothing if that is a delete.
func chosenOf(greater func(a, b *deed) bool) func([]*deed, string) string {
	return func(took []*deed, field string) string {
		d := pickDeed(maximal(took, field), greater)
		if d == nil || d.what != "put" {
			return ""
		}
		return fmt.Sprint(d.n)
	}
}

// presentOf shows the latest of the maximal puts.
func presentOf(took []*deed, field string) string {
	puts := slices.DeleteFunc(maximal(took, field), func(d *deed) bool { return d.what != "put" })
	return chosenOf(later)(puts, field)
}

func one(s conflict.Settled) string {
	if len(s.Shown) == 0 {
		return ""
	}
	r := pack.NewReader(s.Shown[0].Bytes)
	n := r.Int()
	if err := r.Done(); err != nil || len(s.Shown) > 1 {
		return fmt.Sprint(len(s.Shown), err)
	}
	return fmt.Sprint(n)
}

func TestResolversShowWhatTheyShouldWhateverTheOrderAndWhateverIsPruned(t *testing.T) {
	head, columns := []string{""}, []string{"", "x", "y"}
	rank := func(d *deed) int { return slices.Index([]uint32{2, 1}, d.rec.Origin.ID) }
	dotsOf := func(s conflict.Settled) string {
		if len(s.Shown) == 0 {
			return ""
		}
		return string(s.Shown[0].Bytes)
	}
	free := func(_ []byte, kept []record.Version) (conflict.Fold, error) {
		return conflict.Fold{Value: []byte(text(kept))}, nil
	}
	for name, l := range map[string]law{
		"lww":           {conflict.LWW(), record.KindBytes, head, []string{"put", "put", "drop"}, chosenOf(later), one},
		"first-writer":  {conflict.FirstWriter(), record.KindBytes, head, []string{"put", "put", "drop"}, chosenOf(func(a, b *deed) bool { return later(b, a) }), one},
		"site-priority": {conflict.SitePriority(2, 1), record.KindBytes, head, []string{"put", "put", "drop"}, chosenOf(func(a, b *deed) bool { return rankLess(rank(a), rank(b)) || rank(a) == rank(b) && later(a, b) }), one},
		"fields":        {conflict.Fields(), record.KindRow, columns, []string{"put", "put", "put", "del", "drop"}, specFields, one},
		"siblings":      {conflict.Siblings(), record.KindBytes, head, []string{"put", "put", "drop"}, specSiblings, showSiblings},
		"set":           {conflict.Join(), record.KindSet, columns, []string{"put", "put", "put", "del", "drop"}, presentOf, one},
		"flag":          {conflict.Join(), record.KindFlag, head, []string{"put", "drop"}, presentOf, one},
		"counter":       {conflict.Join(), record.KindCounter, head, []string{"merge", "merge", "merge", "merge", "put", "drop"}, specCounter, one},
		"max":           {conflict.Join(), record.KindMax, head, []string{"merge"}, specExtreme(func(a, b int64) int64 { return max(a, b) }), one},
		"min":           {conflict.Join(), record.KindMin, head, []string{"merge"}, specExtreme(func(a, b int64) int64 { return min(a, b) }), one},
		"custom":        {conflict.Func("free", 1, free), record.KindBytes, head, []string{"put"}, specFree, dotsOf},
	} {
		t.Run(name, l.check)
	}
}

// rankLess reports whether a is named before b; −1 is not named.
func rankLess(a, b int) bool { return a >= 0 && (b < 0 || a < b) }

func specFields(took []*deed, field string) string {
	if field == "" {
		return presentOf(took, field)
	}
	return chosenOf(later)(took, field)
}

func specSiblings(took []*deed, field string) string {
	var out []string
	some := false
	for _, d := range maximal(took, field) {
		if d.what == "put" {
			out, some = append(out, fmt.Sprint(d.rec.Dot, "=", d.n)), true
		} else {
			out = append(out, fmt.Sprint(d.rec.Dot, " gone"))
		}
	}
	if !some {
		return ""
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func showSiblings(s conflict.Settled) string {
	var out []string
	for _, v := range s.Shown {
		if v.Absent {
			out = append(out, fmt.Sprint(v.From[0], " gone"))
			continue
		}
		out = append(out, fmt.Sprint(v.From[0], "=", one(conflict.Settled{Shown: []conflict.Value{v}})))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// specCounter: the latest put that none had seen who put or deleted, and what was
// counted under the same condition. It is there while any of that is.
func specCounter(took []*deed, _ string) string {
	var put *deed
	there, total := false, int64(0)
	for _, d := range took {
		ends := func(e *deed) bool { return (e.what == "put" || e.what == "drop") && e.saw[d] }
		if d.what == "drop" || d.what == "beat" || slices.ContainsFunc(took, ends) {
			continue
		}
		there = true
		if d.what == "merge" {
			total += d.n
		} else if put == nil || later(d, put) {
			put = d
		}
	}
	switch {
	case !there:
		return ""
	case put != nil:
		total += put.n
	}
	return fmt.Sprint(total)
}

func specExtreme(pick func(a, b int64) int64) func([]*deed, string) string {
	return func(took []*deed, _ string) string {
		took = slices.DeleteFunc(slices.Clone(took), func(d *deed) bool { return d.what == "beat" })
		if len(took) == 0 {
			return ""
		}
		n := took[0].n
		for _, d := range took {
			n = pick(n, d.n)
		}
		return fmt.Sprint(n)
	}
}

// specFree is the value of a function that shows the set it was asked about: what it
// shows is right only if that set is. Of one alone it is not asked.
func specFree(took []*deed, field string) string {
	most := maximal(took, field)
	if len(most) == 0 {
		return ""
	}
	if len(most) == 1 {
		return string(numberBytes(most[0].n))
	}
	var kept []record.Version
	for _, d := range most {
		kept = append(kept, d.at())
	}
	slices.SortFunc(kept, func(v, w record.Version) int { return v.Dot.Compare(w.Dot) })
	return text(kept)
}
