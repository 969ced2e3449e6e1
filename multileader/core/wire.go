package core

import (
	"fmt"
	"math"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// A message is a msgpack array of eight, then its entries in the layout of
// record.AppendEntry, one for each four numbers of element 7:
//
//	0  kind   uint
//	1  marks  array of 4n: id, incarnation, seq, chain; by origin
//	2  from   uint
//	3  next   uint
//	4  origin array of 2: id, incarnation
//	5  first  uint
//	6  last   uint
//	7  items  array of 4n: id, incarnation, seq, chain
//
// Of a Roster, a Fetch and a Part, what follows is their body.
const (
	wireFields   = 8
	wireItemsMax = 1 << 16
)

// Encode returns a message as it travels, in frames that say whose it is (C7).
func (m *Message) Encode() []byte {
	w := pack.NewWriter(nil)
	w.Array(wireFields)
	w.Uint(uint64(m.Kind))
	w.Array(4 * len(m.Marks))
	for _, k := range m.Marks {
		putMark(w, k)
	}
	w.Uint(uint64(m.From))
	w.Uint(uint64(m.Next))
	w.Array(2)
	w.Uint(uint64(m.Origin.ID))
	w.Uint(uint64(m.Origin.Incarnation))
	w.Uint(m.First)
	w.Uint(m.Last)
	w.Array(4 * len(m.Items))
	for i := range m.Items {
		it := &m.Items[i]
		putMark(w, Mark{it.Dot.Origin, it.Dot.Seq, it.Chain})
	}
	b := append(w.Bytes(), m.Body...)
	for i := range m.Items {
		b = record.AppendEntry(b, m.Items[i].Entry)
	}
	return b
}

func putMark(w *pack.Writer, k Mark) {
	w.Uint(uint64(k.Origin.ID))
	w.Uint(uint64(k.Origin.Incarnation))
	w.Uint(k.Seq)
	w.Uint(uint64(k.Chain))
}

// DecodeMessage reads a message, whose entries alias b, and checks their sums
// (C5). An error wraps [topology.ErrMalformed] or [record.ErrSum].
func DecodeMessage(b []byte) (*Message, error) {
	r := pack.NewReader(b)
	r.ArrayOf(wireFields)
	m := &Message{Kind: MessageKind(r.UintMax(uint64(MsgPart)))}
	m.Marks = getMarks(&r, record.MarksMax)
	m.From, m.Next = record.LSN(r.Uint()), record.LSN(r.Uint())
	r.ArrayOf(2)
	m.Origin = version.Origin{ID: uint32(r.UintMax(math.MaxUint32)), Incarnation: uint32(r.UintMax(math.MaxUint32))}
	m.First, m.Last = r.Uint(), r.Uint()
	heads := getMarks(&r, wireItemsMax)
	if !ascending(m.Marks) {
		r.Fail("marks are not in canonical order")
	}
	if m.Kind == 0 {
		r.Fail("a message of no kind")
	}
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("message between sites: %w: %w", topology.ErrMalformed, err)
	}
	rest := r.Rest()
	if m.Kind >= MsgRoster {
		m.Body, rest = rest, nil
	}
	for _, h := range heads {
		it := Item{Dot: version.Dot{Origin: h.Origin, Seq: h.Seq}, Chain: h.Chain}
		var err error
		if it.Entry, rest, err = record.NextEntry(rest); err != nil {
			return nil, fmt.Errorf("message between sites: record %v: %w: %w", it.Dot, topology.ErrMalformed, err)
		}
		m.Items = append(m.Items, it)
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("message between sites: %w: %d bytes follow it", topology.ErrMalformed, len(rest))
	}
	return m, nil
}

func getMarks(r *pack.Reader, most int) []Mark {
	n := r.ArrayMax(4 * most)
	if n%4 != 0 {
		r.Fail("marks are not whole")
		return nil
	}
	var out []Mark
	for ; n > 0 && r.Err() == nil; n -= 4 {
		k := Mark{Origin: version.Origin{ID: uint32(r.UintMax(math.MaxUint32)), Incarnation: uint32(r.UintMax(math.MaxUint32))}}
		k.Seq, k.Chain = r.Uint(), uint32(r.UintMax(math.MaxUint32))
		if k.Origin.IsZero() || k.Seq == 0 {
			r.Fail("a mark names no write")
		}
		out = append(out, k)
	}
	return out
}
