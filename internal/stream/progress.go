package stream

import (
	"fmt"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// State is where a Progress stands.
type State uint8

const (
	Probe     State = iota // finding where the two logs part
	Snapshot               // the entries the receiver needs are gone: state first
	Replicate              // entries flow, within the window
)

func (s State) String() string { return [...]string{"probe", "snapshot", "replicate"}[s] }

// Progress is what a sender knows of one receiver. It is pure: no clock, no
// I/O, no lock; its owner is the sender.
type Progress struct {
	State  State
	Next   record.LSN // the next entry to send
	Acked  Ack        // the newest
	flight inflight
}

// inflight counts the bytes sent and not yet written at the other end, a batch
// an entry, bounded by bytesMax.
type inflight struct {
	batches  []batch
	bytes    int
	bytesMax int
}

type batch struct {
	last  record.LSN
	bytes int
}

// NewProgress returns a progress in Probe whose window is bytesMax.
func NewProgress(bytesMax int) *Progress {
	return &Progress{flight: inflight{bytesMax: bytesMax}}
}

// Open reports whether the window has room. One batch is always allowed, so
// that a window smaller than a record does not stop the stream.
func (p *Progress) Open() bool { return p.flight.bytes < p.flight.bytesMax }

// InFlight returns the bytes sent and not yet written at the other end.
func (p *Progress) InFlight() int { return p.flight.bytes }

// Probed answers a tail: with a Cut, and the state that follows once the
// receiver agrees. b and h are those of the sender's log.
func (p *Progress) Probed(term uint64, t Tail, b topology.Bounds, h topology.History) Cut {
	c := Cut{Term: term, Asked: t.Last, To: Meet(t.Last, b, h)}
	switch {
	case t.Snapshot, c.To.LSN+1 < b.First:
		p.State = Snapshot
	case c.To == c.Asked:
		p.State = Replicate
		p.Next = c.To.LSN + 1
		p.flight.batches, p.flight.bytes = p.flight.batches[:0], 0
	default:
		p.State = Probe
	}
	return c
}

// Meet returns the newest place at or below asked that a log with history h
// and bounds b may share: where asked's term ended in it, or where the newest
// older term did. Repeated with what the other then holds, it ends where the
// two logs agree (S8).
func Meet(asked Place, b topology.Bounds, h topology.History) Place {
	if asked.LSN == 0 {
		return Place{}
	}
	for i := len(h) - 1; i >= 0; i-- {
		if h[i].Term > asked.Term {
			continue
		}
		end := b.End
		if i+1 < len(h) {
			end = h[i+1].Start - 1
		}
		return Place{Term: h[i].Term, LSN: min(asked.LSN, end)}
	}
	return Place{}
}

// Sent notes a batch of bytes up to last.
func (p *Progress) Sent(last record.LSN, bytes int) {
	p.Next = last + 1
	p.flight.batches = append(p.flight.batches, batch{last, bytes})
	p.flight.bytes += bytes
}

// Received notes an ack. Positions only grow; one beyond what was sent is a
// fault of the receiver (B32).
func (p *Progress) Received(a Ack) error {
	if p.State == Replicate && a.Written >= p.Next {
		return fmt.Errorf("acknowledged entry %d, sent up to %d", a.Written, p.Next-1)
	}
	p.Acked.Term = a.Term
	p.Acked.Written = max(p.Acked.Written, a.Written)
	p.Acked.Flushed = max(p.Acked.Flushed, a.Flushed)
	p.Acked.Applied = max(p.Acked.Applied, a.Applied)
	p.Acked.Round = max(p.Acked.Round, a.Round)
	n := 0
	for n < len(p.flight.batches) && p.flight.batches[n].last <= p.Acked.Written {
		p.flight.bytes -= p.flight.batches[n].bytes
		n++
	}
	p.flight.batches = append(p.flight.batches[:0], p.flight.batches[n:]...)
	return nil
}
