package transport

import (
	"net"
	"sync"
)

// gate counts accepted connections against their limits. It is safe for
// concurrent use, and its lock is a leaf.
type gate struct {
	limits *Limits

	mu         sync.Mutex
	conns      int
	handshakes int
	clients    int
	perIP      map[string]int
}

// pass is one connection's place in the gate.
type pass struct {
	gate     *gate
	ip       string
	known    bool // it has said who it is
	isClient bool
}

// enter takes a connection in, or says why not.
func (g *gate) enter(addr net.Addr) (*pass, error) {
	ip := hostOf(addr)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch l := g.limits; {
	case g.conns >= l.ConnsMax:
		return nil, faultf(FaultConns, "more than %d connections", l.ConnsMax)
	case g.perIP[ip] >= l.ConnsPerIPMax:
		return nil, faultf(FaultConnsPerIP, "more than %d connections from one address", l.ConnsPerIPMax)
	case g.handshakes >= l.HandshakesMax:
		return nil, faultf(FaultHandshakes, "more than %d connections that have not said who they are", l.HandshakesMax)
	}
	if g.perIP == nil {
		g.perIP = map[string]int{}
	}
	g.conns++
	g.handshakes++
	g.perIP[ip]++
	return &pass{gate: g, ip: ip}, nil
}

// settled frees the handshake's place.
func (p *pass) settled() {
	p.gate.mu.Lock()
	defer p.gate.mu.Unlock()
	if !p.known {
		p.known = true
		p.gate.handshakes--
	}
}

// client takes one of the places that clients have; false if there is none.
func (p *pass) client() bool {
	p.gate.mu.Lock()
	defer p.gate.mu.Unlock()
	if p.gate.clients >= p.gate.limits.ClientsMax {
		return false
	}
	p.gate.clients++
	p.isClient = true
	return true
}

func (p *pass) leave() {
	p.settled()
	g := p.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conns--
	if p.isClient {
		g.clients--
	}
	if g.perIP[p.ip]--; g.perIP[p.ip] == 0 {
		delete(g.perIP, p.ip)
	}
}

func (g *gate) counts() (conns, handshakes, clients int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.conns, g.handshakes, g.clients
}

// hostOf returns the address without its port.
func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}
