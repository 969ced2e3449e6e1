package multileader

import (
	"fmt"
	"maps"
	"sync/atomic"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// tables is what the log says of tables: of which kind each is, and so what settles its
// conflicts. The machine changes it; others read what it published last.
type tables struct {
	byID  map[record.TableID]record.Kind
	known atomic.Pointer[map[record.TableID]record.Kind]
}

func newTables() *tables {
	t := &tables{byID: map[record.TableID]record.Kind{}}
	t.publish()
	return t
}

// publish shows others what is known now.
func (t *tables) publish() {
	m := maps.Clone(t.byID)
	t.known.Store(&m)
}

// load reads all definitions of a store.
func (t *tables) load(view topology.Snapshot) error {
	clear(t.byID)
	from := record.Cell{Table: record.TableSystem, Key: []byte(kind.DefinitionPrefix)}
	for e, err := range view.Scan(from, record.Cell{Table: record.TableSystem, Key: []byte(kind.DefinitionsEnd)}) {
		if err != nil {
			return err
		}
		var s record.State
		if err := record.DecodeState(e.State, &s); err != nil {
			return fmt.Errorf("%w: %w", topology.ErrMalformed, err)
		}
		t.note(e.Cell, &s)
	}
	t.publish()
	return nil
}

// note hears what a cell of the system table holds. It reports whether that defines a
// table. A definition that this version cannot read says nothing.
func (t *tables) note(c record.Cell, s *record.State) bool {
	name, ok := kind.DefinedBy(c.Key)
	if !ok || c.Table != record.TableSystem || len(c.Field) > 0 {
		return false
	}
	for i := range s.Siblings {
		if d, err := kind.DecodeDefinition(name, s.Siblings[i].Value); err == nil && !s.Siblings[i].Absent {
			t.byID[d.ID] = d.Kind
		}
	}
	return true
}

// kindIn returns the kind of a table in a list of them. Triad's own hold bytes.
func kindIn(m map[record.TableID]record.Kind, id record.TableID) record.Kind {
	if id < record.TableFirst && id != record.TableDefault {
		return record.KindBytes
	}
	return m[id]
}

// kind is that of a table, for others than the machine.
func (t *tables) kind(id record.TableID) record.Kind { return kindIn(*t.known.Load(), id) }

// resolver is that of a table, for the machine.
func (t *tables) resolver(id record.TableID) conflict.Resolver { return resolverOf(kindIn(t.byID, id)) }

var (
	lastWriter = conflict.LWW()
	byField    = conflict.Fields()
	joined     = conflict.Join()
)

// resolverOf settles what several sites wrote to tables of a kind: of values the last
// writer wins, rows come together column by column, and counters, sets and maps are
// data types of several writers.
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
	case parted && m.Expires != 0:
		return false, refused("a key with parts has no expiry where several sites write")
	case k == record.KindSet || k == record.KindMap:
		return m.Op == record.OpPut && len(m.Field) == 0, nil
	case parted:
		return false, nil
	case len(m.Field) > 0 || kind.Parted(m.Kind):
		return false, refused("where several sites write, sets and maps have tables of their own kind: declare one of kind set or map")
	case k == record.KindAny && m.Kind == record.KindCounter:
		return false, refused("where several sites write, counters have a table of their own kind: declare one of kind counter")
	}
	return false, nil
}
