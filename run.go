package triad

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/triad-kv/triad/internal/transport"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Retainer is an optional ability of an engine: to say what of the log its
// other members still need.
type Retainer interface {
	// Retain returns the first LSN the log must keep, where the store has
	// everything up to flushed durable. More than flushed+1 means flushed+1.
	Retain(flushed record.LSN) record.LSN
}

// Idempotent is an optional ability of an engine: it gives a retry of a request
// the answer of the first (rule S17). Without it the option Request is refused.
type Idempotent interface {
	// RequestsMax is how many requests of one client it remembers at least.
	RequestsMax() uint64
}

// Run works until ctx ends or Close is called (nil), or the node cannot go on
// (the reason): its log, store, port or engine failed, or its configuration
// contradicts what the cluster has. It waits for everything it started. It may
// run once.
func (n *Node) Run(ctx context.Context) error {
	ctx, err := n.begin(ctx)
	if err != nil {
		return err
	}
	err = runLayers(ctx,
		[]work{n.runLog, n.watchStore},
		[]work{n.transport.Run, n.members.Run, n.control.Run},
		[]work{n.runEngine, n.retain, n.declare},
	)
	reason := fmt.Errorf("this node has ended: %w", topology.ErrClosed)
	if err != nil {
		err = fmt.Errorf("node %s: %w", n.config.ID, err)
		reason = fmt.Errorf("%w: %w", topology.ErrFailed, err)
	}
	n.gate.stop(reason)
	n.mu.Lock()
	close(n.ended)
	n.mu.Unlock()
	return err
}

// begin notes that Run runs, and how Close ends it.
func (n *Node) begin(ctx context.Context) (context.Context, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.closed:
		return nil, fmt.Errorf("node %s: %w", n.config.ID, topology.ErrClosed)
	case n.ended != nil:
		return nil, fmt.Errorf("node %s runs already, or did: %w", n.config.ID, topology.ErrConflict)
	}
	n.ended = make(chan struct{})
	ctx, n.end = context.WithCancel(ctx)
	return ctx, nil
}

func (n *Node) runLog(ctx context.Context) error {
	err := n.log.Run(ctx)
	if err == nil {
		err = n.log.Failed()
	}
	return err
}

// watchStore ends the node with the store.
func (n *Node) watchStore(ctx context.Context) error {
	select {
	case err := <-n.storeFault:
		return err
	case <-ctx.Done():
		return nil
	}
}

// runEngine runs the engine once the cluster is known.
func (n *Node) runEngine(ctx context.Context) error {
	if err := n.join(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	watch, cancel := context.WithTimeout(ctx, n.config.Limits.StartWait)
	defer cancel()
	var wait sync.WaitGroup
	wait.Go(func() { n.settle(watch) })
	err := n.engine.Run(ctx)
	cancel()
	wait.Wait()
	return err
}

// settle lets calls through once the engine knows a leader, or ctx has ended:
// so the first calls of a program that has just started its node wait for the
// node to be what it is about to be, and no longer than StartWait.
func (n *Node) settle(ctx context.Context) {
	defer n.gate.start()
	t := time.NewTicker(settleEvery)
	defer t.Stop()
	for {
		switch n.engine.Status().Role {
		case topology.RoleCandidate, "":
		default:
			return
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

const settleEvery = time.Millisecond

// The method by which a node that founds a cluster asks whether there is one.
const methodCluster = "node.cluster"

// join returns once the cluster's id is known (rule C1): it is from an earlier
// start, or this node leads the first term and founds the cluster, or a peer
// that knows it has greeted.
func (n *Node) join(ctx context.Context) error {
	if n.isKnown() {
		return nil
	}
	if n.founds() {
		n.askPeers(ctx)
		if n.isKnown() || ctx.Err() != nil {
			return nil
		}
		n.logger.Info("a new cluster", "cluster", n.config.Cluster, "node", n.config.ID)
		return n.identity.found()
	}
	n.logger.Info("a new node waits for a member of its cluster", "cluster", n.config.Cluster, "node", n.config.ID)
	select {
	case <-n.identity.known:
	case <-ctx.Done():
	}
	return nil
}

func (n *Node) isKnown() bool {
	select {
	case <-n.identity.known:
		return true
	default:
		return false
	}
}

// founds reports whether this node draws the id of a new cluster. It never does
// over documents that are there already.
func (n *Node) founds() bool {
	s, ok := n.control.(topology.Seeder)
	if !ok {
		return n.config.alone()
	}
	return s.FirstLeader() == n.config.ID
}

// askPeers greets every other member until one is found that knows the cluster,
// all have said that they do not, or BootstrapWait is over. So a leader whose
// directory was lost finds the cluster it belonged to, if anybody is there.
func (n *Node) askPeers(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, n.config.Limits.BootstrapWait)
	defer cancel()
	var wait sync.WaitGroup
	for _, m := range n.config.Members {
		if m.ID != n.config.ID {
			wait.Go(func() { n.greet(ctx, m.ID) })
		}
	}
	wait.Wait()
}

// greet calls a peer until it says that it knows no cluster either, the cluster
// is known, or ctx has ended. To be let in is to learn the cluster's id.
func (n *Node) greet(ctx context.Context, peer topology.NodeID) {
	const pause = 50 * time.Millisecond
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
		if errors.As(err, &r) && r.Code == transport.RefusedFresh {
			return
		}
		t.Reset(pause)
	}
}

// retain trims the log every RetainEvery: what the store has durable and no
// member needs goes.
func (n *Node) retain(ctx context.Context) error {
	if n.config.Memory { // the store is made from the log at the next start
		<-ctx.Done()
		return nil
	}
	t := time.NewTicker(n.config.Limits.RetainEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
		if err := n.trim(ctx); err != nil && ctx.Err() == nil {
			if errors.Is(err, topology.ErrFailed) || errors.Is(err, topology.ErrStoreFailed) {
				return err
			}
			n.logger.Warn("the log was not trimmed", "err", err)
		}
	}
}

// trim makes the store durable and drops what the log need not keep.
func (n *Node) trim(ctx context.Context) error {
	flushed, err := n.store.Flush(ctx)
	if err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	keep := flushed + 1
	if r, ok := n.engine.(Retainer); ok {
		keep = min(keep, r.Retain(flushed))
	} else {
		keep = min(keep, n.withinBudget())
	}
	// Beyond its end a log would begin anew.
	b := n.log.Bounds()
	if keep = min(keep, b.End+1); keep <= b.First {
		return nil
	}
	return n.log.Truncate(topology.Range{First: keep, Last: math.MaxUint64})
}

// withinBudget returns the first LSN from which on the log has at most
// LogRetainBytes.
func (n *Node) withinBudget() record.LSN {
	b := n.log.Bounds()
	end := n.log.Offset(b.End)
	lo, hi := b.First, b.End+1
	for lo < hi {
		mid := lo + (hi-lo)/2
		if end-n.log.Offset(mid-1) > n.config.Limits.LogRetainBytes {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}
