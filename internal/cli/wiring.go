package cli

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/internal/admin"
	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/internal/demo"
	certificates "github.com/triad-kv/triad/internal/secure"
	"github.com/triad-kv/triad/internal/server"
	"github.com/triad-kv/triad/topology"
)

// door answers on a port beside the peers port.
type door interface {
	// Serve answers on l until ctx ends (nil) or l fails. Once ctx has ended it
	// takes no more requests, answers those under way and returns. It closes l.
	Serve(ctx context.Context, l net.Listener) error
}

// doorways are the ports that a configuration may open, and what answers there.
var doorways = []struct {
	key  string
	addr func(config.Listen) string
	open func(*service) (door, error)
}{
	{"listen.resp", func(l config.Listen) string { return l.RESP }, openRESP},
	{adminKey, func(l config.Listen) string { return l.Admin }, openAdmin},
}

const adminKey = "listen.admin"

// openRESP is the door for Redis clients.
func openRESP(v *service) (door, error) {
	return redisPort(v.node, v.config, server.Options{Password: v.secrets.RESPPassword, Logger: v.log, Wall: v.wall})
}

// demoRESP is that door of a demo's node, which keeps no secret.
func demoRESP(n *triad.Node, c *config.Node, l *slog.Logger) (demo.Door, error) {
	return redisPort(n, c, server.Options{Logger: l})
}

// redisPort completes o by what the node's configuration says.
func redisPort(n *triad.Node, c *config.Node, o server.Options) (*server.Server, error) {
	o.Prefixes, o.Routing, o.Version = map[string]string{}, routings[c.RESP.Routing], built().Version
	o.Limits = server.Limits{ConnectionsMax: c.RESP.ConnectionsMax, IdleTimeout: time.Duration(c.RESP.IdleTimeout)}
	for _, p := range c.RESP.Prefixes {
		o.Prefixes[p.Prefix] = p.Table
	}
	ports := map[topology.NodeID]string{}
	for _, m := range c.Members {
		ports[topology.NodeID(m.ID)] = m.RESP
		o.Nodes = append(o.Nodes, topology.NodeID(m.ID))
	}
	o.Addr = func(id topology.NodeID) string { return ports[id] }
	o.Forward = n.Cells().Forward
	s, err := server.New(n.Cells(), o)
	if err == nil {
		n.Cells().Answer(s.Forwarded)
	}
	return s, err
}

// routings are those of a configuration, as a server takes them.
var routings = map[config.Routing]server.Routing{
	config.RoutingNone: server.RoutingNone, config.RoutingForward: server.RoutingForward, config.RoutingRedirect: server.RoutingRedirect,
}

// openAdmin is the door for health and status.
func openAdmin(v *service) (door, error) {
	o := v.node.Operator()
	return admin.New(admin.Options{
		Status: v.node.Status, Counts: o.Counts, Survey: func(ctx context.Context) []admin.Answer { return surveyFrom(ctx, o) },
		Explain: o.Explain, Restart: func() error { return triad.Restartable(v.node) }, Orders: o, Version: built().Version, Token: v.secrets.AdminToken, Logger: v.log,
	}), nil
}

// surveyFrom asks all members at once, from one of them.
func surveyFrom(ctx context.Context, o triad.Operator) []admin.Answer {
	members := o.Members()
	all := make([]admin.Answer, len(members))
	var wait sync.WaitGroup
	for i, m := range members {
		wait.Go(func() {
			s, err := o.StatusOf(ctx, m.ID)
			all[i] = admin.Answer{Addr: m.Addr, Status: s, Err: err}
		})
	}
	wait.Wait()
	return all
}

// secure gives the node its certificates, and refuses those that would not do
// before anything is touched.
func secure(c *triad.Config, n *config.Node, l *slog.Logger) error {
	c.Insecure = n.TLS.Insecure
	if !n.TLS.Secured() {
		return nil
	}
	c.TLS = triad.TLS{CA: n.TLS.CA, Cert: n.TLS.Cert, Key: n.TLS.Key}
	_, err := certificates.Open(certificates.Options{
		Source: c.TLS, Self: certificates.Name{Cluster: c.Cluster, Role: topology.PeerNode, ID: c.ID}, Logger: l,
	})
	if err != nil {
		return &usageError{err}
	}
	return nil
}

// behind puts a node's certificates around the listener of another port.
func behind(n *triad.Node, l net.Listener) net.Listener {
	if n.TLS() == nil {
		return l
	}
	return tls.NewListener(l, n.TLS().Public())
}

// gather makes the node find its members by gossip, where the configuration opens
// a port for it.
func gather(c *triad.Config, n *config.Node, s config.Secrets) error {
	c.Gossip = triad.Gossip{
		Listen: n.Listen.Gossip, Join: n.Join, Advertise: n.Gossip.Advertise, Peers: n.Gossip.Peers,
	}
	if n.Listen.Gossip == "" {
		return nil
	}
	c.Gossip.ProbeEvery = time.Duration(n.Gossip.ProbeEvery)
	for i, text := range s.GossipKeys {
		k, err := triad.ParseGossipKey(text)
		if err != nil {
			return usagef("gossip.key: key %d: %v", i+1, err)
		}
		c.Gossip.Keys = append(c.Gossip.Keys, k)
	}
	return nil
}
