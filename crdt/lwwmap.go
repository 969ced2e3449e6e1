package crdt

import (
	"iter"
	"maps"
	"slices"

	"github.com/triad-kv/triad/version"
)

// LWWMap is a map in which the last writer of each key wins. A key that was
// deleted keeps when, or an older write that arrives late would bring it back;
// [LWWMap.Compact] forgets that once it can not. The zero LWWMap is empty.
//
// Keys are settled one by one: two that were set together may come from
// different writers.
type LWWMap struct{ entries map[string]lww }

// Set writes value to key at that stamp, and returns the delta. If what is there
// was written later it stays. The map keeps value, which is not to be changed.
func (m *LWWMap) Set(at Stamp, key string, value []byte) (*LWWMap, error) {
	if err := checkValue(value); err != nil {
		return nil, err
	}
	return m.put(key, lww{at: at, value: value})
}

// Delete writes at that stamp that there is no key, and returns the delta.
func (m *LWWMap) Delete(at Stamp, key string) (*LWWMap, error) {
	return m.put(key, lww{at: at, absent: true})
}

func (m *LWWMap) put(key string, e lww) (*LWWMap, error) {
	if err := checkName(key); err != nil || e.isZero() {
		return &LWWMap{}, err
	}
	delta := &LWWMap{map[string]lww{key: e}}
	m.Join(delta)
	return delta, nil
}

// Get returns the value of key, which is not to be changed, and whether there is
// one.
func (m *LWWMap) Get(key string) ([]byte, bool) {
	e, ok := m.entries[key]
	return e.value, ok && !e.absent
}

// All returns the keys that are there, in their order, with their values.
func (m *LWWMap) All() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for _, k := range slices.Sorted(maps.Keys(m.entries)) {
			if e := m.entries[k]; !e.absent && !yield(k, e.value) {
				return
			}
		}
	}
}

// Len returns how many keys are there.
func (m *LWWMap) Len() int { return len(m.entries) - m.Tombstones() }

// Tombstones returns how many deleted keys the map remembers.
func (m *LWWMap) Tombstones() int {
	n := 0
	for _, e := range m.entries {
		if e.absent {
			n++
		}
	}
	return n
}

// Compact forgets the deletes that are stable: whoever may still send anything had
// taken them in before it made what it will send, and whatever it had made before
// is here. The map does not change by it to who reads it.
func (m *LWWMap) Compact(stable version.Vector) {
	maps.DeleteFunc(m.entries, func(_ string, e lww) bool { return e.absent && stable.Has(e.at.Dot) })
}

// Join takes in what other holds.
func (m *LWWMap) Join(other *LWWMap) {
	if m.entries == nil {
		m.entries = make(map[string]lww, len(other.entries))
	}
	for k, e := range other.entries {
		if was, ok := m.entries[k]; !ok || e.wins(&was) {
			m.entries[k] = e
		}
	}
}

// Clone returns a copy.
func (m *LWWMap) Clone() *LWWMap { return &LWWMap{maps.Clone(m.entries)} }

// AppendBinary appends the encoding of m.
func (m *LWWMap) AppendBinary(dst []byte) ([]byte, error) {
	w := write(dst, formLWWMap, 2)
	w.Array(7 * len(m.entries))
	for _, k := range slices.Sorted(maps.Keys(m.entries)) {
		e := m.entries[k]
		w.Bin([]byte(k))
		putLWW(w, &e)
	}
	return written(w, len(dst), 1)
}

// UnmarshalBinary decodes a map, whose values then alias b. Errors wrap
// [pack.ErrMalformed].
func (m *LWWMap) UnmarshalBinary(b []byte) error {
	r := open(b, formLWWMap, 2)
	entries := map[string]lww{}
	before := ""
	for n := records(r, 7); n > 0 && r.Err() == nil; n-- {
		before = getName(r, len(entries) == 0, before)
		entries[before] = getLWW(r)
	}
	if err := finish(r, "LWW-Map"); err != nil {
		return err
	}
	m.entries = entries
	return nil
}
