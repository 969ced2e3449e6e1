package config

import (
	"net"
	"strings"
	"time"

	"github.com/triad-kv/triad/internal/config/strict"
)

// checkDoors checks what listens, and who is let in.
func (n *Node) checkDoors(c checker) {
	n.checkTLS(c)
	n.checkBeyond(c)
	c.secret("resp.password", n.RESP.Password, n.RESP.PasswordFile)
	c.secret("gossip.key", n.Gossip.Key, n.Gossip.KeyFile)
	c.secret("admin.token", n.Admin.Token, n.Admin.TokenFile)
	n.checkGossip(c)
	if !c.Faulty("log.level") {
		c.word("log.level", n.Log.Level, "level", []string{"debug", "info", "warn", "error"})
	}
	if !c.Faulty("log.format") {
		c.word("log.format", n.Log.Format, "format", []string{"text", "json"})
	}
}

// checkGossip wants a port for gossip where anything is said of it.
func (n *Node) checkGossip(c checker) {
	if n.Listen.Gossip == "" {
		if len(n.Join) > 0 {
			c.Fault("join", "gossip needs a port of its own to join by: name it with listen.gossip")
		}
		for path, given := range map[string]bool{"gossip.advertise": n.Gossip.Advertise != "", "gossip.peers": n.Gossip.Peers != ""} {
			if given {
				c.Fault(path, "there is no gossip: listen.gossip names no port for it")
			}
		}
		return
	}
	for path, addr := range map[string]string{"gossip.advertise": n.Gossip.Advertise, "gossip.peers": n.Gossip.Peers} {
		if addr != "" {
			c.address(path, addr)
		}
	}
	if host, _, err := net.SplitHostPort(n.Listen.Gossip); err == nil && n.Gossip.Advertise == "" && (host == "" || unspecified(host)) {
		c.Fault("listen.gossip", "it is opened on every interface, so the others must be told where to reach it: gossip.advertise")
	}
	if n.Gossip.ProbeEvery < probeEveryLeast {
		c.Fault("gossip.probe_every", "%v is less than %v", n.Gossip.ProbeEvery, probeEveryLeast)
	}
}

const probeEveryLeast = Duration(10 * time.Millisecond)

func unspecified(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsUnspecified()
}

// checkTLS wants all three files or none.
func (n *Node) checkTLS(c checker) {
	files := []struct{ path, name string }{{"tls.ca", n.TLS.CA}, {"tls.cert", n.TLS.Cert}, {"tls.key", n.TLS.Key}}
	var missing, there []string
	for _, f := range files {
		if f.name == "" {
			missing = append(missing, f.path)
		} else {
			there = append(there, f.path)
		}
	}
	if len(missing) > 0 && len(there) > 0 {
		c.Fault(there[0], "TLS needs all three of tls.ca, tls.cert and tls.key; %s is missing", strings.Join(missing, " and "))
	}
	if n.TLS.Insecure && len(there) > 0 {
		c.Fault("tls.insecure", "certificates are named, so the node is not insecure; drop one or the other")
	}
}

// Secured reports whether the node has certificates.
func (t TLS) Secured() bool { return t.CA != "" && t.Cert != "" && t.Key != "" }

// checkBeyond refuses ports that whoever is in the network could use, unless the
// node is told so; without a key the gossip port, in any case.
func (n *Node) checkBeyond(c checker) {
	if a := n.Listen.Gossip; a != "" && n.withoutKey() != "" && !c.Faulty("listen.gossip") && !onLoopback(a) {
		c.Fault("listen.gossip", "%s is reached from other machines, and %s, or listen on loopback", a, n.withoutKey())
	}
	if n.TLS.Insecure {
		return
	}
	for _, door := range []struct{ path, addr, without string }{
		{"listen.peers", n.Listen.Peers, n.without()},
		{"listen.resp", n.Listen.RESP, n.without()},
		{"listen.admin", n.Listen.Admin, n.without()},
	} {
		if door.addr != "" && door.without != "" && !c.Faulty(door.path) && !onLoopback(door.addr) {
			c.Fault(door.path, "%s is reached from other machines, and %s, listen on loopback, or say tls: {insecure: true}", door.addr, door.without)
		}
	}
}

func (n *Node) without() string {
	if n.TLS.Secured() {
		return ""
	}
	return "there is no TLS; name certificates under tls"
}

func (n *Node) withoutKey() string {
	if n.Gossip.Key != "" || n.Gossip.KeyFile != "" {
		return ""
	}
	return "gossip has no key; name one with gossip.key_file"
}

// onLoopback reports whether nobody but this machine reaches an address. A name
// that would have to be looked up is not believed.
func onLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// secret wants it from one place.
func (c checker) secret(path, value, file string) {
	if value != "" && file != "" {
		c.Fault(path, "it is given twice: by %s_file and by %s", path, strict.Variable(path))
	}
}
