package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/topology"
)

// Routing says which nodes answer reads. The zero value is RouteUsual.
type Routing struct {
	// Route is the order in which nodes are asked.
	Route Route
	// TokenWait is how long a node that follows may take to show what a token has
	// seen before another is asked; default 50 ms.
	TokenWait time.Duration
	// NodeWait is how long a node may take to answer a read while there is another
	// that may be asked: one that takes calls and hangs is then passed over; default
	// 2 s. A read that has to wait for longer at every node, as for an election, goes
	// round until its attempts are spent.
	NodeWait time.Duration
	// Hedge asks a second node where the first is slow; default never.
	Hedge Hedge
}

func (r Routing) withDefaults() (Routing, error) {
	if r.TokenWait == 0 {
		r.TokenWait = 50 * time.Millisecond
	}
	if r.NodeWait == 0 {
		r.NodeWait = 2 * time.Second
	}
	var faults []error
	if r.NodeWait < time.Millisecond {
		faults = append(faults, fmt.Errorf("routing.node_wait: %v, at least 1ms", r.NodeWait))
	}
	if r.Route > RouteSticky {
		faults = append(faults, fmt.Errorf("routing.route: %v is none", r.Route))
	}
	if r.TokenWait < time.Millisecond {
		faults = append(faults, fmt.Errorf("routing.token_wait: %v, at least 1ms", r.TokenWait))
	}
	var err error
	if r.Hedge, err = r.Hedge.withDefaults(); err != nil {
		faults = append(faults, err)
	}
	if r.Route == RouteUsual && r.Hedge.Percent > 0 {
		faults = append(faults, errors.New("routing.hedge: a second node needs a route to be chosen by"))
	}
	return r, errors.Join(faults...)
}

// router sends reads by a routing. Its methods may be called from any goroutine.
type router struct {
	c *Client
	Routing
	hedging *hedging

	mu    sync.Mutex // guards what follows; a leaf
	turn  uint64
	stuck topology.NodeID
}

// newRouter returns a router, or what is wrong with what was asked for.
func newRouter(c *Client, r Routing) (*router, error) {
	r, err := r.withDefaults()
	if err != nil {
		return nil, err
	}
	return &router{c: c, Routing: r, hedging: newHedging(r.Hedge)}, nil
}

// plan returns the nodes to ask for n, each with its address.
func (r *router) plan(n need) []stop {
	all, leader := r.c.cluster.view()
	r.mu.Lock()
	c := choice{route: r.Route, leader: leader, turn: r.turn, stuck: r.stuck}
	r.turn++
	r.mu.Unlock()
	var out []stop
	for _, id := range choose(c, n, all) {
		for i := range all {
			if all[i].ID == id {
				out = append(out, stop{id: id, addr: all[i].Addr, leads: id == leader})
			}
		}
	}
	return out
}

// stop is one node on the way of a read.
type stop struct {
	id    topology.NodeID
	addr  string
	leads bool
}

// ask sends a read to the nodes of the routing until one has answered, and returns
// the answer and whose it is.
func (r *router) ask(ctx context.Context, n need, method string, req []byte) ([]byte, string, error) {
	if r.Route == RouteUsual {
		return carrier{r.c}.ask(ctx, r.NodeWait, reads, method, req)
	}
	o := r.c.options
	pause, attempts := o.RetryMin, 0
	if r.hedging != nil {
		r.hedging.earn()
	}
	for {
		last := r.c.cluster.surveyed(ctx, o.RefreshEvery)
		if ctx.Err() != nil {
			return nil, "", call.NotApplied(fmt.Errorf("%w: %w", topology.ErrTimeout, ctx.Err()))
		}
		if last == nil {
			last = fmt.Errorf("no node is known that may answer: %w", topology.ErrUnavailable)
		}
		last = call.NotApplied(last)
		rest := r.plan(n)
		q := query{need: n, others: len(rest) > 1, method: method, req: req}
		for len(rest) > 0 && attempts < o.AttemptsMax {
			a := r.try(ctx, q, rest)
			if a.err == nil || ctx.Err() != nil || !elsewhere(a.err) {
				r.settle(a)
				return a.body, a.at.addr, a.err
			}
			last, rest = a.err, rest[a.sent:]
			attempts += a.sent
			r.c.cluster.begin()
		}
		if attempts++; attempts >= o.AttemptsMax || !r.c.sleep(ctx, pause) {
			return nil, "", last
		}
		pause = min(2*pause, o.RetryMax)
		if err := r.c.cluster.surveyed(ctx, 0); err != nil && ctx.Err() == nil {
			continue // nobody is heard: it is tried again while attempts last
		}
	}
}

// settle remembers who answered.
func (r *router) settle(a attempt) {
	if a.err != nil && !errors.Is(a.err, topology.ErrNotFound) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stuck = a.at.id
}

// query is a read on its way.
type query struct {
	need
	others bool // there is more than one node that it may be asked of
	method string
	req    []byte
}

// attempt is how a call to a node, or to two, has ended.
type attempt struct {
	body []byte
	err  error
	at   stop
	sent int // how many were asked
}

// one sends a read to one node. It is not waited for longer than NodeWait if there are
// others, and one that follows no longer than it may take to reach a token, if there is
// one and another is next.
func (r *router) one(ctx context.Context, q query, at stop, next bool) attempt {
	within, wait := ctx, time.Duration(0)
	if q.others {
		wait = r.NodeWait
	}
	catchUp := !q.after.IsZero() && !at.leads && next && r.TokenWait < r.NodeWait
	if catchUp {
		wait = r.TokenWait
	}
	if wait > 0 {
		var cancel context.CancelFunc
		within, cancel = context.WithTimeout(ctx, wait)
		defer cancel()
	}
	body, err := r.c.transport.CallAddr(within, at.addr, q.method, q.req)
	if late := isLate(within, err); ctx.Err() == nil && !(late && catchUp) {
		r.c.cluster.note(at.addr, late || unreached(err, r.c.options.Name))
	}
	return attempt{body: body, err: err, at: at, sent: 1}
}

// elsewhere reports whether another node may do better than one that failed so: it
// was away, behind, or has another past than the token.
func elsewhere(err error) bool {
	for _, its := range []error{topology.ErrStale, topology.ErrRewound, topology.ErrTimeout, topology.ErrQuarantined} {
		if errors.Is(err, its) {
			return true
		}
	}
	return again(err, reads)
}
