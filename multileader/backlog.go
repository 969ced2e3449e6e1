package multileader

import "github.com/triad-kv/triad/multileader/core"

// Limits of what waits to be sent to a peer that does not take it. Shipments of the log
// are bounded by the link's window; what a peer asks for, and what it is asked, can be
// asked for again.
const (
	backlogMax      = 1024     // messages
	backlogBytesMax = 64 << 20 // of records and parts in them
)

// backlog is what waits to be sent over a session, in order.
type backlog struct {
	out   []core.Message
	bytes int
}

// add queues a message. Of two beats behind one another the newer stays. What can be
// asked for again is dropped where there is no room.
func (b *backlog) add(m *core.Message) {
	if k := len(b.out); m.Kind == core.MsgBeat && k > 0 && b.out[k-1].Kind == core.MsgBeat {
		b.out[k-1] = *m
		return
	}
	size := len(m.Body)
	for i := range m.Items {
		size += len(m.Items[i].Entry.Bytes)
	}
	again := m.Kind != core.MsgBeat && m.Kind != core.MsgRoster && (m.Kind != core.MsgShip || m.From == 0)
	if again && len(b.out) > 0 && (len(b.out) >= backlogMax || b.bytes+size > backlogBytesMax) {
		return
	}
	b.out, b.bytes = append(b.out, *m), b.bytes+size
}

// take returns what waits, and forgets it.
func (b *backlog) take() []core.Message {
	out := b.out
	b.out, b.bytes = nil, 0
	return out
}
