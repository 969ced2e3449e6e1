package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/triad-kv/triad/topology"
)

// foreignWindow is how long a connection that does not begin with the preamble
// is listened to, so that the log can say what it speaks.
const foreignWindow = 200 * time.Millisecond

// greeter goes through the hello, for either side, and decides who is let in.
type greeter struct {
	self     topology.NodeID
	role     topology.PeerRole
	life     uint64
	instance uint64 // of this process: tells two on one directory apart
	guard    Guard
	id       Identity
	members  topology.Membership
	limits   Limits
	routes   routes
	claims   claims
	notes    *journal
}

// hello returns what this side says of itself.
func (g *greeter) hello(c class, protocol string) hello {
	h := hello{
		min: ProtocolMin, max: ProtocolMax, name: g.id.ClusterName(), node: g.self, life: g.life, instance: g.instance,
		role: g.role, class: c, protocol: protocol, features: featureS2,
	}
	h.cluster, h.known = g.id.Cluster()
	return h
}

// greet goes through the hello on a connection that was dialled; want is who is
// expected there, empty for anybody. On an error the connection is closed.
func (g *greeter) greet(conn net.Conn, addr string, want topology.NodeID, mine hello) (*link, error) {
	l := newLink(conn)
	err := g.connect(l, addr, want)
	var h hello
	if err == nil {
		h, err = g.exchange(l, &mine)
	}
	if err != nil {
		l.end(err)
		return nil, err
	}
	refusal := l.prove(&h)
	l.take(&h, addr)
	l.class, l.protocol = mine.class, mine.protocol
	if refusal == nil {
		refusal = g.judge(&h)
	}
	switch {
	case refusal != nil:
	case want != "" && h.node != want:
		refusal = refusef(RefusedWrongNode, "%s answers as node %s, not %s", addr, h.node, want)
	case h.role != topology.PeerNode:
		refusal = refusef(RefusedRole, "what listens on %s is no node", addr)
	case !h.known:
		refusal = refusef(RefusedFresh, "node %s answers without the id of its cluster", h.node)
	default:
		refusal = g.adopt(&h)
	}
	if refusal != nil {
		l.refuse(refusal)
		return nil, refusal
	}
	g.settle(l)
	return l, nil
}

// exchange says hello first and returns the answer.
func (g *greeter) exchange(l *link, mine *hello) (hello, error) {
	_, failed := l.conn.Write(mine.append(nil))
	h, err := l.hear() // who closed at once may have said why
	var refusal *Refusal
	if failed != nil && !errors.As(err, &refusal) {
		return hello{}, handshakeFault(failed)
	}
	return h, err
}

// hear reads the preamble and the hello, or the refusal, of the other side.
func (l *link) hear() (hello, error) {
	if err := readPreamble(l.conn); err != nil {
		return hello{}, handshakeFault(err)
	}
	f, err := l.in.next()
	switch {
	case err != nil:
		return hello{}, handshakeFault(err)
	case f.kind == kindHello:
		return readHello(f.payload)
	case f.kind == kindRefuse:
		return hello{}, readRefusal(f.payload)
	}
	return hello{}, faultf(FaultKind, "a frame of kind %d in place of a hello", f.kind)
}

// readPreamble reads the preamble, and finds out as soon as bytes show it that
// it is something else.
func readPreamble(conn net.Conn) error {
	var b [preambleBytes]byte
	for n := 0; n < len(b); {
		m, err := conn.Read(b[n:])
		n += m
		alien := !bytes.Equal(b[:n], preamble[:n])
		switch {
		case alien && (n >= magicBytes || err != nil):
			return foreign(b[:n])
		case n == len(b):
			return nil
		case err != nil && n > 0:
			return readFault(err, false)
		case err != nil:
			return err
		case alien:
			_ = conn.SetReadDeadline(time.Now().Add(foreignWindow)) // it is closed either way
		}
	}
	return nil
}

// handshakeFault names what a failure in the handshake means.
func handshakeFault(err error) error {
	var f *FaultError
	switch {
	case errors.As(err, &f) && f.Fault == FaultSilence, errors.Is(err, os.ErrDeadlineExceeded):
		return faultf(FaultHandshake, "the other side did not say who it is in time")
	case isAlert(err):
		return alerted(err)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("the other side closed the connection before its hello: %w", topology.ErrUnavailable)
	}
	return err
}

// welcome goes through the hello on a connection that was accepted. Whatever it
// returns, the other side has been told; on an error the connection is closed.
func (g *greeter) welcome(conn net.Conn, p *pass) (*link, *line, error) {
	l := newLink(conn)
	l.accepted = true
	err := g.accept(l)
	var h hello
	if err == nil {
		h, err = l.hear()
	}
	if err != nil {
		l.end(err)
		return nil, nil, err
	}
	refusal := l.prove(&h)
	l.take(&h, conn.RemoteAddr().String())
	l.class, l.protocol = h.class, h.protocol
	var ln *line
	if l.class == classControl {
		ln = newLine(l, &g.limits, g.notes)
	}
	if refusal == nil {
		refusal = g.judge(&h)
	}
	if refusal == nil {
		refusal = g.receive(l, ln, &h, p)
	}
	if refusal == nil {
		mine := g.hello(h.class, h.protocol)
		if _, err := l.conn.Write(mine.append(nil)); err != nil {
			g.claims.remove(l)
			l.end(handshakeFault(err))
			return nil, nil, l.cause
		}
		g.settle(l)
		return l, ln, nil
	}
	_, _ = l.conn.Write(refusal.append(nil)) // the refusal stands, heard or not
	l.end(refusal)
	return nil, nil, refusal
}

