package multileader

import (
	"fmt"
	"maps"
	"sync/atomic"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// tables is what the log says of tables: of which kind each is, what settles its
// conflicts, and which are quarantined. The machine changes it; others read what it
// published last.
type tables struct {
	registry *conflict.Registry
	tableSet
	known atomic.Pointer[tableSet]
}

// tableSet is tables by their numbers. What it holds is replaced, never changed.
type tableSet struct {
	byID  map[record.TableID]*table
	held  map[record.TableID]*quarantine
	freed map[record.TableID]version.Timestamp // when a quarantine was taken back last
}

func (s *tableSet) clone() tableSet {
	return tableSet{byID: maps.Clone(s.byID), held: maps.Clone(s.held), freed: maps.Clone(s.freed)}
}

func newTables(r *conflict.Registry) *tables {
	t := &tables{registry: r, tableSet: tableSet{
		byID: map[record.TableID]*table{}, held: map[record.TableID]*quarantine{}, freed: map[record.TableID]version.Timestamp{},
	}}
	t.publish()
	return t
}

// publish shows others what is known now.
func (t *tables) publish() {
	m := t.tableSet.clone()
	t.known.Store(&m)
}

// load reads all definitions and quarantines of a store.
func (t *tables) load(view topology.Snapshot) error {
	clear(t.byID)
	clear(t.held)
	clear(t.freed)
	for _, bounds := range [][2]string{{kind.DefinitionPrefix, kind.DefinitionsEnd}, {quarantinePrefix, quarantinesEnd}} {
		from := record.Cell{Table: record.TableSystem, Key: []byte(bounds[0])}
		for e, err := range view.Scan(from, record.Cell{Table: record.TableSystem, Key: []byte(bounds[1])}) {
			if err != nil {
				return err
			}
			var s record.State
			if err := record.DecodeState(e.State, &s); err != nil {
				return fmt.Errorf("%w: %w", topology.ErrMalformed, err)
			}
			t.note(e.Cell, &s)
		}
	}
	t.publish()
	return nil
}

// note hears what a cell of the system table holds. It reports whether that says
// something of a table. A definition that this version cannot read says nothing.
func (t *tables) note(c record.Cell, s *record.State) bool {
	if c.Table != record.TableSystem || len(c.Field) > 0 {
		return false
	}
	if id, ok := quarantinedBy(c.Key); ok {
		t.noteQuarantine(id, s)
		return true
	}
	name, ok := kind.DefinedBy(c.Key)
	if !ok {
		return false
	}
	for i := range s.Siblings {
		if d, err := kind.DecodeDefinition(name, s.Siblings[i].Value); err == nil && !s.Siblings[i].Absent {
			t.byID[d.ID] = tableOf(t.registry, name, &d)
		}
	}
	return true
}

// of returns a table. One that nobody has defined, as far as is known, is of kind any;
// Triad's own hold bytes.
func (s *tableSet) of(id record.TableID) *table {
	if id < record.TableFirst && id != record.TableDefault {
		return tableOfOurs
	}
	if t := s.byID[id]; t != nil {
		return t
	}
	return tableOfAny
}

// shown is a table, for others than the machine.
func (t *tables) shown(id record.TableID) *table { return t.known.Load().of(id) }

// resolver is what keeps the versions of a table, for the machine: it asks no function
// of anybody's, so what a site holds depends on none.
func (t *tables) resolver(id record.TableID) conflict.Resolver { return t.of(id).keeps }

var (
	lastWriter = conflict.LWW()
	byField    = conflict.Fields()
	joined     = conflict.Join()

	tableOfOurs = &table{kind: record.KindBytes, keeps: lastWriter, shows: lastWriter}
	tableOfAny  = &table{kind: record.KindAny, keeps: lastWriter, shows: lastWriter}
)

// resolverOf settles what several sites wrote to tables of a kind that name no other
// resolver: of values the last writer wins, rows come together column by column, and
// counters, sets and maps are data types of several writers.
func resolverOf(k record.Kind) conflict.Resolver {
	switch k {
	case record.KindAny, record.KindBytes:
		return lastWriter
	case record.KindRow:
		return byField
	}
	return joined
}

// fit refuses what a table of that kind can not hold where several sites write; what
// is left out of a record that is fit is told by its second result: the head of a key
// with parts says how many there are, and nobody knows that of all sites.
func fit(k record.Kind, m *record.Mutation) (drop bool, err error) {
	if m.Op == record.OpMark {
		return false, nil
	}
	refused := func(why string) error {
		return fmt.Errorf("%w: key %q in a table of kind %s: %s", topology.ErrUnsupported, m.Key, kind.Name(k), why)
	}
	parted := kind.Parted(k)
	switch {
	case m.Op == record.OpMerge && k != m.Kind:
		return false, refused("it takes no " + kind.Name(m.Kind))
	case m.Expires != 0 && (m.Op == record.OpDelete || len(m.Field) > 0):
		return false, refused("an expiry is that of a key which is put or changed")
	case (k == record.KindSet || k == record.KindMap) && m.Op == record.OpPut && len(m.Field) == 0:
		// The head is written for its expiry alone; without a value it is to have none.
		drop = m.Expires == 0 && len(m.Value) > 0
		m.Value = nil
		return drop, nil
	case parted:
		return false, nil
	case len(m.Field) > 0 || kind.Parted(m.Kind):
		return false, refused("where several sites write, sets and maps have tables of their own kind: declare one of kind set or map")
	case k == record.KindAny && kind.Joined(m.Kind):
		return false, refused(fmt.Sprintf("where several sites write, a %s has a table of its own kind: declare one of kind %[1]s", kind.Name(m.Kind)))
	case m.Op == record.OpPut && m.Kind != k && kind.Joined(k):
		return false, refused("it is put no " + kind.Name(m.Kind))
	}
	return false, nil
}
