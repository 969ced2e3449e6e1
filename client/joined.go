package client

import (
	"context"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/internal/typed"
	"github.com/triad-kv/triad/topology"
)

// Flags is a table of flags, each on or off. Where several sites write, one that is turned
// on in one site and off in another, neither knowing of the other, is on. It is safe for
// concurrent use.
type Flags struct{ namedTable }

// FlagOf returns the table of that name as flags, defined as by [CounterOf].
func FlagOf(at Asker, name string) *Flags { return &Flags{namedTable{at, name}} }

// Enable turns a flag on, and returns whether it was. Options: [Durability], [Request].
func (t *Flags) Enable(ctx context.Context, key string, opts ...Option) (bool, Receipt, error) {
	a, err := t.change(ctx, "enable", call.FlagEnable, key, nil, 0, opts)
	return a.Number != 0, a.Receipt, err
}

// Disable turns a flag off, and returns whether it was on. Options: [Durability],
// [Request].
func (t *Flags) Disable(ctx context.Context, key string, opts ...Option) (bool, Receipt, error) {
	a, err := t.change(ctx, "disable", call.FlagDisable, key, nil, 0, opts)
	return a.Number != 0, a.Receipt, err
}

// Get reports whether a flag is on. Options: those of [Client.Get].
func (t *Flags) Get(ctx context.Context, key string, opts ...Option) (bool, error) {
	a, err := t.look(ctx, "get", call.FlagGet, key, nil, opts)
	return a.Number != 0, err
}

// Extremes is a table in which every key keeps the greatest, or the least, of the numbers
// that it was shown, in whichever site. It is safe for concurrent use.
type Extremes struct {
	namedTable
	observe, get call.PartsOp
}

// MaxOf returns the table of that name as maxima, defined as by [CounterOf].
func MaxOf(at Asker, name string) *Extremes {
	return &Extremes{namedTable{at, name}, call.MaxObserve, call.MaxGet}
}

// MinOf returns the table of that name as minima, defined as by [CounterOf].
func MinOf(at Asker, name string) *Extremes {
	return &Extremes{namedTable{at, name}, call.MinObserve, call.MinGet}
}

// Observe shows n to a key, and returns what it holds then. Options: [Durability],
// [Request].
func (t *Extremes) Observe(ctx context.Context, key string, n int64, opts ...Option) (int64, Receipt, error) {
	a, err := t.change(ctx, "observe", t.observe, key, nil, n, opts)
	return a.Number, a.Receipt, err
}

// Get returns what a key holds; one that was shown nothing is topology.ErrNotFound.
// Options: those of [Client.Get].
func (t *Extremes) Get(ctx context.Context, key string, opts ...Option) (int64, error) {
	a, err := t.look(ctx, "get", t.get, key, nil, opts)
	if err == nil && len(a.Parts) == 0 {
		err = t.malformed("get", key, topology.ErrNotFound)
	}
	return a.Number, err
}

// Sketches is a table of HyperLogLogs: each estimates, with a standard error of 0.8 %, how
// many different elements it was shown, in whichever site. Elements are of type T: a string
// or bytes as they are, everything else as msgpack, of at most 64 KiB. It is safe for
// concurrent use.
type Sketches[T any] struct{ namedTable }

// SketchOf returns the table of that name as sketches, defined as by [CounterOf].
func SketchOf[T any](at Asker, name string) *Sketches[T] { return &Sketches[T]{namedTable{at, name}} }

// Add shows elements to a sketch, and reports whether that changed it. Options:
// [Durability], [Request].
func (t *Sketches[T]) Add(ctx context.Context, key string, elements []T, opts ...Option) (bool, Receipt, error) {
	parts, err := typed.Parts(elements)
	if err != nil {
		return false, Receipt{}, t.malformed("add", key, err)
	}
	a, err := t.change(ctx, "add", call.SketchAdd, key, parts, 0, opts)
	return a.Number != 0, a.Receipt, err
}

// Merge shows a sketch all that others of the table were shown. Options: [Durability],
// [Request].
func (t *Sketches[T]) Merge(ctx context.Context, key string, from []string, opts ...Option) (Receipt, error) {
	names := make([][]byte, len(from))
	for i, f := range from {
		names[i] = []byte(f)
	}
	a, err := t.change(ctx, "merge", call.SketchMerge, key, names, 0, opts)
	return a.Receipt, err
}

// Count estimates how many different elements a sketch was shown, 0 if it is not there.
// Options: those of [Client.Get].
func (t *Sketches[T]) Count(ctx context.Context, key string, opts ...Option) (uint64, error) {
	a, err := t.look(ctx, "count", call.SketchCount, key, nil, opts)
	return uint64(a.Number), err
}
