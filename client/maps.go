package client

import (
	"context"
	"maps"
	"slices"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/internal/typed"
	"github.com/triad-kv/triad/topology"
)

// Maps is a table of maps from names to values of type V: a string or bytes as they are,
// everything else as msgpack. It is safe for concurrent use.
type Maps[V any] struct{ namedTable }

// MapOf returns the table of that name as maps. If nobody has defined it yet, the first
// change does; one of another kind makes every call fail with topology.ErrConflict, but
// for one of kind any.
func MapOf[V any](at Asker, name string) *Maps[V] { return &Maps[V]{namedTable{at, name}} }

// Put sets one field. Options: [Durability], [Request].
func (t *Maps[V]) Put(ctx context.Context, key, field string, v V, opts ...Option) (Receipt, error) {
	_, r, err := t.PutAll(ctx, key, map[string]V{field: v}, opts...)
	return r, err
}

// PutAll sets fields, all or nothing, leaves the others as they are, and returns how many
// were not there. Options: [Durability], [Request].
func (t *Maps[V]) PutAll(ctx context.Context, key string, vs map[string]V, opts ...Option) (int, Receipt, error) {
	parts := make([][]byte, 0, 2*len(vs))
	for _, name := range slices.Sorted(maps.Keys(vs)) {
		b, err := typed.Part(vs[name])
		if err != nil {
			return 0, Receipt{}, t.malformed("put", key, err)
		}
		parts = append(parts, []byte(name), b)
	}
	a, err := t.change(ctx, "put", call.MapPut, key, parts, 0, opts)
	return int(a.Number), a.Receipt, err
}

// Remove removes fields and returns how many of them were there. Options: [Durability],
// [Request].
func (t *Maps[V]) Remove(ctx context.Context, key string, fields []string, opts ...Option) (int, Receipt, error) {
	names, err := typed.Parts(fields)
	if err != nil {
		return 0, Receipt{}, t.malformed("remove", key, err)
	}
	a, err := t.change(ctx, "remove", call.MapRemove, key, names, 0, opts)
	return int(a.Number), a.Receipt, err
}

// Get returns one field; one that is not there is topology.ErrNotFound, one whose bytes
// are no V topology.ErrMalformed. Options: those of [Client.Get].
func (t *Maps[V]) Get(ctx context.Context, key, field string, opts ...Option) (v V, err error) {
	a, err := t.look(ctx, "get", call.MapGet, key, [][]byte{[]byte(field)}, opts)
	switch {
	case err != nil:
		return v, err
	case a.Number == 0:
		return v, t.malformed("get", key, topology.ErrNotFound)
	case len(a.Parts) != 1:
		return v, t.short("get", key)
	}
	if v, err = typed.PartTo[V](a.Parts[0]); err != nil {
		return v, t.malformed("get", key, err)
	}
	return v, nil
}

// All returns a map, empty if it is not there. One whose fields are more than 16 MiB is
// topology.ErrTooLarge. Options: those of [Client.Get].
func (t *Maps[V]) All(ctx context.Context, key string, opts ...Option) (map[string]V, error) {
	a, err := t.look(ctx, "all", call.MapAll, key, nil, opts)
	switch {
	case err != nil:
		return nil, err
	case len(a.Parts)%2 != 0:
		return nil, t.short("all", key)
	}
	all := make(map[string]V, len(a.Parts)/2)
	for i := 0; i < len(a.Parts); i += 2 {
		if all[string(a.Parts[i])], err = typed.PartTo[V](a.Parts[i+1]); err != nil {
			return nil, t.malformed("all", key, err)
		}
	}
	return all, nil
}

// Len returns how many fields a map has. Options: those of [Client.Get].
func (t *Maps[V]) Len(ctx context.Context, key string, opts ...Option) (int, error) {
	a, err := t.look(ctx, "len", call.MapLen, key, nil, opts)
	return int(a.Number), err
}
