package triad

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/triad-kv/triad/internal/transport"
	"github.com/triad-kv/triad/topology"
)

// The method by which a node that founds a cluster asks whether there is one.
const methodCluster = "node.cluster"

const (
	greetEvery     = 50 * time.Millisecond  // while a founder asks whether there is a cluster
	greetEveryLate = 250 * time.Millisecond // while a new node waits to be taken in
)

// join returns once the cluster's id is known (rule C1): it is from an earlier
// start, or this node leads the first term and founds the cluster, or a peer
// that knows it has greeted this node or been greeted by it.
func (n running) join(ctx context.Context) error {
	if n.identity.isKnown() {
		return nil
	}
	if !n.founds() {
		n.logger.Info("a new node waits for a member of its cluster", "cluster", n.config.Cluster, "node", n.config.ID)
		n.greetAll(ctx, false)
		return nil
	}
	n.askPeers(ctx)
	if n.identity.isKnown() || ctx.Err() != nil {
		return nil
	}
	n.logger.Info("a new cluster", "cluster", n.config.Cluster, "node", n.config.ID)
	return n.identity.found()
}

// founds reports whether this node draws the id of a new cluster: who leads the first
// term, or the first member by name where elections are to find that out, or where
// several sites have leaders of their own.
func (n running) founds() bool {
	_, scattered := n.engine.(Scattered) // then each site has a first leader
	if s, ok := n.control.(topology.Seeder); ok && !scattered {
		return s.FirstLeader() == n.config.ID
	}
	first := slices.MinFunc(n.config.Members, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	return first.ID == n.config.ID
}

// askPeers greets every other member until one is found that knows the cluster,
// all have said that they do not, or BootstrapWait is over. So a leader whose
// directory was lost finds the cluster it belonged to, if anybody is there.
func (n running) askPeers(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, n.config.Limits.BootstrapWait)
	defer cancel()
	n.greetAll(ctx, true)
}

// greetAll greets every other member until the cluster is known or ctx has
// ended; or, if it founds, until all have said that they know none.
func (n running) greetAll(ctx context.Context, founds bool) {
	var wait sync.WaitGroup
	for _, m := range n.config.Members {
		if m.ID != n.config.ID {
			wait.Go(func() { n.greet(ctx, m.ID, founds) })
		}
	}
	wait.Wait()
}

// greet calls a peer again and again: to be let in is to learn the cluster's id.
func (n running) greet(ctx context.Context, peer topology.NodeID, founds bool) {
	pause := greetEveryLate
	if founds {
		pause = greetEvery
	}
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-n.identity.known:
			return
		case <-ctx.Done():
			return
		}
		_, err := n.transport.Call(ctx, peer, methodCluster, nil)
		var r *transport.Refusal
		if founds && errors.As(err, &r) && r.Code == transport.RefusedFresh {
			return
		}
		t.Reset(pause)
	}
}
