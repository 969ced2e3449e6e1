package multileader

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Filter is a table that some sites hold, and the others do not: of what is written to it
// they have the dots and nothing more, and nothing of it is sent to them (rule M9). Such a
// site refuses what it is asked for the table.
type Filter struct {
	Table string
	Sites []string // that hold it; one that is to be added later may be among them
}

// filtersMax bounds the tables that not all sites hold.
const filtersMax = 1024

// tableNumber is the number of a table where several sites write.
func tableNumber(name string) record.TableID {
	if name == tableDefault {
		return record.TableDefault
	}
	return kind.Named(name)
}

const tableDefault = "default"

// coreFilters are the filters by the numbers of their tables.
func (o *Options) coreFilters() (fs core.Filters) {
	for _, f := range o.Filters {
		fs = append(fs, core.Filter{Table: tableNumber(f.Table), Name: f.Table, Sites: coreSites(f.Sites)})
	}
	slices.SortFunc(fs, func(a, b core.Filter) int { return cmp.Compare(a.Table, b.Table) })
	return fs
}

// coreSites are sites of that name, as the core has them.
func coreSites(names []string) (sites []core.Site) {
	for _, name := range names {
		sites = append(sites, core.Site(name))
	}
	return sites
}

// badFilters says what is wrong with what sites hold, and with which of them take writes.
func (o *Options) badFilters() (errs []error) {
	if len(o.Filters) > filtersMax {
		return []error{fmt.Errorf("%d tables that not all sites hold: at most %d", len(o.Filters), filtersMax)}
	}
	for i, f := range o.Filters {
		if f.Table == "" || slices.ContainsFunc(o.Filters[:i], func(g Filter) bool { return g.Table == f.Table }) {
			errs = append(errs, fmt.Errorf("which sites hold table %q is said twice, or of no table", f.Table))
		}
		errs = append(errs, o.badHolders(&f)...)
	}
	if len(o.ReadOnly) > 0 && len(o.Sites) > 0 && !slices.ContainsFunc(o.Sites, func(s Site) bool { return !slices.Contains(o.ReadOnly, s.Name) }) {
		errs = append(errs, errors.New("no site takes writes: all are read-only"))
	}
	for i, name := range o.ReadOnly {
		if !topology.NodeID(name).Valid() || slices.Contains(o.ReadOnly[:i], name) {
			errs = append(errs, fmt.Errorf("read-only: %q is no site's name, or stands there twice", name))
		}
	}
	return errs
}

// badHolders says what is wrong with the sites that hold one table.
func (o *Options) badHolders(f *Filter) (errs []error) {
	if len(f.Sites) == 0 {
		return []error{fmt.Errorf("no site holds table %s", f.Table)}
	}
	here, writes := false, false
	for i, name := range f.Sites {
		if !topology.NodeID(name).Valid() || slices.Contains(f.Sites[:i], name) {
			errs = append(errs, fmt.Errorf("table %s: %q is no site's name, or stands there twice", f.Table, name))
		}
		_, known := o.site(name)
		here = here || known
		writes = writes || !slices.Contains(o.ReadOnly, name)
	}
	switch {
	case !writes:
		errs = append(errs, fmt.Errorf("table %s: the sites that hold it take no writes, so nobody writes to it", f.Table))
	case !here && !o.Joins:
		errs = append(errs, fmt.Errorf("table %s: none of the sites that hold it is there", f.Table))
	case len(errs) == 0 && !o.Joins && len(o.badLinks()) == 0:
		if err := o.holdersReach(o.founding(), f); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// holdersReach says which of the sites that hold a table its writes would not reach, if r
// held: they go from one to the other by links of such sites alone, as the others have
// nothing of it to pass on.
func (o *Options) holdersReach(r *core.Roster, f *Filter) error {
	if from, away := cutOff(o, r, func(site string) bool { return slices.Contains(f.Sites, site) }); len(away) > 0 {
		return fmt.Errorf("table %s: between %s and %v there are only sites that do not hold it, and these have nothing of it to pass on: link the sites that hold it with one another, or let more hold it", f.Table, from, away)
	}
	return nil
}

// keeps says why a site must not leave, as r has it beside was: a table would be nowhere,
// or be cut in two, or nobody would take writes.
func (o *Options) keeps(was, r *core.Roster, name string) error {
	stays := func(r *core.Roster, ok func(name string) bool) bool {
		return slices.ContainsFunc(r.Seats, func(s core.SiteSeat) bool {
			return (s.Standing == core.Active || s.Standing == core.Joining) && ok(string(s.Site))
		})
	}
	for _, f := range o.Filters {
		holds := func(name string) bool { return slices.Contains(f.Sites, name) }
		if stays(was, holds) && !stays(r, holds) {
			return fmt.Errorf("%w: it is the last site that holds table %s: let another one hold it first", topology.ErrConflict, f.Table)
		}
		left := core.Roster{Version: r.Version, Seats: slices.Clone(r.Seats)}
		left.Seat(core.Site(name)).Standing = core.Retired
		if err := o.holdersReach(&left, &f); err != nil {
			return fmt.Errorf("%w: %w", topology.ErrConflict, err)
		}
	}
	writes := func(name string) bool { return !slices.Contains(o.ReadOnly, name) }
	if stays(was, writes) && !stays(r, writes) {
		return fmt.Errorf("%w: it is the last site that takes writes: the others are read-only, by the configuration", topology.ErrConflict)
	}
	return nil
}

// lost is what counts of a site that is given up, by what the others say that they have,
// and is at no site that holds its table.
func (o *Options) lost(replies map[core.Site]*core.Reply, out core.Site, final version.Vector) (lost []core.Lost) {
	for _, f := range o.filters {
		if !slices.Contains(f.Sites, out) {
			continue // it wrote nothing there
		}
		for _, m := range final {
			var most uint64
			for _, s := range f.Sites {
				if p := replies[s]; p != nil {
					most = max(most, vectorOf(p.Marks).Get(m.Origin))
				}
			}
			if most < m.Seq {
				lost = append(lost, core.Lost{Origin: m.Origin, Table: f.Table, After: most})
			}
		}
	}
	return lost
}

// notHeld is why this site takes no request for a table, nil if it holds it.
func notHeld(e *engine, t record.TableID) error {
	return e.o.filters.Refusal(core.Site(e.site), t)
}

// apart are the tables that this site and another do not both hold, ascending.
func apart(e *engine, other string) []record.TableID {
	ts := append(e.o.filters.Without(core.Site(e.site)), e.o.filters.Without(core.Site(other))...)
	slices.Sort(ts)
	return slices.Compact(ts)
}

// but returns spans without the cells of some tables.
func but(spans []span, tables []record.TableID) (out []span) {
	for _, t := range tables {
		gap := span{record.Cell{Table: t}, record.Cell{Table: t + 1}}
		out = nil
		for _, s := range spans {
			if compareCells(gap.to, s.from) <= 0 || compareCells(s.to, gap.from) <= 0 {
				out = append(out, s)
				continue
			}
			if compareCells(s.from, gap.from) < 0 {
				out = append(out, span{s.from, gap.from})
			}
			if compareCells(gap.to, s.to) < 0 {
				out = append(out, span{gap.to, s.to})
			}
		}
		spans = out
	}
	return spans
}
