package kind

import (
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// headsOf returns the ranges of several heads; of more than one record can
// change, none.
func headsOf(n int, key func(int) *Key) []topology.CellRange {
	if n > partsMax {
		return nil
	}
	rs := make([]topology.CellRange, n)
	for i := range rs {
		rs[i] = key(i).headRange()
	}
	return rs
}

// Delete removes keys of whatever kind.
type Delete struct {
	Keys []Key

	Count int // of those that were there
}

// Reads implements Op.
func (o *Delete) Reads() []topology.CellRange {
	return headsOf(len(o.Keys), func(i int) *Key { return &o.Keys[i] })
}

// Decide implements Op.
func (o *Delete) Decide(s topology.Sight) ([]record.Mutation, error) {
	o.Count = 0
	if err := tooMany(len(o.Keys)); err != nil {
		return nil, err
	}
	seen := make(map[keyID]struct{}, len(o.Keys))
	var ms []record.Mutation
	for i := range o.Keys {
		k := &o.Keys[i]
		h := headOf(s.Cells(i))
		name := keyID{k.Table, string(k.Name)}
		if _, again := seen[name]; again || !h.there() {
			continue
		}
		seen[name] = struct{}{}
		ms = append(ms, k.remove(h.Kind))
	}
	ms, err := bounded(ms)
	o.Count = len(ms)
	return ms, err
}

// Exists counts the keys that are there; one that is named twice counts twice.
type Exists struct {
	Keys []Key

	Count int
}

// Reads implements Op.
func (o *Exists) Reads() []topology.CellRange {
	return headsOf(len(o.Keys), func(i int) *Key { return &o.Keys[i] })
}

// Decide implements Op.
func (o *Exists) Decide(s topology.Sight) ([]record.Mutation, error) {
	o.Count = 0
	if err := tooMany(len(o.Keys)); err != nil {
		return nil, err
	}
	for i := range o.Keys {
		if h := headOf(s.Cells(i)); h.there() {
			o.Count++
		}
	}
	return nil, nil
}

// Look tells what a key is, without its value.
type Look struct {
	Key Key

	There   bool
	Kind    record.Kind       // any if it is not there
	Expires version.Timestamp // 0: never
	Dot     version.Dot       // its version; zero if it is not there
}

// Reads implements Op.
func (o *Look) Reads() []topology.CellRange { return []topology.CellRange{o.Key.headRange()} }

// Decide implements Op.
func (o *Look) Decide(s topology.Sight) ([]record.Mutation, error) {
	h := headOf(s.Cells(0))
	o.There, o.Kind, o.Expires, o.Dot = h.there(), h.Kind, h.Expires, h.Dot
	return nil, nil
}

// ExpireWhen says under which condition an Expire is done.
type ExpireWhen uint8

// The conditions of an Expire. For IfLater and IfSooner a key without an expiry
// is one that expires after all others.
const (
	ExpireAlways ExpireWhen = iota
	IfNone                  // the key has no expiry
	IfSome                  // the key has an expiry
	IfLater                 // the new expiry is later than the present one
	IfSooner                // the new expiry is sooner than the present one
)

// Expire makes At the expiry of a key that is there; one in the past removes it
// as soon as anybody looks. An At of 0 is in the past too: [Persist] takes an expiry
// away.
type Expire struct {
	Key  Key
	At   version.Timestamp
	When ExpireWhen

	Done bool
}

// Reads implements Op.
func (o *Expire) Reads() []topology.CellRange { return []topology.CellRange{o.Key.headRange()} }

// Decide implements Op.
func (o *Expire) Decide(s topology.Sight) ([]record.Mutation, error) {
	h := headOf(s.Cells(0))
	if err := expirable(s, h, o.When == ExpireAlways); err != nil {
		return nil, err
	}
	at := max(o.At, 1)
	switch o.When {
	case IfNone:
		o.Done = h.Expires == 0
	case IfSome:
		o.Done = h.Expires != 0
	case IfLater:
		o.Done = h.Expires != 0 && at > h.Expires
	case IfSooner:
		o.Done = h.Expires == 0 || at < h.Expires
	default:
		o.Done = true
	}
	if o.Done = o.Done && h.there(); !o.Done {
		return nil, nil
	}
	return bounded([]record.Mutation{o.Key.headPut(h.Kind, kept(h.Value, true), at)})
}

// Persist takes the expiry of a key away.
type Persist struct {
	Key Key

	Done bool // it had one
}

// Reads implements Op.
func (o *Persist) Reads() []topology.CellRange { return []topology.CellRange{o.Key.headRange()} }

// Decide implements Op.
func (o *Persist) Decide(s topology.Sight) ([]record.Mutation, error) {
	h := headOf(s.Cells(0))
	if err := expirable(s, h, true); err != nil {
		return nil, err
	}
	if o.Done = h.Expires != 0; !o.Done {
		return nil, nil
	}
	value := kept(h.Value, true)
	if scattered(s) {
		value = nil // nobody keeps a count there
	}
	return bounded([]record.Mutation{o.Key.headPut(h.Kind, value, 0)})
}

// expirable refuses to change the expiry of a key that is there, where several sites
// write and that would be more than a write of its head: the whole value would be put, in
// place of what others put at the same time.
func expirable(s topology.Sight, h head, always bool) error {
	if scattered(s) && (!always || h.there() && !Parted(h.Kind)) {
		return ordered(s, "an expiry of what is there")
	}
	return nil
}
