package triad

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/internal/typed"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// TableOption says how a table is declared that nobody has defined yet.
type TableOption func(*named)

// ResolvedBy declares that concurrent writes of several sites to the table are settled by
// that resolver, spelled as in [Table]. A table that is defined with another one makes
// every call fail with a [Contradiction]. But for fields and crdt, it makes the table one of
// kind bytes: a resolver is asked about whole values.
func ResolvedBy(resolver string) TableOption {
	return func(t *named) {
		t.resolver = resolver
		if name, _, _ := strings.Cut(resolver, "@"); t.kind == record.KindRow && name != "fields" && name != "crdt" {
			t.kind = record.KindBytes
		}
	}
}

// resolved returns t with its resolver as definitions spell it, and the digest of what
// not every node has.
func (c *catalogue) resolved(t Table) (Table, []byte, error) {
	if t.Resolver == "" {
		return t, nil, nil
	}
	e, ok := c.engine.(topology.Resolvers)
	if !ok {
		return t, nil, fmt.Errorf("resolver of %s: one leader orders all writes of this topology, so there is nothing to resolve: %w", t.Name, topology.ErrUnsupported)
	}
	canonical, digest, err := e.Resolver(t.Kind, t.Resolver)
	if err != nil {
		return t, nil, fmt.Errorf("resolver of %s: %w", t.Name, err)
	}
	t.Resolver = canonical
	return t, digest, nil
}

// sameAs holds t against its definition. A function that this node lacks is the one that
// is defined if it has its name: the engine refuses the table then, and not the node.
func (c *catalogue) sameAs(t, defined Table) error {
	want, _, err := c.resolved(t)
	if err != nil {
		name, _, versioned := strings.Cut(t.Resolver, "@")
		if has, _, _ := strings.Cut(defined.Resolver, "@"); has == name && (!versioned || t.Resolver == defined.Resolver) {
			want.Resolver = defined.Resolver
		}
	}
	return want.contradicts(defined)
}

// Sibling is one of several concurrent writes of a key, in a table that keeps them.
type Sibling = call.Sibling

// siblings fills in a reading what a table that keeps siblings shows: all of them, and the
// last one as the value.
func (d definition) siblings(cells []topology.CellReading, out *Reading) error {
	last := -1
	for i := range cells {
		c := &cells[i]
		s := Sibling{Removed: c.Absent, Dot: c.Dot, Time: c.Time, Value: []byte{}}
		if !c.Absent {
			value, err := d.value(cells[i : i+1])
			if err != nil {
				return notApplied(err)
			}
			s.Value = value
			if last < 0 || version.CompareWrites(c.Time, c.Dot, cells[last].Time, cells[last].Dot) > 0 {
				last = i
			}
		}
		out.Siblings = append(out.Siblings, s)
	}
	if last < 0 {
		out.Siblings = nil
		return notApplied(topology.ErrNotFound)
	}
	out.Value, out.Dot, out.Time = out.Siblings[last].Value, cells[last].Dot, cells[last].Time
	if len(cells) == 1 {
		out.Siblings = nil
	}
	return nil
}

// Siblings are the concurrent values of a key, decoded.
type Siblings[T any] struct {
	Values  []T              // one, or several that did not know of one another, in the order of their writes
	Removed int              // how many removals are concurrent with them
	Context topology.Context // what was shown, for [Context]; not zero even if nothing was
	Reading Reading
}

// Siblings returns all concurrent values of key, in a table that keeps siblings; of
// another one its value. A key that holds nothing has none, which is no error. Options:
// those of [Node.Get].
func (t *TypedTable[T]) Siblings(ctx context.Context, key string, opts ...Option) (out Siblings[T], err error) {
	if err := t.check(ctx, "get", key, opts); err != nil {
		if errors.Is(err, topology.ErrNotFound) {
			out.Context, err = NothingSeen(), nil
		}
		return out, err
	}
	r, err := t.node.Get(ctx, t.name, []byte(key), opts...)
	out.Reading, out.Context = r, r.Context
	if errors.Is(err, topology.ErrNotFound) {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	all := r.Siblings
	if len(all) == 0 {
		all = []Sibling{{Value: r.Value}}
	}
	for _, s := range all {
		if s.Removed {
			out.Removed++
			continue
		}
		v, err := typed.Decode[T](s.Value)
		if err != nil {
			return Siblings[T]{}, t.error("get", key, notApplied(err))
		}
		out.Values = append(out.Values, v)
	}
	return out, nil
}
