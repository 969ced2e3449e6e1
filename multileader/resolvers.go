package multileader

import (
	"fmt"
	"slices"
	"strings"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// table is what a definition comes to at this node.
type table struct {
	name     string
	id       record.TableID
	kind     record.Kind
	resolver string            // as it is defined; empty: that of its kind
	keeps    conflict.Resolver // what stays of its versions, whatever a function does
	shows    conflict.Resolver // what is shown of them; nil with a refusal
	refusal  error             // why this node does not read or write it
	digest   conflict.Digest   // of shows
}

// tableOf is what a definition comes to, where these resolvers are known. What this node
// can not settle it refuses, and keeps: its versions are the same everywhere.
func tableOf(r *conflict.Registry, name string, d *kind.Definition) *table {
	t := &table{name: name, id: d.ID, kind: d.Kind, resolver: d.Resolver}
	if d.Resolver == "" {
		t.keeps = resolverOf(d.Kind)
		t.shows, t.digest = t.keeps, r.Entry(t.keeps).Digest
		return t
	}
	found, err := r.Find(d.Resolver)
	if err != nil {
		t.keeps = conflict.KeeperOf(conflict.ID{Name: d.Resolver})
		t.refusal = fmt.Errorf("%w: table %s is settled by %s, which this node does not know: run a program here that registers it; what is written elsewhere is kept meanwhile (%w)", topology.ErrUnsupported, name, d.Resolver, err)
		return t
	}
	t.keeps, t.digest = conflict.Keeper(found), r.Entry(found).Digest
	if len(d.Digest) > 0 {
		if err := r.Check(found, conflict.Entry{ID: found.ID(), Digest: conflict.Digest(d.Digest)}); err != nil {
			t.refusal = fmt.Errorf("%w: table %s, whose definition has another function under the name %s: %w", topology.ErrUnsupported, name, d.Resolver, err)
			return t
		}
	}
	t.shows = found
	return t
}

// custom reports whether the table is settled by a function of somebody's.
func (t *table) custom() bool { return t.shows != nil && !conflict.Built(t.shows) }

// siblings reports whether readers of the table are shown all that is concurrent.
func (t *table) siblings() bool { return t.resolver != "" && t.shows == siblingsShown }

var siblingsShown = conflict.Siblings()

// named is what its resolver is called, that of its kind included.
func (t *table) named() string {
	if t.resolver != "" {
		return t.resolver
	}
	return t.keeps.ID().String()
}

// Resolver implements topology.Resolvers.
func (od *orders) Resolver(k record.Kind, named string) (canonical string, digest []byte, err error) {
	e := od.e
	r, err := e.o.resolver(k, named)
	if err != nil {
		return "", nil, fmt.Errorf("%w: %w", topology.ErrUnsupported, err)
	}
	if r.ID() == resolverOf(k).ID() {
		return "", nil, nil
	}
	if !conflict.Built(r) {
		d := e.o.Resolvers.Entry(r).Digest
		digest = d[:]
	}
	return r.ID().String(), digest, nil
}

// resolver returns what is to settle a table of kind k that names it so.
func (o *Options) resolver(k record.Kind, named string) (conflict.Resolver, error) {
	r, err := o.Resolvers.Find(named)
	if err != nil {
		return nil, err
	}
	own := resolverOf(k)
	switch id := r.ID(); {
	case id == own.ID():
		return r, nil
	case own == joined:
		return nil, fmt.Errorf("a %s is a data type of several writers, and needs no resolver: %s is for whole values", kind.Name(k), id)
	case k == record.KindRow:
		return nil, fmt.Errorf("rows are settled column by column, by %s; %s is for tables of kind bytes", own.ID().Name, id)
	case id == byField.ID() || id == joined.ID():
		return nil, fmt.Errorf("%s is not for tables of kind %s: it settles parts of values", id.Name, kind.Name(k))
	case id.Name == "site-priority":
		return r, o.sitesOf(id.Params)
	}
	return r, nil
}

// sitesOf refuses a priority of sites that are none.
func (o *Options) sitesOf(params string) error {
	for _, n := range strings.Split(params, ",") {
		known := false
		var all []string
		for _, s := range o.Sites {
			known = known || n == fmt.Sprint(s.Number)
			all = append(all, fmt.Sprintf("%d (%s)", s.Number, s.Name))
		}
		if !known {
			return fmt.Errorf("site-priority names site %s; there are %s", n, strings.Join(all, ", "))
		}
	}
	return nil
}

var _ topology.Resolvers = (*engine)(nil)

// tableWarnings says which tables this node refuses, and which are quarantined.
func (tl *teller) warnings() (all []string) {
	e := tl.e
	set := e.machine.tables.known.Load()
	for id, t := range set.byID {
		if notHeld(e, id) != nil {
			continue
		}
		if err := tl.refusalOf(t); err != nil {
			all = append(all, err.Error())
		}
		if q := set.held[id]; q != nil {
			all = append(all, fmt.Sprintf("table %s is quarantined, and shows the last writer of what is concurrent: %v; release it with `triad conflicts release %s`", t.name, q, t.name))
		}
	}
	slices.Sort(all)
	return all
}
