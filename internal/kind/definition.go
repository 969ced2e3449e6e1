package kind

import (
	"fmt"
	"strings"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// Definition is a table as the system table has it. Its key there is "table/" and the
// name; its value a msgpack array of three, or of four where the table has a TTL:
//
//	0  format  uint, 1; 2 with a TTL
//	1  id      uint, the TableID
//	2  kind    uint
//	3  ttl     uint, milliseconds, at least 1
//
// A version that knows format 1 alone refuses a table with a TTL, and no other.
type Definition struct {
	ID   record.TableID
	Kind record.Kind
	TTL  time.Duration // 0: none
}

const (
	definitionFormat    = 1
	definitionFormatTTL = 2
)

// Where definitions stand in the system table.
const (
	DefinitionPrefix = "table/"
	DefinitionsEnd   = "table0" // what follows the keys with the prefix
)

// TTLMax is the longest TTL that a definition may say.
const TTLMax = 100 * 365 * 24 * time.Hour

// DefinedBy returns the name of the table that a cell of the system table defines.
func DefinedBy(key []byte) (name string, ok bool) {
	return strings.CutPrefix(string(key), DefinitionPrefix)
}

// Encode returns the value of a definition.
func (d Definition) Encode() []byte {
	w := pack.NewWriter(nil)
	if d.TTL == 0 {
		w.Array(3)
		w.Uint(definitionFormat)
	} else {
		w.Array(4)
		w.Uint(definitionFormatTTL)
	}
	w.Uint(uint64(d.ID))
	w.Uint(uint64(d.Kind))
	if d.TTL != 0 {
		w.Uint(uint64(d.TTL / time.Millisecond))
	}
	return w.Bytes()
}

// DecodeDefinition reads the definition of the table of that name.
func DecodeDefinition(name string, b []byte) (Definition, error) {
	r := pack.NewReader(b)
	n := r.Array()
	f := r.Uint()
	if r.Err() == nil && f != definitionFormat && f != definitionFormatTTL {
		return Definition{}, fmt.Errorf("definition of table %s has format %d, this version knows %d and %d: %w",
			name, f, definitionFormat, definitionFormatTTL, topology.ErrUnsupported)
	}
	if want := int(f) + 2; n != want {
		r.Fail(fmt.Sprintf("%d fields expected, found %d", want, n))
	}
	d := Definition{ID: record.TableID(r.UintMax(1<<32 - 1)), Kind: record.Kind(r.UintMax(255))}
	if f == definitionFormatTTL {
		d.TTL = time.Duration(r.UintMax(uint64(TTLMax/time.Millisecond))) * time.Millisecond
		if d.TTL == 0 {
			r.Fail("a TTL of nothing")
		}
	}
	if err := r.Done(); err != nil {
		return Definition{}, fmt.Errorf("definition of table %s: %w: %w", name, topology.ErrMalformed, err)
	}
	if d.ID < record.TableFirst {
		return Definition{}, fmt.Errorf("definition of table %s: %d is not a table's number: %w", name, d.ID, topology.ErrMalformed)
	}
	return d, nil
}
