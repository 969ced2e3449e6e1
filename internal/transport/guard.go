package transport

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"time"

	"github.com/triad-kv/triad/topology"
)

// Guard takes connections through a handshake that proves who is at the other
// end, before anything else is read from them or sent. Both methods work within
// the deadline that the connection has, and return the connection to go on with
// and what was proven: one role, and an id. On an error the connection is
// closed by the caller. An error of this side's own refusal wraps
// topology.ErrDenied; those of crypto/tls are returned as they are. They are
// safe for concurrent use, and wait for nothing but the other side.
type Guard interface {
	Accept(conn net.Conn) (net.Conn, topology.Peer, error)
	Connect(conn net.Conn) (net.Conn, topology.Peer, error)
}

// accept takes a connection that was accepted through the handshake, which from
// here to the hello may take the handshake time-out.
func (g *greeter) accept(l *link) error {
	if err := l.conn.SetDeadline(time.Now().Add(g.limits.HandshakeTimeout)); err != nil || g.guard == nil {
		return err
	}
	conn, proven, err := g.guard.Accept(l.conn)
	if err != nil {
		err = l.guardFault(err)
		l.part(err)
		return err
	}
	l.protect(conn, proven)
	return nil
}

// connect is accept for a connection that was dialled, and makes sure that it
// leads to a node, and to the one that is wanted, before anything is said.
func (g *greeter) connect(l *link, addr string, want topology.NodeID) error {
	if err := l.conn.SetDeadline(time.Now().Add(g.limits.HandshakeTimeout)); err != nil || g.guard == nil {
		return err
	}
	conn, proven, err := g.guard.Connect(l.conn)
	if err != nil {
		return l.guardFault(err)
	}
	l.protect(conn, proven)
	switch {
	case proven.Role != topology.PeerNode:
		return refusef(RefusedRole, "what listens on %s has the certificate of a client", addr)
	case want != "" && proven.ID != want:
		return refusef(RefusedWrongNode, "%s has the certificate of node %s, not of %s", addr, proven.ID, want)
	}
	return nil
}

// protect goes on with conn in place of the bare connection.
func (l *link) protect(conn net.Conn, proven topology.Peer) {
	l.conn, l.from.conn, l.proven = conn, conn, proven
}

// guardFault names what a failed handshake means.
func (l *link) guardFault(err error) error {
	var alien tls.RecordHeaderError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return handshakeFault(err)
	case errors.Is(err, topology.ErrDenied):
		return faultf(FaultCertificate, "the other side's certificate was refused: %v", err)
	case isAlert(err):
		return alerted(err)
	case errors.As(err, &alien) && l.accepted:
		return alienFault(alien.RecordHeader[:])
	case errors.As(err, &alien):
		return faultf(FaultTLS, "what listens there does not speak TLS: give it certificates, or this side none")
	case errors.Is(err, io.EOF) && !l.accepted:
		return fmt.Errorf("the other side closed the connection in the handshake of TLS, which it may not speak: %w", topology.ErrUnavailable)
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		return err
	}
	var lower *net.OpError
	if errors.As(err, &lower) {
		return err
	}
	return faultf(FaultTLS, "the handshake of TLS: %v", err)
}

// alienFault says what came where the handshake should begin.
func alienFault(b []byte) error {
	if bytes.HasPrefix(b, preamble[:magicBytes]) {
		return faultf(FaultPlain, "a hello without TLS on a peers port that speaks it: give the other side certificates")
	}
	return foreign(b)
}

// isAlert reports whether an error is what the other side said of a handshake.
func isAlert(err error) bool {
	var said *net.OpError
	return errors.As(err, &said) && said.Op == "remote error"
}

func alerted(err error) error {
	return faultf(FaultCertificate, "the other side refused this side's certificate, or TLS of this kind; its log says why: %v", err)
}

// part lets the other side read why it was refused: who closes with bytes unread
// resets the connection, and its last words are lost.
func (l *link) part(err error) {
	var f *FaultError
	if !errors.As(err, &f) || f.Fault != FaultPlain && f.Fault != FaultCertificate {
		return
	}
	if f.Fault == FaultPlain {
		_, _ = l.conn.Write(refusef(RefusedPlain, "this port speaks TLS").append(nil)) // heard or not
	}
	if l.conn.SetReadDeadline(time.Now().Add(foreignWindow)) == nil {
		discard(l.conn)
	}
}

// prove holds a hello against the certificate. A client that does not say its
// name has that of its certificate.
func (l *link) prove(h *hello) *Refusal {
	p := l.proven
	if p.Role == topology.PeerClient && h.role == p.Role && h.node == "" {
		h.node = p.ID
	}
	if p.Role == 0 || p.Role == h.role && p.ID == h.node {
		return nil
	}
	return &Refusal{
		Code: RefusedCertificate, Text: "the certificate is not for who the hello says",
		Detail: fmt.Sprintf("it is for %s %s, the hello is of %s %s", roleName(p.Role), p.ID, roleName(h.role), h.node),
	}
}

func roleName(r topology.PeerRole) string {
	if r == topology.PeerNode {
		return "node"
	}
	return "client"
}

// disproved logs that who was dialled is not who it should be.
func (t *Transport) disproved(addr string, err error) {
	var f *FaultError
	var r *Refusal
	if errors.As(err, &f) && f.Fault == FaultCertificate || errors.As(err, &r) && r.Code == RefusedCertificate {
		t.rejected(addr, err)
	}
}

// Who dialled a connection retires it within the second quarter of ageParts of
// its greatest age before the end, so that not all are renewed at once, and who
// accepted it closes it at that age.
const ageParts = 8

// retireAge is the age at which a connection that was dialled is renewed.
func (t *Transport) retireAge() time.Duration {
	part := t.limits.ConnAgeMax / ageParts
	return t.limits.ConnAgeMax - 2*part + rand.N(part+1)
}

// after calls f after d, unless the returned function is called before. Without
// a guard a connection may grow as old as it will.
func (t *Transport) after(d time.Duration, f func()) (stop func()) {
	if t.guard == nil {
		return func() {}
	}
	timer := time.AfterFunc(d, f)
	return func() { timer.Stop() }
}

// errRetired says that a line takes no more calls; nobody outside hears of it.
var errRetired = errors.New("the connection is being renewed")

func aged() error {
	return faultf(FaultAge, "the connection has reached its age, and is made anew")
}
