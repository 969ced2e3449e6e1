package leaderless

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"github.com/triad-kv/triad/leaderless/placement"
	"io"
	"log/slog"
	"maps"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
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
	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/topology/topologytest"
	"github.com/triad-kv/triad/version"
)

// cluster is nodes on the real log, transport and store, over loopback and file systems
// in memory that can crash.
type cluster struct {
	t     testing.TB
	list  []topology.Member
	opts  Options
	nodes map[topology.NodeID]*node

	control *topologytest.Agreed // of all; nil: each node has documents of its own

	mu  sync.Mutex
	cut map[[2]topology.NodeID]bool // who does not reach whom
}

// node is one node; what is on fs survives it.
type node struct {
	*engine
	c       *cluster
	id      topology.NodeID
	fs      vfs.FS
	founded bool
	knows   []topology.Member // by its configuration; nil: all
	ahead   time.Duration     // of its clock
	home    *home.Home
	log     *wal.Log
	store   topology.Store
	cancel  context.CancelFunc
	done    chan error
	wrap    func(topology.GroupLog) topology.GroupLog // what its engine is lent; nil: the log as it is
}

// newCluster makes nodes a, b, c and so on.
func newCluster(t testing.TB, o Options, n int) *cluster {
	c := &cluster{t: t, opts: o, control: topologytest.NewAgreed(), nodes: map[topology.NodeID]*node{}, cut: map[[2]topology.NodeID]bool{}}
	c.opts.TickEvery = 5 * time.Millisecond
	if c.opts.Partitions == 0 {
		c.opts.Partitions = 4
	}
	if c.opts.CallTimeout == 0 {
		c.opts.CallTimeout = 10 * time.Second
	}
	for i, addr := range topologytest.Addrs(t, n) {
		id := topology.NodeID(rune('a' + i))
		c.list = append(c.list, topology.Member{ID: id, Addr: addr})
		c.nodes[id] = &node{c: c, id: id, fs: vfs.NewCrashableMem(), founded: i == 0}
	}
	t.Cleanup(func() {
		for _, n := range c.nodes {
			n.stop()
		}
	})
	return c
}

// startAll starts all nodes, and waits until they vote and reach one another.
func (c *cluster) startAll() {
	c.t.Helper()
	for _, m := range c.list {
		c.nodes[m.ID].start()
	}
	c.settled()
}

// settled waits until all running nodes vote, and reach all that run.
func (c *cluster) settled() {
	c.t.Helper()
	up := c.running()
	eventually(c.t, "all vote and reach each other", func() bool {
		for _, n := range up {
			if votes, _ := n.life.voting(); !votes || len(n.alive()) < len(up)-1 {
				return false
			}
		}
		return true
	})
}

func (c *cluster) running() (up []*node) {
	for _, m := range c.list {
		if n := c.nodes[m.ID]; n.cancel != nil {
			up = append(up, n)
		}
	}
	return up
}

func testLogger(id topology.NodeID) *slog.Logger {
	if os.Getenv("TRIAD_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", id)
}

func (n *node) start() {
	n.c.t.Helper()
	require.NoError(n.c.t, n.tryStart())
}

func (n *node) tryStart() (err error) {
	var opened []io.Closer
	defer func() {
		for i := len(opened) - 1; i >= 0 && err != nil; i-- {
			_ = opened[i].Close()
		}
	}()
	logger := testLogger(n.id)
	if n.home, err = home.Open(home.Options{FS: n.fs, Dir: "/" + string(n.id), Cluster: "test", Node: n.id, Logger: logger}); err != nil {
		return err
	}
	opened = append(opened, n.home)
	if _, known := n.home.Cluster(); !known {
		if err = n.home.Adopt([16]byte{1}); err != nil {
			return err
		}
	}
	id, _ := n.home.Cluster()
	o := wal.Options{SegmentBytes: 256 << 10, FS: n.fs, Cluster: id, Node: n.id, Logger: logger}
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
	p, err := store.Open(store.Options{FS: n.fs, Dir: dir, Logger: logger, MemTableBytes: 1 << 20})
	if err != nil {
		return err
	}
	opened = append(opened, p)
	n.store = p
	knows := n.knows
	if knows == nil {
		knows = n.c.list
	}
	list, err := members.New(n.id, knows)
	require.NoError(n.c.t, err)
	return n.run(p, list, logger)
}

