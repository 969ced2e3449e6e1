package leaderless

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// chart is where the map comes from. It is the control document "placement": a control
// that nodes share has one, and any node may change it; where each node has documents of
// its own, the one with the lowest numbers keeps it, as that never leaves, and the others
// learn it from one another. What a node has learnt it remembers beside its log before it
// says so, and starts with it.
type chart struct {
	e          *engine
	configured *placement.Map
	changed    chan struct{} // for who steps the map
	wanted     chan struct{} // for who is filled

	mu     sync.Mutex // a leaf
	known  bool       // the map is the cluster's, not only the configuration's
	waits  string     // why it is not known yet
	memory []byte     // what is remembered
}

const (
	mapMemory    = "leaderless.map"
	methodMap    = "leaderless.map"
	chartEvery   = time.Second            // between two questions for a newer map
	chartRetry   = 100 * time.Millisecond // while none is known
	chartTimeout = 5 * time.Second
)

// openChart reads what this node remembers of the map; else the configuration's stands
// for it, until it is known.
func openChart(e *engine, configured *placement.Map) (*chart, error) {
	c := &chart{e: e, configured: configured, changed: make(chan struct{}, 1), wanted: make(chan struct{}, 1)}
	m := configured
	b, err := e.env.Stable.Load(mapMemory)
	if err != nil {
		return nil, err
	}
	if b != nil {
		if m, err = placement.Decode(b); err != nil {
			return nil, fmt.Errorf("the document %s: %w", mapMemory, err)
		}
		c.known, c.memory = true, b
	}
	if err := c.fits(m); err != nil {
		return nil, err
	}
	e.place.now.Store(m)
	return c, nil
}

// fits holds a map against what never changes.
func (c *chart) fits(m *placement.Map) error {
	if placement.Fingerprint(m) != placement.Fingerprint(c.configured) {
		return fmt.Errorf("%w: the configuration cuts keys into %d partitions, and the cluster has %d; that never changes", topology.ErrConflict, c.configured.Partitions()-1, m.Partitions()-1)
	}
	return nil
}

// byHand reports whether each node has documents of its own.
func (c *chart) byHand() bool {
	_, ok := c.e.env.Control.(topology.ByHand)
	return ok || c.e.env.Control == nil
}

// keeper is who keeps the map where nodes have documents of their own.
func keeperOf(m *placement.Map) topology.NodeID {
	l := m.Layout()
	first := l.Nodes[0]
	for _, n := range l.Nodes {
		if n.Numbers < first.Numbers {
			first = n
		}
	}
	return first.ID
}

// settle returns once the map is known, which a directory remembers after its first
// start, and this node is one of its nodes.
func (c *chart) settle(ctx context.Context) error {
	t := time.NewTimer(0)
	defer t.Stop()
	for !c.isKnown() {
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
		m, err := c.find(ctx)
		if err == nil {
			if _, in := m.Node(c.e.env.Self); !in {
				err = fmt.Errorf("%w: this node is no member by map %d; `triad ring apply --add` takes it in", topology.ErrUnavailable, m.Epoch())
				c.e.crew.follow(m)
			} else if err := c.fits(m); err != nil {
				return err
			} else if err := c.remember(m); err != nil {
				return err
			}
		}
		if err != nil && ctx.Err() == nil {
			c.say(err.Error())
		}
		t.Reset(chartRetry)
	}
	c.e.crew.follow(c.e.place.Current())
	return nil
}

func (c *chart) isKnown() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known
}

func (c *chart) say(why string) {
	c.mu.Lock()
	was := c.waits
	c.waits = why
	c.mu.Unlock()
	if was != why && why != "" {
		c.e.log.Info("this node waits for the map of its cluster", "why", why)
	}
}

// problem is why the map is not known, empty if it is.
func (c *chart) problem() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known {
		return ""
	}
	return "it waits for the map of its cluster: " + c.waits
}

// remember makes a map durable here, and this node's.
func (c *chart) remember(m *placement.Map) error {
	b := m.Encode()
	if err := c.e.env.Stable.Save(mapMemory, b); err != nil {
		return fmt.Errorf("the document %s: %w", mapMemory, err)
	}
	c.e.place.now.Store(m)
	c.mu.Lock()
	c.known, c.memory, c.waits = true, b, ""
	c.mu.Unlock()
	return nil
}

