//go:build linux

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// promoteWait bounds the time until some node could be made leader.
const promoteWait = 30 * time.Second

// instead is how a refusal names the node that may lead.
var instead = regexp.MustCompile(`run failover to ([a-z])`)

// failover makes a node leader as an operator would: by the command, and where it
// is refused in favour of another, for that one. unreached are not asked.
func (r *run) failover(ctx context.Context, to string, unreached ...string) error {
	if r.o.Elect {
		return r.elected(ctx, unreached...)
	}
	err := until(ctx, promoteWait, "somebody is made leader", func(ctx context.Context) (bool, error) {
		err := r.promote(ctx, to, unreached...)
		if err == nil {
			return true, nil
		}
		if m := instead.FindStringSubmatch(err.Error()); m != nil {
			to = m[1]
		}
		return false, err
	})
	if err != nil {
		return errors.Join(errBroken, err, r.states(ctx))
	}
	return nil
}

// elected waits until the nodes have made one of them leader, other than those.
func (r *run) elected(ctx context.Context, unreached ...string) error {
	err := until(ctx, promoteWait, "somebody is elected", func(ctx context.Context) (bool, error) {
		for _, n := range r.nodes {
			if s, err := n.status(ctx); err == nil && s.Role == "leader" && !slices.Contains(unreached, n.id) {
				return true, nil
			}
		}
		return false, r.fell()
	})
	if err != nil {
		return errors.Join(errBroken, err, r.states(ctx))
	}
	return nil
}

// promote runs `triad failover` once.
func (c *cluster) promote(ctx context.Context, to string, unreached ...string) error {
	var endpoints []string
	for _, n := range c.nodes {
		if !strings.Contains(strings.Join(unreached, ","), n.id) {
			endpoints = append(endpoints, at(c.net.addr(n.id), portPeers))
		}
	}
	_, err := tool(ctx, "", c.binary, "failover", "--cluster", clusterName, "--endpoints", strings.Join(endpoints, ","), "--to", to)
	return err
}

// failoverDead kills the leader, makes another one, and brings the old one back.
func failoverDead(ctx context.Context, r *run, s strike) error {
	n, err := r.leader(ctx)
	if err != nil {
		return err
	}
	if err := n.kill(); err != nil {
		return err
	}
	err = r.failover(ctx, pick(others(n.id), s.roll), n.id)
	if err == nil {
		_, err = r.acks(ctx)
	}
	return errors.Join(err, after(ctx, s, func(context.Context) error { return n.start() }))
}

// failoverCut cuts the leader off, from other nodes but not from clients, and
// makes another one meanwhile: of the two only the new one may acknowledge.
func failoverCut(ctx context.Context, r *run, s strike) error {
	n, err := r.leader(ctx)
	if err != nil {
		return err
	}
	if err := r.net.cut(ctx, between([]string{n.id}, ids)); err != nil {
		return err
	}
	err = r.failover(ctx, pick(others(n.id), s.roll), n.id)
	return errors.Join(err, after(ctx, s, func(ctx context.Context) error { return r.net.cut(ctx, nil) }))
}

// wipe takes a node's directory away: it comes back under its name, as somebody
// else. A leader that comes back so must not lead.
func wipe(ctx context.Context, r *run, s strike) error {
	n, err := r.hit(ctx, s)
	if err != nil {
		return err
	}
	if err := errors.Join(n.kill(), r.disks[n.id].wipe(ctx), n.start()); err != nil {
		return err
	}
	if s.at == atLeader {
		if err := r.failover(ctx, pick(others(n.id), s.roll)); err != nil {
			return err
		}
	}
	return pause(ctx, s.hold)
}

// amnesia is what C1 is about. One follower alone has what was acknowledged last,
// beside the leader, and loses its disk; then the leader dies. The follower that
// is left must not be made leader by the word of the one that has forgotten.
func amnesia(ctx context.Context, r *run, s strike) error {
	l, err := r.leader(ctx)
	if err != nil {
		return err
	}
	behind := r.node(pick(others(l.id), s.roll))
	var witness *node
	for _, n := range r.nodes {
		if n != l && n != behind {
			witness = n
		}
	}
	if err := r.net.cut(ctx, between([]string{behind.id}, ids)); err != nil {
		return err
	}
	if _, err := r.acks(ctx); err != nil {
		return errors.Join(err, r.net.cut(ctx, nil))
	}
	err = errors.Join(l.kill(), witness.kill(), r.disks[witness.id].wipe(ctx), r.net.cut(ctx, nil), witness.start())
	if err != nil {
		return err
	}
	if err := until(ctx, settleWait, "the wiped node answers", func(ctx context.Context) (bool, error) {
		_, err := witness.status(ctx)
		return err == nil, err
	}); err != nil {
		return err
	}
	for _, n := range []*node{behind, witness} {
		if err := r.promote(ctx, n.id, l.id); err == nil {
			return fmt.Errorf("%w: %s was made leader by the word of %s, which has forgotten what it had acknowledged", errBroken, n.id, witness.id)
		}
	}
	return after(ctx, s, func(context.Context) error { return l.start() })
}

// acks waits until a write is acknowledged from now on.
func (r *run) acks(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	err := until(ctx, settleWait, "a write is acknowledged", func(context.Context) (bool, error) { return r.load.ackedSince(began), nil })
	if err != nil {
		err = errors.Join(errBroken, err, r.states(ctx))
	}
	return time.Since(began), err
}
