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

// owes notes that a peer has writes of an earlier life of this site that its log lacks:
// it has lost what it had. It had told the others by then what it has for good, and they
// may have forgotten deletes by that, which whatever it writes has to cover (rule M6). So
// it writes nothing before it has what that peer has.
func (l *link) owes(c *Core) {
	if l.owed != nil && !c.log.stand(l.owed) && vector(l.marks).Descends(l.owed) {
		return // what the peer itself has lost meanwhile is not waited for
	}
	l.owed = nil
	for _, m := range l.marks {
		if m.ID == c.Origin.ID && m.Origin != c.Origin && m.Seq > c.log.origin(m.Origin).placed.Seq {
			l.owed = vector(l.marks)
			return
		}
	}
}

// owing returns the peer that has what this site has lost, nil if there is none.
func owing(c *Core) *link {
	for _, l := range c.links {
		if l.owed != nil && !c.log.stand(l.owed) {
			return l
		}
	}
	return nil
}
