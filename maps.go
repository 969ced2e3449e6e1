package triad

import (
	"context"
	"maps"
	"slices"

	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/internal/typed"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Maps is a table of maps from names to values of type V: a string or bytes as
// they are, everything else as msgpack. It is safe for concurrent use.
type Maps[V any] struct{ named }

// MapOf returns the table of that name as maps. If nobody has defined it yet, the
// first write does; one of another kind makes every call fail with a
// [Contradiction], but for one of kind any.
//
// A map is for names that are not known before; what has the same few names in
// every key is a row, see [TableOf].
func MapOf[V any](node *Node, name string) *Maps[V] {
	return &Maps[V]{named{node: node, name: name, kind: record.KindMap}}
}

// Put sets one field. It costs a look at that field, however large the map is.
// Options: [Durability], [Request].
func (t *Maps[V]) Put(ctx context.Context, key, field string, v V, opts ...Option) (Receipt, error) {
	_, r, err := t.PutAll(ctx, key, map[string]V{field: v}, opts...)
	return r, err
}

// PutAll sets fields, all or nothing, leaves the others as they are, and returns
// how many were not there. Options: [Durability], [Request].
func (t *Maps[V]) PutAll(ctx context.Context, key string, vs map[string]V, opts ...Option) (int, Receipt, error) {
	fields := make([]kind.Field, 0, len(vs))
	for _, name := range slices.Sorted(maps.Keys(vs)) {
		b, err := typed.Part(vs[name])
		if err != nil {
			return 0, Receipt{}, t.error("put", key, notApplied(err))
		}
		fields = append(fields, kind.Field{Name: []byte(name), Value: b})
	}
	var o *kind.MapPut
	r, err := t.decide(ctx, "put", key, opts, func(k kind.Key) kind.Op {
		o = &kind.MapPut{Key: k, Fields: fields}
		return o
	})
	if err != nil {
		return 0, Receipt{}, err
	}
	return o.New, r, nil
}

// Remove removes fields and returns how many of them were there. Options:
// [Durability], [Request].
func (t *Maps[V]) Remove(ctx context.Context, key string, fields []string, opts ...Option) (int, Receipt, error) {
	names := make([][]byte, len(fields))
	for i, f := range fields {
		names[i] = []byte(f)
	}
	var o *kind.MapRemove
	r, err := t.decide(ctx, "remove", key, opts, func(k kind.Key) kind.Op {
		o = &kind.MapRemove{Key: k, Names: names}
		return o
	})
	if err != nil {
		return 0, Receipt{}, err
	}
	return o.Count, r, nil
}

// Get returns one field; one that is not there is topology.ErrNotFound, one whose
// bytes are no V topology.ErrMalformed. Options: those of [Node.Get].
func (t *Maps[V]) Get(ctx context.Context, key, field string, opts ...Option) (v V, err error) {
	var o *kind.MapGet
	err = t.look(ctx, "get", key, opts, func(k kind.Key) kind.Op {
		o = &kind.MapGet{Key: k, Names: [][]byte{[]byte(field)}}
		return o
	})
	if err != nil {
		return v, err
	}
	if o == nil || o.Values[0] == nil {
		return v, t.error("get", key, notApplied(topology.ErrNotFound))
	}
	if v, err = typed.PartTo[V](o.Values[0]); err != nil {
		return v, t.error("get", key, notApplied(err))
	}
	return v, nil
}

// All returns a map, empty if it is not there. Options: those of [Node.Get].
func (t *Maps[V]) All(ctx context.Context, key string, opts ...Option) (map[string]V, error) {
	var o *kind.MapAll
	err := t.look(ctx, "all", key, opts, func(k kind.Key) kind.Op {
		o = &kind.MapAll{Key: k}
		return o
	})
	if err != nil {
		return nil, err
	}
	all := map[string]V{}
	if o == nil {
		return all, nil
	}
	for _, f := range o.Fields {
		if all[string(f.Name)], err = typed.PartTo[V](f.Value); err != nil {
			return nil, t.error("all", key, notApplied(err))
		}
	}
	return all, nil
}

// Len returns how many fields a map has. It looks at one cell. Options: those of
// [Node.Get].
func (t *Maps[V]) Len(ctx context.Context, key string, opts ...Option) (int, error) {
	var o *kind.MapLength
	err := t.look(ctx, "len", key, opts, func(k kind.Key) kind.Op {
		o = &kind.MapLength{Key: k}
		return o
	})
	if err != nil || o == nil {
		return 0, err
	}
	return o.Count, nil
}
