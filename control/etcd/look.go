package etcd

import (
	"context"
	"fmt"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/triad-kv/triad/topology"
)

// found is what a linearizable read saw under a key.
type found struct {
	value
	modified int64 // etcd's revision of its last change; 0: there is none
	lease    int64
}

// look reads a key, linearizably, trying again a few times, and takes what it
// finds for seen.
func (c *Control) look(ctx context.Context, key string) (found, error) {
	for tries := 0; ; tries++ {
		before := c.known.seen(key)
		var f found
		err := c.link.ask(ctx, func(ctx context.Context, client *clientv3.Client) error {
			answer, err := kv(client).Get(ctx, c.root+key)
			if err != nil {
				return err
			}
			if err := c.known.noteCluster(ctx, answer.Header.ClusterId); err != nil {
				return err
			}
			f, err = findIn(key, answer.Kvs)
			return err
		})
		if err == nil {
			return f, c.admit(ctx, key, before, f)
		}
		if ctx.Err() != nil || tries+1 == triesMax || !transient(err) {
			return found{}, c.link.explain(ctx, err)
		}
		pause(ctx, tries)
	}
}

// admit refuses what a read that was sent when before was seen cannot find, and
// takes what it can for seen.
func (c *Control) admit(ctx context.Context, key string, before mark, f found) error {
	if key != numberKey && !strings.HasPrefix(key, documentKey) {
		return nil // names come and go
	}
	if err := before.refuses(f.value); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return c.known.note(ctx, key, f.value)
}

// findIn returns what stands under key among kvs: nothing, or the one there is.
func findIn(key string, kvs []*mvccpb.KeyValue) (found, error) {
	if len(kvs) == 0 {
		return found{}, nil
	}
	v, err := decodeValue(kvs[0].Value)
	if err != nil {
		return found{}, fmt.Errorf("%s: %w", key, err)
	}
	return found{value: v, modified: kvs[0].ModRevision, lease: kvs[0].Lease}, nil
}

// findAt returns what the i-th answer of a transaction, a read of key, saw.
func findAt(key string, answers []*pb.ResponseOp, i int) (found, error) {
	if i >= len(answers) || answers[i].GetResponseRange() == nil {
		return found{}, fmt.Errorf("etcd answered a transaction with %d parts: %w", len(answers), topology.ErrMalformed)
	}
	return findIn(key, answers[i].GetResponseRange().Kvs)
}