func (n *node) run(p *store.Pebble, list *members.List, logger *slog.Logger) error {
	t, c := n.c.t, n.c
	self, _ := topology.View{Members: c.list}.Find(n.id)
	ln, err := net.Listen("tcp", self.Addr)
	require.NoError(t, err)
	tr, err := transport.New(transport.Config{
		Self: n.id, Role: topology.PeerNode, Life: n.home.Life(), Identity: n.home, Listener: ln, Membership: list, Logger: logger,
		Limits: transport.Limits{BackoffMin: 2 * time.Millisecond, BackoffMax: 20 * time.Millisecond},
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			for _, m := range c.list {
				if m.Addr == addr && !c.reaches(n.id, m.ID) {
					return nil, fmt.Errorf("%s is cut off", addr)
				}
			}
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
			if err != nil {
				return nil, err
			}
			return &cuttable{conn, c, n.id, addr}, nil
		},
	})
	require.NoError(t, err)
	control, err := n.control(logger)
	require.NoError(t, err)
	var log topology.GroupLog = n.log
	if n.wrap != nil {
		log = n.wrap(log)
	}
	eng, err := New(c.opts)(topology.Env{
		Self: n.id, Life: n.home.Life(), Control: control, Log: log, Store: n.store, Stable: n.home, Sidelog: n.home.Sidelog(),
		Transport: tr, Membership: list, Logger: logger, Founded: func() bool { return n.founded },
		Clock: version.NewClock(func() time.Time { return time.Now().Add(n.ahead) }, 0),
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

// control is that of a process of the node.
func (n *node) control(logger *slog.Logger) (topology.Control, error) {
	if n.c.control != nil {
		return n.c.control.Open(n.id), nil
	}
	return static.New(static.Options{Leader: n.c.list[0].ID})(topology.ControlEnv{Self: n.id, Stable: n.home, Logger: logger})
}

// cuttable is a connection that fails once its two nodes are apart.
type cuttable struct {
	net.Conn
	c    *cluster
	from topology.NodeID
	addr string
}

func (k *cuttable) check() error {
	for _, m := range k.c.list {
		if m.Addr == k.addr && !k.c.reaches(k.from, m.ID) {
			_ = k.Close()
			return errors.New("the nodes are apart")
		}
	}
	return nil
}

func (k *cuttable) Write(b []byte) (int, error) {
	if err := k.check(); err != nil {
		return 0, err
	}
	return k.Conn.Write(b)
}

func (k *cuttable) Read(b []byte) (int, error) {
	n, err := k.Conn.Read(b)
	if cerr := k.check(); cerr != nil {
		return 0, cerr
	}
	return n, err
}

func (c *cluster) reaches(a, b topology.NodeID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.cut[[2]topology.NodeID{a, b}] && !c.cut[[2]topology.NodeID{b, a}]
}

// apart parts two nodes, or joins them again.
func (c *cluster) apart(a, b topology.NodeID, yes bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut[[2]topology.NodeID{a, b}] = yes
}

func (n *node) stop() {
	if n.cancel == nil {
		return
	}
	n.cancel()
	<-n.done
	n.cancel = nil
}

// crash ends the node; what was not synced is gone.
func (n *node) crash() {
	fs := n.fs.(*vfs.MemFS).CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(1, 2))})
	n.stop()
	n.fs = fs
}

// wipe ends the node, and takes its directory away.
func (n *node) wipe() {
	n.stop()
	n.fs, n.founded = vfs.NewCrashableMem(), false
}

func batchOf(key, value string) record.Batch {
	m := record.Mutation{Table: record.TableDefault, Key: []byte(key), Op: record.OpPut, Kind: record.KindBytes, Value: []byte(value)}
	if value == "" {
		m.Op = record.OpDelete
	}
	return record.Batch{Mutations: []record.Mutation{m}}
}

func (n *node) put(key, value string, o ...topology.WriteOptions) (topology.Receipt, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	o = append(o, topology.WriteOptions{})
	return n.Write(ctx, batchOf(key, value), o[0])
}

func (n *node) get(key string, o topology.ReadOptions) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r, err := n.Read(ctx, record.TableDefault, []byte(key), o)
	if err != nil {
		return "", err
	}
	return string(r.Cells[0].Value), nil
}

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// converged waits until all running replicas have applied the same writes, and holds
// their cells against one another.
func (c *cluster) converged() {
	c.t.Helper()
	up := c.running()
	place := up[0].place.Current()
	for p := range place.Partitions() {
		eventually(c.t, fmt.Sprintf("all replicas of partition %d have applied the same", p), func() bool {
			var first *version.Set
			for _, n := range up {
				if !place.Holds(n.id, p) {
					continue
				}
				var s *version.Set
				if n.loop.call(func() { s = n.loop.core.Applied(p).Clone() }) != nil {
					return false
				}
				if first == nil {
					first = s
				}
				if !first.Equal(s) {
					return false
				}
			}
			return true
		})
	}
	for p := range place.Partitions() {
		var first map[string]string
		for _, n := range up {
			if !place.Holds(n.id, p) {
				continue
			}
			cells := n.cells(p)
			if first == nil {
				first = cells
			}
			require.True(c.t, maps.Equal(first, cells), "partition %d at %s:\n%v\n%v", p, n.id, first, cells)
		}
	}
}

// cells are the versions that a node's store holds of a partition for good: deletes, and
// what they hide, go at each replica in its own time.
func (n *node) cells(partition int) map[string]string {
	s, err := n.store.Snapshot()
	require.NoError(n.c.t, err)
	defer s.Close()
	all := map[string]string{}
	var head core.Held
	for e, err := range s.Scan(record.Cell{}, record.Cell{Table: math.MaxUint32}) {
		require.NoError(n.c.t, err)
		if local(e.Table) || placement.Of(n.place, e.Table, e.Key) != partition {
			continue
		}
		var st record.State
		require.NoError(n.c.t, record.DecodeState(e.State, &st))
		if len(e.Field) == 0 {
			head = core.Held{Cell: e.Cell.Clone()}
			require.NoError(n.c.t, record.DecodeState(append([]byte(nil), e.State...), &head.State))
		} else if head.Table != e.Table || !bytes.Equal(head.Key, e.Key) {
			head = core.Held{}
		}
		st.Siblings = slices.DeleteFunc(st.Siblings, func(v record.Version) bool {
			return v.Absent || len(e.Field) > 0 && !core.Visible(v, &head.State)
		})
		st.Context = nil // what a key's context adds to the partition's set differs by what came as a state
		if len(st.Siblings) > 0 {
			all[fmt.Sprint(e.Table, " ", string(e.Key), " ", string(e.Field))] = string(record.NewEncoder().AppendState(nil, &st))
		}
	}
	return all
}
