// Package world is the nodes that a run measures: one subject's, in this process, each
// with a directory on the real disk and a socket on the loopback, sites as far apart as
// the scenario says.
//
// # What is real, and what is not
//
//   - Nodes are opened through the front door of the module, as any program does it. Logs
//     and stores are files, and syncs are syncs of the disk they are on, which all
//     nodes share, as they share this process's cores.
//   - Messages between nodes go through sockets. Where sites are apart, or a fault
//     is to come, they go through links (internal/link): nothing is dropped that TCP
//     would have sent again.
//   - Clients are goroutines of this process. One asks a node by a call that crosses
//     the link between its site and that node's, there and back, and shares no socket.
//   - A node is killed by its plug (internal/plug): what it has written stays as the
//     kernel has it. A power cut is not among the faults.
//   - A node that is paused neither reads nor writes files and sockets and answers
//     nobody; its goroutines, and so its timers, go on. That is milder than SIGSTOP.
package world

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/internal/bench/scenario"
	"github.com/triad-kv/triad/internal/link"
	"github.com/triad-kv/triad/internal/plug"
	"github.com/triad-kv/triad/topology"
)

// Options say what a world is of.
type Options struct {
	Scenario *scenario.Scenario
	Variant  scenario.Variant
	Dir      string // an empty one, which the world fills and its owner removes
	Tables   []triad.Table
	Seed     uint64 // of what links draw
	Logger   *slog.Logger
}

// World is the nodes of one subject. Its methods may be called from any goroutine.
type World struct {
	o       Options
	nodes   []*Node
	members []triad.Member
	clients map[way]*link.Link
	leader  atomic.Pointer[Node] // where one leads: who was last known to
	reigns  reigns

	watch sync.WaitGroup
	end   context.CancelFunc
}

// way is from a site's clients to a node.
type way struct{ site, node string }

// leaderEvery is the pause between two looks at who leads.
const leaderEvery = 5 * time.Millisecond

// stopTimeout bounds the orderly end of a node.
const stopTimeout = 15 * time.Second

// Start opens and runs every node, and returns once all of them take part: writes are
// taken at every site that takes any, and show everywhere. It starts nothing that Stop
// does not end; where it fails, it has stopped.
func Start(ctx context.Context, o Options) (*World, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	w := &World{o: o, clients: map[way]*link.Link{}}
	err := w.build()
	for _, n := range w.nodes {
		if err == nil {
			err = n.start()
		}
	}
	if err == nil {
		watching, end := context.WithCancel(context.WithoutCancel(ctx))
		w.end = end
		w.watch.Go(func() { w.watchLeader(watching) })
		err = w.up(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", o.Variant.Name, err), w.Stop())
	}
	return w, nil
}

// build makes the nodes and what is between them, and opens none.
func (w *World) build() error {
	s := w.o.Scenario
	for _, site := range s.Sites {
		for _, id := range s.NodesOf(site) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			n := &Node{ID: id, Site: site, world: w, dir: filepath.Join(w.o.Dir, id), addr: l.Addr().String(), first: l, links: map[string]*link.Link{}}
			w.nodes = append(w.nodes, n)
			w.members = append(w.members, triad.Member{ID: topology.NodeID(id), Addr: n.addr, Site: site})
		}
	}
	if !s.Apart() {
		return nil
	}
	for i, from := range w.nodes {
		from.dialer.Links = map[string]*link.Link{}
		for j, to := range w.nodes {
			l, err := w.link(from.Site, to.Site, uint64(i*len(w.nodes)+j))
			if err != nil {
				return err
			}
			if i != j {
				from.links[to.ID], from.dialer.Links[to.addr] = l, l
			}
		}
	}
	for i, site := range s.Sites {
		for j, to := range w.nodes {
			l, err := w.link(site, to.Site, uint64(1<<16+i*len(w.nodes)+j))
			if err != nil {
				return err
			}
			w.clients[way{site, to.ID}] = l
		}
	}
	return nil
}

func (w *World) link(from, to string, number uint64) (*link.Link, error) {
	is := w.o.Scenario.LinkOf(from, to)
	o := link.Options{
		Delay: time.Duration(is.Delay), Jitter: time.Duration(is.Jitter), Loss: float64(is.Loss),
		BytesPerSecond: int64(is.Bandwidth), Shaped: is.Bandwidth > 0, Seed: w.o.Seed<<20 + 2*number,
	}
	back := o
	back.Seed++
	return link.New(o, back)
}

