package leaderless

import (
	"fmt"
	"maps"
	"sync/atomic"

	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// tables is what the log says of tables: of which kind each is. The loop changes it;
// others read what was published last.
type tables struct {
	byID  map[record.TableID]record.Kind
	kept  map[record.TableID]policy // of those that do not let the last writer win
	known atomic.Pointer[map[record.TableID]record.Kind]
	ways  atomic.Pointer[map[record.TableID]policy]
}

func newTables() *tables {
	t := &tables{byID: map[record.TableID]record.Kind{}, kept: map[record.TableID]policy{}}
	t.publish()
	return t
}

// publish shows others what is known now.
func (t *tables) publish() {
	m, w := maps.Clone(t.byID), maps.Clone(t.kept)
	t.ways.Store(&w)
	t.known.Store(&m)
}

// load reads all definitions of a store.
func (t *tables) load(view topology.Snapshot) error {
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

// note hears what a cell of the system table holds, and reports whether that defines a
// table. A definition that this version cannot read says nothing.
func (t *tables) note(c record.Cell, s *record.State) bool {
	name, ok := kind.DefinedBy(c.Key)
	if !ok || c.Table != record.TableSystem || len(c.Field) > 0 {
		return false
	}
	for i := range s.Siblings {
		if d, err := kind.DecodeDefinition(name, s.Siblings[i].Value); err == nil && !s.Siblings[i].Absent {
			t.byID[d.ID] = d.Kind
			if p := policyOf(&d); p != policyLast {
				t.kept[d.ID] = p
			} else {
				delete(t.kept, d.ID)
			}
		}
	}
	return true
}

// kind returns the kind of a table, and whether it is defined here. Triad's own hold
// bytes. It may be called by anybody.
func (t *tables) kind(id record.TableID) (record.Kind, bool) {
	switch {
	case id == record.TableDefault:
		return record.KindAny, true
	case id < record.TableFirst:
		return record.KindBytes, true
	}
	k, ok := (*t.known.Load())[id]
	return k, ok
}

// keeps reports whether a table keeps all that is concurrent, for the loop.
func (t *tables) keeps(id record.TableID) bool { return t.kept[id].keeps() }

// policy is what a table does with concurrent versions. It may be called by anybody.
func (t *tables) policy(id record.TableID) policy { return (*t.ways.Load())[id] }

// knows reports whether a table is defined here, for the loop.
func (t *tables) knows(id record.TableID) bool {
	_, ok := t.byID[id]
	return ok || id < record.TableFirst
}
