package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"github.com/triad-kv/triad/topology"
)

// Run implements topology.Control: it follows what changes in etcd, and keeps
// claims alive. An etcd that is away ends nothing; Run goes on when it is back.
func (c *Control) Run(ctx context.Context) error {
	for tries := 0; ctx.Err() == nil; tries++ {
		client, err := c.link.dial(ctx)
		if err != nil {
			c.report(c.link.explain(ctx, err), tries == 0)
			pause(ctx, tries)
			continue
		}
		c.link.share(client)
		var g errgroup.Group
		g.Go(func() error { c.follow(ctx, client); return nil })
		g.Go(func() error { c.keepClaims(ctx); return nil })
		_ = g.Wait() // nothing of it fails
		c.link.share(nil)
		_ = client.Close() // it says that its context has ended, and nothing else
	}
	return nil
}

// follow keeps Latest up to date until ctx ends: it compares everything with
// etcd, then hears of every change from there on, and after a while, or when
// that breaks, begins anew. Beginning anew finds what no watch can tell: that
// the history was compacted in between, that etcd was restored and counts from
// further back, that a member delays what it has to tell.
func (c *Control) follow(ctx context.Context, client *clientv3.Client) {
	for tries := 0; ctx.Err() == nil; {
		revision, err := c.review(ctx)
		if err == nil {
			if tries > 0 {
				c.logger.Info("etcd is followed again")
			}
			tries = 0
			err = c.watch(ctx, client, revision+1)
		}
		if err != nil && ctx.Err() == nil {
			c.report(c.link.explain(ctx, err), tries == 0)
			pause(ctx, tries)
			tries++
		}
	}
}

// report logs why etcd cannot be followed: as a warning once, until it can again.
func (c *Control) report(err error, first bool) {
	if first {
		c.logger.Warn("etcd cannot be followed; what is known of documents may be old", "err", err)
		return
	}
	c.logger.Debug("etcd cannot be followed", "err", err)
}

// review reads what has changed since it was seen, and returns etcd's revision
// from which on a watch will tell the rest.
func (c *Control) review(ctx context.Context) (int64, error) {
	var answer *clientv3.GetResponse
	err := c.link.ask(ctx, func(ctx context.Context, client *clientv3.Client) (err error) {
		answer, err = kv(client).Get(ctx, c.root+documentKey, clientv3.WithPrefix(), clientv3.WithKeysOnly())
		if err != nil {
			return err
		}
		return c.known.noteCluster(ctx, answer.Header.ClusterId)
	})
	if err != nil {
		return 0, err
	}
	check := map[string]bool{}
	for _, key := range c.known.documents() {
		check[key] = true // also what is not there any more
	}
	for _, kv := range answer.Kvs {
		check[strings.TrimPrefix(string(kv.Key), c.root)] = true
	}
	var faults []error
	for key := range check {
		if !validName(strings.TrimPrefix(key, documentKey)) {
			continue // nobody can ask for it
		}
		if _, err := c.look(ctx, key); transient(err) && err != nil {
			return 0, err
		} else if err != nil {
			faults = append(faults, err) // of that one alone
		}
	}
	if err := errors.Join(faults...); err != nil {
		c.logger.Error("documents in etcd are refused", "err", err)
	}
	return answer.Header.Revision, nil
}

// watch takes note of every change from revision on, until it is time for the
// next review.
func (c *Control) watch(ctx context.Context, client *clientv3.Client, revision int64) error {
	ctx, cancel := context.WithTimeout(clientv3.WithRequireLeader(ctx), c.every)
	defer cancel()
	for answer := range client.Watch(ctx, c.root, clientv3.WithPrefix(), clientv3.WithRev(revision)) {
		if err := answer.Err(); errors.Is(err, rpctypes.ErrCompacted) {
			return nil // what was missed is found by a review
		} else if err != nil {
			return err
		}
		if err := c.known.noteCluster(ctx, answer.Header.ClusterId); err != nil {
			return err
		}
		for _, e := range answer.Events {
			if err := c.hear(ctx, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// hear takes note of one change.
func (c *Control) hear(ctx context.Context, e *clientv3.Event) error {
	key := strings.TrimPrefix(string(e.Kv.Key), c.root)
	if name, of := strings.CutPrefix(key, nameKey); of {
		c.hearName(topology.NodeID(name), e)
		return nil
	}
	name, of := strings.CutPrefix(key, documentKey)
	if !of || !validName(name) {
		return nil
	}
	if e.Type == mvccpb.DELETE {
		return fmt.Errorf("document %s was deleted by hand; %s: %w", name, wayOut, topology.ErrStale)
	}
	v, err := decodeValue(e.Kv.Value)
	if err != nil {
		return fmt.Errorf("document %s: %w", name, err)
	}
	return c.known.note(ctx, key, v)
}
