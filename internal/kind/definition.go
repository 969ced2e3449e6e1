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
// name; its value a msgpack array of three, of four where the table has a TTL, or of six
// where it names a resolver:
//
//	0  format    uint, 1; 2 with a TTL; 3 with a resolver
//	1  id        uint, the TableID
//	2  kind      uint
//	3  ttl       uint, milliseconds, at least 1; with a resolver 0 is none
//	4  resolver  str, as conflict.ID writes it
//	5  digest    bin, 16 bytes of a function of somebody's; none of those that every node has
//
// A version that knows format 1 alone refuses a table with a TTL, and no other; one that
// knows 2 refuses a table with a resolver.
type Definition struct {
	ID       record.TableID
	Kind     record.Kind
	TTL      time.Duration // 0: none
	Resolver string        // empty: that of its kind
	Digest   []byte        // of the resolver, where it is a function of somebody's
}

const (
	definitionFormat         = 1
	definitionFormatTTL      = 2
	definitionFormatResolver = 3
	resolverBytesMax         = 1 << 10
	digestBytes              = 16
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
	format := uint64(definitionFormat)
	switch {
	case d.Resolver != "":
		format = definitionFormatResolver
	case d.TTL != 0:
		format = definitionFormatTTL
	}
	w.Array(fieldsOf(format))
	w.Uint(format)
	w.Uint(uint64(d.ID))
	w.Uint(uint64(d.Kind))
	if format >= definitionFormatTTL {
		w.Uint(uint64(d.TTL / time.Millisecond))
	}
	if format >= definitionFormatResolver {
		w.Str(d.Resolver)
		w.Bin(d.Digest)
	}
	return w.Bytes()
}

func fieldsOf(format uint64) int {
	if format == definitionFormatResolver {
		return 6
	}
	return int(format) + 2
}

// DecodeDefinition reads the definition of the table of that name.
func DecodeDefinition(name string, b []byte) (Definition, error) {
	r := pack.NewReader(b)
	n := r.Array()
	f := r.Uint()
	if r.Err() == nil && (f < definitionFormat || f > definitionFormatResolver) {
		return Definition{}, fmt.Errorf("definition of table %s has format %d, this version knows %d to %d: %w",
			name, f, definitionFormat, definitionFormatResolver, topology.ErrUnsupported)
	}
	if want := fieldsOf(f); r.Err() == nil && n != want {
		r.Fail(fmt.Sprintf("%d fields expected, found %d", want, n))
	}
	d := Definition{ID: record.TableID(r.UintMax(1<<32 - 1)), Kind: record.Kind(r.UintMax(255))}
	if f >= definitionFormatTTL {
		d.TTL = time.Duration(r.UintMax(uint64(TTLMax/time.Millisecond))) * time.Millisecond
		if d.TTL == 0 && f == definitionFormatTTL {
			r.Fail("a TTL of nothing")
		}
	}
	if f >= definitionFormatResolver {
		d.Resolver, d.Digest = r.StrMax(resolverBytesMax), r.BinMax(digestBytes)
		if d.Resolver == "" || len(d.Digest) != 0 && len(d.Digest) != digestBytes {
			r.Fail("a resolver without a name, or with half a digest")
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
