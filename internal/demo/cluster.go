package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/topology"
)

// The first of the ports that a demo that stays up takes if they are free, so that
// other commands find it without being told.
const (
	PortFirst     = 7400 // for peers
	RESPPortFirst = 6400 // for Redis clients
)

// stopTimeout bounds the orderly end of a node.
const stopTimeout = 10 * time.Second

// node is one node of the cluster: what it is told, and its present life.
type node struct {
	Spec
	role config.Role // that the file gives it
	site string
	addr string
	resp string // where Redis clients are answered; empty: nowhere
	life life
	log  *os.File
	away atomic.Bool // killed by the demo
}

// cluster is the demo's nodes, the first leader first.
type cluster struct {
	o     Options
	dir   string
	of    *config.Cluster
	nodes []*node
	logs  shared // with Options.Verbose
}

// shared is a writer for several goroutines.
type shared struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *shared) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(b)
}

// fileName is where, in the directory of a demo, the file of its cluster is kept.
const fileName = "cluster.yaml"

// ports are the listeners of the nodes, in their order.
type ports struct {
	peers   []*net.TCPListener
	clients []*net.TCPListener // none if there is no RESP
}

func (p ports) close() error { return errors.Join(closeAll(p.peers), closeAll(p.clients)) }

// newCluster binds the ports of each node and writes down what each is told. It
// starts none. s may say more of the nodes than the file of the cluster.
func newCluster(o Options, dir string, s scenario) (*cluster, ports, error) {
	c := &cluster{o: o, dir: dir, of: o.Layout.cluster, logs: shared{w: o.Err}}
	file := filepath.Join(dir, fileName)
	if err := os.WriteFile(file, o.Layout.text, 0o600); err != nil {
		return nil, ports{}, err
	}
	var ls ports
	var err error
	if ls.peers, err = bind(peersOf(c.of), PortFirst, !o.Once); err != nil {
		return nil, ls, err
	}
	if o.RESP != nil {
		if ls.clients, err = bind(clientsOf(c.of), RESPPortFirst, !o.Once); err != nil {
			return nil, ls, errors.Join(err, ls.close())
		}
	}
	var members []topology.Member
	for i, r := range c.of.Replicas {
		members = append(members, topology.Member{ID: topology.NodeID(r.ID), Addr: ls.peers[i].Addr().String(), Site: r.Site})
	}
	for i, r := range c.of.Replicas {
		n := &node{role: r.Role, site: r.Site, addr: members[i].Addr, Spec: Spec{
			ID: members[i].ID, File: file, Cluster: o.Cluster, Dir: filepath.Join(dir, r.ID), Members: members,
			ApplyDelay: time.Duration(r.ApplyDelay), Links: wiresOf(c.of, i, s.cuts), Controls: o.Layout.controls,
		}}
		if o.RESP != nil {
			n.resp = ls.clients[i].Addr().String()
		}
		if s.delay != nil {
			n.ApplyDelay = s.delay(o, n)
		}
		c.nodes = append(c.nodes, n)
	}
	// Whoever leads comes first, as it is shown.
	lead := topology.NodeID(c.of.Leader())
	i := slices.IndexFunc(c.nodes, func(n *node) bool { return n.ID == lead })
	c.nodes[0], c.nodes[i] = c.nodes[i], c.nodes[0]
	if len(ls.clients) > 0 {
		ls.clients[0], ls.clients[i] = ls.clients[i], ls.clients[0]
	}
	ls.peers[0], ls.peers[i] = ls.peers[i], ls.peers[0]
	return c, ls, nil
}

// wiresOf are the links of a node: to those that are far away, or to all if links
// are to be cut.
func wiresOf(c *config.Cluster, from int, all bool) []Wire {
	var ws []Wire
	for i, r := range c.Replicas {
		site := c.Replicas[from].Site
		w := Wire{To: topology.NodeID(r.ID), There: c.Delay(site, r.Site), Back: c.Delay(r.Site, site)}
		if i != from && (all || w.There+w.Back > 0) {
			ws = append(ws, w)
		}
	}
	return ws
}

func peersOf(c *config.Cluster) []string {
	return addrsOf(c, func(l config.Listen) string { return l.Peers })
}

func clientsOf(c *config.Cluster) []string {
	return addrsOf(c, func(l config.Listen) string { return l.RESP })
}

func addrsOf(c *config.Cluster, of func(config.Listen) string) []string {
	var addrs []string
	for _, r := range c.Replicas {
		addrs = append(addrs, of(r.Listen))
	}
	return addrs
}

// bind listens on those addresses; on ports of the loopback for those that are
// empty: those that other commands look at, from first on, if they are wanted and
// all free, else any.
func bind(addrs []string, first int, known bool) ([]*net.TCPListener, error) {
	if known {
		if ls, err := bindFrom(addrs, first); err == nil {
			return ls, nil
		}
	}
	return bindFrom(addrs, 0)
}

// bindFrom listens on those addresses, and on ports from first on for those that
// are empty; on any if first is 0.
func bindFrom(addrs []string, first int) ([]*net.TCPListener, error) {
	var ls []*net.TCPListener
	for i, addr := range addrs {
		port := 0
		if first != 0 {
			port = first + i
		}
		if addr == "" {
			addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, errors.Join(err, closeAll(ls))
		}
		ls = append(ls, l.(*net.TCPListener))
	}
	return ls, nil
}

