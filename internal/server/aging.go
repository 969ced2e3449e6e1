package server

import (
	"bytes"

	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// aging is a decision on keys of tables that have a default time to live: a key
// that begins to exist, or is set as a whole, with nothing said about its expiry
// gets that.
type aging struct {
	kind.Op
	request *request
	reads   []topology.CellRange
}

// age makes the request's decision an aging one where a table of its keys has a
// default time to live.
func (r *request) age() {
	if r.cmd.flags&writes == 0 {
		return
	}
	for i := range r.places {
		if r.places[i].ttl > 0 {
			r.op = &aging{Op: r.op, request: r, reads: r.op.Reads()}
			return
		}
	}
}

// Decide implements kind.Op.
func (a *aging) Decide(s topology.Sight) ([]record.Mutation, error) {
	ms, err := a.Op.Decide(s)
	for i := range ms {
		m := &ms[i]
		if m.Op != record.OpPut || len(m.Field) != 0 || m.Expires != 0 || !a.begins(s, m) {
			continue
		}
		for j := range a.request.places {
			if p := &a.request.places[j]; p.ttl > 0 && p.Table == m.Table && bytes.Equal(p.Name, m.Key) {
				m.Expires = version.TimestampAt(a.request.now.Add(p.ttl))
			}
		}
	}
	return ms, err
}

// begins reports whether m makes a key that was not there, or sets it anew.
func (a *aging) begins(s topology.Sight, m *record.Mutation) bool {
	if a.request.cmd.flags&assigns != 0 && !a.request.usual.put.KeepExpiry {
		return true
	}
	for i := range a.reads {
		at := &a.reads[i]
		if at.Table == m.Table && bytes.Equal(at.Key, m.Key) && len(at.Field) == 0 {
			return len(s.Cells(i)) == 0
		}
	}
	return false
}
