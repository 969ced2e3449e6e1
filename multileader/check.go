package multileader

import (
	"errors"
	"fmt"
	"slices"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/multileader/core"
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

// CheckFilter returns what is wrong with which sites hold a table, and with which sites
// take writes; nil if that is nothing.
func (o Options) CheckFilter(f Filter) error {
	o.Filters = []Filter{f}
	return errors.Join(o.badFilters()...)
}

// Fed returns whether a site that is too far behind for all logs can always take a snapshot:
// of a site that is linked with it and holds all that it holds, but for tables to which
// nobody else writes.
func (o Options) Fed(site string) bool {
	others := slices.DeleteFunc(slices.Clone(o.Filters), func(f Filter) bool {
		return !slices.ContainsFunc(f.Sites, func(s string) bool { return s != site })
	})
	o.Filters = others
	fs := o.coreFilters()
	return len(o.Sites) < 2 || slices.ContainsFunc(o.Sites, func(s Site) bool {
		return s.Name != site && o.linked(s.Name, site) && fs.Covers(core.Site(s.Name), core.Site(site))
	})
}

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