// find looks for the map of the cluster; the first one is made of the configuration.
func (c *chart) find(ctx context.Context) (*placement.Map, error) {
	ctx, cancel := context.WithTimeout(ctx, chartTimeout)
	defer cancel()
	if !c.byHand() {
		return c.findAgreed(ctx)
	}
	e := c.e
	view, _ := e.env.Membership.View()
	newest, silent := c.askAll(ctx, ids(view.Members))
	if newest != nil {
		if keeperOf(newest) != e.env.Self {
			return newest, nil
		}
		// This directory kept it, and was lost: somebody may know a newer one.
		if newer, silent := c.askAll(ctx, newest.Nodes()); len(silent) > 0 || newer == nil {
			return nil, fmt.Errorf("%w: this node kept the map and has lost it; every other one is asked, and %v do not answer", topology.ErrUnavailable, silent)
		} else if newer.Epoch() > newest.Epoch() {
			newest = newer
		}
		return newest, nil
	}
	first := keeperOf(c.configured)
	founded := e.env.Founded != nil && e.env.Founded()
	switch {
	case first != e.env.Self:
		return nil, fmt.Errorf("%w: %s, the first of the members, makes the map, and none that answers has it", topology.ErrUnavailable, first)
	case len(silent) > 0 && !founded:
		return nil, fmt.Errorf("%w: the first map is made once all members say that there is none: %v do not answer", topology.ErrUnavailable, silent)
	}
	return c.configured, nil
}

// findAgreed reads the document that all nodes share, or writes the first.
func (c *chart) findAgreed(ctx context.Context) (*placement.Map, error) {
	d, err := c.e.env.Control.Load(ctx, topology.DocumentPlacement)
	if err == nil && d.Version == 0 {
		d, err = c.e.env.Control.Swap(ctx, topology.Document{Name: topology.DocumentPlacement, Body: c.configured.Encode()})
	}
	if err != nil {
		return nil, err
	}
	return placement.Decode(d.Body)
}

func ids(ms []topology.Member) (out []topology.NodeID) {
	for _, m := range ms {
		out = append(out, m.ID)
	}
	return out
}

// askAll asks nodes for their maps, and returns the newest, nil if none has one, and who
// did not answer.
func (c *chart) askAll(ctx context.Context, of []topology.NodeID) (newest *placement.Map, silent []topology.NodeID) {
	var mu sync.Mutex
	var wait sync.WaitGroup
	for _, id := range of {
		if id == c.e.env.Self {
			continue
		}
		wait.Go(func() {
			m, err := c.ask(ctx, id, 0)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				silent = append(silent, id)
			} else if m != nil && (newest == nil || m.Epoch() > newest.Epoch()) {
				newest = m
			}
		})
	}
	wait.Wait()
	return newest, silent
}

// ask asks a node for its map, nil if it has none, or none newer than an epoch.
func (c *chart) ask(ctx context.Context, id topology.NodeID, epoch uint64) (*placement.Map, error) {
	ctx, cancel := context.WithTimeout(ctx, metTimeout)
	defer cancel()
	w := pack.NewWriter(nil)
	w.Array(1)
	w.Uint(epoch)
	b, err := c.e.env.Transport.Call(ctx, id, methodMap, w.Bytes())
	if err != nil || len(b) == 0 {
		return nil, err
	}
	return placement.Decode(append([]byte(nil), b...))
}