// watchLeader notes who leads, where one does.
func (w *World) watchLeader(ctx context.Context) {
	tick := time.NewTicker(leaderEvery)
	defer tick.Stop()
	for {
		w.look()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (w *World) look() {
	if w.o.Variant.Scattered() {
		return
	}
	var leads *Node
	var term uint64
	for _, n := range w.nodes {
		open := n.open()
		if open == nil {
			continue
		}
		if s := open.Status(); s.Role == topology.RoleLeader && s.Term >= term {
			leads, term = n, s.Term
		}
	}
	if leads != nil && w.leader.Swap(leads) != leads {
		w.reigns.add(Reign{At: time.Now(), Leader: leads.ID, Term: term})
	}
}

// Reign is that somebody was first seen to lead.
type Reign struct {
	At     time.Time
	Leader string
	Term   uint64
}

type reigns struct {
	mu  sync.Mutex // a leaf
	all []Reign
}

func (r *reigns) add(x Reign) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, x)
}

// Reigns are who was seen to lead, in order; none where several do.
func (w *World) Reigns() []Reign {
	w.reigns.mu.Lock()
	defer w.reigns.mu.Unlock()
	return slices.Clone(w.reigns.all)
}

// Nodes are all nodes.
func (w *World) Nodes() []*Node { return w.nodes }

// Leader is who was last known to lead; nil where several do.
func (w *World) Leader() *Node { return w.leader.Load() }

// Writer is how clients of a site ask whom they write to: the leader where one leads,
// else the first living node of their site that takes writes, or of another site.
func (w *World) Writer(site string) Way {
	if n := w.leader.Load(); n != nil {
		return w.way(site, n)
	}
	for _, n := range w.near(site) {
		if n.open() != nil && w.takesWrites(n) {
			return w.way(site, n)
		}
	}
	return w.way(site, w.nodes[0])
}

// Reader is how clients of a site ask whom they read from: the first living node of
// their site, or of another.
func (w *World) Reader(site string) Way {
	for _, n := range w.near(site) {
		if n.open() != nil {
			return w.way(site, n)
		}
	}
	return w.way(site, w.nodes[0])
}

// At is how clients of a site ask a node.
func (w *World) At(site, node string) Way {
	return w.way(site, w.nodes[slices.IndexFunc(w.nodes, func(n *Node) bool { return n.ID == node })])
}

func (w *World) way(site string, n *Node) Way {
	return Way{Node: n, link: w.clients[way{site, n.ID}]}
}

// near are the nodes, those of a site first, and then of the sites that follow it.
func (w *World) near(site string) []*Node {
	sites := w.o.Scenario.Sites
	i := max(slices.Index(sites, site), 0)
	per := w.o.Scenario.Nodes
	return slices.Concat(w.nodes[i*per:], w.nodes[:i*per])
}

// takesWrites reports whether a node takes writes, where several do.
func (w *World) takesWrites(n *Node) bool {
	return w.o.Variant.Topology == scenario.Leaderless || n.ID == scenario.NodeName(n.Site, 0)
}

// Writers are the nodes that take writes: one where one leads.
func (w *World) Writers() (all []*Node) {
	if n := w.leader.Load(); n != nil {
		return []*Node{n}
	}
	for _, n := range w.nodes {
		if w.takesWrites(n) && n.open() != nil {
			all = append(all, n)
		}
	}
	return all
}

// Counts are what has passed all plugs.
func (w *World) Counts() (c plug.Counts) {
	for _, n := range w.nodes {
		c = c.Plus(n.counts())
	}
	return c
}

// Stop ends every node, those that do not lead first, and returns what went wrong with
// any that was not killed.
func (w *World) Stop() error {
	if w.end != nil {
		w.end()
		w.watch.Wait()
	}
	w.Heal()
	ctx, cancel := context.WithTimeoutCause(context.Background(), stopTimeout, fmt.Errorf("after %v", stopTimeout))
	defer cancel()
	var errs []error
	leads := w.leader.Load()
	for _, n := range slices.Backward(w.nodes) {
		if n != leads {
			errs = append(errs, n.stop(ctx))
		}
	}
	if leads != nil {
		errs = append(errs, leads.stop(ctx))
	}
	for _, n := range w.nodes {
		errs = append(errs, n.drain(ctx))
	}
	return errors.Join(errs...)
}
