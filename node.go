package triad

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"

	"github.com/triad-kv/triad/internal/gossip"
	"github.com/triad-kv/triad/internal/home"
	"github.com/triad-kv/triad/internal/members"
	"github.com/triad-kv/triad/internal/secure"
	"github.com/triad-kv/triad/internal/store"
	"github.com/triad-kv/triad/internal/transport"
	"github.com/triad-kv/triad/internal/wal"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Node is an open node. Its methods may be called from any goroutine. Calls wait
// until Run runs.
type Node struct {
	config      Config
	logger      *slog.Logger
	home        *home.Home
	identity    *identity
	credentials *secure.Credentials // nil: without TLS
	membership  topology.Membership
	transport   *transport.Transport
	listener    net.Listener // nil: nobody is listened to
	log         *wal.Log
	store       topology.Store
	control     topology.Control
	engine      topology.Engine
	catalogue   *catalogue
	gate        *gate
	disks       *disks

	handover sync.Once // before the end

	mu     sync.Mutex // guards what follows; a leaf
	closed bool
	run    life
	closes []io.Closer // in the order they were opened
}

// life is the one time that a node runs.
type life struct {
	end   context.CancelFunc // ends it
	ended chan struct{}      // closed when Run has returned; nil until it runs
}

// Open opens a node: it takes the data directory, recovers log and store, binds
// the peers port and builds the engine. It starts nothing; until Run nobody is
// answered. Every fault of the configuration is in the error, with its field.
func Open(c Config) (*Node, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	n := &Node{config: c, logger: c.Logger, gate: newGate(), disks: &disks{fault: make(chan error, 1)}}
	if err := (opening{n}).open(); err != nil {
		n.gate.stop(topology.ErrClosed)
		return nil, errors.Join(err, n.release())
	}
	return n, nil
}

// opening is a Node that is being opened: nobody else knows it yet.
type opening struct{ *Node }