// serve answers who asks for the map: an array of one, the epoch of the one it has. The
// answer is the map, or nothing.
func (c *chart) serve(_ context.Context, _ topology.Peer, req []byte) ([]byte, error) {
	r := pack.NewReader(req)
	r.ArrayOf(1)
	epoch := r.Uint()
	if err := r.Done(); err != nil {
		return nil, c.e.errorOf("map", topology.NotApplied, fmt.Errorf("%w: %w", topology.ErrMalformed, err))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known || c.e.place.Epoch() <= epoch {
		return nil, nil
	}
	return c.memory, nil
}

// take makes a newer map durable, and returns what the core is to be told; false if it
// is not newer. It is the loop's.
func (c *chart) take(m *placement.Map) (core.Event, bool) {
	e := c.e
	if m.Epoch() <= e.place.Epoch() {
		return core.Event{}, false
	}
	if err := c.fits(m); err != nil {
		e.loop.alarm(err)
		return core.Event{}, false
	}
	if err := c.remember(m); err != nil {
		e.fail(err)
		return core.Event{}, false
	}
	e.crew.follow(m)
	for _, ch := range []chan struct{}{c.changed, c.wanted} {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
	return core.Event{Kind: core.EvMap, Part: core.Part{Place: &core.Place{Map: m, Applied: e.machine.position().Applied}}}, true
}

// learn has the loop take a map, and returns once it has.
func (c *chart) learn(m *placement.Map) error {
	return c.e.loop.call(func() {
		if ev, ok := c.take(m); ok {
			c.e.loop.step(ev)
			c.e.loop.publish()
		}
	})
}

// swap changes the document, and tells everybody. It returns the new map.
func (c *chart) swap(ctx context.Context, change func(*placement.Map) (*placement.Map, error)) (*placement.Map, error) {
	e, m := c.e, c.e.place.Current()
	if k := keeperOf(m); c.byHand() && k != e.env.Self {
		return nil, c.notMine(k)
	}
	if e.env.Control == nil {
		return nil, fmt.Errorf("%w: this node has no control", topology.ErrUnsupported)
	}
	d, err := e.env.Control.Load(ctx, topology.DocumentPlacement)
	if err != nil {
		return nil, err
	}
	if d.Version > 0 {
		agreed, err := placement.Decode(d.Body)
		if err != nil {
			return nil, fmt.Errorf("the document %s: %w", topology.DocumentPlacement, err)
		}
		if !c.byHand() || agreed.Epoch() > m.Epoch() {
			m = agreed
		}
	}
	next, err := change(m)
	if err != nil {
		return nil, err
	}
	d.Name, d.Body = topology.DocumentPlacement, next.Encode()
	if _, err := e.env.Control.Swap(ctx, d); err != nil {
		return nil, err
	}
	return next, c.spread(m.Epoch(), next)
}

// notMine names who keeps the map.
func (c *chart) notMine(k topology.NodeID) error {
	view, _ := c.e.env.Membership.View()
	at, _ := view.Find(k)
	return &topology.Error{
		Op: "ring", Node: c.e.env.Self, Outcome: topology.NotApplied, Leader: k, Addr: at.Addr,
		Err: fmt.Errorf("%w: %s keeps the map, as each node has documents of its own", topology.ErrNotLeader, k),
	}
}

// spread tells all others what is newer in a map, and then takes it.
func (c *chart) spread(from uint64, m *placement.Map) error {
	news := core.Message{Kind: core.MsgMap, Epoch: m.Epoch(), Delta: m.Since(from).Encode()}
	err := c.e.loop.call(func() {
		news.Life = c.e.loop.core.Life
		for _, p := range c.e.others() {
			p.send(&news)
		}
	})
	return errors.Join(err, c.learn(m))
}

// run learns newer maps: from the control that all share, and from one node after
// another, so that one which nobody talks to any more learns that too.
func (c *chart) run(ctx context.Context) error {
	t := time.NewTicker(chartEvery)
	defer t.Stop()
	for turn := 0; ; {
		var stale <-chan struct{}
		if !c.byHand() {
			var d topology.Document
			if d, stale = c.e.env.Control.Latest(topology.DocumentPlacement); d.Version > 0 {
				if err := c.heard(d.Body); err != nil {
					return err
				}
			}
		}
		select {
		case <-stale:
		case <-t.C:
			if all := c.e.others(); len(all) > 0 {
				turn++
				c.poll(ctx, all[turn%len(all)].id)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func (c *chart) heard(body []byte) error {
	m, err := placement.Decode(body)
	if err != nil {
		return fmt.Errorf("the document %s: %w", topology.DocumentPlacement, err)
	}
	if m.Epoch() > c.e.place.Epoch() {
		_ = c.learn(m) // it fails where the engine ends
	}
	return nil
}

func (c *chart) poll(ctx context.Context, id topology.NodeID) {
	if m, err := c.ask(ctx, id, c.e.place.Epoch()); err == nil && m != nil {
		_ = c.learn(m) // as above
	}
}
