package main

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/internal/admin"
	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/internal/demo"
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
	open func(*triad.Node, *config.Node, config.Secrets, *slog.Logger) (door, error)
}{
	{"listen.resp", func(l config.Listen) string { return l.RESP }, openRESP},
	{adminKey, func(l config.Listen) string { return l.Admin }, openAdmin},
}

const adminKey = "listen.admin"

// openRESP is the door for Redis clients.
func openRESP(n *triad.Node, c *config.Node, s config.Secrets, l *slog.Logger) (door, error) {
	return redisPort(n, c, s.RESPPassword, l)
}

// demoRESP is that door of a demo's node, which keeps no secret.
func demoRESP(n *triad.Node, c *config.Node, l *slog.Logger) (demo.Door, error) {
	return redisPort(n, c, "", l)
}

func redisPort(n *triad.Node, c *config.Node, password string, l *slog.Logger) (*server.Server, error) {
	o := server.Options{
		Prefixes: map[string]string{}, Password: password, Forward: c.RESP.Forward, Version: built().Version, Logger: l,
		Limits: server.Limits{ConnectionsMax: c.RESP.ConnectionsMax, IdleTimeout: time.Duration(c.RESP.IdleTimeout)},
	}
	for _, p := range c.RESP.Prefixes {
		o.Prefixes[p.Prefix] = p.Table
	}
	ports := map[topology.NodeID]string{}
	for _, m := range c.Members {
		ports[topology.NodeID(m.ID)] = m.RESP
	}
	o.Addr = func(id topology.NodeID) string { return ports[id] }
	return server.New(n.Cells(), o)
}

// openAdmin is the door for health and status.
func openAdmin(n *triad.Node, _ *config.Node, s config.Secrets, l *slog.Logger) (door, error) {
	return admin.New(admin.Options{Status: n.Status, Token: s.AdminToken, Logger: l}), nil
}

// secure puts certificates around the peers port and the dialer of the node. What
// it returns puts them around the listener of another port.
func secure(_ *triad.Config, n *config.Node, _ *slog.Logger) (func(net.Listener) net.Listener, error) {
	if n.TLS.Secured() {
		return nil, usagef("tls: this build has no TLS; drop the section, or say insecure: true")
	}
	return func(l net.Listener) net.Listener { return l }, nil
}

// gather makes the node find its members by gossip, where the configuration opens
// a port for it.
func gather(c *triad.Config, n *config.Node, s config.Secrets) error {
	c.Join = n.Join
	c.Gossip = triad.Gossip{
		Listen: n.Listen.Gossip, Advertise: n.Gossip.Advertise, Peers: n.Gossip.Peers,
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
