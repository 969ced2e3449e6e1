package demo

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/topology"
)

// newcomer is a name for one node more: that of the last, with the next number.
func (c *cluster) newcomer() topology.NodeID {
	last := string(c.nodes[len(c.nodes)-1].ID)
	stem := strings.TrimRight(last, "0123456789")
	n, err := strconv.Atoi(last[len(stem):])
	if err != nil {
		stem, n = last+"-", 1 // it has no number, or one that is none of ours
	}
	for {
		n++
		if id := topology.NodeID(stem + strconv.Itoa(n)); c.node(id) == nil {
			return id
		}
	}
}

// add starts one node more, from an empty directory. The others do not know it yet.
func (c *cluster) add(id topology.NodeID) (*node, error) {
	like, i := c.nodes[0], len(c.nodes)
	s := Start{RESP: c.o.RESP}
	ls, err := bind([]string{""}, PortFirst+i, !c.o.Once)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", id, err)
	}
	s.Peers = ls[0]
	n := &node{role: config.RoleVoter, addr: s.Peers.Addr().String(), Spec: like.Spec}
	n.ID, n.Dir, n.Links = id, filepath.Join(c.dir, string(id)), nil
	n.Members = append(slices.Clone(like.Members), topology.Member{ID: id, Addr: n.addr})
	if c.o.RESP != nil {
		if ls, err = bind([]string{""}, RESPPortFirst+i, !c.o.Once); err != nil {
			return nil, errors.Join(fmt.Errorf("start %s: %w", id, err), s.Peers.Close())
		}
		s.Clients = ls[0]
		n.resp = s.Clients.Addr().String()
	}
	s.Spec = n.Spec
	if err := c.startOne(n, s); err != nil {
		return nil, fmt.Errorf("start %s: %w", id, err)
	}
	c.nodes = append(c.nodes, n)
	return n, nil
}

// rush is what clients do while a node joins: each writes a key of its own at one node,
// again and again, and reads it at another after every write.
type rush struct {
	*votes
	nodes []*node          // that are there already
	asks  []*client.Client // of each of them
	acked atomic.Int64     // writes
	again atomic.Int64     // requests that had to be sent once more
	done  chan struct{}
	last  []string // value of each client's key; its alone until it has ended
}

const (
	rushClients = 4
	rushAfter   = 50 // writes that are wanted after the partitions have moved
)

func (r *rush) key(i int) string { return fmt.Sprint(3001 + i) }

// client goes on until done is closed. A request that fails is sent again, which changes
// nothing: the key is its alone.
func (r *rush) client(ctx context.Context, i int) error {
	at, key := i%len(r.nodes), []byte(r.key(i))
	again := func(ask func() error) error {
		tries := int64(-1)
		err := until(ctx, func(context.Context) error { tries++; return ask() })
		r.again.Add(tries)
		return err
	}
	for round := 0; ; round++ {
		select {
		case <-r.done:
			return nil
		default:
		}
		text := fmt.Sprintf("Dave %d", round)
		if err := again(func() error { _, err := r.asks[at].Put(ctx, r.table, key, []byte(text)); return err }); err != nil {
			return fmt.Errorf("%s at %s: %w", key, r.nodes[at].ID, err)
		}
		r.last[i] = text
		r.acked.Add(1)
		from := (i + 1 + round) % len(r.nodes)
		var got client.Reading
		err := again(func() (err error) { got, err = r.asks[from].Get(ctx, r.table, key); return err })
		switch {
		case err != nil:
			return fmt.Errorf("%s at %s: %w", key, r.nodes[from].ID, err)
		case string(got.Value) != text:
			return fmt.Errorf("%s is %q at %s while a node joins, and %q was acknowledged before", key, got.Value, r.nodes[from].ID, text)
		}
		pause(ctx, pollEvery) // the last of two writes is the one of the later millisecond
	}
}

