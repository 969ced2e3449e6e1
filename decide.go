package triad

import (
	"context"
	"errors"
	"fmt"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/topology"
)

// decide lets the leader decide a change of one key in the order of the log. What
// op answers stands in it afterwards.
func (t *named) decide(ctx context.Context, name, key string, opts []Option, op func(kind.Key) kind.Op) (Receipt, error) {
	if err := t.declare(ctx, name, key); err != nil {
		return Receipt{}, err
	}
	r, err := t.tryDecide(ctx, key, opts, op)
	if err != nil {
		return Receipt{}, t.error(name, key, err)
	}
	return r, nil
}

func (t *named) tryDecide(ctx context.Context, key string, opts []Option, op func(kind.Key) kind.Op) (Receipt, error) {
	n := inner{t.node}
	w, err := call.Gather(opts, call.WishWrite)
	if err == nil {
		err = call.CheckKey([]byte(key))
	}
	if err == nil {
		err = n.gate.enter(ctx)
	}
	if err != nil {
		return Receipt{}, notApplied(err)
	}
	defer n.gate.leave()
	if w.Has(call.WishRequest) {
		if _, ok := n.engine.(Idempotent); !ok {
			return Receipt{}, notApplied(fmt.Errorf("%w: Request: this topology does not know a retry", topology.ErrUnsupported))
		}
	}
	if err := levelled(n.Node, &w); err != nil {
		return Receipt{}, notApplied(err)
	}
	u, ok := n.engine.(topology.Updater)
	if !ok {
		return Receipt{}, notApplied(fmt.Errorf("this topology decides no write from what it finds: %w", topology.ErrUnsupported))
	}
	d, err := n.catalogue.lookup(ctx, t.name, false)
	if err != nil {
		return Receipt{}, notApplied(err)
	}
	k, err := d.key([]byte(key), n.config.WallClock())
	if err != nil {
		return Receipt{}, notApplied(err)
	}
	if err := writable(n.Node); err != nil {
		return Receipt{}, notApplied(err)
	}
	us := []topology.Update{kind.Update(op(k))}
	us[0].Request = w.Request()
	u.Update(ctx, us, w.Write())
	return us[0].Receipt, us[0].Err
}

// look lets op, which asks for one part at most or for all of a key, answer from
// what this node reads. A key, or a table, that is not there is not an error.
func (t *named) look(ctx context.Context, name, key string, opts []Option, op func(kind.Key) kind.Op) error {
	_, err := t.lookFrom(ctx, name, key, opts, op)
	return err
}

// lookFrom is look, and returns what is known of the state that it has shown.
func (t *named) lookFrom(ctx context.Context, name, key string, opts []Option, op func(kind.Key) kind.Op) (topology.Reading, error) {
	err := t.check(ctx, name, key, opts)
	if errors.Is(err, topology.ErrNoTable) && errors.Is(err, topology.ErrNotFound) {
		return topology.Reading{}, nil
	}
	if err != nil {
		return topology.Reading{}, err
	}
	r, err := t.tryLook(ctx, key, opts, op)
	if err != nil {
		return topology.Reading{}, t.error(name, key, err)
	}
	return r, nil
}

func (t *named) tryLook(ctx context.Context, key string, opts []Option, op func(kind.Key) kind.Op) (topology.Reading, error) {
	n := inner{t.node}
	w, err := call.Gather(opts, call.WishRead)
	if err == nil {
		err = call.CheckKey([]byte(key))
	}
	if err == nil {
		err = n.gate.enter(ctx)
	}
	if err != nil {
		return topology.Reading{}, notApplied(err)
	}
	defer n.gate.leave()
	for {
		at := n.catalogue.now()
		d, err := n.tableToRead(ctx, t.name, &w)
		if err != nil {
			return topology.Reading{}, notApplied(err)
		}
		r, err := n.lookAt(ctx, d, key, &w, op)
		if n.catalogue.still(ctx, d, at) {
			return r, err
		}
	}
}

// lookAt returns what is known of the state that the last read has shown, which is none
// older than the others'; but how stale it may be, and what was met, is the first's.
func (n inner) lookAt(ctx context.Context, d definition, key string, w *call.Wishes, op func(kind.Key) kind.Op) (shown topology.Reading, err error) {
	k, err := d.key([]byte(key), n.config.WallClock())
	if err != nil {
		return shown, notApplied(err)
	}
	o, err := n.readOptions(ctx, w)
	if err != nil {
		return shown, notApplied(err)
	}
	asked := op(k)
	reads := asked.Reads()
	seen := make(kind.Seen, len(reads))
	for i := range reads {
		o.Whole, o.Field, o.Parts = reads[i].Whole, reads[i].Field, len(reads) > 1
		r, err := n.engine.Read(ctx, d.id, k.Name, o)
		if err != nil && !errors.Is(err, topology.ErrNotFound) {
			return shown, err
		}
		if i == 0 {
			shown.Stale, shown.Guarantee = r.Stale, r.Guarantee
		}
		shown.Token, shown.Served = shown.Token.Join(r.Token), r.Served
		seen[i] = r.Cells
		if err == nil && r.Served == n.config.ID && r.Replicas == 0 { // without a leader what it shows is not all there is
			o = topology.ReadOptions{Guarantee: topology.ReadAny} // this node does not show less than it just did
		}
	}
	if _, err := asked.Decide(seen); err != nil {
		return shown, notApplied(err)
	}
	return shown, nil
}
