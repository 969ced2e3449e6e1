package multileader

import (
	"slices"
	"sync"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// met says whether a record's version met others in a cell that it had not seen, and
// what became of all (rule M5). Data types that lose nothing have no conflicts.
func (m *machine) met(r *record.Record, c *conflict.Change) (*loss, bool) {
	if c.Cell.Table == record.TableSystem {
		return nil, false
	}
	t := m.tables.of(c.Cell.Table)
	kept := inputsIn(c)
	at := slices.IndexFunc(kept, func(v record.Version) bool { return v.Dot == r.Dot })
	if at < 0 || len(kept) < 2 {
		return nil, false
	}
	x := &loss{cell: c.Cell, by: r.Dot, resolver: t.named(), stays: c.State.Siblings, lost: c.Lost, fresh: len(c.Lost)}
	switch built := conflict.Built(t.keeps); {
	case !built, t.siblings():
		if !built {
			m.judge(c.Cell)
		}
	case t.keeps != lastWriter:
		if x.fresh = freshly(t.keeps, c, kept, r.Dot); x.fresh == 0 {
			return nil, false
		}
	case len(c.Lost) == 0:
		return nil, false
	}
	x.kind = topology.ConflictType(conflict.Classify(kept[at], c.Gone, kept).String())
	return x, true
}

// inputsIn are the versions that a change's resolver was asked about.
func inputsIn(c *conflict.Change) []record.Version {
	kept := slices.Concat(c.State.Siblings, c.Lost)
	slices.SortFunc(kept, func(a, b record.Version) int { return a.Compare(b.Dot) })
	return slices.CompactFunc(kept, func(a, b record.Version) bool { return a.Dot == b.Dot })
}

// freshly counts what has lost by that version, and had not before: other resolvers than
// the last writer's keep what lost, and find it again every time.
func freshly(res conflict.Resolver, c *conflict.Change, kept []record.Version, by version.Dot) (n int) {
	before := slices.DeleteFunc(slices.Clone(kept), func(v record.Version) bool { return v.Dot == by })
	had := res.Settle(c.Cell, before).Lost
	for i := range c.Lost {
		if !slices.ContainsFunc(had, func(v record.Version) bool { return v.Dot == c.Lost[i].Dot }) {
			n++
		}
	}
	return n
}

// list puts a conflict in the list.
func (m *machine) list(e record.Entry, r *record.Record, n int, x *loss) {
	m.place.lost += uint64(x.fresh)
	value := x.encode()
	m.put(loserCell(e.LSN, n), r, value)
	m.meetings.count(m.tables.of(x.cell.Table), x, len(value))
}

// lose lists what a change cost that was no record's: a repair, a snapshot of another
// site.
func (m *machine) lose(e record.Entry, r *record.Record, n int, c *conflict.Change) {
	m.list(e, r, n, &loss{
		cell: c.Cell, by: r.Dot, kind: topology.ConflictTypeOf(c.State.Siblings, c.Lost), resolver: m.tables.of(c.Cell.Table).named(),
		stays: c.State.Siblings, lost: c.Lost, fresh: len(c.Lost),
	})
}

// judge has what several wrote examined once it stands in the store: whoever looked before
// would find what was there, and not look again.
func (m *machine) judge(c record.Cell) { m.judged = append(m.judged, c.Clone()) }

// meetings counts conflicts from the start of the process on.
type meetings struct {
	mu    sync.Mutex // a leaf
	by    map[topology.ConflictCount]*topology.ConflictCount
	bytes uint64 // of the list
}

func (c *meetings) count(t *table, x *loss, bytes int) {
	k := topology.ConflictCount{Table: t.name, Resolver: x.resolver, Type: x.kind}
	if x.cell.Table == record.TableDefault {
		k.Table = defaultTable
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = map[topology.ConflictCount]*topology.ConflictCount{}
	}
	n := c.by[k]
	if n == nil {
		n = &topology.ConflictCount{Table: k.Table, Resolver: k.Resolver, Type: k.Type}
		c.by[k] = n
	}
	n.Met++
	n.Lost += uint64(x.fresh)
	c.bytes += uint64(bytes)
}

// defaultTable is the table that always exists, which nobody defines.
const defaultTable = "default"

// weigh sets, or lowers, how many bytes the list takes.
func (c *meetings) weigh(bytes uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes = bytes
}

func (c *meetings) dropped(bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bytes -= min(c.bytes, uint64(bytes))
}

func (c *meetings) weight() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}

// ConflictCounts implements topology.ConflictCounter.
func (od *orders) ConflictCounts() (out topology.ConflictCounts) {
	e := od.e
	c := &e.machine.meetings
	c.mu.Lock()
	for _, n := range c.by {
		out.Counts = append(out.Counts, *n)
	}
	out.Bytes = c.bytes
	c.mu.Unlock()
	set := e.machine.tables.known.Load()
	for id := range set.held {
		if t := set.byID[id]; t != nil {
			out.Quarantined = append(out.Quarantined, t.name)
		}
	}
	slices.Sort(out.Quarantined)
	e.judge.mu.Lock()
	defer e.judge.mu.Unlock()
	out.Faults = map[string]uint64{}
	for name, n := range e.judge.faults {
		out.Faults[name] = n
	}
	return out
}

var _ topology.ConflictCounter = (*engine)(nil)
