package triad

import (
	"fmt"

	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// Table is a table's definition.
type Table struct {
	Name string      // [a-z][a-z0-9_.-]{0,63}
	Kind record.Kind // what its values are; the zero value is any: every key has its own
}

// DefaultTable is the table that always exists. Its kind is any.
const DefaultTable = "default"

const (
	tableNameBytesMax = 64
	tablesMax         = 1 << 16 // tables that may ever be defined in a cluster
)

// KindName returns what a configuration calls a kind.
func KindName(k record.Kind) string { return kind.Name(k) }

// ParseKind reads a kind as a configuration spells it.
func ParseKind(s string) (record.Kind, error) { return kind.Parse(s) }

func (t Table) String() string { return t.Name + " (" + KindName(t.Kind) + ")" }

// check says what is wrong with a definition.
func (t Table) check() error {
	if !validTable(t.Name) {
		return fmt.Errorf("name: %q is not a table's name ([a-z][a-z0-9_.-]{0,63}): %w", t.Name, topology.ErrMalformed)
	}
	if !kind.Known(t.Kind) {
		return fmt.Errorf("kind of %s: %d is none of %s: %w", t.Name, t.Kind, kind.Names(), topology.ErrUnsupported)
	}
	if t.Name == DefaultTable && t.Kind != record.KindAny {
		return fmt.Errorf("kind of %s: it is any, and stays so: %w", DefaultTable, topology.ErrConflict)
	}
	return nil
}

// ValidTable reports whether a table may have that name.
func ValidTable(name string) bool { return validTable(name) }

func validTable(name string) bool {
	if name == "" || len(name) > tableNameBytesMax || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

// A definition is a value of the system table. Its key is "table/" and the name;
// it is a msgpack array of three:
//
//	0  format  uint, 1
//	1  id      uint, the TableID
//	2  kind    uint
//
// The value at "tables/next" is a msgpack array of two: the format, and the id
// that the next table gets. An id is never given twice.
const tableFormat = 1

const (
	tableKeyPrefix = "table/"
	tableKeyEnd    = "table0" // what follows the keys with the prefix
	nextTableKey   = "tables/next"
)

func tableKey(name string) []byte { return []byte(tableKeyPrefix + name) }

// definition is a table as the catalogue has it.
type definition struct {
	Table
	id record.TableID
}

var defaultDefinition = definition{Table: Table{Name: DefaultTable, Kind: record.KindAny}, id: record.TableDefault}

func (d definition) encode() []byte {
	w := pack.NewWriter(nil)
	w.Array(3)
	w.Uint(tableFormat)
	w.Uint(uint64(d.id))
	w.Uint(uint64(d.Kind))
	return w.Bytes()
}

func decodeDefinition(name string, b []byte) (definition, error) {
	r := pack.NewReader(b)
	n := r.Array()
	if f := r.Uint(); r.Err() == nil && f != tableFormat {
		return definition{}, fmt.Errorf("definition of table %s has format %d, this version knows %d: %w", name, f, tableFormat, topology.ErrUnsupported)
	}
	if n != 3 {
		r.Fail(fmt.Sprintf("3 fields expected, found %d", n))
	}
	d := definition{Table: Table{Name: name}, id: record.TableID(r.UintMax(1<<32 - 1))}
	kind := r.UintMax(255)
	if err := r.Done(); err != nil {
		return definition{}, fmt.Errorf("definition of table %s: %w: %w", name, topology.ErrMalformed, err)
	}
	d.Kind = record.Kind(kind)
	if d.id < record.TableFirst {
		return definition{}, fmt.Errorf("definition of table %s: %d is not a table's number: %w", name, d.id, topology.ErrMalformed)
	}
	return d, nil
}

func encodeNext(id record.TableID) []byte {
	w := pack.NewWriter(nil)
	w.Array(2)
	w.Uint(tableFormat)
	w.Uint(uint64(id))
	return w.Bytes()
}

func decodeNext(b []byte) (record.TableID, error) {
	r := pack.NewReader(b)
	r.ArrayOf(2)
	if f := r.Uint(); r.Err() == nil && f != tableFormat {
		return 0, fmt.Errorf("%s has format %d, this version knows %d: %w", nextTableKey, f, tableFormat, topology.ErrUnsupported)
	}
	id := r.UintMax(1<<32 - 1)
	if err := r.Done(); err != nil {
		return 0, fmt.Errorf("%s: %w: %w", nextTableKey, topology.ErrMalformed, err)
	}
	if id < uint64(record.TableFirst) {
		return 0, fmt.Errorf("%s: %d is not a table's number: %w", nextTableKey, id, topology.ErrMalformed)
	}
	return record.TableID(id), nil
}