func (n opening) open() error {
	if n.listener = n.config.Listener; n.listener != nil {
		n.closes = append(n.closes, n.listener)
	}
	steps := []func() error{
		n.openTLS, n.openHome, n.openStore, n.openLog, n.openTransport, n.openControl, n.openEngine, n.checkDeclared,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (n opening) openHome() (err error) {
	c := &n.config
	n.home, err = home.Open(home.Options{FS: c.FS, Dir: c.Dir, Cluster: c.Cluster, Node: c.ID, Logger: c.Logger, OnFailure: n.ill})
	if err == nil {
		n.closes = append(n.closes, n.home)
	}
	return err
}

// ill ends Run, or will, because of the disk.
func (n opening) ill(err error) {
	select {
	case n.disks.fault <- err:
	default: // one is enough
	}
}

func (n opening) openStore() error {
	if n.config.Memory {
		n.store = store.NewMemory()
		return nil
	}
	dir, err := n.home.Place("store")
	if err != nil {
		return err
	}
	s, err := store.Open(store.Options{
		FS: n.config.FS, Dir: dir, CacheBytes: n.config.Limits.StoreCacheBytes, Logger: n.logger,
		OnFailure: n.ill,
	})
	if err != nil {
		return err
	}
	n.store, n.closes = s, append(n.closes, s)
	return nil
}

func (n opening) openLog() error {
	dir, err := n.home.Place("log")
	if err != nil {
		return err
	}
	id, _ := n.home.Cluster()
	l := n.config.Limits
	n.log, err = wal.Open(wal.Options{
		FS: n.config.FS, Dir: dir, Cluster: id, Node: n.config.ID,
		SegmentBytes: l.LogSegmentBytes, FirstSegmentBytes: l.LogFirstSegmentBytes,
		UnflushedBytesMax: l.LogUnflushedBytesMax, TailBytes: l.LogTailBytes, Logger: n.logger,
	})
	if err != nil {
		return err
	}
	n.closes = append(n.closes, n.log)
	n.identity = &identity{home: n.home, log: told(n), known: make(chan struct{})}
	return n.identity.settle()
}

// openLogBeside opens another log, for small and rare entries, in a place of its
// own. The node runs and closes it like its first one.
func (n opening) openLogBeside(name string) (topology.GroupLog, error) {
	dir, err := n.home.Place(name)
	if err != nil {
		return nil, err
	}
	id, _ := n.home.Cluster()
	l, err := wal.Open(wal.Options{
		FS: n.config.FS, Dir: dir, Cluster: id, Node: n.config.ID,
		SegmentBytes: besideSegmentBytes, FirstSegmentBytes: besideSegmentFirst, TailBytes: besideTailBytes, Logger: n.logger,
	})
	if err != nil {
		return nil, err
	}
	n.disks.beside, n.closes = append(n.disks.beside, l), append(n.closes, l)
	return l, nil
}

// Of a log beside the node's own.
const (
	besideSegmentBytes = 4 << 20
	besideSegmentFirst = 256 << 10
	besideTailBytes    = 1 << 20
)

// told are the logs that are told whose they are: all of a node's.
type told struct{ *Node }

// SetCluster tells each.
func (n told) SetCluster(id [16]byte) error {
	err := n.log.SetCluster(id)
	for _, l := range n.disks.beside {
		err = errors.Join(err, l.SetCluster(id))
	}
	return err
}

func (n opening) openTransport() (err error) {
	c := &n.config
	if n.listener == nil && c.Listen != "" {
		if n.listener, err = net.Listen("tcp", c.Listen); err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		n.closes = append(n.closes, n.listener)
	}
	if err := n.openMembership(); err != nil {
		return err
	}
	t := transport.Config{
		Self: c.ID, Role: topology.PeerNode, Life: n.home.Life(), Identity: n.identity,
		Listener: n.listener, Dial: c.Dial, Membership: n.membership, Logger: n.logger,
		Limits: transport.Limits{CompressAbove: c.Limits.CompressAbove, ConnAgeMax: c.Limits.ConnAgeMax},
	}
	if n.credentials != nil {
		t.Guard = n.credentials
	}
	n.transport, err = transport.New(t)
	return err
}

func (n opening) openMembership() (err error) {
	c := &n.config
	if !c.Gossip.On() {
		n.membership, err = members.New(c.ID, c.Members)
		return err
	}
	e := gossip.Env{
		Self: c.ID, Life: n.home.Life(), Members: c.Members, Identity: n.identity, Known: n.identity.known,
		ProtocolMin: transport.ProtocolMin, ProtocolMax: transport.ProtocolMax, Logger: n.logger,
	}
	if n.listener != nil {
		e.Peers = n.listener.Addr().String()
	}
	g, err := gossip.Open(e, c.Gossip)
	if err != nil {
		return err
	}
	n.membership, n.closes = g, append(n.closes, g)
	return nil
}

func (n opening) openControl() (err error) {
	n.control, err = n.config.Control(topology.ControlEnv{
		Self: n.config.ID, Life: n.home.Life(), Stable: n.home, Transport: n.transport, Membership: n.membership, Logger: n.logger,
		OpenLog: n.openLogBeside,
	})
	return err
}

func (n opening) openEngine() (err error) {
	n.catalogue = &catalogue{known: map[string]definition{}}
	n.engine, err = n.config.Topology(topology.Env{
		Self: n.config.ID, Life: n.home.Life(), Log: n.log, Store: observed{n.store, &n.catalogue.changes}, Stable: n.home, Sidelog: n.home.Sidelog(),
		Transport: n.transport, Membership: n.membership, Control: n.control,
		Clock: version.NewClock(n.config.WallClock, 0), Logger: n.logger, Founded: n.identity.founded.Load,
	})
	if err != nil {
		return err
	}
	n.catalogue.engine = n.engine
	n.catalogue.await(n.config.Tables)
	n.catalogue.slots = &slotKeeper{Node: n.Node, cells: n.store}
	remote(n).handle()
	return nil
}

// Close ends Run, if it runs, waits for it and for the calls that are under
// way, and releases everything. It may be called again. It must not be called
// from within a Scan's loop, which is such a call.
func (n *Node) Close() error {
	n.mu.Lock()
	was, end, ended := n.closed, n.run.end, n.run.ended
	n.closed = true
	n.mu.Unlock()
	if was {
		return nil
	}
	if ended != nil {
		end()
		<-ended
	}
	n.gate.stop(fmt.Errorf("this node is closed: %w", topology.ErrClosed))
	n.gate.drain()
	return n.release()
}

// release closes what was opened, last first.
func (n *Node) release() error {
	var errs []error
	for i := len(n.closes) - 1; i >= 0; i-- {
		err := n.closes[i].Close()
		if errors.Is(err, net.ErrClosed) {
			continue // the transport closes its listener
		}
		errs = append(errs, err)
	}
	n.closes = nil
	return errors.Join(errs...)
}

// ID returns the node's name.
func (n *Node) ID() topology.NodeID { return n.config.ID }

// Addr returns the address of the peers port, nil if there is none.
func (n *Node) Addr() net.Addr {
	if n.listener == nil {
		return nil
	}
	return n.listener.Addr()
}

// GossipAddr returns the address of the gossip port, by which others may join;
// empty if there is none.
func (n *Node) GossipAddr() string {
	if g, ok := n.membership.(*gossip.Gossip); ok {
		return g.Addr()
	}
	return ""
}

// Engine returns the engine, for abilities that this package does not forward.
func (n *Node) Engine() topology.Engine { return n.engine }
