package core

import (
	"encoding/binary"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Whatever is to expire has an entry in a table of Triad's own, TableExpiry, so
// that the leader finds what is due without looking through all keys. The
// applier adds it, from the record alone, on every node alike:
//
//	key    expiry, 8 bytes big endian; the table, 4
//	field  the key
//	state  the version's dot and time, without a value
//
// An entry says when to look, and is removed through the log, together with its
// key if that is due indeed: what was put again since has an entry of its own.
const ExpiryKeyBytes = 8 + 4

// AppendEdits turns a record into edits, in the order of its mutations. The
// states it encodes stand in arena.
func AppendEdits(edits []topology.Edit, arena []byte, enc *record.Encoder, r *record.Record) ([]topology.Edit, []byte) {
	for i := range r.Mutations {
		m := &r.Mutations[i]
		ed := topology.Edit{Cell: record.Cell{Table: m.Table, Key: m.Key, Field: m.Field}}
		switch m.Op {
		case record.OpPut:
			s := record.State{Siblings: []record.Version{{Dot: r.Dot, Time: r.Time, Expires: m.Expires, Kind: m.Kind, Value: m.Value}}}
			at := len(arena)
			arena = enc.AppendState(arena, &s)
			ed.State = arena[at:len(arena):len(arena)]
			if Expires(m) {
				at := len(arena)
				s.Siblings[0].Expires, s.Siblings[0].Kind, s.Siblings[0].Value = 0, record.KindBytes, nil
				arena = enc.AppendState(arena, &s)
				edits = append(edits, topology.Edit{Cell: ExpiryCell(m.Expires, m.Table, m.Key), State: arena[at:len(arena):len(arena)]})
			}
		case record.OpDelete:
			ed.Whole = len(m.Field) == 0
		case record.OpMark:
			if m.Table != record.TableSystem || string(m.Key) != record.MarkTerm {
				continue
			}
			at := len(arena)
			ed.Cell, arena = appendReign(arena, enc, r, m)
			ed.State = arena[at:len(arena):len(arena)]
		default:
			continue
		}
		edits = append(edits, ed)
	}
	return edits, arena
}

// ExpiryCell is where the entry of a key stands.
func ExpiryCell(at version.Timestamp, table record.TableID, key []byte) record.Cell {
	k := binary.BigEndian.AppendUint64(make([]byte, 0, ExpiryKeyBytes), uint64(at))
	return record.Cell{Table: record.TableExpiry, Key: binary.BigEndian.AppendUint32(k, uint32(table)), Field: key}
}

// Expires reports whether m gives a key an expiry, which needs an entry.
func Expires(m *record.Mutation) bool {
	return m.Op == record.OpPut && m.Expires != 0 && len(m.Field) == 0 && m.Table != record.TableExpiry
}
