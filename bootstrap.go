package triad

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
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
	for waits := false; !n.askPeers(ctx); waits = true {
		if n.identity.isKnown() || ctx.Err() != nil {
			return nil
		}
		if !waits {
			n.logger.Warn("this node founds the cluster once another member says that there is none: it reaches nobody, "+
				"and may have lost its directory", "cluster", n.config.Cluster, "node", n.config.ID)
		}
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
// all have said that they do not, or BootstrapWait is over. It reports whether a
// cluster may be founded: none is known, and one member at least has said so. Alone,
// a leader that has lost its directory while it reaches nobody can not be told from
// the first one there is; it would found a second cluster beside its own, and take
// writes in it.
func (n running) askPeers(parent context.Context) bool {
	ctx, cancel := context.WithTimeout(parent, n.config.Limits.BootstrapWait)
	defer cancel()
	fresh := n.greetAll(ctx, true)
	return !n.identity.isKnown() && parent.Err() == nil && (fresh > 0 || len(n.config.Members) == 1)
}

// greetAll greets every other member until the cluster is known or ctx has
// ended; or, if it founds, until all have said that they know none. It returns how
// many have.
func (n running) greetAll(ctx context.Context, founds bool) int {
	var wait sync.WaitGroup
	var fresh atomic.Int64
	for _, m := range n.config.Members {
		if m.ID != n.config.ID {
			wait.Go(func() {
				if n.greet(ctx, m.ID, founds) {
					fresh.Add(1)
				}
			})
		}
	}
	wait.Wait()
	return int(fresh.Load())
}

// greet calls a peer again and again: to be let in is to learn the cluster's id. It
// reports whether the peer has said that it knows none, to one that founds.
func (n running) greet(ctx context.Context, peer topology.NodeID, founds bool) (fresh bool) {
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
			return false
		case <-ctx.Done():
			return false
		}
		_, err := n.transport.Call(ctx, peer, methodCluster, nil)
		var r *transport.Refusal
		if founds && errors.As(err, &r) && r.Code == transport.RefusedFresh {
			return true
		}
		t.Reset(pause)
	}
}
