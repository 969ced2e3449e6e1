package transport

import (
	"sync/atomic"
)

// Stats is what a transport has counted, and what it holds now.
type Stats struct {
	Conns      int // accepted connections
	Handshakes int // of which have not said who they are
	Clients    int // of which are clients
	Nodes      int // other nodes connected, in either direction

	RequestBytes   int               // held by requests that are being received or answered
	Calls          uint64            // calls answered here
	Denied         uint64            // calls refused for their method or the caller's role
	Overloaded     uint64            // calls of ours refused for a limit
	LateReplies    uint64            // answers that nobody waited for
	Ignored        uint64            // optional frames that were not understood
	IgnoredByPeer  uint64            // optional frames of ours that were not understood
	Dials          uint64            // tried
	DialsFailed    uint64            // of which failed
	Faults         map[string]uint64 // by Fault.String
	Compressed     uint64            // messages that were sent compressed
	CompressedOf   uint64            // bytes that they held
	CompressedTo   uint64            // bytes that were sent for them
	Incompressible uint64            // messages that did not shrink and were sent as they are
	Inflated       uint64            // messages that came compressed
	Refusals       map[string]uint64 // by RefusalCode.String: connections that this side did not take
}

type counts struct {
	calls, denied, overloaded, lateReplies atomic.Uint64
	ignored, ignoredByPeer                 atomic.Uint64
	dials, dialsFailed                     atomic.Uint64
	compressed, compressedOf, compressedTo atomic.Uint64
	incompressible, inflated               atomic.Uint64
	faults                                 [faultEnd]atomic.Uint64
	refusals                               [refusalEnd]atomic.Uint64
}

// Stats returns a snapshot.
func (t *Transport) Stats() Stats {
	c := &t.counts
	s := Stats{
		RequestBytes: t.requests.held(),
		Calls:        c.calls.Load(), Denied: c.denied.Load(), Overloaded: c.overloaded.Load(), LateReplies: c.lateReplies.Load(),
		Ignored: c.ignored.Load(), IgnoredByPeer: c.ignoredByPeer.Load(),
		Dials: c.dials.Load(), DialsFailed: c.dialsFailed.Load(),
		Compressed: c.compressed.Load(), CompressedOf: c.compressedOf.Load(), CompressedTo: c.compressedTo.Load(),
		Incompressible: c.incompressible.Load(), Inflated: c.inflated.Load(),
		Nodes:  t.claims.nodes(),
		Faults: map[string]uint64{}, Refusals: map[string]uint64{},
	}
	s.Conns, s.Handshakes, s.Clients = t.gate.counts()
	for f := range c.faults {
		if n := c.faults[f].Load(); n > 0 {
			s.Faults[Fault(f).String()] = n
		}
	}
	for r := range c.refusals {
		if n := c.refusals[r].Load(); n > 0 {
			s.Refusals[RefusalCode(r).String()] = n
		}
	}
	return s
}
