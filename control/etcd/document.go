package etcd

import (
	"context"
	"crypto/rand"
	"fmt"
	"math"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/triad-kv/triad/topology"
)

// Load implements topology.Control, linearizably. The body is the caller's.
func (c *Control) Load(ctx context.Context, name string) (topology.Document, error) {
	if err := checkCall(ctx, name); err != nil {
		return topology.Document{}, c.fail("load", topology.NotApplied, err)
	}
	f, err := c.look(ctx, documentKey+name)
	if err != nil {
		return topology.Document{}, c.fail("load", topology.NotApplied, err)
	}
	return document(name, f.value), nil
}

// Latest implements topology.Control. Before Run, and before the first answer of
// etcd, a document has version 0. The body is shared: read only. What is known may
// be old: nothing may be decided by it that a Swap does not decide again.
func (c *Control) Latest(name string) (topology.Document, <-chan struct{}) {
	if !validName(name) {
		return topology.Document{Name: name}, nil // never closed: there will be none
	}
	d, stale, err := c.known.latest(documentKey + name)
	if err != nil {
		return topology.Document{Name: name}, nil
	}
	return d, stale
}

// Swap implements topology.Control. It keeps nothing of d.
//
// A request whose answer is lost is made again, as it was, for as long as ctx
// lasts: etcd applies one of the copies at most, and what stands there afterwards
// says whether it was one of them. So Unknown is the answer of a Swap whose ctx
// ended in between, or which more than 16 others have followed.
func (c *Control) Swap(ctx context.Context, d topology.Document) (topology.Document, error) {
	fail := func(outcome topology.Outcome, err error) (topology.Document, error) {
		return topology.Document{}, c.fail("swap", outcome, fmt.Errorf("document %s: %w", d.Name, err))
	}
	if err := checkCall(ctx, d.Name); err != nil {
		return fail(topology.NotApplied, err)
	}
	if len(d.Body) > BodyBytesMax {
		return fail(topology.NotApplied, fmt.Errorf("%d bytes are more than %d: %w", len(d.Body), BodyBytesMax, topology.ErrTooLarge))
	}
	key := documentKey + d.Name
	f, err := c.look(ctx, key)
	switch {
	case err != nil:
		return fail(topology.NotApplied, err)
	case f.version != d.Version:
		return fail(topology.NotApplied, fmt.Errorf("it is at version %d, not %d: %w", f.version, d.Version, topology.ErrConflict))
	case d.Version == math.MaxUint64:
		return fail(topology.NotApplied, fmt.Errorf("the last version is reached: %w", topology.ErrTooLarge))
	}
	var o op
	_, _ = rand.Read(o[:]) // it does not fail
	next := f.next(o, append([]byte(nil), d.Body...))
	if outcome, err := c.settle(ctx, key, f.modified, next); err != nil {
		return fail(outcome, err)
	}
	return document(d.Name, next), nil
}

// settle makes next the value of key, which was changed last at the revision
// modified, and finds out whether that took place.
func (c *Control) settle(ctx context.Context, key string, modified int64, next value) (topology.Outcome, error) {
	outcome := topology.NotApplied // of what was sent so far
	for tries := 0; ; {
		f, done, err := c.put(ctx, key, modified, next)
		switch {
		case done && err == nil:
			if err := c.known.note(ctx, key, next); err != nil {
				return topology.Unknown, err
			}
			return 0, nil
		case err == nil: // etcd holds something else than modified
			switch fateOf(next, f.value) {
			case applied:
				return topology.Unknown, c.known.note(ctx, key, f.value)
			case pending: // it was touched, and is the same: nothing that was sent can be applied any more
				modified, outcome = f.modified, topology.NotApplied
				continue
			case forgotten:
				if outcome == topology.Unknown {
					return outcome, fmt.Errorf("it is at version %d by now, and no longer says what made version %d: %w", f.version, next.version, topology.ErrUnavailable)
				}
			case lost:
			}
			return topology.NotApplied, fmt.Errorf("it is at version %d, no longer at %d: %w", f.version, next.version-1, topology.ErrConflict)
		case done || isOurs(err):
			return topology.Unknown, c.link.explain(ctx, err)
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

// put asks once for next to become the value of key. done reports that it did;
// otherwise and without an error, it did not because of what was found.
func (c *Control) put(ctx context.Context, key string, modified int64, next value) (f found, done bool, err error) {
	before, at := c.known.seen(key), c.root+key
	err = c.link.ask(ctx, func(ctx context.Context, client *clientv3.Client) error {
		answer, err := kv(client).Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(at), "=", modified)).
			Then(clientv3.OpPut(at, string(encodeValue(next)))).
			Else(clientv3.OpGet(at)).Commit()
		if err != nil {
			return err
		}
		done = answer.Succeeded
		if err := c.known.noteCluster(ctx, answer.Header.ClusterId); err != nil || done {
			return err
		}
		if f, err = findAt(key, answer.Responses, 0); err != nil {
			return err
		}
		return c.admit(ctx, key, before, f)
	})
	return f, done, err
}

// checkCall says what is wrong with a call before anything is sent.
func checkCall(ctx context.Context, name string) error {
	if !validName(name) {
		return fmt.Errorf("document %q: not a name for one: %w", name, topology.ErrMalformed)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", topology.ErrTimeout, err)
	}
	return nil
}
