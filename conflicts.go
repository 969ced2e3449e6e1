package triad

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Conflict is one meeting of writes in different sites that did not know of one
// another: what won, and what is shown no more though somebody was told that it was
// written.
type Conflict = call.Conflict

// ConflictPlace is where a conflict stands in a node's list.
type ConflictPlace = call.ConflictPlace

// Conflicts yields the conflicts that this node has applied, behind a place, oldest
// first, with values whole. Where one leader orders all writes there is none to list:
// topology.ErrUnsupported.
//
// What cost nothing is not listed: that two sites defined the same table alike, and that
// they made the same row, whose columns are listed one by one.
func (o Operator) Conflicts(ctx context.Context, after ConflictPlace) iter.Seq2[Conflict, error] {
	return func(yield func(Conflict, error) bool) {
		stopped := false
		err := o.with(ctx, "conflicts", func() error {
			l, err := o.lister(ctx)
			if err != nil {
				return err
			}
			return l.each(ctx, after, func(c Conflict) bool {
				stopped = !yield(c, nil)
				return !stopped
			})
		})
		if err != nil && !stopped {
			yield(Conflict{}, err)
		}
	}
}

// conflictLister lists conflicts by the names of tables and sites.
type conflictLister struct {
	topology.ConflictLister
	tables map[record.TableID]string
	sites  map[uint32]string
}

func (o Operator) lister(ctx context.Context) (*conflictLister, error) {
	e, ok := o.n.engine.(topology.ConflictLister)
	if !ok {
		return nil, notApplied(fmt.Errorf("one leader orders all writes of this topology, so none conflict: %w", topology.ErrUnsupported))
	}
	l, err := namesOf(ctx, o)
	if err != nil {
		return nil, err
	}
	l.ConflictLister = e
	for _, s := range o.n.engine.Status().Sites {
		l.sites[s.Number] = s.Site
	}
	return l, nil
}

// namesOf returns one that knows what tables are called, and lists nothing.
func namesOf(ctx context.Context, o Operator) (*conflictLister, error) {
	l := &conflictLister{tables: map[record.TableID]string{record.TableDefault: DefaultTable}, sites: map[uint32]string{}}
	tables, err := o.n.catalogue.list(ctx, topology.ReadOptions{Guarantee: topology.ReadAny})
	if err != nil {
		return nil, err
	}
	for _, t := range tables {
		if t.Name != DefaultTable {
			l.tables[kind.Named(t.Name)] = t.Name
		}
	}
	return l, nil
}

// each calls f with the conflicts behind a place until it returns false.
func (l *conflictLister) each(ctx context.Context, after ConflictPlace, f func(Conflict) bool) error {
	from := after.LSN
	if from > 0 {
		from-- // others may stand behind that change of the same record
	}
	for x, err := range l.Conflicts(ctx, from) {
		if err != nil {
			return notApplied(err)
		}
		at := ConflictPlace{LSN: x.LSN, Change: x.Change}
		if !after.Before(at) || harmless(&x) {
			continue
		}
		if !f(l.named(&x, at)) {
			return nil
		}
	}
	return nil
}

// winners are what a conflict left, without what it tells of as lost: a cell may hold
// that for a while, as what the others are settled by.
func winners(x *topology.Conflict) []record.Version {
	return slices.DeleteFunc(slices.Clone(x.Winner), func(w record.Version) bool {
		return slices.ContainsFunc(x.Losers, func(v record.Version) bool { return v.Dot == w.Dot })
	})
}

// harmless reports whether what lost says what is there all the same, and nobody asks
// who said it: sites defined a table alike, or a row is there whose columns are settled
// by themselves.
func harmless(x *topology.Conflict) bool {
	won := winners(x)
	row := len(won) == 1 && won[0].Kind == record.KindRow && len(x.Cell.Field) == 0
	if len(won) != 1 || x.Cell.Table != record.TableSystem && !row {
		return false
	}
	for i := range x.Losers {
		if v := &x.Losers[i]; v.Absent != won[0].Absent || !bytes.Equal(v.Value, won[0].Value) {
			return false
		}
	}
	return true
}

func (l *conflictLister) named(x *topology.Conflict, at ConflictPlace) Conflict {
	c := Conflict{ConflictPlace: at, Key: x.Cell.Key, Field: x.Cell.Field, Type: x.Type, Resolver: x.Resolver, Time: x.Time, By: x.By}
	if t := x.Cell.Table; t != record.TableSystem {
		c.Table = l.table(t)
	}
	c.Winner, c.Losers = l.rivals(winners(x)), l.rivals(x.Losers)
	return c
}

// table is the name of a table, or its number if nobody has defined it.
func (l *conflictLister) table(t record.TableID) string {
	if name := l.tables[t]; name != "" {
		return name
	}
	return fmt.Sprintf("table %d", t)
}

func (l *conflictLister) rivals(vs []record.Version) []call.Rival {
	rs := make([]call.Rival, len(vs))
	for i := range vs {
		v := &vs[i]
		site := l.sites[v.Origin.ID]
		if site == "" {
			site = fmt.Sprintf("site %d", v.Origin.ID)
		}
		rs[i] = call.Rival{Site: site, Dot: v.Dot, Time: v.Time, Expires: v.Expires, Kind: v.Kind, Removed: v.Absent, Value: v.Value, Bytes: len(v.Value)}
	}
	return rs
}

// conflicts answers a part of the list, which ends after as many conflicts or bytes as
// one answer may have.
func conflictsOf(ctx context.Context, n remote, req []byte) ([]byte, error) {
	a, err := call.DecodeConflictsAsked(req)
	if err != nil {
		return nil, n.malformed("conflicts", err)
	}
	var page call.Conflicts
	size := 0
	for c, err := range n.Operator().Conflicts(ctx, a.After) {
		if err != nil {
			return nil, err
		}
		if len(page.All) == a.Items || size >= call.PageBytesMax {
			page.More = true
			break
		}
		size += len(c.Key) + cut(c.Winner, a.ValueBytesMax) + cut(c.Losers, a.ValueBytesMax)
		page.All = append(page.All, c)
	}
	return page.Encode(), nil
}

// cut cuts values to their beginnings, and returns how many bytes are left of them.
func cut(rs []call.Rival, most int) (bytes int) {
	for i := range rs {
		rs[i].Value = rs[i].Value[:min(len(rs[i].Value), most)]
		bytes += len(rs[i].Value)
	}
	return bytes
}
