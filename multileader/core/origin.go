package core

import (
	"encoding/binary"
	"fmt"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// encodeOrigin is the value of [record.MarkOrigin]: number and incarnation, four bytes
// each.
func encodeOrigin(o version.Origin) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, o.ID), o.Incarnation)
}

// NotedOrigin returns the origin under which a site writes from r on, if r is the note
// that says so.
func NotedOrigin(r *record.Record) (version.Origin, bool, error) {
	if !r.IsNote() {
		return version.Origin{}, false, nil
	}
	for i := range r.Mutations {
		m := &r.Mutations[i]
		if m.Op != record.OpMark || m.Table != record.TableSystem || string(m.Key) != record.MarkOrigin {
			continue
		}
		if len(m.Value) != 8 {
			return version.Origin{}, false, fmt.Errorf("%w: the note of an origin has %d bytes, not 8", topology.ErrMalformed, len(m.Value))
		}
		return version.Origin{ID: binary.BigEndian.Uint32(m.Value), Incarnation: binary.BigEndian.Uint32(m.Value[4:])}, true, nil
	}
	return version.Origin{}, false, nil
}
