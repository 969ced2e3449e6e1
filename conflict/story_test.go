package conflict_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/version"
)

// Each file of testdata is a story of one key at several places; most are what a model
// checker found when a clause of rule X was left out. Some show what happens without
// the clause, by the words in brackets.
//
//	places a b c … [sites|replicas] [resolver=NAME] [kind=max] [covers=vector] [seen=context]
//	   sites: a record covers all that stood before it in its place
//	   replicas: it covers what its writer had read, and no more; a place remembers what it applied
//	   covers=vector: what a record covers is taken for a prefix of each origin (against X1)
//	   seen=context: a place goes by the key's context alone, not by what it applied (against X)
//	read NAME at=PLACE                                what a later write may have seen
//	put|del|add NAME at=PLACE [N] [field=F] [time=N] [seen=READ|nothing]
//	take PLACE NAME…                                  records arrive
//	sync PLACE from=PLACE                             a state arrives (replicas)
//	prune PLACE stable=(NAME…)
//	show [field=F]
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		s := &story{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.t, s.d = t, d
			s.b.Reset()
			s.tell()
			return s.b.String()
		})
	})
}

type story struct {
	t        *testing.T
	d        *datadriven.TestData
	b        strings.Builder
	replicas bool
	vector   bool // covers=vector
	context  bool // seen=context
	resolver conflict.Resolver
	places   []*storyPlace
	written  map[string]*record.Record
	reads    map[string]*version.Set
	kinds    record.Kind
}

type storyPlace struct {
	name    string
	cells   map[string]record.State
	applied version.Set
	context version.Set // of the key
	clock   version.Timestamp
	minted  uint64
}

func (p *storyPlace) Cell(c record.Cell) (record.State, error) { return p.cells[string(c.Field)], nil }

func (p *storyPlace) Fields(record.TableID, []byte) ([][]byte, error) {
	var out [][]byte
	for _, f := range slices.Sorted(maps.Keys(p.cells)) {
		if f != "" {
			out = append(out, []byte(f))
		}
	}
	return out, nil
}

func (s *story) arg(name string) string {
	for _, a := range s.d.CmdArgs {
		if a.Key == name && len(a.Vals) > 0 {
			return a.Vals[0]
		}
	}
	return ""
}

// words are the arguments that have no value.
func (s *story) words() (out []string) {
	for _, a := range s.d.CmdArgs {
		if len(a.Vals) == 0 {
			out = append(out, a.Key)
		}
	}
	return out
}

func (s *story) place(name string) *storyPlace {
	i := slices.IndexFunc(s.places, func(p *storyPlace) bool { return p.name == name })
	require.GreaterOrEqual(s.t, i, 0, "there is no place %q", name)
	return s.places[i]
}

func (s *story) tell() {
	switch s.d.Cmd {
	case "places":
		s.begin()
	case "read":
		p := s.place(s.arg("at"))
		ctx, _ := conflict.ContextOf(p.cells[s.arg("field")].Siblings)
		s.reads[s.words()[0]] = ctx
		s.line(p, s.arg("field"))
	case "put", "del", "add":
		s.write()
	case "take":
		w := s.words()
		for _, name := range w[1:] {
			s.take(s.place(w[0]), s.written[name])
		}
	case "sync":
		s.sync(s.place(s.words()[0]), s.place(s.arg("from")))
	case "prune":
		s.prune(s.place(s.words()[0]))
	case "show":
		for _, p := range s.places {
			s.line(p, s.arg("field"))
		}
	default:
		s.t.Fatalf("there is no %q", s.d.Cmd)
	}
}

func (s *story) begin() {
	*s = story{t: s.t, d: s.d, written: map[string]*record.Record{}, reads: map[string]*version.Set{}, kinds: record.KindBytes}
	for _, w := range s.words() {
		switch w {
		case "replicas":
			s.replicas = true
		case "sites":
		default:
			s.places = append(s.places, &storyPlace{name: w, cells: map[string]record.State{}})
		}
	}
	s.vector, s.context = s.arg("covers") == "vector", s.arg("seen") == "context"
	name := s.arg("resolver")
	free := conflict.Func("free", 1, func(_ []byte, kept []record.Version) (conflict.Fold, error) {
		var out [][]byte
		for _, v := range kept {
			out = append(out, fmt.Append(nil, numberOf(v.Value)))
		}
		return conflict.Fold{Value: fmt.Appendf(nil, "f{%s}", bytes.Join(out, []byte(" ")))}, nil
	})
	g, err := conflict.NewRegistry(free)
	require.NoError(s.t, err)
	s.resolver, err = g.Find(map[string]string{"": "lww"}[name] + name)
	require.NoError(s.t, err)
	if name == "crdt" {
		s.kinds = record.KindCounter
	}
	if s.arg("kind") == "max" {
		s.kinds = record.KindMax
	}
}

func numberOf(b []byte) string {
	r := pack.NewReader(b)
	n := r.Int()
	if r.Done() != nil {
		return string(b)
	}
	return fmt.Sprint(n)
}

