package gossip

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/serf/serf"

	"github.com/triad-kv/triad/topology"
)

// Gossip is a membership. Its methods may be called from any goroutine.
type Gossip struct {
	env     Env
	options Options
	pace    pace
	self    topology.Member // as others are told
	sockets *sockets
	judge   *judge
	journal *journal
	turn    chan struct{} // full while this node joins or says goodbye

	mu      sync.Mutex // guards what follows; a leaf
	view    topology.View
	stale   chan struct{} // closed when view has been replaced
	serf    *serf.Serf    // while Run runs
	ran     bool
	leaving sync.WaitGroup
}

// Open binds the gossip port. Until Run it is silent, and the view is what the
// configuration says.
func Open(env Env, o Options) (*Gossip, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	if !o.On() {
		return nil, errors.New("gossip.listen: none was named")
	}
	o.ProbeEvery = cmp.Or(o.ProbeEvery, probeEveryDefault)
	if o.Net == nil {
		o.Net = system{}
	}
	g := &Gossip{env: env, options: o, pace: paceOf(o.ProbeEvery), stale: make(chan struct{}), turn: make(chan struct{}, 1)}
	g.view.Members = slices.Clone(env.Members)
	slices.SortFunc(g.view.Members, func(a, b topology.Member) int { return cmp.Compare(a.ID, b.ID) })
	self, ok := g.view.Find(env.Self)
	if !ok {
		return nil, fmt.Errorf("members: this node, %q, is not among them", env.Self)
	}
	var err error
	if g.sockets, err = bind(o.Net, o.Listen, o.Advertise); err != nil {
		return nil, err
	}
	if len(o.Keys) == 0 && !g.sockets.local() {
		return nil, errors.Join(errNoKey, g.sockets.Shutdown())
	}
	g.sockets.plain, g.sockets.head = len(o.Keys) == 0, labelHeadBytes+len(g.label())
	if self.Addr, err = peersAddr(self.Addr, env.Peers, o.Peers, g.sockets.told.Addr()); err != nil {
		return nil, errors.Join(err, g.sockets.Shutdown())
	}
	self.Liveness = topology.LivenessAlive
	g.self = self
	g.judge = newJudge(&env, g.pace.grace)
	g.journal = &journal{log: env.Logger, now: time.Now}
	return g, nil
}

// errNoKey: memberlist 0.6 panics on states that are made for it, so not even a
// network that is trusted is the place for gossip that takes them from anybody.
var errNoKey = errors.New("gossip.keys: there is none, and gossip listens beyond loopback, where whoever reaches it could stop this node; `openssl rand -base64 32` makes one")

// peersAddr returns where others are told to reach the peers port: what the
// options say; or what the configuration says, if the port is bound there; or
// where it is bound, at the address of gossip if it is bound to all.
func peersAddr(configured, bound, wanted string, at netip.Addr) (string, error) {
	if wanted != "" {
		return wanted, nil
	}
	host, port, err := net.SplitHostPort(bound)
	if err != nil {
		return "", errors.New("gossip.peers: this node has no peers port that others could be told of")
	}
	if _, p, err := net.SplitHostPort(configured); err == nil && p == port && checkAddr(configured, false) == nil {
		return configured, nil
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = at.String()
	}
	addr := net.JoinHostPort(host, port)
	if err := checkAddr(addr, false); err != nil {
		return "", fmt.Errorf("gossip.peers: %w", err)
	}
	return addr, nil
}

// Addr returns where others are told to reach the gossip port: a seed for them.
func (g *Gossip) Addr() string { return g.sockets.told.String() }

// View implements topology.Membership.
func (g *Gossip) View() (topology.View, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.view, g.stale
}

// Warnings returns what an operator should know: who is not there, who is not
// known, and who claims the name of another.
func (g *Gossip) Warnings() []string {
	v, _ := g.View()
	out := g.judge.warnings()
	for _, m := range v.Members {
		switch m.Liveness {
		case topology.LivenessFailed, topology.LivenessLeft:
			out = append(out, fmt.Sprintf("gossip: node %s, last at %s, has %v", m.ID, m.Addr, m.Liveness))
		}
	}
	for _, m := range v.Strangers {
		if m.Liveness == topology.LivenessAlive {
			out = append(out, fmt.Sprintf("gossip: node %s at %s is not of this configuration: it is not counted", m.ID, m.Addr))
		}
	}
	if n := g.sockets.refused.Load(); n > 0 {
		out = append(out, fmt.Sprintf("gossip: %d connections were one more than %d at once, and were closed", n, streamsMax))
	}
	if n := g.sockets.dropped.Load(); n > 0 {
		out = append(out, fmt.Sprintf("gossip: %d messages were of a kind that no node sends, and were dropped", n))
	}
	return out
}

// label tells the packets of this cluster from those of others.
func (g *Gossip) label() string { return labelPrefix + g.env.Identity.ClusterName() }

// Leave implements topology.Membership. Ending ctx ends the wait, not the
// goodbye: Run waits for that. Where Run does not run there is nobody to tell.
func (g *Gossip) Leave(ctx context.Context) error {
	done := make(chan error, 1)
	g.mu.Lock()
	s := g.serf
	if s != nil {
		g.leaving.Go(func() { done <- g.sayGoodbye(s) })
	}
	g.mu.Unlock()
	if s == nil {
		return nil
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// sayGoodbye leaves while nobody joins: the others would take a join that is
// under way for newer than the goodbye, and find that this node has failed.
func (g *Gossip) sayGoodbye(s *serf.Serf) error {
	g.turn <- struct{}{}
	defer func() { <-g.turn }()
	return s.Leave()
}

// Admit implements topology.Admitter. What is heard of a member holds.
func (g *Gossip) Admit(ms ...topology.Member) {
	g.judge.admit(ms)
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.view.Admit(ms, membersMax, func(m topology.Member) bool {
		return m.Liveness != topology.LivenessUnknown || m.ID == g.self.ID
	})
	if equal(g.view, v) {
		return
	}
	g.view = v
	close(g.stale)
	g.stale = make(chan struct{})
}

// Close releases the port. Where Run ran it has done so.
func (g *Gossip) Close() error { return g.sockets.Shutdown() }

// update replaces the view, if serf knows otherwise.
func (g *Gossip) update(heard []serf.Member) {
	g.judge.learn(heard)
	cluster := g.judge.clusterID()
	g.mu.Lock()
	defer g.mu.Unlock()
	v := viewOf(g.view, g.self, cluster, heard)
	if equal(g.view, v) {
		return
	}
	g.view = v
	close(g.stale)
	g.stale = make(chan struct{})
}
