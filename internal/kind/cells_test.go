package kind

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// memory is the cells of a store, changed by decisions.
type memory struct {
	cells map[keyID][]topology.CellReading // in the order of their fields
	seq   uint64
}

func newMemory() *memory { return &memory{cells: map[keyID][]topology.CellReading{}} }

// sight shows what the reads name. What it shows is overwritten afterwards, so
// that whoever keeps it is found out.
func (m *memory) sight(reads []topology.CellRange) Seen {
	s := make(Seen, len(reads))
	for i := range reads {
		for _, c := range within(m.cells[keyID{reads[i].Table, string(reads[i].Key)}], &reads[i]) {
			c.Field, c.Value = bytes.Clone(c.Field), bytes.Clone(c.Value)
			s[i] = append(s[i], c)
		}
	}
	return s
}

func (m *memory) do(t require.TestingT, op Op) error {
	s := m.sight(op.Reads())
	ms, err := op.Decide(s)
	if err != nil {
		require.Empty(t, ms)
		return err
	}
	m.apply(t, ms)
	for i := range s {
		for j := range s[i] {
			fill(s[i][j].Field)
			fill(s[i][j].Value)
		}
	}
	return nil
}

func fill(b []byte) {
	for i := range b {
		b[i] = '#'
	}
}

// apply makes mutations one record, as an engine does.
func (m *memory) apply(t require.TestingT, ms []record.Mutation) {
	if len(ms) == 0 {
		return
	}
	require.NoError(t, (&record.Batch{Mutations: ms}).Check(0))
	m.seq++
	dot := version.Dot{Origin: version.Origin{ID: 1, Incarnation: 1}, Seq: m.seq}
	for i := range ms {
		x := &ms[i]
		id := keyID{x.Table, string(x.Key)}
		if x.Op == record.OpDelete && len(x.Field) == 0 {
			delete(m.cells, id)
			continue
		}
		cells := slices.DeleteFunc(m.cells[id], func(c topology.CellReading) bool { return bytes.Equal(c.Field, x.Field) })
		if x.Op == record.OpPut {
			cells = append(cells, topology.CellReading{
				Key: bytes.Clone(x.Key), Field: bytes.Clone(x.Field),
				Version: record.Version{Dot: dot, Kind: x.Kind, Expires: x.Expires, Value: bytes.Clone(x.Value)},
			})
		}
		slices.SortFunc(cells, func(a, b topology.CellReading) int { return bytes.Compare(a.Field, b.Field) })
		m.cells[id] = cells
	}
}

// check holds what the package says of every key.
func (m *memory) check(t require.TestingT) {
	for id, cells := range m.cells {
		if len(cells) == 0 {
			continue
		}
		h := headOf(cells)
		require.True(t, h.there(), "%q has parts without a head", id.name)
		k := Key{Table: id.table, Name: []byte(id.name)}
		for i := 1; i < len(cells); i++ {
			require.Equal(t, h.Kind, cells[i].Kind, "the kind of a part")
			require.Zero(t, cells[i].Expires, "a part has no expiry")
			require.LessOrEqual(t, cells[i].Dot.Seq, h.Dot.Seq, "the head is the version of the key")
		}
		switch h.Kind {
		case record.KindMap, record.KindSet:
			n, err := h.count(&k)
			require.NoError(t, err)
			require.EqualValues(t, len(cells)-1, n, "the count of %q", id.name)
			require.NotZero(t, n, "%q is there without parts", id.name)
		case record.KindRow:
			require.Empty(t, h.Value)
		default:
			require.Len(t, cells, 1, "%q has parts", id.name)
		}
	}
}

// on is a key of a table that stands alone.
func on(k record.Kind, name string) Key {
	return Key{Table: record.TableFirst + record.TableID(k), Kind: k, Name: []byte(name)}
}

func list(names ...string) (bs [][]byte) {
	for _, n := range names {
		bs = append(bs, []byte(n))
	}
	return bs
}

func must(t *testing.T, m *memory, ops ...Op) {
	t.Helper()
	for _, op := range ops {
		require.NoError(t, m.do(t, op))
		m.check(t)
	}
}
