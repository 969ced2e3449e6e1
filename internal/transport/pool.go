package transport

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/triad-kv/triad/topology"
)

// target is who is called: a node, or whoever listens on an address.
type target struct {
	id   topology.NodeID
	addr string
}

func (g target) String() string {
	if g.id != "" {
		return "node " + string(g.id)
	}
	return g.addr
}

// pool keeps one control line to each target that was called. It is safe for
// concurrent use, and its lock is a leaf.
type pool struct {
	mu    sync.Mutex
	paths map[target]*path
}

// path is how a target is reached: a line, an attempt to get one, or the reason
// why there is none until the next attempt may be made.
type path struct {
	line     *caller
	attempt  *attempt // in progress
	failures int
	last     error
	retry    time.Time
}

// attempt is one dial. Its results are there once done is closed.
type attempt struct {
	done chan struct{}
	line *caller
	err  error
}

// callerTo returns a line to a target, dialled if there is none. Errors are
// grounds: nothing was sent.
func (t *Transport) callerTo(ctx context.Context, to target) (*caller, error) {
	if err := t.ready(ctx); err != nil {
		return nil, err
	}
	c, a, err := t.seek(to)
	if a == nil {
		return c, err
	}
	select {
	case <-a.done:
		return a.line, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("while %v was dialled: %w", to, expired(ctx))
	}
}

// seek returns the line to a target, or the attempt to get one, or why neither.
func (t *Transport) seek(to target) (*caller, *attempt, error) {
	addr, known := t.addrOf(to)
	p := &t.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.paths[to]
	if h != nil && h.line != nil && h.line.ended() {
		h.drop(t.limits)
	}
	switch {
	case h != nil && h.line != nil:
		return h.line, nil, nil
	case h != nil && h.attempt != nil:
		return nil, h.attempt, nil
	case to.id == t.self && t.self != "":
		return nil, nil, refusef(RefusedSelf, "a node does not call itself")
	case !known:
		return nil, nil, fmt.Errorf("%v is not a member: %w", to, topology.ErrUnavailable)
	case addr == "":
		return nil, nil, fmt.Errorf("the address of %v is not known yet: %w", to, topology.ErrUnavailable)
	case h != nil && h.last != nil && time.Now().Before(h.retry):
		return nil, nil, h.last
	case h == nil && to.id == "" && !p.roomForAddr(t.limits.AddrsMax):
		t.counts.overloaded.Add(1)
		return nil, nil, fmt.Errorf("%w: connections to %d addresses are open", topology.ErrOverloaded, t.limits.AddrsMax)
	}
	if h == nil {
		h = &path{}
		p.paths[to] = h
	}
	a := &attempt{done: make(chan struct{})}
	if !t.group.spawn(func() { t.reach(to, addr, h, a) }) {
		return nil, nil, errClosed()
	}
	h.attempt = a
	return nil, a, nil
}

// addrOf returns where a target listens; false if it is no member.
func (t *Transport) addrOf(to target) (string, bool) {
	if to.id == "" {
		return to.addr, true
	}
	if t.members == nil {
		return "", false
	}
	v, _ := t.members.View()
	m, ok := v.Find(to.id)
	return m.Addr, ok
}

// roomForAddr reports whether one more address may be dialled, and forgets one
// that is not connected if that makes room.
func (p *pool) roomForAddr(most int) bool {
	n := 0
	for to := range p.paths {
		if to.id == "" {
			n++
		}
	}
	for to, h := range p.paths {
		if n < most {
			break
		}
		if to.id == "" && h.attempt == nil && (h.line == nil || h.line.ended()) {
			delete(p.paths, to)
			n--
		}
	}
	return n < most
}

// reach dials a target, serves the line and, once it has ended, lets it go.
func (t *Transport) reach(to target, addr string, h *path, a *attempt) {
	ctx, cancel := context.WithTimeout(context.Background(), t.limits.HandshakeTimeout)
	l, free, err := t.connect(ctx, addr, to.id, t.hello(classControl, ""))
	cancel()
	if err == nil {
		defer free()
		a.line = newCaller(t, l)
		if refusal := t.admit(l, a.line.line); refusal != nil {
			l.refuse(refusal)
			err = fmt.Errorf("dialling %s: %w", addr, refusal)
			a.line = nil
		}
	}
	a.err = err
	t.pool.settle(h, a, t.limits)
	if err != nil {
		return
	}
	young := t.after(t.retireAge(), func() {
		t.pool.lost(h, a.line, t.limits)
		a.line.retire()
	})
	a.line.serve()
	young()
	t.claims.remove(l)
	t.pool.lost(h, a.line, t.limits)
	t.report(l)
}

// settle makes the result of an attempt known.
func (p *pool) settle(h *path, a *attempt, l Limits) {
	p.mu.Lock()
	h.line, h.attempt = a.line, nil
	if a.err != nil {
		h.fail(a.err, l)
	}
	p.mu.Unlock()
	close(a.done)
}

// lost notes the end of a line.
func (p *pool) lost(h *path, c *caller, l Limits) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h.line == c {
		h.drop(l)
	}
}

// drop forgets a line that has ended. One that did not last counts as a failed
// dial, so that two sides which cannot agree do not dial without rest.
func (h *path) drop(l Limits) {
	c := h.line
	h.line = nil
	if time.Since(c.born) < l.BackoffMax {
		h.fail(c.lost(), l)
		return
	}
	h.failures, h.last = 0, nil
}

// fail delays the next attempt: twice as long each time, and up to half as much
// again so that nodes do not dial in step.
func (h *path) fail(err error, l Limits) {
	wait := l.BackoffMax
	if shift := min(h.failures, 30); l.BackoffMin < l.BackoffMax>>shift {
		wait = l.BackoffMin << shift
	}
	h.failures++
	h.last = err
	h.retry = time.Now().Add(wait + rand.N(wait/2+1))
}

// encourage lets a node be dialled at once: it has just been heard of.
func (p *pool) encourage(id topology.NodeID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h := p.paths[target{id: id}]; h != nil {
		h.last, h.failures = nil, 0
	}
}
