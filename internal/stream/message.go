package stream

import (
	"fmt"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
)

// Message is one message of a stream: a *Begin, *Tail, *Cut, *Append, *Ack,
// *Offer, *Resume, *Chunk or *Refusal. Sender and Receiver send and take them;
// whoever drives the two ends himself, as a simulator does, encodes and decodes
// them here.
type Message interface{ encode(*pack.Writer) }

// Encode returns m as it travels. An Append goes with its Entries.
func Encode(m Message) []byte {
	w := pack.NewWriter(nil)
	a, ok := m.(*Append)
	if !ok {
		m.encode(w)
		return w.Bytes()
	}
	a.Count = len(a.Entries)
	a.encode(w)
	b := w.Bytes()
	for i := range a.Entries {
		b = record.AppendEntry(b, a.Entries[i])
	}
	return b
}

// Decode reads a message. Entries alias b, and their sums were checked.
func Decode(b []byte) (Message, error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("empty message")
	}
	r := pack.NewReader(b[1:])
	if b[0] == kindAppend {
		a := &Append{}
		if err := a.decode(&r); err != nil {
			return nil, fmt.Errorf("append: %w", err)
		}
		return a, nil
	}
	var m interface {
		Message
		decode(*pack.Reader)
	}
	switch b[0] {
	case kindBegin:
		m = &Begin{}
	case kindTail:
		m = &Tail{}
	case kindCut:
		m = &Cut{}
	case kindAck:
		m = &Ack{}
	case kindOffer:
		m = &Offer{}
	case kindResume:
		m = &Resume{}
	case kindChunk:
		m = &Chunk{}
	case kindRefuse:
		m = &Refusal{}
	default:
		return nil, fmt.Errorf("message of kind %d", b[0])
	}
	m.decode(&r)
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("message of kind %d: %w", b[0], err)
	}
	return m, nil
}
