package triad

import (
	"fmt"
	"net"

	"github.com/triad-kv/triad/internal/secure"
	"github.com/triad-kv/triad/topology"
)

// TLS says where a node's certificates come from: CA, Cert and Key name files in
// PEM, which are read again as they change, or Server and Client are a pair of
// configurations. A certificate names its node by the URI triad://CLUSTER/node/ID;
// `triad cert` makes some.
type TLS = secure.Source

// Credentials are what a node holds of its TLS: Reload reads the files again, as
// on SIGHUP, and Public is the configuration of a port for clients of another
// protocol.
type Credentials = secure.Credentials

// TLS returns the node's credentials, nil if its peers port is plain.
func (n *Node) TLS() *Credentials { return n.credentials }

func (n opening) openTLS() (err error) {
	c := &n.config
	if !c.TLS.Given() {
		return nil
	}
	n.credentials, err = secure.Open(secure.Options{
		Source: c.TLS, Self: secure.Name{Cluster: c.Cluster, Role: topology.PeerNode, ID: c.ID}, Logger: n.logger,
	})
	return err
}

// checkExposure refuses a peers port that others than this machine reach and
// that anybody who reaches it may speak to.
func (c *Config) checkExposure() error {
	if c.Listener != nil {
		return c.exposed(c.Listener.Addr())
	}
	if c.Listen == "" {
		return nil
	}
	a, err := net.ResolveTCPAddr("tcp", c.Listen)
	if err != nil {
		return nil // to listen there fails too, and says why
	}
	return c.exposed(a)
}

func (c *Config) checkTLS() error {
	if !c.TLS.Given() {
		return nil
	}
	if err := c.TLS.Check(); err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	return nil
}

// exposed refuses an address beyond loopback without TLS.
func (c *Config) exposed(a net.Addr) error {
	ip, ok := a.(*net.TCPAddr)
	if c.Insecure || c.TLS.Given() || !ok || ip.IP.IsLoopback() {
		return nil
	}
	return fmt.Errorf("listen: %s is reached from beyond this machine, and whoever reaches it could read and write everything: "+
		"set tls (`triad cert` makes certificates), listen on 127.0.0.1, or set insecure if the network itself is closed", a)
}
