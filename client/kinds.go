package client

import (
	"context"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/internal/typed"
)

// Counters is a table of counters. It is safe for concurrent use.
type Counters struct{ namedTable }

// CounterOf returns the table of that name as counters. If nobody has defined it yet, the
// first change does; one of another kind makes every call fail with topology.ErrConflict,
// but for one of kind any.
func CounterOf(at Asker, name string) *Counters { return &Counters{namedTable{at, name}} }

// Add adds by to a counter and returns what it is then. What is not there is 0; what
// would leave int64 is refused. The leader counts, in the order of its log. Options:
// [Durability], [Request].
func (t *Counters) Add(ctx context.Context, key string, by int64, opts ...Option) (int64, Receipt, error) {
	a, err := t.change(ctx, "add", call.CounterAdd, key, nil, by, opts)
	return a.Number, a.Receipt, err
}

// Get returns a counter, 0 if it is not there. Options: those of [Client.Get].
func (t *Counters) Get(ctx context.Context, key string, opts ...Option) (int64, error) {
	a, err := t.look(ctx, "get", call.CounterGet, key, nil, opts)
	return a.Number, err
}

// Sets is a table of sets, whose members are of type T: a string or bytes as they are,
// everything else as msgpack. It is safe for concurrent use.
type Sets[T any] struct{ namedTable }

// SetOf returns the table of that name as sets. If nobody has defined it yet, the first
// change does; one of another kind makes every call fail with topology.ErrConflict, but
// for one of kind any.
func SetOf[T any](at Asker, name string) *Sets[T] { return &Sets[T]{namedTable{at, name}} }

// Add adds members and returns how many of them were not there. Options: [Durability],
// [Request].
func (t *Sets[T]) Add(ctx context.Context, key string, members []T, opts ...Option) (int, Receipt, error) {
	return t.alter(ctx, "add", call.SetAdd, key, members, opts)
}

// Remove removes members and returns how many of them were there. Options:
// [Durability], [Request].
func (t *Sets[T]) Remove(ctx context.Context, key string, members []T, opts ...Option) (int, Receipt, error) {
	return t.alter(ctx, "remove", call.SetRemove, key, members, opts)
}

func (t *Sets[T]) alter(ctx context.Context, op string, o call.PartsOp, key string, members []T, opts []Option) (int, Receipt, error) {
	ms, err := typed.Parts(members)
	if err != nil {
		return 0, Receipt{}, t.malformed(op, key, err)
	}
	a, err := t.change(ctx, op, o, key, ms, 0, opts)
	return int(a.Number), a.Receipt, err
}

// Has reports whether a member is in a set. Options: those of [Client.Get].
func (t *Sets[T]) Has(ctx context.Context, key string, member T, opts ...Option) (bool, error) {
	ms, err := typed.Parts([]T{member})
	if err != nil {
		return false, t.malformed("has", key, err)
	}
	a, err := t.look(ctx, "has", call.SetHas, key, ms, opts)
	return a.Number == 1, err
}

// Members returns a set, in the order of the members' bytes; nothing if it is not there.
// One whose members are more than 16 MiB is topology.ErrTooLarge. Options: those of
// [Client.Get].
func (t *Sets[T]) Members(ctx context.Context, key string, opts ...Option) ([]T, error) {
	a, err := t.look(ctx, "members", call.SetMembers, key, nil, opts)
	if err != nil || len(a.Parts) == 0 {
		return nil, err
	}
	members := make([]T, len(a.Parts))
	for i, b := range a.Parts {
		if members[i], err = typed.PartTo[T](b); err != nil {
			return nil, t.malformed("members", key, err)
		}
	}
	return members, nil
}

// Len returns how many members a set has. Options: those of [Client.Get].
func (t *Sets[T]) Len(ctx context.Context, key string, opts ...Option) (int, error) {
	a, err := t.look(ctx, "len", call.SetLen, key, nil, opts)
	return int(a.Number), err
}
