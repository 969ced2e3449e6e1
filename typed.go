package triad

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/internal/typed"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// TypedTable is a table whose values are of type T, encoded as msgpack. It is safe
// for concurrent use. Keys are strings of any bytes: string(b) for a []byte.
type TypedTable[T any] struct{ named }

// named is a table as those see it who give its values types: by the name that it
// has, and the kind that it must have.
type named struct {
	node     *Node
	name     string
	kind     record.Kind
	resolver string // empty: whichever it is defined with, or that of the kind
}

// TableOf returns the table of that name for values of type T. If nobody has
// defined it yet, the first write does: of kind row if T is a struct, or a map
// with strings as keys, that encodes as a msgpack map, else of kind bytes. A
// table of another kind makes every call fail with a [Contradiction], but for
// one of kind any, which takes every T as bytes.
//
// A row is one cell for each column (a field of the struct, named by its tag as
// in `msgpack:"name"`), so that columns are stored, compared and, where several
// sites write, merged one by one; Put replaces the whole row all the same. An option
// says how else several sites' writes are settled: [ResolvedBy].
func TableOf[T any](node *Node, name string, opts ...TableOption) *TypedTable[T] {
	t := &TypedTable[T]{named{node: node, name: name, kind: typed.KindOf[T]()}}
	for _, o := range opts {
		o(&t.named)
	}
	return t
}

// Name returns the table's name.
func (t *named) Name() string { return t.name }

// Put makes v the value of key. Options: those of [Node.Put].
func (t *TypedTable[T]) Put(ctx context.Context, key string, v T, opts ...Option) (Receipt, error) {
	b, err := typed.Encode(v)
	if err != nil {
		return Receipt{}, t.error("put", key, notApplied(fmt.Errorf("%T: %w: %w", v, topology.ErrMalformed, err)))
	}
	if err := t.declare(ctx, "put", key); err != nil {
		return Receipt{}, err
	}
	return t.node.Put(ctx, t.name, []byte(key), b, opts...)
}

// Get returns the value of key; one that holds nothing is topology.ErrNotFound,
// one whose bytes are no T is topology.ErrMalformed. Options: those of
// [Node.Get].
func (t *TypedTable[T]) Get(ctx context.Context, key string, opts ...Option) (T, error) {
	v, _, err := t.Read(ctx, key, opts...)
	return v, err
}

// Read is Get with all that is known of the answer.
func (t *TypedTable[T]) Read(ctx context.Context, key string, opts ...Option) (T, Reading, error) {
	var none T
	if err := t.check(ctx, "get", key, opts); err != nil {
		return none, Reading{}, err
	}
	r, err := t.node.Get(ctx, t.name, []byte(key), opts...)
	if err != nil {
		return none, Reading{}, err
	}
	v, err := typed.Decode[T](r.Value)
	if err != nil {
		return none, Reading{}, t.error("get", key, notApplied(err))
	}
	return v, r, nil
}

// Scan yields the keys from <= key < to and their values in order, from one
// consistent view; an empty from is the beginning, an empty to the end. An error
// is the last thing it yields, with the key whose bytes are no T. Options: those
// of [Node.Scan].
func (t *TypedTable[T]) Scan(ctx context.Context, from, to string, opts ...Option) iter.Seq2[Row[T], error] {
	return func(yield func(Row[T], error) bool) {
		if err := t.check(ctx, "scan", from, opts); err != nil {
			if !errors.Is(err, topology.ErrNotFound) {
				yield(Row[T]{}, err)
			}
			return
		}
		for item, err := range t.node.Scan(ctx, t.name, []byte(from), []byte(to), opts...) {
			if err != nil {
				yield(Row[T]{}, err)
				return
			}
			r := Row[T]{Key: string(item.Key), Item: item}
			if item.Kind != record.KindAny {
				err := fmt.Errorf("it holds a %s, not a %T: %w", KindName(item.Kind), r.Value, kind.ErrWrongKind)
				yield(Row[T]{Key: r.Key}, t.error("scan", r.Key, notApplied(err)))
				return
			}
			if r.Value, err = typed.Decode[T](item.Value); err != nil {
				yield(Row[T]{Key: r.Key}, t.error("scan", r.Key, notApplied(err)))
				return
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

// Of returns the value that a watch of this table yields of a key; false if it is
// gone.
func (t *TypedTable[T]) Of(k KeyChange) (v T, there bool, err error) {
	if !k.Whole {
		if len(k.Parts) > 0 {
			err = t.error("watch", string(k.Key), notApplied(fmt.Errorf("it changed in parts: %w", kind.ErrWrongKind)))
		}
		return v, false, err
	}
	if v, err = typed.Decode[T](k.Value); err != nil {
		return v, false, t.error("watch", string(k.Key), notApplied(err))
	}
	return v, true, nil
}

// Row is one key of a typed scan.
type Row[T any] struct {
	Key   string
	Value T
	Item  Item // as it is stored
}

// Add adds a put to a batch. The table must be there when the batch is written.
func (t *TypedTable[T]) Add(b *Batch, key string, v T) *Batch {
	value, err := typed.Encode(v)
	if err != nil {
		return b.fail(t.error("put", key, notApplied(fmt.Errorf("%T: %w: %w", v, topology.ErrMalformed, err))))
	}
	return b.Put(t.name, []byte(key), value)
}

// Delete removes a key and all it holds. Options: those of [Node.Delete].
func (t *named) Delete(ctx context.Context, key string, opts ...Option) (Receipt, error) {
	if err := t.declare(ctx, "delete", key); err != nil {
		return Receipt{}, err
	}
	return t.node.Delete(ctx, t.name, []byte(key), opts...)
}

// declare defines the table if nobody has, and refuses one of another kind.
func (t *named) declare(ctx context.Context, op, key string) error {
	err := t.lookup(ctx, false)
	if errors.Is(err, topology.ErrNoTable) {
		want := Table{Name: t.name, Kind: t.kind, Resolver: t.resolver}
		if i := slices.IndexFunc(t.node.config.Tables, func(of Table) bool { return of.Name == t.name }); i >= 0 {
			want = t.node.config.Tables[i] // which is about to be defined
		}
		if err = t.node.CreateTable(ctx, want); err == nil {
			err = t.lookup(ctx, false)
		}
	}
	if err != nil {
		return t.error(op, key, err)
	}
	return nil
}

// check refuses a table of another kind. One that nobody has defined holds
// nothing.
func (t *named) check(ctx context.Context, op, key string, opts []Option) error {
	w, err := call.Gather(opts, call.WishRead)
	if err == nil {
		err = t.lookup(ctx, w.Has(call.WishAny))
	}
	if errors.Is(err, topology.ErrNoTable) {
		err = fmt.Errorf("%w: %w", topology.ErrNotFound, err)
	}
	if err != nil {
		return t.error(op, key, notApplied(err))
	}
	return nil
}

func (t *named) lookup(ctx context.Context, local bool) error {
	if err := t.node.gate.enter(ctx); err != nil {
		return notApplied(err)
	}
	defer t.node.gate.leave()
	d, err := t.node.catalogue.lookup(ctx, t.name, local)
	if err != nil {
		return notApplied(err)
	}
	if d.Kind == record.KindAny {
		return nil
	}
	want := Table{Name: t.name, Kind: t.kind, TTL: d.TTL, Resolver: t.resolver}
	if want.Resolver == "" {
		want.Resolver = d.Resolver
		return want.contradicts(d.Table)
	}
	return t.node.catalogue.sameAs(want, d.Table)
}

func (t *named) error(op, key string, err error) error {
	return t.node.errorOf(op, t.name, []byte(key), err)
}
