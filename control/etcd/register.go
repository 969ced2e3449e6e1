package etcd

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/triad-kv/triad/topology"
)

// Register implements topology.Control. A name has one holder: while another
// claim on it stands, of this process or of any other, it is ErrConflict. A claim
// stands until it is closed, or until its process has said nothing for as long as
// the lease is.
//
// Only while Run runs is a claim kept alive.
func (c *Control) Register(ctx context.Context, id topology.NodeID) (topology.Registration, error) {
	fail := func(outcome topology.Outcome, err error) (topology.Registration, error) {
		return nil, c.fail("register", outcome, fmt.Errorf("%q: %w", id, err))
	}
	if !id.Valid() {
		return fail(topology.NotApplied, fmt.Errorf("not a node's name: %w", topology.ErrMalformed))
	}
	if err := ctx.Err(); err != nil {
		return fail(topology.NotApplied, fmt.Errorf("%w: %w", topology.ErrTimeout, err))
	}
	r := &claim{control: c, id: id, lost: make(chan struct{})}
	if err := r.grant(ctx); err != nil {
		return fail(topology.NotApplied, err)
	}
	if outcome, err := r.take(ctx); err != nil {
		// Without its lease nothing that was sent can become a claim any more.
		if ctx.Err() == nil && r.revoke(ctx) == nil {
			outcome = topology.NotApplied
		}
		return fail(outcome, err)
	}
	c.mu.Lock()
	c.claims[r] = false
	c.mu.Unlock()
	r.start()
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return r, nil
}

// grant asks for a lease.
func (r *claim) grant(ctx context.Context) error {
	c := r.control
	for tries := 0; ; tries++ {
		sent := time.Now()
		err := c.link.ask(ctx, func(ctx context.Context, client *clientv3.Client) error {
			answer, err := clientv3.RetryLeaseClient(client).LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: int64(c.lease / time.Second)})
			if err != nil {
				return err
			}
			r.lease, r.renewed, r.ttl = clientv3.LeaseID(answer.ID), sent, time.Duration(answer.TTL)*time.Second
			return c.known.noteCluster(ctx, answer.Header.ClusterId)
		})
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || tries+1 == triesMax || !transient(err) {
			return c.link.explain(ctx, err)
		}
		pause(ctx, tries)
	}
}

// take makes the name this claim's if it is nobody's, and counts the claim in the
// same transaction. A request whose answer is lost is made again: the lease tells
// whether the name is this claim's already.
func (r *claim) take(ctx context.Context) (topology.Outcome, error) {
	c := r.control
	n, err := c.look(ctx, numberKey)
	if err != nil {
		return topology.NotApplied, err
	}
	outcome := topology.NotApplied // of what was sent so far
	for tries := 0; ; {
		holder, last, done, err := r.attempt(ctx, n)
		switch {
		case err == nil && done:
			return 0, nil
		case err == nil && holder.lease == int64(r.lease):
			r.number, r.revision = holder.version, holder.modified
			return 0, nil
		case err == nil && holder.modified != 0:
			return outcome, fmt.Errorf("the name is held by claim %d; when its process is gone, it is free within its lease: %w", holder.version, topology.ErrConflict)
		case err == nil:
			n = last // others were counted meanwhile
			continue
		case refusalOf(err) == nil:
			outcome = topology.Unknown
		}
		if ctx.Err() != nil || !transient(err) || outcome == topology.NotApplied && tries+1 == triesMax {
			return outcome, c.link.explain(ctx, err)
		}
		pause(ctx, tries)
		tries++
	}
}

// attempt asks once for the name, as the claim after n.
func (r *claim) attempt(ctx context.Context, n found) (holder, last found, done bool, err error) {
	c := r.control
	var o op
	_, _ = rand.Read(o[:]) // it does not fail
	count := n.next(o, nil)
	before, name, number := c.known.seen(numberKey), c.root+nameKey+string(r.id), c.root+numberKey
	mine := value{version: count.version, ops: []op{o}, body: []byte(c.self)}
	err = c.link.ask(ctx, func(ctx context.Context, client *clientv3.Client) error {
		answer, err := kv(client).Txn(ctx).
			If(clientv3.Compare(clientv3.CreateRevision(name), "=", 0), clientv3.Compare(clientv3.ModRevision(number), "=", n.modified)).
			Then(clientv3.OpPut(name, string(encodeValue(mine)), clientv3.WithLease(r.lease)), clientv3.OpPut(number, string(encodeValue(count)))).
			Else(clientv3.OpGet(name), clientv3.OpGet(number)).Commit()
		if err != nil {
			return err
		}
		if err := c.known.noteCluster(ctx, answer.Header.ClusterId); err != nil {
			return err
		}
		if answer.Succeeded {
			r.number, r.revision, done = count.version, answer.Header.Revision, true
			return c.known.note(ctx, numberKey, count)
		}
		if holder, err = findAt(nameKey+string(r.id), answer.Responses, 0); err != nil {
			return err
		}
		if last, err = findAt(numberKey, answer.Responses, 1); err != nil {
			return err
		}
		return c.admit(ctx, numberKey, before, last)
	})
	return holder, last, done, err
}
