package triad

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/triad-kv/triad/internal/wal"
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
	r := running{n}
	ctx, err := r.begin(ctx)
	if err != nil {
		return err
	}
	floor := []work{r.runLog, r.watchDisk}
	for _, l := range n.disks.beside {
		floor = append(floor, func(ctx context.Context) error { return runOne(ctx, l) })
	}
	ctx, cancel := r.afterHandover(ctx)
	defer cancel()
	err = runLayers(ctx,
		floor,
		[]work{n.transport.Run, r.runMembership, n.control.Run},
		[]work{r.runEngine, r.retain, r.declare, r.sweep, r.scrub},
	)
	reason := fmt.Errorf("this node has ended: %w", topology.ErrClosed)
	if err != nil {
		err = fmt.Errorf("node %s: %w", n.config.ID, err)
		reason = fmt.Errorf("%w: %w", topology.ErrFailed, err)
	}
	n.gate.stop(reason)
	n.mu.Lock()
	close(n.run.ended)
	n.mu.Unlock()
	return err
}

// begin notes that Run runs, and how Close ends it.
func (n running) begin(ctx context.Context) (context.Context, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.closed:
		return nil, fmt.Errorf("node %s: %w", n.config.ID, topology.ErrClosed)
	case n.run.ended != nil:
		return nil, fmt.Errorf("node %s runs already, or did: %w", n.config.ID, topology.ErrConflict)
	}
	n.run.ended = make(chan struct{})
	ctx, n.run.end = context.WithCancel(ctx)
	return ctx, nil
}

// afterHandover returns a context that ends after ctx, once this node has handed its
// leadership over, or has tried to; and what ends it and waits for that.
func (n running) afterHandover(ctx context.Context) (context.Context, func()) {
	own, end := context.WithCancel(context.WithoutCancel(ctx))
	var wait sync.WaitGroup
	wait.Go(func() {
		select {
		case <-ctx.Done():
			n.Operator().HandOver(own)
			end()
		case <-own.Done(): // the node has ended by itself
		}
	})
	return own, func() { end(); wait.Wait() }
}

// running is a Node within its Run.
type running struct{ *Node }

func (n running) runLog(ctx context.Context) error { return runOne(ctx, n.log) }

func runOne(ctx context.Context, l *wal.Log) error {
	err := l.Run(ctx)
	if err == nil {
		err = l.Failed()
	}
	return err
}

// runMembership says goodbye before it ends.
func (n running) runMembership(ctx context.Context) error {
	own, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var wait sync.WaitGroup
	defer wait.Wait()
	wait.Go(func() {
		select {
		case <-ctx.Done():
		case <-own.Done(): // it has ended by itself
			return
		}
		leave, cancel := context.WithTimeout(own, leaveWait)
		defer cancel()
		if err := n.membership.Leave(leave); err != nil {
			n.logger.Warn("others were not told that this node leaves; they will find out", "error", err)
		}
		end()
	})
	err := n.membership.Run(own)
	end()
	return err
}

// leaveWait bounds a goodbye.
const leaveWait = 5 * time.Second

// watchDisk ends the node with its store or its home: one that can keep no promise
// is of no use to the others, and a restart finds out what is there.
func (n running) watchDisk(ctx context.Context) error {
	select {
	case err := <-n.disks.fault:
		return err
	case <-ctx.Done():
		return nil
	}
}

// runEngine runs the engine once the cluster is known.
func (n running) runEngine(ctx context.Context) error {
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
func (n running) settle(ctx context.Context) {
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
