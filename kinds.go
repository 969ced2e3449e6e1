package triad

import (
	"context"

	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/internal/typed"
	"github.com/triad-kv/triad/record"
)

// Counters is a table of counters. It is safe for concurrent use.
type Counters struct{ named }

// CounterOf returns the table of that name as counters. If nobody has defined it
// yet, the first write does; one of another kind makes every call fail with a
// [Contradiction], but for one of kind any.
func CounterOf(node *Node, name string) *Counters {
	return &Counters{named{node: node, name: name, kind: record.KindCounter}}
}

// Add adds by to a counter and returns what it is then. What is not there is 0;
// what would leave int64 is refused. Only the leader counts. Options:
// [Durability], [Request].
func (t *Counters) Add(ctx context.Context, key string, by int64, opts ...Option) (int64, Receipt, error) {
	var o *kind.Incr
	r, err := t.decide(ctx, "add", key, opts, func(k kind.Key) kind.Op {
		o = &kind.Incr{Key: k, By: by}
		return o
	})
	if err != nil {
		return 0, Receipt{}, err
	}
	return o.Value, r, nil
}

// Get returns a counter, 0 if it is not there. Options: those of [Node.Get].
func (t *Counters) Get(ctx context.Context, key string, opts ...Option) (int64, error) {
	var o *kind.Count
	err := t.look(ctx, "get", key, opts, func(k kind.Key) kind.Op {
		o = &kind.Count{Key: k}
		return o
	})
	if err != nil || o == nil {
		return 0, err
	}
	return o.Value, nil
}

// Sets is a table of sets, whose members are of type T: a string or bytes as they
// are, everything else as msgpack. It is safe for concurrent use.
type Sets[T any] struct{ named }

// SetOf returns the table of that name as sets. If nobody has defined it yet, the
// first write does; one of another kind makes every call fail with a
// [Contradiction], but for one of kind any.
func SetOf[T any](node *Node, name string) *Sets[T] {
	return &Sets[T]{named{node: node, name: name, kind: record.KindSet}}
}

// Add adds members and returns how many of them were not there. It costs a look at
// each of them, however large the set is. Options: [Durability], [Request].
func (t *Sets[T]) Add(ctx context.Context, key string, members []T, opts ...Option) (int, Receipt, error) {
	ms, err := typed.Parts(members)
	if err != nil {
		return 0, Receipt{}, t.error("add", key, notApplied(err))
	}
	var o *kind.SetAdd
	r, err := t.decide(ctx, "add", key, opts, func(k kind.Key) kind.Op {
		o = &kind.SetAdd{Key: k, Members: ms}
		return o
	})
	if err != nil {
		return 0, Receipt{}, err
	}
	return o.Count, r, nil
}

// Remove removes members and returns how many of them were there. Options:
// [Durability], [Request].
func (t *Sets[T]) Remove(ctx context.Context, key string, members []T, opts ...Option) (int, Receipt, error) {
	ms, err := typed.Parts(members)
	if err != nil {
		return 0, Receipt{}, t.error("remove", key, notApplied(err))
	}
	var o *kind.SetRemove
	r, err := t.decide(ctx, "remove", key, opts, func(k kind.Key) kind.Op {
		o = &kind.SetRemove{Key: k, Members: ms}
		return o
	})
	if err != nil {
		return 0, Receipt{}, err
	}
	return o.Count, r, nil
}

// Has reports whether a member is in a set. Options: those of [Node.Get].
func (t *Sets[T]) Has(ctx context.Context, key string, member T, opts ...Option) (bool, error) {
	ms, err := typed.Parts([]T{member})
	if err != nil {
		return false, t.error("has", key, notApplied(err))
	}
	var o *kind.SetHas
	err = t.look(ctx, "has", key, opts, func(k kind.Key) kind.Op {
		o = &kind.SetHas{Key: k, Members: ms}
		return o
	})
	return err == nil && o != nil && o.Has[0], err
}

// Members returns a set, in the order of the members' bytes; nothing if it is not
// there. Options: those of [Node.Get].
func (t *Sets[T]) Members(ctx context.Context, key string, opts ...Option) ([]T, error) {
	var o *kind.SetMembers
	err := t.look(ctx, "members", key, opts, func(k kind.Key) kind.Op {
		o = &kind.SetMembers{Key: k}
		return o
	})
	if err != nil || o == nil {
		return nil, err
	}
	members := make([]T, len(o.Members))
	for i, b := range o.Members {
		if members[i], err = typed.PartTo[T](b); err != nil {
			return nil, t.error("members", key, notApplied(err))
		}
	}
	return members, nil
}

// Len returns how many members a set has. It looks at one cell. Options: those of
// [Node.Get].
func (t *Sets[T]) Len(ctx context.Context, key string, opts ...Option) (int, error) {
	var o *kind.SetLength
	err := t.look(ctx, "len", key, opts, func(k kind.Key) kind.Op {
		o = &kind.SetLength{Key: k}
		return o
	})
	if err != nil || o == nil {
		return 0, err
	}
	return o.Count, nil
}
