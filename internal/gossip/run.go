package gossip

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/hashicorp/serf/serf"

	"github.com/triad-kv/triad/topology"
)

// labelPrefix makes gossip of Triad a world of its own.
const labelPrefix = "triad/"

// labelHeadBytes stand before a label: its mark and its length.
const labelHeadBytes = 2

// serfProtocol is spoken; memberlist's follows from it.
const serfProtocol = 4

// Run implements topology.Membership: it joins, and stays, until ctx ends. It
// may run once.
func (g *Gossip) Run(ctx context.Context) error {
	events := make(chan serf.Event, eventsMax)
	s, err := g.begin(events)
	if err != nil {
		return err
	}
	changed := make(chan struct{}, 1)
	stopped := make(chan struct{})
	var drain, wait sync.WaitGroup
	drain.Go(func() { g.drain(events, changed, stopped) })
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wait.Go(func() { g.watch(ctx, s, changed) })
	wait.Go(func() { g.join(ctx, s) })
	wait.Go(func() { g.identify(ctx, s, changed) })
	<-ctx.Done()

	g.mu.Lock()
	g.serf = nil
	g.mu.Unlock()
	g.leaving.Wait()
	g.journal.end() // it only says now that nobody left, or what fails as the port closes
	err = s.Shutdown()
	wait.Wait()
	close(stopped)
	drain.Wait()
	return err
}

// begin starts serf.
func (g *Gossip) begin(events chan<- serf.Event) (*serf.Serf, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ran {
		return nil, fmt.Errorf("gossip runs already, or did: %w", topology.ErrConflict)
	}
	g.ran = true
	g.learnCluster()
	c, err := g.config(events)
	if err != nil {
		return nil, err
	}
	g.sockets.serve()
	s, err := serf.Create(c)
	if err != nil {
		_ = g.sockets.Shutdown()
		return nil, fmt.Errorf("gossip: %w", err)
	}
	g.serf = s
	return s, nil
}

// config is serf's. Nothing of serf's or memberlist's defaults that names this
// machine, asks it or writes to it is left as it is.
func (g *Gossip) config(events chan<- serf.Event) (*serf.Config, error) {
	p, lines := g.pace, g.journal.logger()
	m := memberlist.DefaultLANConfig()
	m.Name, m.Label = string(g.env.Self), g.label()
	m.Transport, m.Logger, m.LogOutput = g.sockets, lines, nil
	m.BindPort, m.AdvertisePort = int(g.sockets.told.Port()), int(g.sockets.told.Port())
	m.EnableCompression = false // see filter.go
	m.TCPTimeout, m.DNSConfigPath = streamTimeout, ""
	m.ProbeInterval, m.ProbeTimeout = p.probe, p.probeTimeout
	m.GossipInterval, m.PushPullInterval = p.gossip, p.pushPull
	m.GossipToTheDeadTime = p.pushPull
	m.DeadNodeReclaimTime = 1 // a name is free as soon as who had it has failed
	m.HandoffQueueDepth = handoffMax
	if len(g.options.Keys) > 0 {
		var all [][]byte
		for _, k := range g.options.Keys {
			all = append(all, append([]byte(nil), k[:]...))
		}
		var err error
		if m.Keyring, err = memberlist.NewKeyring(all, all[0]); err != nil {
			return nil, fmt.Errorf("gossip.keys: %w", err)
		}
	}
	t := g.tags()
	c := &serf.Config{
		NodeName: m.Name, Tags: t.encode(), EventCh: events, Logger: lines,
		ProtocolVersion: serfProtocol, MemberlistConfig: m, Merge: g.judge,
		BroadcastTimeout: p.broadcast, LeavePropagateDelay: p.propagate,
		ReapInterval: p.reap, RecentIntentTimeout: intentFor,
		ReconnectInterval: p.reconnect, ReconnectTimeout: reconnectFor,
		ReconnectTimeoutOverride: g.judge, TombstoneTimeout: strangerFor,
		QueueCheckInterval: p.reap, QueueDepthWarning: queueMax / 2, MaxQueueDepth: queueMax,
		EventBuffer: eventSlotsMax, QueryBuffer: eventSlotsMax, QueryTimeoutMult: 16,
		QueryResponseSizeLimit: eventBytesMax, QuerySizeLimit: eventBytesMax, UserEventSizeLimit: eventBytesMax,
		DisableCoordinates: true, ValidateNodeNames: true,
		EnableNameConflictResolution: false, // else serf would stop one of two, by a vote
	}
	c.Init()
	return c, nil
}

func (g *Gossip) tags() tags {
	return tags{
		cluster: g.judge.clusterID(), life: g.env.Life, peers: g.self.Addr, site: g.self.Site,
		protocolMin: g.env.ProtocolMin, protocolMax: g.env.ProtocolMax,
	}
}

// drain takes every event at once, so that serf never waits, and leaves a mark.
func (g *Gossip) drain(events <-chan serf.Event, changed chan<- struct{}, stopped <-chan struct{}) {
	for {
		select {
		case e := <-events:
			if _, ok := e.(serf.MemberEvent); ok {
				mark(changed)
			}
		case <-stopped:
			return
		}
	}
}

func mark(changed chan<- struct{}) {
	select {
	case changed <- struct{}{}:
	default: // one is enough
	}
}

// watch keeps the view.
func (g *Gossip) watch(ctx context.Context, s *serf.Serf, changed <-chan struct{}) {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		g.update(s.Members())
		select {
		case <-changed:
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}
