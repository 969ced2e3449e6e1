package static

import (
	"context"
	"fmt"
	"sync"

	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// claim is a registration that is held.
type claim struct {
	control *Control
	id      topology.NodeID
	number  uint64
	lost    chan struct{}
	once    sync.Once
}

// Register implements topology.Control. A claim is this process's until it is
// closed; while it is, a second one for the same name is ErrConflict. The
// directory's lock keeps other processes out.
func (c *Control) Register(ctx context.Context, id topology.NodeID) (topology.Registration, error) {
	if !id.Valid() {
		return nil, fail("register", topology.NotApplied, fmt.Errorf("%q is not a node's name: %w", id, topology.ErrMalformed))
	}
	if err := c.enter(ctx); err != nil {
		return nil, fail("register", topology.NotApplied, err)
	}
	defer c.leave()
	c.mu.Lock()
	_, held := c.claims[id]
	c.mu.Unlock()
	if held {
		return nil, fail("register", topology.NotApplied, fmt.Errorf("%q is registered already: %w", id, topology.ErrConflict))
	}
	number, err := c.nextNumber(id)
	if err != nil {
		return nil, err
	}
	r := &claim{control: c, id: id, number: number, lost: make(chan struct{})}
	c.mu.Lock()
	c.claims[id] = r
	c.mu.Unlock()
	return r, nil
}

// nextNumber counts, durably, one registration of id more. Its caller has the
// turn.
func (c *Control) nextNumber(id topology.NodeID) (uint64, error) {
	name := "registration/" + string(id)
	b, err := c.stable.Load(name)
	var last uint64
	if err == nil && b != nil {
		r := pack.NewReader(b)
		last = r.Uint()
		err = r.Done()
	}
	if err != nil {
		return 0, fail("register", topology.NotApplied, fmt.Errorf("the last number of %q: %w", id, err))
	}
	w := pack.NewWriter(nil)
	w.Uint(last + 1)
	if err := c.stable.Save(name, w.Bytes()); err != nil {
		return 0, fail("register", topology.Unknown, fmt.Errorf("number %d of %q: %w", last+1, id, err))
	}
	return last + 1, nil
}

// Number implements topology.Registration.
func (r *claim) Number() uint64 { return r.number }

// Lost implements topology.Registration: the claim is gone once it is closed.
func (r *claim) Lost() <-chan struct{} { return r.lost }

// Close implements topology.Registration.
func (r *claim) Close() error {
	r.once.Do(func() {
		r.control.mu.Lock()
		delete(r.control.claims, r.id)
		r.control.mu.Unlock()
		close(r.lost)
	})
	return nil
}