// judge decides what both sides of a connection decide alike.
func (g *greeter) judge(h *hello) *Refusal {
	id, known := g.id.Cluster()
	switch name := g.id.ClusterName(); {
	case h.min > ProtocolMax || h.max < ProtocolMin:
		return refusef(RefusedProtocol, "it speaks protocols %d to %d, this node %d to %d: upgrade the older one", h.min, h.max, ProtocolMin, ProtocolMax)
	case h.name != name:
		return refusef(RefusedClusterName, "it is of cluster %q, this node of %q", h.name, name)
	case known && h.known && h.cluster != id:
		return refusef(RefusedClusterID, "it is of cluster %q with id %x, this node of one with id %x", h.name, h.cluster, id)
	case !known && !h.known:
		return refusef(RefusedFresh, "neither side knows the id of cluster %q yet", h.name)
	case h.instance == g.instance:
		return refusef(RefusedSelf, "it is this process itself")
	case h.role == topology.PeerNode && g.role == topology.PeerNode && h.node == g.self:
		return refusef(RefusedDuplicate, "node %s is here, with life %x: the other has life %x, and runs on another directory or twice", g.self, g.life, h.life)
	}
	return nil
}

// receive decides what only a listener decides, and takes the link in.
func (g *greeter) receive(l *link, ln *line, h *hello, p *pass) *Refusal {
	if h.role == topology.PeerClient {
		return g.receiveClient(h, p)
	}
	if view, _ := g.members.View(); !knows(view, h.node) {
		return refusef(RefusedStranger, "node %s is not a member, as far as node %s knows", h.node, g.self)
	}
	if h.class == classStream && g.routes.stream(h.protocol) == nil {
		return refusef(RefusedStream, "node %s serves no streams of protocol %q", g.self, h.protocol)
	}
	if refusal := g.admit(l, ln); refusal != nil {
		return refusal
	}
	if refusal := g.adopt(h); refusal != nil {
		g.claims.remove(l)
		return refusal
	}
	return nil
}

func (g *greeter) receiveClient(h *hello, p *pass) *Refusal {
	if _, known := g.id.Cluster(); !known { // a client teaches nobody who he is
		return refusef(RefusedFresh, "node %s does not know the id of its cluster yet", g.self)
	}
	if h.class == classStream && !g.routes.admits(h.protocol) {
		return refusef(RefusedRole, "a client opens no streams of protocol %q", h.protocol)
	}
	if !p.client() {
		return refusef(RefusedOverloaded, "%d clients are connected already", g.limits.ClientsMax)
	}
	return nil
}

// adopt makes a node's cluster id ours, if we know none yet.
func (g *greeter) adopt(h *hello) *Refusal {
	if _, known := g.id.Cluster(); known || !h.known {
		return nil
	}
	err := g.id.Adopt(h.cluster)
	if id, known := g.id.Cluster(); err == nil && known && id == h.cluster {
		g.notes.log.Info("learnt the id of the cluster", "cluster", h.name, "id", fmt.Sprintf("%x", h.cluster), "from", string(h.node))
		return nil
	}
	return refusef(RefusedAdoption, "the cluster id %x of node %s could not be kept: %v", h.cluster, h.node, err)
}

// take notes who is at the other end.
func (l *link) take(h *hello, addr string) {
	l.peer = topology.Peer{ID: h.node, Role: h.role, Life: h.life, Addr: addr}
	l.instance, l.features = h.instance, h.features
}

// refuse breaks off a connection whose other side thinks that it was let in.
func (l *link) refuse(r *Refusal) {
	f := r.appendBody(appendFrame(nil))
	seal(f, kindRefuse)
	_, _ = l.conn.Write(f) // within the deadline of the handshake
	l.end(r)
}

// settle sets the connection up for what follows the hello.
func (g *greeter) settle(l *link) {
	_ = l.conn.SetDeadline(time.Time{}) // if it fails, so does the next read
	l.from.timeout = g.limits.ReadTimeout
	if l.class == classStream {
		l.in.inflater = &inflater{counts: &g.notes.counts}
		l.in.settle(windowStream, windowMost, g.limits.FrameBytesMax)
	} else {
		l.in.settle(windowLeast, windowControl, g.limits.FrameBytesMax)
	}
}

func knows(v topology.View, id topology.NodeID) bool {
	_, ok := v.Find(id)
	return ok
}