func (s *story) write() {
	p, w := s.place(s.arg("at")), s.words()
	m := record.Mutation{Table: spot.Table, Key: spot.Key, Field: []byte(s.arg("field")), Kind: s.kinds, Op: record.OpPut}
	var n int64
	if len(w) > 1 {
		_, err := fmt.Sscan(w[1], &n)
		require.NoError(s.t, err)
		m.Value = numberBytes(n)
	}
	switch s.d.Cmd {
	case "del":
		m.Op, m.Value = record.OpDelete, nil
	case "add":
		m.Op = record.OpMerge
	}
	p.minted++
	p.clock++
	if at := s.arg("time"); at != "" {
		_, err := fmt.Sscan(at, &p.clock)
		require.NoError(s.t, err)
	}
	id := slices.Index(s.places, p) + 1
	r := &record.Record{Dot: dot(uint32(id), p.minted), Time: p.clock}
	switch seen := s.arg("seen"); {
	case !s.replicas && seen == "":
		r.Context = p.applied.Clone()
	case seen != "" && seen != "nothing":
		r.Context = s.reads[seen]
		require.NotNil(s.t, r.Context)
	default:
		r.Context = &version.Set{}
	}
	require.NoError(s.t, conflict.SealOver(&m, r.Dot, p.cells[string(m.Field)].Siblings, r.Context))
	r.Mutations = []record.Mutation{m}
	s.written[w[0]] = r
	s.take(p, r)
}

// prefix makes a prefix of what is known of each origin.
func prefix(s *version.Set) version.Vector {
	v := s.Prefix
	for _, d := range s.Dots {
		v = v.With(d.Origin, max(v.Get(d.Origin), d.Seq))
	}
	return v
}

func (s *story) take(p *storyPlace, r *record.Record) {
	var seen, covers version.Seen = &p.applied, r.Context
	if s.replicas {
		seen = either{&p.context, &p.applied}
	}
	if s.context {
		seen = &p.context
	}
	if s.vector {
		seen, covers = prefix(&p.context), prefix(r.Context)
	}
	changes, err := conflict.Apply(r, func(record.TableID) conflict.Resolver { return s.resolver }, seen, covers, p)
	require.NoError(s.t, err)
	for _, c := range changes {
		p.hold(c)
		p.context.Union(c.Covers)
	}
	p.applied.Add(r.Dot)
	p.context.Union(r.Context)
	p.context.Add(r.Dot)
	p.clock = max(p.clock, r.Time)
	for _, c := range changes {
		fmt.Fprintf(&s.b, "%v: ", r.Dot)
		s.line(p, string(c.Cell.Field))
	}
}

func (p *storyPlace) hold(c conflict.Change) {
	p.cells[string(c.Cell.Field)] = c.State
	if len(c.State.Siblings) == 0 {
		delete(p.cells, string(c.Cell.Field))
	}
}

func (s *story) sync(p, from *storyPlace) {
	cell := record.Cell{Table: spot.Table, Key: spot.Key}
	var seen, covers version.Seen = either{&p.context, &p.applied}, &from.context
	if s.vector {
		seen, covers = prefix(&p.context), prefix(&from.context)
	}
	c, err := conflict.JoinWith(s.resolver, cell, p.cells[""].Siblings, seen, from.cells[""].Siblings, covers)
	require.NoError(s.t, err)
	p.hold(c)
	p.context.Union(&from.context)
	s.line(p, "")
}

func (s *story) prune(p *storyPlace) {
	stable := &version.Set{}
	for _, a := range s.d.CmdArgs {
		if a.Key != "stable" {
			continue
		}
		for _, name := range a.Vals {
			stable.Add(s.written[name].Dot)
		}
	}
	for f, state := range p.cells {
		state.Siblings = conflict.Prune(s.resolver, record.Cell{Table: spot.Table, Key: spot.Key, Field: []byte(f)}, state.Siblings, stable)
		p.hold(conflict.Change{Cell: record.Cell{Field: []byte(f)}, State: state})
	}
	if len(p.cells) == 0 {
		p.context = version.Set{} // an empty key drops its context
	}
	s.line(p, s.arg("field"))
}

// line says what a place holds and shows.
func (s *story) line(p *storyPlace, field string) {
	held := p.cells[field].Siblings
	name := p.name
	if field != "" {
		name += "." + field
	}
	fmt.Fprintf(&s.b, "%s holds [%s]", name, text(held))
	if len(held) == 0 {
		fmt.Fprintln(&s.b)
		return
	}
	settled := s.resolver.Settle(record.Cell{Table: spot.Table, Key: spot.Key, Field: []byte(field)}, held)
	var shown []string
	for _, v := range settled.Shown {
		if v.Absent {
			shown = append(shown, "deleted")
		} else {
			shown = append(shown, numberOf(v.Bytes))
		}
	}
	if len(shown) == 0 {
		shown = []string{"nothing"}
	}
	fmt.Fprintf(&s.b, ", shows %s\n", strings.Join(shown, " and "))
}
