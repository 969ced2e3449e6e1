package triad

import (
	"fmt"
	"strings"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// TableOption says how a table is declared that nobody has defined yet.
type TableOption func(*named)

// ResolvedBy declares that concurrent writes of several sites to the table are settled by
// that resolver, spelled as in [Table]. A table that is defined with another one makes
// every call fail with a [Contradiction]. But for fields, it makes the table one of kind
// bytes: a resolver is asked about whole values.
func ResolvedBy(resolver string) TableOption {
	return func(t *named) {
		t.resolver = resolver
		if t.kind == record.KindRow && resolver != "fields" {
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
