package kind

import (
	"fmt"

	"github.com/triad-kv/triad/crdt"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// sketch returns the sketch that a head holds, an empty one if it is not there.
func (h *head) sketch(k *Key) (*crdt.HLL, error) {
	s := &crdt.HLL{}
	if !h.there() {
		return s, nil
	}
	if h.Kind != record.KindHLL {
		return nil, k.wrong(h.Kind, "a sketch")
	}
	if err := s.UnmarshalBinary(h.Value); err != nil {
		return nil, fmt.Errorf("the sketch of key %q: %w: %w", k.Name, topology.ErrMalformed, err)
	}
	return s, nil
}

// SketchAdd shows elements to a sketch, which then counts them, whatever it has been
// shown before. Elements that it counts already change nothing, and are not written; one
// that is not there is made even without any.
type SketchAdd struct {
	Key      Key
	Elements [][]byte // of at most crdt.ElementBytesMax bytes each

	Changed bool
}

// Reads implements Op.
func (o *SketchAdd) Reads() []topology.CellRange { return []topology.CellRange{o.Key.headRange()} }

// Decide implements Op.
func (o *SketchAdd) Decide(s topology.Sight) ([]record.Mutation, error) {
	o.Changed = false
	h, sketch, err := sketched(&o.Key, s)
	if err != nil {
		return nil, err
	}
	var fresh [][]byte
	for _, e := range o.Elements {
		if len(e) > crdt.ElementBytesMax {
			return nil, fmt.Errorf("an element of %d bytes, at most %d: %w", len(e), crdt.ElementBytesMax, topology.ErrTooLarge)
		}
		if !sketch.Add(e).IsEmpty() {
			fresh = append(fresh, e)
		}
	}
	return grown(&o.Key, s, h, sketch, len(fresh) > 0, &o.Changed, func(w *pack.Writer) {
		w.Array(len(fresh))
		for _, e := range fresh {
			w.Bin(e)
		}
	})
}

func (o *SketchAdd) size() int { return len(o.Key.Name) + sketchBytesMax }

// sketchBytesMax is about how long a sketch is at most.
const sketchBytesMax = 17 << 10

// sketched returns the sketch of a key that is one, or will be.
func sketched(k *Key, s topology.Sight) (head, *crdt.HLL, error) {
	h, err := joined(k, s, record.KindHLL, "a sketch")
	if err != nil {
		return h, nil, err
	}
	sketch, err := h.sketch(k)
	return h, sketch, err
}

// grown returns the mutation of a sketch that was shown something, if that changed it or
// it is new. asked writes what conflict.Seal takes.
func grown(k *Key, s topology.Sight, h head, sketch *crdt.HLL, changes bool, changed *bool, asked func(*pack.Writer)) ([]record.Mutation, error) {
	if !changes && h.there() {
		return nil, nil
	}
	whole, err := sketch.AppendBinary(nil)
	if err != nil {
		return nil, fmt.Errorf("key %q: %w: %w", k.Name, topology.ErrTooLarge, err)
	}
	w := pack.NewWriter(nil)
	asked(w)
	ms, err := joins(k, s, h, record.KindHLL, w.Bytes(), whole)
	*changed = err == nil
	return ms, err
}

// SketchCount estimates how many different elements several sketches were shown,
// together; one that is not there was shown none.
type SketchCount struct {
	Keys []Key

	Count uint64
}

// Reads implements Op.
func (o *SketchCount) Reads() []topology.CellRange {
	return headsOf(len(o.Keys), func(i int) *Key { return &o.Keys[i] })
}

// Decide implements Op.
func (o *SketchCount) Decide(s topology.Sight) ([]record.Mutation, error) {
	o.Count = 0
	if err := tooMany(len(o.Keys)); err != nil {
		return nil, err
	}
	all := &crdt.HLL{}
	for i := range o.Keys {
		h := headOf(s.Cells(i))
		one, err := h.sketch(&o.Keys[i])
		if err != nil {
			return nil, err
		}
		all.Join(one)
	}
	o.Count = all.Count()
	return nil, nil
}

// SketchMerge shows a sketch all that others were shown.
type SketchMerge struct {
	Key  Key
	From []Key

	Changed bool
}

// Reads implements Op.
func (o *SketchMerge) Reads() []topology.CellRange {
	return headsOf(len(o.From)+1, func(i int) *Key {
		if i == 0 {
			return &o.Key
		}
		return &o.From[i-1]
	})
}

// Decide implements Op.
func (o *SketchMerge) Decide(s topology.Sight) ([]record.Mutation, error) {
	o.Changed = false
	if err := tooMany(len(o.From) + 1); err != nil {
		return nil, err
	}
	h, sketch, err := sketched(&o.Key, s)
	if err != nil {
		return nil, err
	}
	from := &crdt.HLL{}
	for i := range o.From {
		other := headOf(s.Cells(i + 1))
		one, err := other.sketch(&o.From[i])
		if err != nil {
			return nil, err
		}
		from.Join(one)
	}
	known := crdt.Below(from, sketch)
	sketch.Join(from)
	b, err := from.AppendBinary(nil)
	if err != nil {
		return nil, fmt.Errorf("key %q: %w: %w", o.Key.Name, topology.ErrTooLarge, err)
	}
	return grown(&o.Key, s, h, sketch, !known, &o.Changed, func(w *pack.Writer) {
		w.Array(1)
		w.Array(1)
		w.Bin(b)
	})
}

func (o *SketchMerge) size() int { return len(o.Key.Name) + sketchBytesMax }
