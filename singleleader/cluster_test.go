package singleleader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/triad-kv/triad/control/static"
	"github.com/triad-kv/triad/internal/home"
	"github.com/triad-kv/triad/internal/members"
	"github.com/triad-kv/triad/internal/store"
	"github.com/triad-kv/triad/internal/transport"
	"github.com/triad-kv/triad/internal/wal"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/topology/topologytest"
	"github.com/triad-kv/triad/version"
)

// testCluster is a group on the real log, transport and store, over loopback
// and a file system in memory that can crash.
type testCluster struct {
	t        testing.TB
	first    topology.NodeID
	list     []topology.Member
	opts     Options
	nodes    map[topology.NodeID]*testNode
	dial     func(from, to topology.NodeID) bool // whether a connection may be made
	wal      wal.Options
	memTable int64                                   // bytes of the store's write buffer; 0 is the default
	agreed   *topologytest.Agreed                    // nil: control static, led by first
	control  func(topology.Control) topology.Control // around every node's; nil: nothing
}

// testNode is one node; what is on fs survives it.
type testNode struct {
	*engine
	c      *testCluster
	id     topology.NodeID
	fs     vfs.FS
	dir    string
	names  []topology.Member                         // of its configuration; nil: all of the cluster's
	feeds  []topology.NodeID                         // its upstreams
	late   time.Duration                             // it applies late by so much
	wrap   func(topology.GroupLog) topology.GroupLog // nil: as it is
	front  func(topology.Store) topology.Store       // nil: as it is
	wall   func() time.Time                          // its clock; nil: as it is
	home   *home.Home
	log    *wal.Log
	store  topology.Store
	side   *home.Sidelog
	cancel context.CancelFunc
	done   chan error
}

func newCluster(t testing.TB, o Options, ids ...topology.NodeID) *testCluster {
	c := &testCluster{t: t, first: ids[0], opts: o, nodes: map[topology.NodeID]*testNode{}}
	c.wal, c.memTable = wal.Options{SegmentBytes: 256 << 10}, 1<<20
	c.opts.RetryEvery, c.opts.CallTimeout = 10*time.Millisecond, time.Second
	c.opts.Stream.HeartbeatEvery = 10 * time.Millisecond
	for i, addr := range topologytest.Addrs(t, len(ids)) {
		c.list = append(c.list, topology.Member{ID: ids[i], Addr: addr})
	}
	for _, id := range ids {
		c.nodes[id] = &testNode{c: c, id: id, fs: vfs.NewCrashableMem(), dir: "/" + string(id)}
	}
	t.Cleanup(func() {
		for _, n := range c.nodes {
			n.stop()
		}
	})
	return c
}

func (c *testCluster) start(ids ...topology.NodeID) {
	c.t.Helper()
	for _, id := range ids {
		c.nodes[id].start()
	}
}

func (c *testCluster) startAll() {
	for _, m := range c.list {
		c.start(m.ID)
	}
}

func testLogger(id topology.NodeID) *slog.Logger {
	if os.Getenv("TRIAD_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", id)
}

func (n *testNode) start() {
	n.c.t.Helper()
	require.NoError(n.c.t, n.tryStart())
}

// tryStart is start on a disk that may fail.
func (n *testNode) tryStart() (err error) {
	c := n.c
	var opened []io.Closer
	defer func() {
		for i := len(opened) - 1; i >= 0 && err != nil; i-- {
			_ = opened[i].Close()
		}
	}()
	logger := testLogger(n.id)
	if n.home, err = home.Open(home.Options{FS: n.fs, Dir: n.dir, Cluster: "test", Node: n.id, Logger: logger}); err != nil {
		return err
	}
	opened = append(opened, n.home)
	if _, known := n.home.Cluster(); !known {
		if err = n.home.Adopt([16]byte{1}); err != nil {
			return err
		}
	}
	id, _ := n.home.Cluster()
	o := c.wal
	o.FS, o.Cluster, o.Node, o.Logger = n.fs, id, n.id, logger
	if o.Dir, err = n.home.Place("log"); err != nil {
		return err
	}
	if n.log, err = wal.Open(o); err != nil {
		return err
	}
	opened = append(opened, n.log)
	dir, err := n.home.Place("store")
	if err != nil {
		return err
	}
	p, err := store.Open(store.Options{FS: n.fs, Dir: dir, Logger: logger, MemTableBytes: c.memTable})
	if err != nil {
		return err
	}
	opened = append(opened, p)
	n.store, n.side = p, n.home.Sidelog()
	if n.front != nil {
		n.store = n.front(p)
	}
	names := n.names
	if names == nil {
		names = c.list
	}
	list, err := members.New(n.id, names)
	require.NoError(c.t, err)
	return n.run(p, list, logger)
}

