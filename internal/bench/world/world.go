// Package world is the nodes that a run measures: one subject's, in this process or each
// in one of its own, with a directory on the real disk and a socket on the loopback, sites
// as far apart as the scenario says.
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
//
// # Where nodes are processes
//
//   - Each is this same program, run as triad server with a file, as anybody runs it.
//     It is killed by SIGKILL and paused by SIGSTOP.
//   - Where links lie between, each reaches the others at relays of this process, which
//     carry its connections through the links.
//   - Clients ask through sockets and a protocol: the remote client, one for all clients of
//     a site, or a connection of each to the port for Redis clients. Probes and the harness
//     itself use the remote client always: its receipts say where a write stands.
package world

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/internal/bench/machine"
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
	Binary   string // triad, of nodes that are processes; default this one
}

// World is the nodes of one subject. Its methods may be called from any goroutine.
type World struct {
	o       Options
	nodes   []*Node
	members []triad.Member
	clients map[way]*link.Link
	leader  atomic.Pointer[Node] // where one leads: who was last known to
	reigns  reigns

	remotes  remotes          // of nodes that are processes, or come and go
	named    map[string]*Node // processes, by every address that leads to them
	visitors visitors

	watch sync.WaitGroup
	end   context.CancelFunc
}

// way is from a site's clients to a node.
type way struct{ site, node string }

// The pause between two looks at who leads, of nodes in this process and of others.
const (
	leaderEvery    = 5 * time.Millisecond
	leaderEveryFar = 20 * time.Millisecond
)

// stopTimeout bounds the orderly end of a node.
const stopTimeout = 15 * time.Second

// Start opens and runs every node, and returns once all of them take part: writes are
// taken at every site that takes any, and show everywhere. It starts nothing that Stop
// does not end; where it fails, it has stopped.
func Start(ctx context.Context, o Options) (*World, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	w := &World{o: o, clients: map[way]*link.Link{}, named: map[string]*Node{}}
	w.remotes.w = w
	err := ground{w}.build()
	for _, n := range w.nodes {
		if err == nil && !n.absent.Load() {
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

// ground is a world as its nodes and what lies between them are made.
type ground struct{ *World }

// build makes the nodes and what is between them, and opens none.
func (w ground) build() error {
	s := w.o.Scenario
	for _, site := range s.Sites {
		for _, id := range s.NodesOf(site) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			n := &Node{ID: id, Site: site, world: w.World, dir: filepath.Join(w.o.Dir, id), addr: l.Addr().String(), first: l, links: map[string]*link.Link{}}
			n.absent.Store(s.Absent(id))
			n.joins.Store(s.Absent(id))
			w.nodes = append(w.nodes, n)
			if err := w.apart(n); err != nil {
				return err
			}
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
			if i == j {
				continue
			}
			from.links[to.ID], from.dialer.Links[to.addr] = l, l
			if err := w.relay(from, to, l); err != nil {
				return err
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

// apart makes a node a process, where the subject's are.
func (w ground) apart(n *Node) error {
	if !w.o.Variant.Via.Processes() {
		return nil
	}
	if w.o.Binary == "" {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		w.o.Binary = self
	}
	p := &process{n: n}
	p.paths(w.o.Dir)
	if err := p.hold(); err != nil {
		return errors.Join(err, p.letGo())
	}
	n.proc, n.relays = p, map[string]*relay{}
	w.named[n.addr], w.named[p.resp] = n, n
	return os.MkdirAll(w.o.Dir, 0o700)
}

// relay has a process reach another one through the link between them.
func (w ground) relay(from, to *Node, l *link.Link) error {
	if from.proc == nil {
		return nil
	}
	r, err := newRelay(l, to.addr)
	if err != nil {
		return err
	}
	from.relays[to.ID], w.named[r.addr()] = r, to
	r.run()
	return nil
}

func (w ground) link(from, to string, number uint64) (*link.Link, error) {
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
	every := leaderEvery
	if w.o.Variant.Via.Processes() {
		every = leaderEveryFar
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		w.look(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (w *World) look(ctx context.Context) {
	if w.o.Variant.Scattered() {
		return
	}
	said := make([]topology.Status, len(w.nodes))
	var all sync.WaitGroup
	for i, n := range w.nodes {
		if n.proc == nil {
			said[i] = n.status(ctx)
			continue
		}
		all.Go(func() { said[i] = n.status(ctx) })
	}
	all.Wait()
	var leads *Node
	var term uint64
	for i, s := range said {
		if s.Role == topology.RoleLeader && s.Term >= term {
			leads, term = w.nodes[i], s.Term
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
		return w.toWrite(site, n)
	}
	for _, n := range w.near(site) {
		if n.lives() && !n.absent.Load() && w.takesWrites(n) {
			return w.toWrite(site, n)
		}
	}
	return w.toWrite(site, w.nodes[0])
}

// Reader is how clients of a site ask whom they read from: the first living node of
// their site, or of another.
func (w *World) Reader(site string) Way {
	for _, n := range w.near(site) {
		if n.lives() && !n.absent.Load() {
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
	if n.proc != nil {
		return Way{Node: n, door: w.remotes.to(way{site, n.ID})}
	}
	return Way{Node: n, link: w.clients[way{site, n.ID}]}
}

// toWrite is the way to a node that takes writes. The remote client finds it by itself.
func (w *World) toWrite(site string, n *Node) Way {
	if n.proc != nil {
		return Way{Node: n, door: w.remotes.to(way{site, ""})}
	}
	return w.way(site, n)
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
		if w.takesWrites(n) && n.lives() && !n.absent.Load() {
			all = append(all, n)
		}
	}
	return all
}

// Usage is what nodes have used. Of processes it is known of each alone; then what passed
// between nodes counts only where links lie between, syncs are those of logs, and bytes on
// disk and messages are not known.
type Usage struct {
	plug.Counts
	CPU    float64 // seconds
	Allocs uint64
}

func (u Usage) plus(o Usage) Usage {
	return Usage{Counts: u.Plus(o.Counts), CPU: u.CPU + o.CPU, Allocs: u.Allocs + o.Allocs}
}

// Minus leaves out what was used before.
func (u Usage) Minus(o Usage) Usage {
	return Usage{Counts: u.Counts.Minus(o.Counts), CPU: u.CPU - o.CPU, Allocs: u.Allocs - o.Allocs}
}

// Usage is what all nodes have used so far; of those in this process CPU and allocations
// are all of this process's.
func (w *World) Usage(ctx context.Context) (u Usage) {
	all := make([]Usage, len(w.nodes))
	var asked sync.WaitGroup
	for i, n := range w.nodes {
		asked.Go(func() { all[i] = n.usage(ctx) })
	}
	asked.Wait()
	for _, x := range all {
		u = u.plus(x)
	}
	if !w.o.Variant.Via.Processes() {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		u.CPU, u.Allocs = machine.CPU(), m.Mallocs
	}
	return u
}

// Stop ends every node, those that do not lead first, and returns what went wrong with
// any that was not killed.
func (w *World) Stop() error {
	if w.end != nil {
		w.end()
		w.watch.Wait()
	}
	w.Heal()
	w.visitors.leave()
	errs := []error{w.remotes.close()}
	ctx, cancel := context.WithTimeoutCause(context.Background(), stopTimeout, fmt.Errorf("after %v", stopTimeout))
	defer cancel()
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
		for _, r := range n.relays {
			errs = append(errs, r.close())
		}
		errs = append(errs, n.drain(ctx))
	}
	for _, l := range w.clients {
		errs = append(errs, l.Drain(ctx))
	}
	return errors.Join(errs...)
}
