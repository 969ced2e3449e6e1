package gossip

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/hashicorp/serf/serf"

	"github.com/triad-kv/triad/topology"
)

// join asks the seeds, again and again, as long as a member of the configuration
// is not there or somebody still knows this node at another place. The pause
// doubles up to a limit, and is half as long again at random so that nodes which
// start together do not ask together.
func (g *Gossip) join(ctx context.Context, s *serf.Serf) {
	pause, alone := g.pace.joinMin, 0
	for {
		_, stale := g.View()
		disputed := g.judge.takeDispute()
		if g.complete() && !disputed {
			pause, alone = g.pace.joinMin, 0
			select {
			case <-stale:
			case <-time.After(g.pace.pushPull):
			case <-ctx.Done():
				return
			}
			continue
		}
		err := g.joinAll(ctx, s)
		if alone++; err != nil && g.isAlone() && alone%seedWarnEvery == 0 {
			g.env.Logger.Warn("gossip: no other member was found yet", "rounds", alone, "last", err)
		}
		select {
		case <-time.After(pause + rand.N(pause/2+1)):
		case <-ctx.Done():
			return
		}
		pause = min(2*pause, g.pace.joinMax)
	}
}

// complete reports whether every member of the configuration is there.
func (g *Gossip) complete() bool {
	v, _ := g.View()
	for _, m := range v.Members {
		if m.Liveness != topology.LivenessAlive && m.ID != g.env.Self {
			return false
		}
	}
	return true
}

// isAlone reports whether no other member is there.
func (g *Gossip) isAlone() bool {
	v, _ := g.View()
	for _, m := range v.Members {
		if m.Liveness == topology.LivenessAlive && m.ID != g.env.Self {
			return false
		}
	}
	return true
}

// joinAll asks every seed once, and returns why the last that failed did. Names
// are resolved anew each time.
func (g *Gossip) joinAll(ctx context.Context, s *serf.Serf) (last error) {
	for _, seed := range g.options.Join {
		addrs, err := resolve(ctx, seed)
		for _, at := range addrs {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if at == g.sockets.told {
				continue
			}
			if err = g.joinOne(s, at); err == nil {
				break
			}
		}
		if err != nil {
			last = fmt.Errorf("seed %s: %w", seed, err)
			g.env.Logger.Debug("gossip: a seed did not answer", "seed", seed, "error", err)
		}
	}
	return last
}

// joinOne asks one seed. It fails once this node has said goodbye.
func (g *Gossip) joinOne(s *serf.Serf, at netip.AddrPort) error {
	g.turn <- struct{}{}
	defer func() { <-g.turn }()
	_, err := s.Join([]string{at.String()}, true)
	return err
}

// resolve returns the addresses of a seed.
func resolve(ctx context.Context, seed string) ([]netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(seed)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	var out []netip.AddrPort
	for _, ip := range ips[:min(len(ips), seedAddrsMax)] {
		out = append(out, netip.AddrPortFrom(ip.Unmap(), uint16(n)))
	}
	return out, err
}

// identify tells the others the cluster's id once it is known.
func (g *Gossip) identify(ctx context.Context, s *serf.Serf, changed chan<- struct{}) {
	if g.judge.clusterID() != (clusterID{}) {
		return
	}
	select {
	case <-g.env.Known:
	case <-ctx.Done():
		return
	}
	g.learnCluster()
	mark(changed)
	if err := s.SetTags(g.tags().encode()); err != nil && ctx.Err() == nil {
		// The tags are set; the others hear of them with the next exchange.
		g.env.Logger.Debug("gossip: the cluster's id was not passed on at once", "error", err)
	}
}

// learnCluster takes the cluster's id, if it is known.
func (g *Gossip) learnCluster() {
	if id, known := g.env.Identity.Cluster(); known {
		g.judge.setCluster(id)
	}
}