func (n *testNode) run(p *store.Pebble, list *members.List, logger *slog.Logger) error {
	t, c := n.c.t, n.c
	list0, _ := list.View()
	self, _ := list0.Find(n.id)
	ln, err := net.Listen("tcp", self.Addr)
	require.NoError(t, err)
	tr, err := transport.New(transport.Config{
		Self: n.id, Life: n.home.Life(), Identity: n.home, Listener: ln, Membership: list, Logger: logger,
		Limits: transport.Limits{BackoffMin: 2 * time.Millisecond, BackoffMax: 20 * time.Millisecond},
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			for _, m := range c.list {
				if m.Addr == addr && c.dial != nil && !c.dial(n.id, m.ID) {
					return nil, fmt.Errorf("%s is cut off", addr)
				}
			}
			return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		},
	})
	require.NoError(t, err)
	var ctl topology.Control
	if c.agreed != nil {
		ctl = c.agreed.Open(n.id)
	} else {
		ctl, err = static.New(static.Options{Leader: c.first})(topology.ControlEnv{Self: n.id, Stable: n.home, Transport: tr, Membership: list, Logger: logger})
		require.NoError(t, err)
	}
	if c.control != nil {
		ctl = c.control(ctl)
	}
	log := topology.GroupLog(n.log)
	if n.wrap != nil {
		log = n.wrap(log)
	}
	o := c.opts
	if o.Upstreams = n.feeds; n.late > 0 {
		o.ApplyDelay = n.late
	}
	eng, err := New(o)(topology.Env{
		Self: n.id, Life: n.home.Life(), Log: log, Store: n.store, Stable: n.home, Sidelog: n.side,
		Transport: tr, Membership: list, Control: ctl, Clock: version.NewClock(n.wall, 0), Logger: logger,
		Founded: n.home.Fresh,
	})
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	n.engine = eng.(*engine)
	var ctx context.Context
	ctx, n.cancel = context.WithCancel(context.Background())
	n.done = make(chan error, 1)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.log.Run(ctx) })
	g.Go(func() error { return tr.Run(ctx) })
	g.Go(func() error { return ctl.Run(ctx) })
	g.Go(func() error { return eng.Run(ctx) })
	go func() {
		err := g.Wait()
		_ = n.log.Close()
		_ = p.Close()
		_ = n.home.Close()
		n.done <- err
	}()
	return nil
}

// stop ends the node in order.
func (n *testNode) stop() {
	if n.cancel == nil {
		return
	}
	n.cancel()
	<-n.done
	n.cancel = nil
}

// crash ends the node; what was not synced is gone.
func (n *testNode) crash() {
	fs := n.fs.(*vfs.MemFS).CrashClone(vfs.CrashCloneCfg{})
	n.stop()
	n.fs = fs
}

func (n *testNode) put(key, value string, o ...topology.WriteOptions) (topology.Receipt, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var w topology.WriteOptions
	if len(o) > 0 {
		w = o[0]
	}
	return n.Write(ctx, batchOf(key, value), w)
}

func batchOf(key, value string) record.Batch {
	return record.Batch{Mutations: []record.Mutation{{
		Table: record.TableDefault, Key: []byte(key), Op: record.OpPut, Kind: record.KindBytes, Value: []byte(value),
	}}}
}

func (n *testNode) get(key string, o ...topology.ReadOptions) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var ro topology.ReadOptions
	if len(o) > 0 {
		ro = o[0]
	}
	r, err := n.Read(ctx, record.TableDefault, []byte(key), ro)
	if err != nil {
		return "", err
	}
	return string(r.Cells[0].Value), nil
}

// eventually polls a condition with a deadline.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func (c *testCluster) leads(id topology.NodeID) {
	c.t.Helper()
	eventually(c.t, string(id)+" leads", func() bool {
		s := c.nodes[id].Status()
		return s.Role == topology.RoleLeader && s.Commit >= 1
	})
}

func (c *testCluster) applied(lsn record.LSN, ids ...topology.NodeID) {
	c.t.Helper()
	for _, id := range ids {
		eventually(c.t, fmt.Sprintf("%s shows %d", id, lsn), func() bool { return c.nodes[id].Status().Applied >= lsn })
	}
}