// join takes one node more in while clients write and read, and wants it to hold its share
// then, and nothing to be lost.
func (v *votes) join(ctx context.Context) error {
	if err := until(ctx, v.whole); err != nil {
		return err
	}
	r := &rush{votes: v, nodes: v.c.living(), done: make(chan struct{}), last: make([]string, rushClients)}
	for _, n := range r.nodes {
		r.asks = append(r.asks, v.at[n.ID])
	}
	g, within := errgroup.WithContext(ctx)
	for i := range r.last {
		g.Go(func() error { return r.client(within, i) })
	}
	var s share
	g.Go(func() (err error) {
		defer close(r.done)
		s, err = r.grow(within)
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	for i, text := range r.last {
		v.want[r.key(i)] = text
	}
	if err := until(ctx, v.whole); err != nil {
		return err
	}
	if err := v.shown(ctx, v.c.living()); err != nil {
		return err
	}
	if err := until(ctx, func(ctx context.Context) error { return v.shown(ctx, []*node{s.node}, client.Any()) }); err != nil {
		return err
	}
	v.held("%s holds %d of %d partitions, %.0f %% of all copies, %s after it was asked for; %d writes were acknowledged meanwhile, %d in all, none is lost and every read found the write before it; %d requests were sent again",
		s.node.ID, s.part.Holds, s.of, 100*s.part.Share, s.took, s.writes, r.acked.Load(), r.again.Load())
	return nil
}

// share is what a node that joined has got.
type share struct {
	node   *node
	part   topology.RingPart
	of     int    // partitions
	took   string // from the order to the last partition
	writes int64  // that were acknowledged meanwhile
}

// grow starts the new node, has it taken in, and waits for the end of that.
func (r *rush) grow(ctx context.Context) (s share, err error) {
	if err := r.reach(ctx, 1); err != nil {
		return s, err
	}
	if s.node, err = r.c.add(r.c.newcomer()); err != nil {
		return s, err
	}
	ctx, end := r.c.watch(ctx) // of the new one too
	defer end()
	n := s.node
	if r.at[n.ID], err = client.Dial([]string{n.addr}, client.Options{Cluster: r.o.Cluster}); err != nil {
		return s, err
	}
	change := topology.RingChange{Add: []topology.RingNode{{ID: n.ID, Addr: n.addr}}}
	r.line("%s ring apply --add %s=%s", r.o.Command, n.ID, n.addr)
	began, before := time.Now(), r.acked.Load()
	plan, err := r.apply(ctx, change)
	if err != nil {
		return s, err
	}
	var ring topology.Ring
	if err := until(ctx, func(ctx context.Context) (err error) { ring, err = r.moved(ctx, plan); return err }); err != nil {
		return s, err
	}
	s.took, s.writes, s.of = since(began), r.acked.Load()-before, ring.Partitions
	r.tellRing(plan, ring)
	for _, p := range ring.Nodes {
		if p.ID == n.ID {
			s.part = p
		}
	}
	return s, r.reach(ctx, r.acked.Load()+rushAfter)
}

// reach waits until so many writes are acknowledged.
func (r *rush) reach(ctx context.Context, writes int64) error {
	return until(ctx, func(context.Context) error {
		if n := r.acked.Load(); n < writes {
			return fmt.Errorf("%d writes are acknowledged, not %d", n, writes)
		}
		return nil
	})
}

// apply orders a change of the ring as the command does: of any node, or of the one that
// keeps the map.
func (r *rush) apply(ctx context.Context, c topology.RingChange) (p topology.RingPlan, err error) {
	ring, asked := r.all.Operator().Ring(), r.c.nodes[0].addr
	if p, err = ring.Plan(ctx, asked, c); err != nil {
		return p, err
	}
	_, err = ring.Change(ctx, asked, c, p.Epoch)
	var t *topology.Error
	if errors.Is(err, topology.ErrNotLeader) && errors.As(err, &t) && t.Addr != "" {
		_, err = ring.Change(ctx, t.Addr, c, p.Epoch)
	}
	if errors.As(err, &t) && t.Outcome == topology.Unknown {
		return p, nil // it shows in the ring, or is waited for in vain
	}
	return p, err
}

// moved returns who holds what, once nothing moves, every node goes by the same map, and
// each holds what the plan said.
func (r *rush) moved(ctx context.Context, plan topology.RingPlan) (topology.Ring, error) {
	g, err := r.all.Operator().Ring().Show(ctx, r.c.nodes[0].addr)
	if err != nil {
		return g, err
	}
	if g.Moving || g.Epoch <= plan.Epoch {
		return g, fmt.Errorf("partitions still move, or have not begun to: map %d, %d of them wait%s", g.Epoch, len(g.Moves), waits(g))
	}
	for _, l := range plan.Loads {
		i := slices.IndexFunc(g.Nodes, func(p topology.RingPart) bool { return p.ID == l.ID })
		switch {
		case i < 0:
			return g, fmt.Errorf("%s is not in the ring", l.ID)
		case !g.Nodes[i].Reached || g.Nodes[i].Epoch != g.Epoch:
			return g, fmt.Errorf("%s goes by map %d, not %d", l.ID, g.Nodes[i].Epoch, g.Epoch)
		case g.Nodes[i].Holds != l.After || l.After == 0:
			return g, fmt.Errorf("%s holds %d partitions, and %d were planned", l.ID, g.Nodes[i].Holds, l.After)
		}
	}
	return g, nil
}

// waits is what the first partition that says so waits for.
func waits(g topology.Ring) string {
	for _, m := range g.Moves {
		if m.Waits != "" {
			return fmt.Sprintf("; partition %d is %s, and waits for %s", m.Partition, m.Stage, m.Waits)
		}
	}
	return g.Problem
}

// tellRing shows who held what, and who holds what.
func (r *rush) tellRing(plan topology.RingPlan, g topology.Ring) {
	var rows [][]string
	for _, p := range g.Nodes {
		before := 0
		for _, l := range plan.Loads {
			if l.ID == p.ID {
				before = l.Before
			}
		}
		rows = append(rows, []string{string(p.ID), fmt.Sprint(before), fmt.Sprint(p.Holds), fmt.Sprintf("%.0f %%", 100*p.Share)})
	}
	r.demo.table([]string{"node", "partitions before", "after", "of all copies"}, rows)
}
