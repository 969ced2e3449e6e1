package store

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// A physical key begins with a byte that says which kind of data it names.
//
//	cell   0  1  'c'
//	       1  4  table, big endian
//	       5  n  key, in which 00 is written as 00 FF
//	       .  2  00 01, the end of the key
//	       .  m  field, verbatim, to the end of the physical key
//
//	meta   0  1  'm'
//	       1  n  name, in ASCII
//
// Physical keys compare byte by byte as cells compare by table, key and field:
// the end of a key is below 00 FF, so below whatever a longer key goes on with.
// All cells of a key lie from its physical key without a field up to the same
// bytes with 00 02 in place of 00 01, and nothing else lies there, whatever
// bytes other keys are made of. A reader that meets another first byte or
// another escape knows the store for damaged.
const (
	prefixCell = 'c'
	prefixMeta = 'm'

	escape     = 0x00
	escapeNul  = 0xFF // after escape: the key goes on, and has a 00 here
	escapeEnd  = 0x01 // after escape: the key ends
	escapePast = 0x02 // after escape: above every cell of the key

	cellHeaderBytes = 1 + 4
)

// The meta keys and what they hold.
var (
	metaFormat  = []byte("mformat")  // storeFormat, 4 bytes big endian
	metaApplied = []byte("mapplied") // the applied position, 8 bytes big endian (rule C6)
	metaStage   = []byte("mstage")   // the id of the snapshot that is being received
	metaMark    = []byte("mmark")    // how far it has come
	metaFrom    = []byte("mfrom")    // the id of the snapshot that was installed
)

// appendCell appends the physical key of c to dst.
func appendCell(dst []byte, c record.Cell) []byte {
	dst = append(dst, prefixCell)
	dst = binary.BigEndian.AppendUint32(dst, uint32(c.Table))
	for key := c.Key; ; {
		i := bytes.IndexByte(key, escape)
		if i < 0 {
			dst = append(dst, key...)
			break
		}
		dst = append(dst, key[:i+1]...)
		dst = append(dst, escapeNul)
		key = key[i+1:]
	}
	dst = append(dst, escape, escapeEnd)
	return append(dst, c.Field...)
}

// appendPast appends the lowest physical key above every cell of a key, of
// which it is given the physical key without a field.
func appendPast(dst, key []byte) []byte {
	dst = append(dst, key...)
	dst[len(dst)-1] = escapePast
	return dst
}

// parseCell takes a physical key apart. The field aliases b, the key aliases b
// or buf, which is returned for the next call.
func parseCell(b, buf []byte) (record.Cell, []byte, error) {
	if len(b) < cellHeaderBytes || b[0] != prefixCell {
		return record.Cell{}, buf, malformedKey(b)
	}
	c := record.Cell{Table: record.TableID(binary.BigEndian.Uint32(b[1:]))}
	rest := b[cellHeaderBytes:]
	buf = buf[:0]
	for whole := true; ; whole = false {
		i := bytes.IndexByte(rest, escape)
		if i < 0 || i+1 == len(rest) {
			return record.Cell{}, buf, malformedKey(b)
		}
		switch rest[i+1] {
		case escapeEnd:
			c.Field = rest[i+2:]
			if whole {
				c.Key = rest[:i]
				return c, buf, nil
			}
			buf = append(buf, rest[:i]...)
			c.Key = buf
			return c, buf, nil
		case escapeNul:
			buf = append(buf, rest[:i+1]...)
			rest = rest[i+2:]
		default:
			return record.Cell{}, buf, malformedKey(b)
		}
	}
}

func malformedKey(b []byte) error {
	return fmt.Errorf("physical key %.40x of %d bytes: %w", b, len(b), topology.ErrMalformed)
}
