package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"github.com/triad-kv/triad/topology"
)

// Parts of a lease.
const (
	renewPart = 3   // a lease is renewed after a third of it
	driftPart = 100 // and taken for ended a hundredth early: clocks may run that much apart
	tryPart   = 6   // a renewal is given up, and made again, after a sixth

	revokeTriesMax = 2 // what is not revoked ends anyway
)

// claim is a registration that is held.
type claim struct {
	control  *Control
	id       topology.NodeID
	number   uint64
	lease    clientv3.LeaseID
	revision int64 // etcd's, at which the claim was made

	lost chan struct{}

	mu      sync.Mutex // guards what follows
	renewed time.Time  // when the request was sent that etcd answered last
	ttl     time.Duration
	timer   *time.Timer // looks whether the deadline has passed
	gone    bool
	closed  bool
}

var _ topology.Registration = (*claim)(nil)

// Number implements topology.Registration.
func (r *claim) Number() uint64 { return r.number }

// Lost implements topology.Registration. It is closed at the latest when the
// lease may have ended at etcd, counted from when the last renewal that etcd
// answered was sent. A process that was stopped for longer finds it closed in its
// first call of Lost; a clock that stands still while the machine sleeps is not
// seen through.
func (r *claim) Lost() <-chan struct{} {
	r.expire()
	return r.lost
}

// Close implements topology.Registration: it gives the name up at etcd, in twice
// Options.RequestTimeout at most. When that fails the claim is lost all the same,
// and the name is free once its lease ends.
func (r *claim) Close() error {
	r.mu.Lock()
	again, gone := r.closed, r.gone
	r.closed = true
	r.mu.Unlock()
	r.lose("")
	if again || gone {
		return nil
	}
	ctx := context.Background()
	if err := r.revoke(ctx); err != nil {
		return r.control.fail("close", topology.Unknown, fmt.Errorf("claim %d on %q, which ends with its lease: %w", r.number, r.id, r.control.link.explain(ctx, err)))
	}
	return nil
}

// deadline is when the lease may have ended. Its caller holds the lock.
func (r *claim) deadline() time.Time { return r.renewed.Add(r.ttl - r.ttl/driftPart) }

// start makes the claim end at its deadline, whatever else runs.
func (r *claim) start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.timer = time.AfterFunc(time.Until(r.deadline()), r.expire)
}

// expire loses the claim if its deadline has passed; otherwise it looks again then.
func (r *claim) expire() {
	r.mu.Lock()
	left := time.Until(r.deadline())
	if left > 0 && !r.gone {
		r.timer.Reset(left)
	}
	r.mu.Unlock()
	if left <= 0 {
		r.lose("its lease was not renewed in time")
	}
}

// extend moves the deadline. It brings nothing back.
func (r *claim) extend(sent time.Time, ttl time.Duration) {
	r.mu.Lock()
	if time.Until(r.deadline()) > 0 {
		r.renewed, r.ttl = sent, ttl
	}
	r.mu.Unlock()
	r.expire()
}

// lose ends the claim in this process.
func (r *claim) lose(why string) {
	r.mu.Lock()
	before := r.gone
	r.gone = true
	if r.timer != nil {
		r.timer.Stop()
	}
	r.mu.Unlock()
	if before {
		return
	}
	c := r.control
	c.mu.Lock()
	delete(c.claims, r)
	c.mu.Unlock()
	close(r.lost)
	if why != "" {
		c.logger.Warn("the claim on a name is lost", "name", r.id, "number", r.number, "why", why)
	}
}

// revoke ends the lease at etcd, and with it the key. That it has ended already is
// no error.
func (r *claim) revoke(ctx context.Context) error {
	c := r.control
	for tries := 0; ; tries++ {
		err := c.link.ask(ctx, func(ctx context.Context, client *clientv3.Client) error {
			_, err := clientv3.RetryLeaseClient(client).LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: int64(r.lease)})
			return err
		})
		switch {
		case err == nil || errors.Is(rpctypes.Error(err), rpctypes.ErrLeaseNotFound):
			return nil
		case ctx.Err() != nil || tries+1 == revokeTriesMax || !transient(err):
			return err
		}
		pause(ctx, tries)
	}
}

// untilRenewal is how long to wait before the lease is renewed.
func (r *claim) untilRenewal() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Until(r.renewed.Add(r.ttl / renewPart))
}

// keepClaims keeps every claim alive until ctx ends.
func (c *Control) keepClaims(ctx context.Context) {
	var g errgroup.Group
	defer func() { _ = g.Wait() }() // nothing of it fails
	for {
		for _, r := range c.unkept() {
			g.Go(func() error { r.keep(ctx); return nil })
		}
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		}
	}
}

// unkept returns the claims that nobody keeps alive, and takes them for kept.
func (c *Control) unkept() []*claim {
	c.mu.Lock()
	defer c.mu.Unlock()
	var rs []*claim
	for r, kept := range c.claims {
		if !kept {
			c.claims[r] = true
			rs = append(rs, r)
		}
	}
	return rs
}

// keep renews the lease until the claim is lost or ctx ends.
func (r *claim) keep(ctx context.Context) {
	wait := r.untilRenewal()
	for {
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-r.lost:
			t.Stop()
			return
		case <-ctx.Done():
			t.Stop()
			return
		}
		if err := r.renew(ctx); err != nil {
			r.control.logger.Debug("a claim was not renewed", "name", r.id, "number", r.number, "err", err)
			wait = backoffFirst
			continue
		}
		wait = r.untilRenewal()
	}
}

// renew renews the lease once and looks whether the name is still this claim's: a
// lease outlives a key that was deleted by hand.
func (r *claim) renew(ctx context.Context) error {
	r.mu.Lock()
	limit := r.ttl / tryPart
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var held bool
	var ttl time.Duration
	sent := time.Now()
	name := r.control.root + nameKey + string(r.id)
	err := r.control.link.ask(ctx, func(ctx context.Context, client *clientv3.Client) error {
		stream, err := clientv3.RetryLeaseClient(client).LeaseKeepAlive(ctx)
		if err != nil {
			return err
		}
		if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: int64(r.lease)}); err != nil {
			return err
		}
		answer, err := stream.Recv()
		if err != nil {
			return err
		}
		ttl = time.Duration(answer.TTL) * time.Second
		if err := r.control.known.noteCluster(ctx, answer.Header.ClusterId); err != nil || ttl <= 0 {
			return err
		}
		there, err := kv(client).Get(ctx, name) // a list of keys alone does not tell the lease
		held = err == nil && len(there.Kvs) == 1 && there.Kvs[0].Lease == int64(r.lease)
		return err
	})
	switch {
	case err != nil:
		return err
	case ttl <= 0 || !held:
		r.lose("etcd has given the name up")
		return nil
	}
	r.extend(sent, ttl)
	return nil
}

// hearName ends a claim on id that a change in etcd has ended.
func (c *Control) hearName(id topology.NodeID, e *clientv3.Event) {
	c.mu.Lock()
	var ended []*claim
	for r := range c.claims {
		if r.id == id && e.Kv.ModRevision > r.revision && (e.Type == mvccpb.DELETE || e.Kv.Lease != int64(r.lease)) {
			ended = append(ended, r)
		}
	}
	c.mu.Unlock()
	for _, r := range ended {
		r.lose("etcd has given the name up")
	}
}
