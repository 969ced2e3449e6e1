package triad

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Table is a table's definition. It never changes: who wants another one drops
// the table, with all it holds.
type Table struct {
	Name string        // [a-z][a-z0-9_.-]{0,63}
	Kind record.Kind   // what its values are; the zero value is any: every key has its own
	TTL  time.Duration // what a key lives that is written without an expiry, in whole milliseconds; 0: for ever
	// Resolver settles what several sites wrote without knowing of one another: lww,
	// first-writer, site-priority(2, 1) by the numbers of sites, siblings, or the name of
	// a function that the engine was given, such as stock or stock@2. Empty is that of the
	// kind, and the only one where one leader orders all writes.
	Resolver string
}

// DefaultTable is the table that always exists. Its kind is any.
const DefaultTable = "default"

// TTLMax is the longest TTL that a table may have.
const TTLMax = call.TTLMax

const (
	tableNameBytesMax = 64
	tablesMax         = 1 << 16 // tables that may ever be defined in a cluster
)

// KindName returns what a configuration calls a kind.
func KindName(k record.Kind) string { return kind.Name(k) }

// ParseKind reads a kind as a configuration spells it.
func ParseKind(s string) (record.Kind, error) { return kind.Parse(s) }

func (t Table) String() string {
	s := t.Name + " (" + KindName(t.Kind)
	if t.Resolver != "" {
		s += ", settled by " + t.Resolver
	}
	if t.TTL != 0 {
		s += ", TTL " + t.TTL.String()
	}
	return s + ")"
}

// check says what is wrong with a definition.
func (t Table) check() error {
	if !validTable(t.Name) {
		return fmt.Errorf("name: %q is not a table's name ([a-z][a-z0-9_.-]{0,63}): %w", t.Name, topology.ErrMalformed)
	}
	if !kind.Known(t.Kind) {
		return fmt.Errorf("kind of %s: %d is none of %s: %w", t.Name, t.Kind, kind.Names(), topology.ErrUnsupported)
	}
	if t.TTL < 0 || t.TTL > TTLMax || t.TTL%time.Millisecond != 0 {
		return fmt.Errorf("TTL of %s: %v is none of whole milliseconds up to %v: %w", t.Name, t.TTL, TTLMax, topology.ErrMalformed)
	}
	if t.Name == DefaultTable && t != defaultDefinition.Table {
		return fmt.Errorf("kind of %s: it is any, without a TTL or a resolver, and stays so: %w", DefaultTable, topology.ErrConflict)
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

// Definitions are values of the system table; see [kind.Definition].
//
// The value at "tables/next" is a msgpack array of two: the format, 1, and the id
// that the next table gets. An id is never given twice, also after a drop.
//
// What a drop has left to remove is the value at "dropped/" and the id, as eight
// hexadecimal digits: a msgpack array of two, the format, 1, and the name. It goes
// with the last of the table's keys.
const tableFormat = 1

const (
	tableKeyPrefix = kind.DefinitionPrefix
	tableKeyEnd    = kind.DefinitionsEnd
	nextTableKey   = "tables/next"
	droppedPrefix  = "dropped/"
	droppedEnd     = "dropped0"
)

func tableKey(name string) []byte { return []byte(tableKeyPrefix + name) }

func droppedKey(id record.TableID) []byte { return fmt.Appendf(nil, "%s%08x", droppedPrefix, id) }

// definition is a table as the catalogue has it.
type definition struct {
	Table
	id     record.TableID
	dot    version.Dot // of the definition itself, where it was read
	digest []byte      // of its resolver, where that is a function of somebody's
}

var defaultDefinition = definition{Table: Table{Name: DefaultTable, Kind: record.KindAny}, id: record.TableDefault}

func (d definition) encode() []byte {
	return kind.Definition{ID: d.id, Kind: d.Kind, TTL: d.TTL, Resolver: d.Resolver, Digest: d.digest}.Encode()
}

func decodeDefinition(name string, b []byte) (definition, error) {
	d, err := kind.DecodeDefinition(name, b)
	return definition{Table: Table{Name: name, Kind: d.Kind, TTL: d.TTL, Resolver: d.Resolver}, id: d.ID, digest: d.Digest}, err
}

func encodeDropped(name string) []byte {
	w := pack.NewWriter(nil)
	w.Array(2)
	w.Uint(tableFormat)
	w.Str(name)
	return w.Bytes()
}

// decodeDropped reads what is left of a table that was dropped.
func decodeDropped(key, b []byte) (dropped, error) {
	id, err := strconv.ParseUint(strings.TrimPrefix(string(key), droppedPrefix), 16, 32)
	if err != nil || id < uint64(record.TableFirst) {
		return dropped{}, fmt.Errorf("%q names no table: %w", key, topology.ErrMalformed)
	}
	r := pack.NewReader(b)
	r.ArrayOf(2)
	if f := r.Uint(); r.Err() == nil && f != tableFormat {
		return dropped{}, fmt.Errorf("%s has format %d, this version knows %d: %w", key, f, tableFormat, topology.ErrUnsupported)
	}
	name := r.StrMax(tableNameBytesMax)
	if err := r.Done(); err != nil {
		return dropped{}, fmt.Errorf("%s: %w: %w", key, topology.ErrMalformed, err)
	}
	return dropped{id: record.TableID(id), name: name}, nil
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
