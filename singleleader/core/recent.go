package core

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Recent is what was accepted lately, by key: everything that is not applied
// yet, and a little more. What depends on the present state is judged over what
// the store showed, some time ago, and this (S16). It is kept while somebody
// needs it and costs plain writes nothing otherwise. It belongs to the turn, and
// is pure.
type Recent struct {
	Floor record.LSN // what is after it is in
	used  record.LSN // the end of the log when it was last needed
	keys  map[string]*recentKey
	trail []touch // what was added, in the order of the log
	head  int
	bytes int // that the trail stands for, at most
	buf   []byte
}

// recentKey is what happened to one key. Most have no cell but their head.
type recentKey struct {
	name  string
	gone  record.LSN // when all its cells were removed at once, 0 for never
	head  recentCell // the cell without a field
	cells map[string]recentCell
}

// recentCell is what happened to a cell; lsn is 0 for nothing.
type recentCell struct {
	lsn record.LSN
	record.Version
}

// at returns what happened to a cell; valid until the key changes.
func (k *recentKey) at(field []byte) *recentCell {
	if len(field) == 0 {
		return &k.head
	}
	c := k.cells[string(field)]
	return &c
}

func (k *recentKey) set(field []byte, c recentCell) {
	switch {
	case len(field) == 0:
		k.head = c
	case k.cells == nil:
		k.cells = map[string]recentCell{string(field): c}
	default:
		k.cells[string(field)] = c
	}
}

// empty reports whether nothing is known of the key.
func (k *recentKey) empty() bool { return k.gone == 0 && k.head.lsn == 0 && len(k.cells) == 0 }

// touch is one mutation that was added, to be taken out again.
type touch struct {
	lsn   record.LSN
	key   *recentKey
	field string
	whole bool
	bytes int
}

const (
	RecentKept     = 1024    // applied mutations that are kept for who looked at the store a while ago
	recentBytesMax = 8 << 20 // and their bytes; beyond it, only what is not applied
	RecentIdle     = 4096    // entries without anybody who needs it, until it is dropped
	touchBytes     = 256     // what one mutation takes in memory beside its bytes
)

// RecentFloor returns the floor of an index for who has seen the store at from,
// when it shows applied.
func RecentFloor(from, applied record.LSN) record.LSN {
	return max(from, applied-min(applied, RecentKept))
}

// Len returns how many mutations it holds.
func (r *Recent) Len() int { return len(r.trail) - r.head }

// Use notes that it was needed when the log ended at end.
func (r *Recent) Use(end record.LSN) { r.used = end }

// Idle reports whether nobody has needed it for long, or it is large.
func (r *Recent) Idle(end record.LSN) bool {
	return end-r.used > RecentIdle || r.bytes > recentBytesMax
}

// NewRecent returns an index of what is after floor, to be added.
func NewRecent(floor record.LSN) *Recent {
	return &Recent{Floor: floor, used: floor, keys: map[string]*recentKey{}}
}

func (r *Recent) key(table record.TableID, key []byte) []byte {
	r.buf = append(binary.BigEndian.AppendUint32(r.buf[:0], uint32(table)), key...)
	return r.buf
}

// Add takes in an entry: the mutations of rec, at lsn. It keeps nothing of it.
func (r *Recent) Add(lsn record.LSN, rec *record.Record) {
	for i := range rec.Mutations {
		m := &rec.Mutations[i]
		if m.Op != record.OpPut && m.Op != record.OpDelete {
			continue
		}
		name := r.key(m.Table, m.Key)
		k := r.keys[string(name)]
		if k == nil {
			k = &recentKey{name: string(name)}
			r.keys[k.name] = k
		}
		whole := m.Op == record.OpDelete && len(m.Field) == 0
		switch {
		case whole:
			*k = recentKey{name: k.name, gone: lsn}
		case m.Op == record.OpPut:
			k.set(m.Field, recentCell{lsn, record.Version{
				Dot: rec.Dot, Time: rec.Time, Expires: m.Expires, Kind: m.Kind, Value: bytes.Clone(m.Value),
			}})
		default:
			k.set(m.Field, recentCell{lsn, record.Version{Dot: rec.Dot, Time: rec.Time, Absent: true}})
		}
		size := touchBytes + len(k.name) + len(m.Field) + len(m.Value)
		r.bytes += size
		r.trail = append(r.trail, touch{lsn: lsn, key: k, field: string(m.Field), whole: whole, bytes: size})
	}
}

// Forget takes out what is applied, but for the last few.
func (r *Recent) Forget(applied record.LSN) {
	for r.head < len(r.trail) && r.trail[r.head].lsn <= applied && (len(r.trail)-r.head > RecentKept || r.bytes > recentBytesMax) {
		lsn := r.trail[r.head].lsn
		for ; r.head < len(r.trail) && r.trail[r.head].lsn == lsn; r.head++ {
			r.drop(&r.trail[r.head])
		}
		r.Floor = lsn
	}
	if r.head > len(r.trail)/2 {
		r.trail = slices.Delete(r.trail, 0, r.head)
		r.head = 0
	}
}

func (r *Recent) drop(t *touch) {
	r.bytes -= t.bytes
	k := t.key
	switch {
	case t.whole && k.gone == t.lsn:
		k.gone = 0
	case !t.whole && t.field == "" && k.head.lsn == t.lsn:
		k.head = recentCell{}
	case !t.whole && t.field != "" && k.cells[t.field].lsn == t.lsn:
		delete(k.cells, t.field)
	}
	if k.empty() && r.keys[k.name] == k {
		delete(r.keys, k.name)
	}
}

// Cell returns what c holds, nil for nothing, for who has seen v in the store
// when that showed applied, which is not below the floor; and the entry that says
// so, 0 for the store. It is valid until something is added.
func (r *Recent) Cell(c record.Cell, applied record.LSN, v *record.Version) (*record.Version, record.LSN) {
	k := r.keys[string(r.key(c.Table, c.Key))]
	if k == nil {
		return v, 0
	}
	if at := k.at(c.Field); at.lsn > applied {
		if at.Absent {
			return nil, at.lsn
		}
		return &at.Version, at.lsn
	}
	if k.gone > applied {
		return nil, k.gone
	}
	return v, 0
}

// Whole returns what all cells of a key hold, in the order of their fields, as
// cell does. It may change cells.
func (r *Recent) Whole(table record.TableID, key []byte, applied record.LSN, cells []topology.CellReading) ([]topology.CellReading, record.LSN) {
	k := r.keys[string(r.key(table, key))]
	if k == nil {
		return cells, 0
	}
	var seen record.LSN
	if k.gone > applied {
		cells, seen = nil, k.gone
	}
	cells = slices.DeleteFunc(cells, func(c topology.CellReading) bool { return k.at(c.Field).lsn > applied })
	add := func(field []byte, at recentCell) {
		if at.lsn <= applied {
			return
		}
		seen = max(seen, at.lsn)
		if !at.Absent {
			cells = append(cells, topology.CellReading{Key: key, Field: field, Version: at.Version})
		}
	}
	add(nil, k.head)
	for _, field := range slices.Sorted(maps.Keys(k.cells)) {
		add([]byte(field), k.cells[field])
	}
	slices.SortFunc(cells, func(a, b topology.CellReading) int { return bytes.Compare(a.Field, b.Field) })
	return cells, seen
}
