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

	"github.com/triad-kv/triad/topology"
)

// PortFirst is the first of the four ports a demo that stays up takes if they
// are free, so that other commands find it without being told.
const PortFirst = 7400

// stopTimeout bounds the orderly end of a node.
const stopTimeout = 10 * time.Second

// node is one node of the cluster: what it is told, and its present life.
type node struct {
	Spec
	addr string
	life life
	log  *os.File
	away atomic.Bool // killed by the demo
}

// cluster is the demo's nodes, the first leader first.
type cluster struct {
	o     Options
	dir   string
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

// shape is what the nodes of a cluster are besides their places.
type shape struct {
	sync   string
	delays []time.Duration // of each follower
	tables []string        // name:kind
}

// newCluster binds a port for each node and writes down what each is told. It
// starts none.
func newCluster(o Options, dir string, s shape) (*cluster, []*net.TCPListener, error) {
	listeners, err := bind(1+len(s.delays), !o.Once)
	if err != nil {
		return nil, nil, err
	}
	c := &cluster{o: o, dir: dir, logs: shared{w: o.Err}}
	var members []topology.Member
	for i, l := range listeners {
		id := topology.NodeID("leader")
		if i > 0 {
			id = topology.NodeID("standby-" + strconv.Itoa(i))
		}
		members = append(members, topology.Member{ID: id, Addr: l.Addr().String()})
	}
	for i, m := range members {
		n := &node{addr: m.Addr, Spec: Spec{
			ID: m.ID, Cluster: o.Cluster, Dir: filepath.Join(dir, string(m.ID)), Members: members, Leader: members[0].ID, Sync: s.sync,
		}}
		if i > 0 {
			n.ApplyDelay = s.delays[i-1]
		}
		for _, text := range s.tables {
			t, err := ParseTable(text)
			if err != nil {
				return nil, nil, errors.Join(err, closeAll(listeners))
			}
			n.Tables = append(n.Tables, t)
		}
		c.nodes = append(c.nodes, n)
	}
	return c, listeners, nil
}

// bind listens on n ports of the loopback: those that other commands look at, if
// they are wanted and all free, else any.
func bind(n int, known bool) ([]*net.TCPListener, error) {
	if known {
		if ls, err := bindFrom(n, PortFirst); err == nil {
			return ls, nil
		}
	}
	return bindFrom(n, 0)
}

// bindFrom listens on n ports from first on; on any if first is 0.
func bindFrom(n, first int) ([]*net.TCPListener, error) {
	var ls []*net.TCPListener
	for i := range n {
		a := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}
		if first != 0 {
			a.Port = first + i
		}
		l, err := net.ListenTCP("tcp", a)
		if err != nil {
			return nil, errors.Join(err, closeAll(ls))
		}
		ls = append(ls, l)
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
func (c *cluster) start(ls []*net.TCPListener) error {
	for i, n := range c.nodes {
		if err := c.startOne(n, ls[i]); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", n.ID, err), closeAll(ls[i+1:]))
		}
	}
	return nil
}

func (c *cluster) startOne(n *node, l *net.TCPListener) error {
	f, err := os.OpenFile(n.Dir+".log", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	n.log = f
	to := io.Writer(f)
	if c.o.Verbose {
		to = io.MultiWriter(f, &c.logs)
	}
	if c.o.Procs {
		n.life, err = liveProcess(c.o.Binary, n.Spec, l, to)
		return err
	}
	logger := slog.New(slog.NewTextHandler(to, nil)).With("node", string(n.ID))
	n.life, err = liveInside(n.Spec, l, logger)
	return err
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