func closeAll(ls []*net.TCPListener) error {
	var errs []error
	for _, l := range ls {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// start brings every node to life. What has started is ended by stop.
func (c *cluster) start(ls ports) error {
	for i, n := range c.nodes {
		s := Start{Spec: n.Spec, Peers: ls.peers[i], RESP: c.o.RESP}
		rest := ports{peers: ls.peers[i+1:]}
		if len(ls.clients) > 0 {
			s.Clients, rest.clients = ls.clients[i], ls.clients[i+1:]
		}
		if err := c.startOne(n, s); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", n.ID, err), rest.close())
		}
	}
	return nil
}

func (c *cluster) startOne(n *node, s Start) error {
	f, err := os.OpenFile(n.Dir+".log", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		err = errors.Join(err, s.Peers.Close())
		if s.Clients != nil {
			err = errors.Join(err, s.Clients.Close())
		}
		return err
	}
	n.log = f
	to := io.Writer(f)
	if c.o.Verbose {
		to = io.MultiWriter(f, &c.logs)
	}
	if c.o.Procs {
		n.life, err = liveProcess(c.o.Binary, s, to)
		return err
	}
	s.Logger = slog.New(slog.NewTextHandler(to, nil)).With("node", string(n.ID))
	n.life, err = liveInside(s)
	return err
}

// restart starts a node that was killed, at its old addresses and on what it left in
// its directory. It starts with links that are not cut.
func (c *cluster) restart(n *node) error {
	s := Start{Spec: n.Spec, RESP: c.o.RESP}
	ls, err := bindFrom([]string{n.addr}, 0)
	if err != nil {
		return fmt.Errorf("restart %s: %w", n.ID, err)
	}
	s.Peers = ls[0]
	if n.resp != "" {
		if ls, err = bindFrom([]string{n.resp}, 0); err != nil {
			return errors.Join(fmt.Errorf("restart %s: %w", n.ID, err), s.Peers.Close())
		}
		s.Clients = ls[0]
	}
	if err := errors.Join(n.log.Close(), c.startOne(n, s)); err != nil {
		return fmt.Errorf("restart %s: %w", n.ID, err)
	}
	n.away.Store(false)
	return nil
}

// tell has a node and every other do something to the links between them: wordCut
// or wordHeal.
func (c *cluster) tell(ctx context.Context, word string, n *node) error {
	for _, other := range c.living() {
		if other == n {
			continue
		}
		err := n.life.tell(ctx, word+" "+string(other.ID))
		if err == nil {
			err = other.life.tell(ctx, word+" "+string(n.ID))
		}
		if err != nil {
			return fmt.Errorf("%s the link between %s and %s: %w", word, n.ID, other.ID, err)
		}
	}
	return nil
}

// stop ends every node that lives, the followers first, and says what went
// wrong with any that was not killed.
func (c *cluster) stop() error {
	var errs []error
	ctx, cancel := context.WithTimeoutCause(context.Background(), stopTimeout, fmt.Errorf("after %v", stopTimeout))
	defer cancel()
	for _, n := range slices.Backward(c.nodes) {
		if n.life != nil && !n.away.Load() {
			if err := n.life.stop(ctx); err != nil {
				errs = append(errs, fmt.Errorf("%s did not end in order: %w", n.ID, err))
			}
		}
		if n.log != nil {
			errs = append(errs, n.log.Close())
		}
	}
	return errors.Join(errs...)
}

// kill ends a node abruptly.
func (c *cluster) kill(ctx context.Context, n *node) error {
	n.away.Store(true)
	if err := n.life.kill(ctx); err != nil {
		return fmt.Errorf("kill %s: %w", n.ID, err)
	}
	return nil
}

// living are the nodes that should be alive, in order.
func (c *cluster) living() []*node {
	var ns []*node
	for _, n := range c.nodes {
		if !n.away.Load() {
			ns = append(ns, n)
		}
	}
	return ns
}

// keepers are those of them that keep data.
func (c *cluster) keepers() []*node { return keepers(c.living()) }

func keepers(ns []*node) []*node {
	return slices.DeleteFunc(ns, func(n *node) bool { return n.role == config.RoleWitness })
}

// node returns the node of that name.
func (c *cluster) node(id topology.NodeID) *node {
	if i := slices.IndexFunc(c.nodes, func(n *node) bool { return n.ID == id }); i >= 0 {
		return c.nodes[i]
	}
	return nil
}

// endedError is the end of a node that nobody ended.
type endedError struct {
	node   topology.NodeID
	reason error
}

func (e *endedError) Error() string { return fmt.Sprintf("%s ended by itself: %v", e.node, e.reason) }

func (e *endedError) Unwrap() error { return e.reason }

// watch returns a context that ends, with the reason, as soon as a node ends that
// the demo did not kill; and what ends the watching.
func (c *cluster) watch(ctx context.Context) (context.Context, func()) {
	ctx, end := context.WithCancelCause(ctx)
	done := make(chan struct{})
	var wait sync.WaitGroup
	for _, n := range c.living() {
		wait.Go(func() {
			select {
			case <-n.life.ended():
				if !n.away.Load() {
					end(&endedError{node: n.ID, reason: n.life.reason()})
				}
			case <-done:
			}
		})
	}
	return ctx, func() {
		close(done)
		wait.Wait()
		end(nil)
	}
}

// healthy returns what is wrong with the nodes that should be alive: one has
// ended, or its directory takes no more writes.
func (c *cluster) healthy() error {
	var errs []error
	for _, n := range c.living() {
		select {
		case <-n.life.ended():
			errs = append(errs, &endedError{node: n.ID, reason: n.life.reason()})
			continue
		default:
		}
		if err := writable(n.Dir); err != nil {
			errs = append(errs, fmt.Errorf("the directory of %s: %w", n.ID, err))
		}
	}
	return errors.Join(errs...)
}

// endpoints are the addresses of the nodes that should be alive.
func (c *cluster) endpoints() []string {
	var addrs []string
	for _, n := range c.living() {
		addrs = append(addrs, n.addr)
	}
	return addrs
}
