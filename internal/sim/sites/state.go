package sites

import (
	"fmt"
	"maps"
	"slices"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// keyID is a key of a table.
type keyID struct {
	table record.TableID
	key   string
}

func (a keyID) before(b keyID) bool {
	return a.table < b.table || a.table == b.table && a.key < b.key
}

func sortedKeys[V any](m map[keyID]V) []keyID {
	return slices.SortedFunc(maps.Keys(m), func(a, b keyID) int {
		switch {
		case a == b:
			return 0
		case a.before(b):
			return -1
		}
		return 1
	})
}

// state is what the entries of a site's log come to: the machine of package
// multileader, with stores in memory. It is a function of the log.
type state struct {
	c         *config
	pos       core.Position
	own       version.Origin
	vector    version.Vector
	keys      map[keyID]map[string]record.State // by field
	losses    losses
	cuts      map[version.Origin]*said
	told      version.Vector // by cuts of its own
	substance uint64         // records that were no cuts
	in        arriving
	assembly  core.Assembly
	places    []core.Position // every so many entries: from there the log is read
}

// losses is what concurrent writes have cost, as it is listed.
type losses struct {
	all   []version.Dot
	seen  map[string]bool
	fresh int // how many the last entry listed,
	last  int // and of the table where the last writer wins
	lww   int // so many of that in all
}

// said is the last cut of an origin.
type said struct {
	cut *core.Cut
	raw []byte
}

// arriving is a snapshot of another site.
type arriving struct {
	core.Incoming
	staged map[keyID]map[string]record.State
	cuts   map[version.Origin]*said
	left   int // steps until all cells are in their places
}

// placesEvery is how many entries there are between two places.
const placesEvery = 8

// settleCells is how many cells one step puts in their places.
const settleCells = 8

func newState(c *config) *state {
	return &state{c: c, keys: map[keyID]map[string]record.State{}, cuts: map[version.Origin]*said{}, losses: losses{seen: map[string]bool{}}, places: []core.Position{{}}}
}

// clone copies what changes. States of cells are replaced, never changed.
func (x *state) clone() *state {
	y := *x
	y.pos.Marks = slices.Clone(x.pos.Marks)
	y.keys = cloneKeys(x.keys)
	y.in.staged = cloneKeys(x.in.staged)
	y.in.cuts = maps.Clone(x.in.cuts)
	y.cuts = maps.Clone(x.cuts)
	y.losses.all, y.losses.seen = slices.Clone(x.losses.all), maps.Clone(x.losses.seen)
	y.places = slices.Clone(x.places)
	return &y
}

func cloneKeys(m map[keyID]map[string]record.State) map[keyID]map[string]record.State {
	out := maps.Clone(m)
	for k, fields := range out {
		out[k] = maps.Clone(fields)
	}
	return out
}

// Cell implements conflict.Cells.
func (x *state) Cell(c record.Cell) (record.State, error) {
	return x.keys[keyID{c.Table, string(c.Key)}][string(c.Field)], nil
}

// Fields implements conflict.Cells.
func (x *state) Fields(t record.TableID, key []byte) (fields [][]byte, err error) {
	for _, f := range slices.Sorted(maps.Keys(x.keys[keyID{t, string(key)}])) {
		if f != "" {
			fields = append(fields, []byte(f))
		}
	}
	return fields, nil
}

func (x *state) set(k keyID, field string, s record.State) {
	setIn(x.keys, k, field, s)
}

func setIn(m map[keyID]map[string]record.State, k keyID, field string, s record.State) {
	switch {
	case len(s.Siblings) > 0 && m[k] == nil:
		m[k] = map[string]record.State{field: s}
	case len(s.Siblings) > 0:
		m[k][field] = s
	case m[k] != nil:
		if delete(m[k], field); len(m[k]) == 0 {
			delete(m, k)
		}
	}
}

// take takes the next entry of the log.
func (x *state) take(e record.Entry, r *record.Record) (err error) {
	x.losses.fresh, x.losses.last = 0, 0
	cut := core.CutOf(r)
	switch {
	case r.IsNote():
		err = x.note(e, r)
	case cut != nil:
		x.cut(r, cut)
	default:
		x.substance++
		err = x.merge(r)
	}
	if err != nil {
		return err
	}
	if _, err = x.pos.AddRecord(e, r); err != nil {
		return err
	}
	switch {
	case !r.IsNote():
		x.vector = x.vector.With(r.Origin, r.Seq)
	case core.Raises(r):
		x.vector = vectorOf(x.pos.Marks)
	}
	if e.LSN%placesEvery == 0 {
		x.place()
	}
	return nil
}

func (x *state) place() {
	p := x.pos
	p.Marks = slices.Clone(p.Marks)
	x.places = append(x.places, p)
}

func vectorOf(marks []core.Mark) (v version.Vector) {
	for _, m := range marks {
		v = v.With(m.Origin, m.Seq)
	}
	return v
}

func (x *state) merge(r *record.Record) error {
	changes, err := core.Apply(r, x.c.keeper, x.vector, x)
	if err != nil {
		return err
	}
	for _, c := range changes {
		x.set(keyID{c.Cell.Table, string(c.Cell.Key)}, string(c.Cell.Field), c.State)
		x.lose(c.Cell, c.Lost)
	}
	return nil
}

// lose lists what a change of a cell has cost, each version once.
func (x *state) lose(c record.Cell, lost []record.Version) {
	for _, v := range lost {
		id := fmt.Sprintf("%d/%s/%s/%v", c.Table, c.Key, c.Field, v.Dot)
		if x.losses.seen[id] {
			continue
		}
		x.losses.seen[id] = true
		x.losses.all = append(x.losses.all, v.Dot)
		x.losses.fresh++
		if c.Table == record.TableDefault {
			x.losses.lww++
			x.losses.last++
		}
	}
}

// note takes what is nobody's write.
func (x *state) note(e record.Entry, r *record.Record) error {
	if o, ok, err := core.NotedOrigin(r); err != nil {
		return err
	} else if ok {
		x.own = o
	}
	a, _, err := x.assembly.Add(r)
	if err != nil {
		return err
	}
	x.assembly = a
	was := x.in.Stage
	in, ok, err := x.in.Incoming.Add(e.LSN, r)
	if err != nil || !ok {
		return err
	}
	switch {
	case in.Stage == core.StageBegun && in.Begun == e.LSN:
		x.in = arriving{Incoming: in, staged: map[keyID]map[string]record.State{}, cuts: map[version.Origin]*said{}}
	case in.Stage == core.StageNone:
		x.in = arriving{}
	case in.Stage == core.StageSettling && was != core.StageSettling:
		x.in.Incoming = in
		return x.install()
	case in.Stage == core.StageSettling:
		if x.in.left--; x.in.left <= 0 {
			x.in = arriving{}
		}
	default:
		x.in.Incoming = in
		return x.stage(r)
	}
	return nil
}

// stage puts cells where they wait.
func (x *state) stage(r *record.Record) error {
	for i := range r.Mutations[1:] {
		m := &r.Mutations[1+i]
		var s record.State
		if err := record.DecodeState(slices.Clone(m.Value), &s); err != nil {
			return err
		}
		if m.Table == record.TableOrigins {
			c, o, err := readSaid(m.Key, &s)
			if err != nil {
				return err
			}
			x.in.cuts[o] = c
			continue
		}
		setIn(x.in.staged, keyID{m.Table, string(m.Key)}, string(m.Field), s)
	}
	return nil
}

// install makes a snapshot count. What a reader sees of it from here on is all of it: in
// package multileader through a lens, until cells are in their places.
func (x *state) install() error {
	covers, cells := vectorOf(x.in.Marks), 0
	both := cloneKeys(x.keys)
	for k, fields := range x.in.staged {
		for f := range fields {
			if both[k] == nil {
				both[k] = map[string]record.State{}
			}
			both[k][f] = record.State{}
		}
	}
	for _, k := range sortedKeys(both) {
		for _, f := range slices.Sorted(maps.Keys(both[k])) {
			cell := record.Cell{Table: k.table, Key: []byte(k.key), Field: []byte(f)}
			c, err := conflict.JoinWith(x.c.keeper(k.table), cell, x.keys[k][f].Siblings, x.vector, x.in.staged[k][f].Siblings, covers)
			if err != nil {
				return err
			}
			x.set(k, f, c.State)
			x.lose(cell, c.Lost)
			cells++
		}
	}
	for o, c := range x.in.cuts {
		if covers.Get(o) > x.vector.Get(o) {
			x.cuts[o] = c
		}
	}
	x.in.left, x.in.staged = 1+cells/settleCells, nil
	return nil
}

// cut takes a site's cut. The own one lets go what is stable.
func (x *state) cut(r *record.Record, c *core.Cut) {
	var raw []byte
	for i := range r.Mutations {
		if string(r.Mutations[i].Key) == record.MarkCut {
			raw = slices.Clone(r.Mutations[i].Value)
		}
	}
	x.cuts[r.Origin] = &said{c, raw}
	if r.Origin.ID == x.own.ID {
		x.told = x.told.Join(c.Has)
	}
	if r.Origin != x.own || x.in.Stage == core.StageSettling {
		return
	}
	stable, ok, _ := core.Stable(c.Members, x.said(), x.vector.With(r.Origin, r.Seq))
	if !ok {
		return
	}
	for _, k := range sortedKeys(x.keys) {
		for _, f := range slices.Sorted(maps.Keys(x.keys[k])) {
			held := x.keys[k][f]
			stays := conflict.Prune(x.c.keeper(k.table), record.Cell{Table: k.table, Key: []byte(k.key), Field: []byte(f)}, held.Siblings, stable)
			if len(stays) < len(held.Siblings) {
				x.set(k, f, record.State{Siblings: stays})
			}
		}
	}
}

// leaves reports whether something could go by what sites have said, and this one would
// say with x.
func (x *state) leaves(stable version.Vector) bool {
	for _, k := range sortedKeys(x.keys) {
		for f, held := range x.keys[k] {
			c := record.Cell{Table: k.table, Key: []byte(k.key), Field: []byte(f)}
			if len(conflict.Prune(x.c.keeper(k.table), c, held.Siblings, stable)) < len(held.Siblings) {
				return true
			}
		}
	}
	return false
}

func (x *state) said() map[version.Origin]*core.Cut {
	out := map[version.Origin]*core.Cut{}
	for o, s := range x.cuts {
		out[o] = s.cut
	}
	return out
}

// before returns the last place at or before lsn for which ok holds; ok holds of all
// before one for which it does.
func (x *state) before(lsn record.LSN, ok func(*core.Position) bool) core.Position {
	for i := len(x.places) - 1; i > 0; i-- {
		if p := &x.places[i]; p.LSN <= lsn && ok(p) {
			return *p
		}
	}
	return x.places[0]
}

// bytes is a whole store, canonically.
func (x *state) bytes(enc *record.Encoder) []byte {
	var b []byte
	for _, k := range sortedKeys(x.keys) {
		for _, f := range slices.Sorted(maps.Keys(x.keys[k])) {
			s := x.keys[k][f]
			b = fmt.Appendf(b, "%d/%q/%q:", k.table, k.key, f)
			b = enc.AppendState(b, &s)
		}
	}
	return b
}

func keyOfSaid(o version.Origin) []byte { return fmt.Appendf(nil, "%d/%d", o.ID, o.Incarnation) }

// readSaid reads a cut that came with a snapshot.
func readSaid(key []byte, s *record.State) (*said, version.Origin, error) {
	var o version.Origin
	if _, err := fmt.Sscanf(string(key), "%d/%d", &o.ID, &o.Incarnation); err != nil || len(s.Siblings) != 1 {
		return nil, o, fmt.Errorf("%w: the cut %q of a snapshot", topology.ErrMalformed, key)
	}
	raw := s.Siblings[0].Value
	r := record.Record{Time: s.Siblings[0].Time, Mutations: []record.Mutation{{Table: record.TableSystem, Op: record.OpMark, Key: []byte(record.MarkCut), Value: raw}}}
	c := core.CutOf(&r)
	if c == nil {
		return nil, o, fmt.Errorf("%w: the cut %q of a snapshot", topology.ErrMalformed, key)
	}
	return &said{c, raw}, o, nil
}
