package multileader

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync/atomic"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// A store says of each table that its site does not hold how much was left out of what
// came: a cell of the table of origins, "x" and the table's number in four bytes, whose
// value is an array of three:
//
//	0  format     uint, 1
//	1  records    uint: of which what they wrote to the table is left out
//	2  snapshots  uint: likewise
//
// A site that is configured to hold a table from some day on must not take part with what
// it has: its vector says that it has all, and its store holds none of it. So a node that
// finds such a cell for a table that it holds stands still, and says what to do.
type skipped struct{ records, snapshots uint64 }

const (
	skippedFormat = 1
	skippedFields = 3
	keySkipped    = "x"
)

func skippedCell(t record.TableID) record.Cell {
	return record.Cell{Table: record.TableOrigins, Key: binary.BigEndian.AppendUint32([]byte(keySkipped), uint32(t))}
}

func (s skipped) encode() []byte {
	w := pack.NewWriter(nil)
	w.Array(skippedFields)
	w.Uint(skippedFormat)
	w.Uint(s.records)
	w.Uint(s.snapshots)
	return w.Bytes()
}

func decodeSkipped(b []byte) (s skipped, err error) {
	r := pack.NewReader(b)
	r.ArrayOf(skippedFields)
	if f := r.Uint(); r.Err() == nil && f != skippedFormat {
		return s, fmt.Errorf("what was left out of a table has format %d, this version knows %d: %w", f, skippedFormat, topology.ErrUnsupported)
	}
	s.records, s.snapshots = r.Uint(), r.Uint()
	if err := r.Done(); err != nil {
		return skipped{}, fmt.Errorf("what was left out of a table: %w: %w", topology.ErrMalformed, err)
	}
	return s, nil
}

// skips is what a machine knows of tables that its site does not hold.
type skips struct {
	filters core.Filters
	site    core.Site
	by      map[record.TableID]skipped
	news    bool     // by has changed since it was shown
	stale   []string // tables that it does not hold, and of which there are cells from before
	shown   atomic.Pointer[skipView]
}

// skipView is what others may know of that. It is not changed.
type skipView struct {
	by    map[record.TableID]skipped
	stale []string
}

func (x *skips) show() {
	x.shown.Store(&skipView{maps.Clone(x.by), x.stale})
	x.news = false
}

// load reads what a store says.
func (x *skips) load(view topology.Snapshot) error {
	x.by, x.stale = map[record.TableID]skipped{}, nil
	from, to := record.Cell{Table: record.TableOrigins, Key: []byte(keySkipped)}, record.Cell{Table: record.TableOrigins, Key: []byte{keySkipped[0] + 1}}
	for e, err := range view.Scan(from, to) {
		if err != nil {
			return err
		}
		var s record.State
		if err := record.DecodeState(e.State, &s); err != nil || len(s.Siblings) != 1 || len(e.Key) != len(keySkipped)+4 {
			return fmt.Errorf("what was left out of a table: %w: %w", topology.ErrMalformed, err)
		}
		n, err := decodeSkipped(s.Siblings[0].Value)
		if err != nil {
			return err
		}
		t := record.TableID(binary.BigEndian.Uint32(e.Key[len(keySkipped):]))
		if x.by[t] = n; x.filters.Holds(x.site, t) {
			return x.lacks(t, n)
		}
	}
	for _, t := range x.filters.Without(x.site) {
		for _, err := range view.Scan(record.Cell{Table: t}, record.Cell{Table: min(t, math.MaxUint32-1) + 1}) {
			if err != nil {
				return err
			}
			x.stale = append(x.stale, x.filters.Name(t))
			break
		}
	}
	x.show()
	return nil
}

// lacks is why a node stands still whose configuration says that its site holds a table.
func (x *skips) lacks(t record.TableID, n skipped) error {
	return fmt.Errorf("%w: by this node's configuration site %s holds table %s, and its log leaves it out (of %d records and %d snapshots so far): who holds a table has all of it, so give the configuration its other sites back on all nodes alike; for site %s to hold it, start all its nodes with empty directories once the other sites have all that it wrote", topology.ErrConflict, x.site, x.filters.Name(t), n.records, n.snapshots, x.site)
}

// take notes what a record of the log leaves out, but what the sites agree is lost.
func (x *skips) take(m *machine, r *record.Record, s *core.Skip) error {
	if s == nil {
		return nil
	}
	for _, t := range s.Tables {
		if x.filters.Holds(x.site, t) && m.seats.assembly.Roster.IsLost(r.Dot, t) {
			continue
		}
		n := x.by[t]
		n.records++
		if err := x.note(m, r, t, n); err != nil {
			return err
		}
	}
	return nil
}

// install notes what a snapshot leaves out.
func (x *skips) install(m *machine, r *record.Record) error {
	for _, t := range m.in.Without {
		if x.filters.Holds(x.site, t) {
			continue // it brings nothing that might have been written to it
		}
		n := x.by[t]
		n.snapshots++
		if err := x.note(m, r, t, n); err != nil {
			return err
		}
	}
	return nil
}

// note has the store say so, at the place in the log where it is so, in every node alike.
func (x *skips) note(m *machine, r *record.Record, t record.TableID, n skipped) error {
	if x.filters.Holds(x.site, t) {
		return x.lacks(t, n)
	}
	x.by[t], x.news = n, true
	m.put(skippedCell(t), r, n.encode())
	return nil
}

// leftOut says of a site what it does not hold; of this one also how much that was.
func leftOut(e *engine, site string) (out []topology.SkippedTable) {
	v := e.machine.skips.shown.Load()
	for _, t := range e.o.filters.Without(core.Site(site)) {
		s := topology.SkippedTable{Table: e.o.filters.Name(t)}
		if site == e.site && v != nil {
			s.Records = v.by[t].records
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b topology.SkippedTable) int { return cmp.Compare(a.Table, b.Table) })
	return out
}

// staleWarnings names tables that this site held once.
func staleWarnings(e *engine) (all []string) {
	v := e.machine.skips.shown.Load()
	if v == nil {
		return nil
	}
	for _, name := range v.stale {
		all = append(all, fmt.Sprintf("table %s: site %s does not hold it any more, and has on its disks what it held until then, which is neither shown nor kept up to date; it goes with the directories", name, e.site))
	}
	return all
}
