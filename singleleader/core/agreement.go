package core

import (
	"fmt"

	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// GroupName is what the streams of a log are called where a cluster has one group.
const GroupName = "main"

// Opening returns the document that a stream of from begins with. It must be
// that of a term of which from is the leader, or which it follows and passes on (S13).
func Opening(from topology.Peer, b stream.Begin, name string) (Group, error) {
	g, err := DecodeGroup(b.Body)
	if err != nil {
		return g, fmt.Errorf("%w: %w", topology.ErrMalformed, err)
	}
	if b.Group != name {
		return g, fmt.Errorf("%w: the stream of %s is of group %s, this node is of group %s", topology.ErrMalformed, from.ID, b.Group, name)
	}
	if r := RelayOf(&b); r != nil && g.Term == b.Term {
		return g, r.passes(&g, from.ID)
	}
	if g.Term != b.Term || g.Leader != from.ID || g.Life != from.Life {
		return g, fmt.Errorf("%w: the stream of %s claims term %d of group %s, its document says term %d led by %s", topology.ErrMalformed, from.ID, b.Term, b.Group, g.Term, g.Leader)
	}
	return g, nil
}

// Agreement is up to where a follower's log is known to be the log of the leader
// of one stream. Nothing above it counts in the leader's term.
type Agreement struct {
	term  uint64 // 0 before the logs agree
	match record.LSN
	round uint64
}

// Met notes that the logs agree up to the place of c.
func (a *Agreement) Met(c stream.Cut) { a.term, a.match = c.Term, c.To.LSN }

// Took notes that the entries of m were taken, and what came with them.
func (a *Agreement) Took(m *stream.Append) {
	if n := len(m.Entries); n > 0 {
		a.match = max(a.match, m.Entries[n-1].LSN)
	}
	a.round = max(a.round, m.Round)
}

// Ack returns what may be acknowledged by a node whose log has bounds b.
func (a Agreement) Ack(b topology.Bounds, applied record.LSN) stream.Ack {
	return stream.Ack{
		Term:    a.term,
		Written: min(b.End, a.match),
		Flushed: min(b.Flushed, a.match),
		Applied: min(applied, a.match),
		Round:   a.round,
	}
}
