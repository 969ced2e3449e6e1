package triad

import (
	"context"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/internal/typed"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Flags is a table of flags, each on or off. Where several sites write, one that is turned
// on in one site and off in another, neither knowing of the other, is on. It is safe for
// concurrent use.
type Flags struct{ named }

// FlagOf returns the table of that name as flags. If nobody has defined it yet, the
// first write does; one of another kind makes every call fail with a
// [Contradiction], but for one of kind any.
func FlagOf(node *Node, name string) *Flags {
	return &Flags{named{node: node, name: name, kind: record.KindFlag}}
}

// Enable turns a flag on, and returns whether it was. Options: [Durability], [Request].
func (t *Flags) Enable(ctx context.Context, key string, opts ...Option) (bool, Receipt, error) {
	return t.set(ctx, "enable", key, true, opts)
}

// Disable turns a flag off, and returns whether it was on. Options: [Durability],
// [Request].
func (t *Flags) Disable(ctx context.Context, key string, opts ...Option) (bool, Receipt, error) {
	return t.set(ctx, "disable", key, false, opts)
}

func (t *Flags) set(ctx context.Context, op, key string, on bool, opts []Option) (bool, Receipt, error) {
	var o *kind.FlagSet
	r, err := t.decide(ctx, op, key, opts, func(k kind.Key) kind.Op {
		o = &kind.FlagSet{Key: k, On: on}
		return o
	})
	if err != nil {
		return false, Receipt{}, err
	}
	return o.Was, r, nil
}

// Get reports whether a flag is on. Options: those of [Node.Get].
func (t *Flags) Get(ctx context.Context, key string, opts ...Option) (bool, error) {
	var o *kind.FlagGet
	err := t.look(ctx, "get", key, opts, func(k kind.Key) kind.Op {
		o = &kind.FlagGet{Key: k}
		return o
	})
	return err == nil && o != nil && o.On, err
}

// Extremes is a table in which every key keeps the greatest, or the least, of the numbers
// that it was shown, in whichever site. It is safe for concurrent use.
//
// A number that is no more than a key holds already changes nothing and is not written,
// so a delete at the same time takes it with what it repeats. What is more, and was
// observed without knowing of the delete, stays.
type Extremes struct{ named }

// MaxOf returns the table of that name as maxima, defined as by [CounterOf].
func MaxOf(node *Node, name string) *Extremes {
	return &Extremes{named{node: node, name: name, kind: record.KindMax}}
}

// MinOf returns the table of that name as minima, defined as by [CounterOf].
func MinOf(node *Node, name string) *Extremes {
	return &Extremes{named{node: node, name: name, kind: record.KindMin}}
}

// Observe shows n to a key, and returns what it holds then. Options: [Durability],
// [Request].
func (t *Extremes) Observe(ctx context.Context, key string, n int64, opts ...Option) (int64, Receipt, error) {
	var o *kind.Observe
	r, err := t.decide(ctx, "observe", key, opts, func(k kind.Key) kind.Op {
		o = &kind.Observe{Key: k, Of: t.kind, N: n}
		return o
	})
	if err != nil {
		return 0, Receipt{}, err
	}
	return o.Value, r, nil
}

// Get returns what a key holds; one that was shown nothing is topology.ErrNotFound.
// Options: those of [Node.Get].
func (t *Extremes) Get(ctx context.Context, key string, opts ...Option) (int64, error) {
	var o *kind.Extreme
	err := t.look(ctx, "get", key, opts, func(k kind.Key) kind.Op {
		o = &kind.Extreme{Key: k, Of: t.kind}
		return o
	})
	if err == nil && (o == nil || !o.There) {
		err = t.error("get", key, notApplied(topology.ErrNotFound))
	}
	if err != nil {
		return 0, err
	}
	return o.Value, nil
}

// Sketches is a table of HyperLogLogs: each estimates, in at most 16 KiB and with a
// standard error of 0.8 %, how many different elements it was shown, in whichever site.
// Elements are of type T: a string or bytes as they are, everything else as msgpack, of
// at most 64 KiB. It is safe for concurrent use.
//
// An element that a sketch counts already changes nothing and is not written. Where a
// sketch is deleted in one site, and shown something new in another that does not know of
// that, it stays as that other site had it: to begin anew, take another key.
type Sketches[T any] struct{ named }

// SketchOf returns the table of that name as sketches, defined as by [CounterOf].
func SketchOf[T any](node *Node, name string) *Sketches[T] {
	return &Sketches[T]{named{node: node, name: name, kind: record.KindHLL}}
}

// Add shows elements to a sketch, and reports whether that changed it. Options:
// [Durability], [Request].
func (t *Sketches[T]) Add(ctx context.Context, key string, elements []T, opts ...Option) (bool, Receipt, error) {
	parts, err := typed.Parts(elements)
	if err != nil {
		return false, Receipt{}, t.error("add", key, notApplied(err))
	}
	var o *kind.SketchAdd
	r, err := t.decide(ctx, "add", key, opts, func(k kind.Key) kind.Op {
		o = &kind.SketchAdd{Key: k, Elements: parts}
		return o
	})
	if err != nil {
		return false, Receipt{}, err
	}
	return o.Changed, r, nil
}

// Merge shows a sketch all that others of the table were shown. Options: [Durability],
// [Request].
func (t *Sketches[T]) Merge(ctx context.Context, key string, from []string, opts ...Option) (Receipt, error) {
	keys := make([][]byte, len(from))
	for i, name := range from {
		keys[i] = []byte(name)
	}
	if err := call.CheckKeys(keys); err != nil {
		return Receipt{}, t.error("merge", key, notApplied(err))
	}
	return t.decide(ctx, "merge", key, opts, func(k kind.Key) kind.Op { return mergeOf(k, keys) })
}

// mergeOf is the decision to show k what keys of the same table were shown.
func mergeOf(k kind.Key, from [][]byte) *kind.SketchMerge {
	o := &kind.SketchMerge{Key: k}
	for _, name := range from {
		other := k
		other.Name = name
		o.From = append(o.From, other)
	}
	return o
}

// Count estimates how many different elements a sketch was shown, 0 if it is not there.
// Options: those of [Node.Get].
func (t *Sketches[T]) Count(ctx context.Context, key string, opts ...Option) (uint64, error) {
	var o *kind.SketchCount
	err := t.look(ctx, "count", key, opts, func(k kind.Key) kind.Op {
		o = &kind.SketchCount{Keys: []kind.Key{k}}
		return o
	})
	if err != nil || o == nil {
		return 0, err
	}
	return o.Count, nil
}
