package multileader

import (
	"errors"
	"fmt"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/record"
)

// Check returns what the builder would find wrong with o on a node of site self; nil
// if that is nothing.
func (o Options) Check(self string) error {
	_, err := o.withDefaults(self)
	return err
}

// Linked reports whether two sites exchange with one another.
func (o Options) Linked(a, b string) bool { return o.linked(a, b) }

// ErrUnknownResolver says that nobody knows a resolver of that name.
var ErrUnknownResolver = errors.New("no resolver of that name")

// CheckResolver returns why a table of a kind can not name that resolver; nil if it can.
func (o Options) CheckResolver(k record.Kind, named string) error {
	if o.Resolvers == nil {
		o.Resolvers, _ = conflict.NewRegistry() // of those that are always there
	}
	if _, err := o.Resolvers.Find(named); err != nil {
		return fmt.Errorf("%w: %w", ErrUnknownResolver, err)
	}
	_, err := o.resolver(k, named)
	return err
}
