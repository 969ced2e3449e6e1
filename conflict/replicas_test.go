package conflict_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/crdt/crdttest"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// replica takes records in any order, and twice: a record covers what its writer had
// read of the cell, exactly, and a replica remembers what it applied (rule X, second
// row; the contexts of cells are kept as leaderless keeps them).
type replica struct {
	site
	applied version.Set
	counted map[uint32]uint64 // of each origin the greatest increment that came
}

func (p *replica) Cell(c record.Cell) (record.State, error) { return p.cells[string(c.Field)], nil }

// hold keeps a change, and what the cell's context becomes.
func (p *replica) hold(c conflict.Change, covers *version.Set, d version.Dot) {
	if c.Covers != nil {
		covers = c.Covers
	}
	ctx := &version.Set{}
	ctx.Union(c.State.Context)
	ctx.Union(covers)
	if len(c.Cell.Field) == 0 || slices.ContainsFunc(c.State.Siblings, func(v record.Version) bool { return v.Dot == d }) {
		ctx.Add(d)
	}
	c.State.Context = ctx
	p.cells[string(c.Cell.Field)] = c.State
}

type replicas struct {
	law
	all     []*replica
	written []*deed
}

// write makes a write at a replica of the key, in the name of its share, over what it
// holds.
func (w *replicas) write(t *rapid.T, i int) {
	p := w.all[i]
	d := &deed{field: crdttest.Pick(t, "field", w.fields...), what: crdttest.Pick(t, "what", w.whats...), saw: map[*deed]bool{}}
	if d.what == "del" && d.field == "" {
		d.what = "drop"
	}
	d.n = int64(rapid.IntRange(-9, 9).Draw(t, "n"))
	m := record.Mutation{Table: spot.Table, Key: spot.Key, Field: []byte(d.field), Op: record.OpPut, Kind: w.kind, Value: numberBytes(d.n)}
	read := []string{d.field}
	switch d.what {
	case "del":
		m.Op, m.Value = record.OpDelete, nil
	case "drop":
		m.Op, m.Value, m.Field, d.field = record.OpDelete, nil, nil, ""
		read = slices.Sorted(maps.Keys(p.cells))
	case "merge":
		m.Op, read = record.OpMerge, nil
	}
	ctx := &version.Set{}
	for _, f := range read {
		c, latest := conflict.ContextOf(p.cells[f].Siblings)
		ctx.Union(c)
		p.clock = max(p.clock, latest)
	}
	p.clock += version.Timestamp(crdttest.Pick(t, "clock", 1, 2, 3))
	p.minted++
	dot := version.Dot{Origin: version.Origin{ID: uint32(i + 1), Incarnation: 1}, Seq: p.minted}
	require.NoError(t, conflict.SealOver(&m, dot, p.cells[string(m.Field)].Siblings, ctx))
	d.rec = record.Record{Dot: dot, Time: p.clock, Context: ctx, Mutations: []record.Mutation{m}}
	for _, e := range w.written {
		d.saw[e] = ctx.Has(e.rec.Dot)
		if e.what == "merge" && (d.what == "put" || d.what == "drop") {
			d.saw[e] = e.rec.Seq <= p.counted[e.rec.Origin.ID] // a total says all before it
		}
	}
	w.written = append(w.written, d)
	w.take(t, i, d)
}

func (w *replicas) take(t *rapid.T, i int, d *deed) {
	p := w.all[i]
	changes, err := conflict.Apply(&d.rec, func(record.TableID) conflict.Resolver { return w.resolver }, &p.applied, d.rec.Context, p)
	require.NoError(t, err)
	for _, c := range changes {
		p.hold(c, d.rec.Context, d.rec.Dot)
	}
	p.applied.Add(d.rec.Dot)
	p.clock = max(p.clock, d.rec.Time)
	if d.what == "merge" {
		p.counted[d.rec.Origin.ID] = max(p.counted[d.rec.Origin.ID], d.rec.Seq)
	}
}

func TestReplicasShowWhatTheyShouldOnceTheyHaveEverythingInAnyOrder(t *testing.T) {
	head, columns := []string{""}, []string{"", "x", "y"}
	for name, l := range map[string]law{
		"lww":          {conflict.LWW(), record.KindBytes, head, []string{"put", "put", "drop"}, chosenOf(later), one},
		"first-writer": {conflict.FirstWriter(), record.KindBytes, head, []string{"put", "put", "drop"}, chosenOf(func(a, b *deed) bool { return later(b, a) }), one},
		"fields":       {conflict.Fields(), record.KindRow, columns, []string{"put", "put", "put", "del", "drop"}, specFields, one},
		"siblings":     {conflict.Siblings(), record.KindBytes, head, []string{"put", "put", "drop"}, specSiblings, showSiblings},
		"set":          {conflict.Join(), record.KindSet, columns, []string{"put", "put", "put", "del", "drop"}, presentOf, one},
		"counter":      {conflict.Join(), record.KindCounter, head, []string{"merge", "merge", "merge", "merge", "put", "drop"}, specCounter, one},
		"max":          {conflict.Join(), record.KindMax, head, []string{"merge"}, specExtreme(func(a, b int64) int64 { return max(a, b) }), one},
	} {
		t.Run(name, l.checkReplicas)
	}
}

func (l law) checkReplicas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &replicas{law: l}
		for range 3 {
			w.all = append(w.all, &replica{site: site{cells: map[string]record.State{}}, counted: map[uint32]uint64{}})
		}
		for range crdttest.Pick(t, "steps", 2, 4, 8, 16, 25) {
			i := crdttest.Pick(t, "replica", 0, 1, 2)
			if len(w.written) == 0 || crdttest.Pick(t, "step", "write", "take", "take") == "write" {
				w.write(t, i)
			} else {
				w.take(t, i, crdttest.Pick(t, "record", w.written...))
			}
		}
		for i, p := range w.all {
			for _, d := range rapid.Permutation(w.written).Draw(t, "order") {
				w.take(t, i, d)
			}
			for _, f := range l.fields {
				require.Equal(t, l.spec(w.written, f), l.shown(p, f), "replica %d, field %q", i, f)
				require.Equal(t, text(w.all[0].cells[f].Siblings), text(p.cells[f].Siblings))
			}
		}
	})
}

func (l law) shown(p *replica, field string) string {
	held := p.cells[field].Siblings
	if len(held) == 0 {
		return ""
	}
	s := l.resolver.Settle(record.Cell{Table: spot.Table, Key: spot.Key, Field: []byte(field)}, held)
	if s.Fault != nil {
		return fmt.Sprint(s.Fault)
	}
	return l.show(s)
}
