package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/triad-kv/triad/topology"
)

// Routing says what becomes of a command that only the leader may do, at a node
// that does not lead.
type Routing uint8

// The ways.
const (
	RoutingNone     Routing = iota // refused with READONLY, which names the leader
	RoutingForward                 // handed to the leader, whose answer is the answer
	RoutingRedirect                // answered with MOVED, as a node of Redis Cluster does
)

// refusedHere reports whether err is that of a node that may not do it, and has
// done nothing of it.
func refusedHere(err error) bool {
	return errors.Is(err, topology.ErrNotLeader) && topology.OutcomeOf(err) == topology.NotApplied
}

// leaderIn is who leads, as a refusal has it; empty if it does not know.
func leaderIn(refusal error) topology.NodeID {
	var e *topology.Error
	if errors.As(refusal, &e) {
		return e.Leader
	}
	return ""
}

// forwards reports whether this connection's commands may be handed on. What was
// handed on already goes no further, so two nodes that take each other for the
// leader send nothing round and round.
func (c *conn) forwards() bool {
	return c.server.o.Routing == RoutingForward && c.server.o.Forward != nil && !c.session.forwarded
}

// lead has the leader do what was refused here, says where it is, or refuses; each
// request has its refusal.
func (c *conn) lead(ctx context.Context, rs []*request) {
	if leader := leaderIn(rs[0].refusal); leader != "" && c.forwards() {
		forwarder{c}.forward(ctx, leader, rs)
		return
	}
	for _, r := range rs {
		if moved, ok := c.moved(r); ok {
			r.fail(moved)
		} else {
			r.fail(c.reply(r.refusal, r.writing()))
		}
	}
}

// moved is where a client shall go with a request, if it is told so.
func (c *conn) moved(r *request) (error, bool) {
	s := c.server
	if s.o.Routing != RoutingRedirect || c.session.forwarded {
		return nil, false
	}
	leader := leaderIn(r.refusal)
	if leader == "" || s.o.Addr(leader) == "" {
		return nil, false
	}
	return replyErrorf("MOVED %d %s", r.slot(), s.o.Addr(leader)), true
}

// readOnly is the refusal of a write at a node that does not lead: in the words
// of Redis, and where to go, or why that is not said.
func (s *Server) readOnly(err error) string {
	leader := leaderIn(err)
	switch addr := s.o.Addr(leader); {
	case leader == "":
		return string(errReadOnly) + " No leader is known."
	case addr == "":
		return fmt.Sprintf("%s The leader is %s; the address of its port for Redis clients is not known here.", errReadOnly, leader)
	default:
		return fmt.Sprintf("%s The leader is %s at %s.", errReadOnly, leader, addr)
	}
}
