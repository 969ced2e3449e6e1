package multileader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/control/static"
	"github.com/triad-kv/triad/internal/home"
	"github.com/triad-kv/triad/internal/members"
	"github.com/triad-kv/triad/internal/store"
	"github.com/triad-kv/triad/internal/transport"
	"github.com/triad-kv/triad/internal/wal"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/topology/topologytest"
	"github.com/triad-kv/triad/version"
)

// cluster is sites on the real log, transport and store, over loopback and file
// systems in memory that can crash.
type cluster struct {
	t     testing.TB
	list  []topology.Member
	opts  Options
	wal   wal.Options
	joins []string // sites that the configuration of others does not know
	nodes map[topology.NodeID]*node

	unlike    map[string]func(*Options)              // sites that are not configured like the others
	resolvers map[topology.NodeID]*conflict.Registry // where nodes do not have the same

	mu  sync.Mutex
	cut map[[2]string]bool // sites that do not reach one another
}

// node is one node; what is on fs survives it.
type node struct {
	*engine
	c      *cluster
	id     topology.NodeID
	site   string
	fs     vfs.FS
	ahead  time.Duration // of its clock
	home   *home.Home
	log    *wal.Log
	store  topology.Store
	cancel context.CancelFunc
	done   chan error

	spoiled []topology.Edit // what its store is made to hold before it starts
}

// newCluster makes sites of so many nodes each: us1, us2, eu1 and so on; the first of
// each leads.
func newCluster(t testing.TB, o Options, each int, sites ...string) *cluster {
	c := &cluster{t: t, opts: o, nodes: map[topology.NodeID]*node{}, cut: map[[2]string]bool{}, wal: wal.Options{SegmentBytes: 256 << 10}}
	c.opts.Group.RetryEvery, c.opts.Group.CallTimeout = 10*time.Millisecond, time.Second
	c.opts.Group.Stream.HeartbeatEvery = 10 * time.Millisecond
	c.opts.TickEvery = 5 * time.Millisecond
	addrs := topologytest.Addrs(t, each*len(sites))
	for i, s := range sites {
		c.opts.Sites = append(c.opts.Sites, Site{Name: s, Number: uint32(i + 1)})
		for k := range each {
			id := topology.NodeID(fmt.Sprint(s, k+1))
			c.list = append(c.list, topology.Member{ID: id, Addr: addrs[i*each+k], Site: s})
			c.nodes[id] = &node{c: c, id: id, site: s, fs: vfs.NewCrashableMem()}
		}
	}
	t.Cleanup(func() {
		for _, n := range c.nodes {
			n.stop()
		}
	})
	return c
}

// options are those of a site, whose policy counts its own nodes.
func (c *cluster) options(site string) Options {
	o := c.opts
	if own := c.unlike[site]; own != nil {
		own(&o)
	}
	o.Joins = slices.Contains(c.joins, site)
	o.Sites = slices.DeleteFunc(slices.Clone(o.Sites), func(s Site) bool { return slices.Contains(c.joins, s.Name) })
	if k := o.Group.Sync.Kind; k != quorum.KindAsync {
		o.Group.Sync.Of = nil
		for _, m := range c.list {
			if m.Site == site {
				o.Group.Sync.Of = append(o.Group.Sync.Of, string(m.ID))
			}
		}
	}
	return o
}

func (c *cluster) startAll() {
	for _, m := range c.list {
		if !slices.Contains(c.joins, m.Site) {
			c.nodes[m.ID].start()
		}
	}
	for _, s := range c.opts.Sites {
		if slices.Contains(c.joins, s.Name) {
			continue
		}
		c.leads(topology.NodeID(s.Name + "1"))
	}
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
	o := n.c.wal
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
	p, err := store.Open(store.Options{FS: n.fs, Dir: dir, Logger: logger, MemTableBytes: 1 << 20})
	if err != nil {
		return err
	}
	opened = append(opened, p)
	n.store = p
	if len(n.spoiled) > 0 {
		require.NoError(n.c.t, p.Apply(p.Applied(), n.spoiled))
		n.spoiled = nil
	}
	list, err := members.New(n.id, n.c.list)
	require.NoError(n.c.t, err)
	return n.run(p, list, logger)
}

func (n *node) run(p *store.Pebble, list *members.List, logger *slog.Logger) error {
	t, c := n.c.t, n.c
	self, _ := topology.View{Members: c.list}.Find(n.id)
	ln, err := net.Listen("tcp", self.Addr)
	require.NoError(t, err)
	tr, err := transport.New(transport.Config{
		Self: n.id, Life: n.home.Life(), Identity: n.home, Listener: ln, Membership: list, Logger: logger,
		Limits: transport.Limits{BackoffMin: 2 * time.Millisecond, BackoffMax: 20 * time.Millisecond},
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			for _, m := range c.list {
				if m.Addr == addr && !c.reaches(n.site, m.Site) {
					return nil, fmt.Errorf("%s is cut off", addr)
				}
			}
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
			if err != nil {
				return nil, err
			}
			return &cuttable{conn, c, n.site, addr}, nil
		},
	})
	require.NoError(t, err)
	ctl, err := static.New(static.Options{Leader: topology.NodeID(n.site + "1")})(topology.ControlEnv{Self: n.id, Stable: n.home, Transport: tr, Membership: list, Logger: logger})
	require.NoError(t, err)
	o := c.options(n.site)
	if r := c.resolvers[n.id]; r != nil {
		o.Resolvers = r
	}
	eng, err := New(o)(topology.Env{
		Self: n.id, Life: n.home.Life(), Log: n.log, Store: n.store, Stable: n.home, Sidelog: n.home.Sidelog(),
		Transport: tr, Membership: list, Control: ctl, Logger: logger, Founded: n.home.Fresh,
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

// cuttable is a connection that fails once its two sites are apart.
type cuttable struct {
	net.Conn
	c    *cluster
	from string
	addr string
}

func (k *cuttable) check() error {
	for _, m := range k.c.list {
		if m.Addr == k.addr && !k.c.reaches(k.from, m.Site) {
			_ = k.Close()
			return errors.New("the sites are apart")
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

func (c *cluster) reaches(a, b string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.cut[[2]string{a, b}] && !c.cut[[2]string{b, a}]
}

// apart parts two sites, or joins them again.
func (c *cluster) apart(a, b string, yes bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut[[2]string{a, b}] = yes
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
	fs := n.fs.(*vfs.MemFS).CrashClone(vfs.CrashCloneCfg{})
	n.stop()
	n.fs = fs
}

func batchOf(key, value string) record.Batch {
	return record.Batch{Mutations: []record.Mutation{{
		Table: record.TableDefault, Key: []byte(key), Op: record.OpPut, Kind: record.KindBytes, Value: []byte(value),
	}}}
}

func (n *node) put(key, value string) (topology.Receipt, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return n.Write(ctx, batchOf(key, value), topology.WriteOptions{})
}

func (n *node) get(key string, o topology.ReadOptions) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	r, err := n.Read(ctx, record.TableDefault, []byte(key), o)
	if err != nil {
		return "", err
	}
	return string(r.Cells[0].Value), nil
}

// wait waits until the node has applied what token covers.
func (n *node) wait(token topology.Token) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return n.Wait(ctx, token)
}

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// leads waits until a node leads its site, and takes writes.
func (c *cluster) leads(id topology.NodeID) {
	c.t.Helper()
	eventually(c.t, string(id)+" leads", c.nodes[id].open)
}

// open reports whether the node leads its site, and takes writes.
func (n *node) open() bool {
	n.stats.mu.Lock()
	defer n.stats.mu.Unlock()
	return n.stats.open || n.stats.leads && n.stats.barred == "" // of a site that is read-only
}

// converged waits until all running nodes show the same writes, and holds their cells
// against one another.
func (c *cluster) converged() {
	c.t.Helper()
	var up []*node
	for _, m := range c.list {
		if n := c.nodes[m.ID]; n.cancel != nil {
			up = append(up, n)
		}
	}
	eventually(c.t, "all show the same", func() bool {
		for _, n := range up { // before it is looked at what they show
			lead := c.leader(n.site)
			if shows, _ := n.machine.seen.place(); lead == nil || shows < lead.log.Bounds().End {
				return false
			}
		}
		first, _ := up[0].machine.seen.atLeast()
		return !slices.ContainsFunc(up, func(n *node) bool {
			v, _ := n.machine.seen.atLeast()
			return !v.Descends(first) || !first.Descends(v)
		})
	})
	if c.opts.CutEvery > 0 { // what can go goes at each site in its own time
		eventually(c.t, "all have let the same go", func() bool {
			for _, n := range up {
				if !maps.Equal(bothHold(up[0], n), bothHold(n, up[0])) || !maps.Equal(c.leader(n.site).cells(true), n.cells(true)) {
					return false
				}
			}
			return true
		})
		return
	}
	for _, n := range up {
		require.Equal(c.t, bothHold(up[0], n), bothHold(n, up[0]), "%s and %s", up[0].id, n.id)
		require.Equal(c.t, c.leader(n.site).cells(true), n.cells(true), "%s within its site", n.id)
	}
}

// leader returns the running leader of a site.
func (c *cluster) leader(site string) *node {
	for _, m := range c.list {
		if n := c.nodes[m.ID]; m.Site == site && n.cancel != nil && n.Status().Role == topology.RoleLeader {
			return n
		}
	}
	return nil
}

// cells are all that a node's store holds, of its own site alone or of all.
func (n *node) cells(own bool) map[string]string {
	s, err := n.store.Snapshot()
	require.NoError(n.c.t, err)
	defer s.Close()
	all := map[string]string{}
	for e, err := range s.Scan(record.Cell{}, record.Cell{Table: math.MaxUint32}) {
		require.NoError(n.c.t, err)
		if local := e.Table == record.TableOrigins || e.Table == record.TableLosers || e.Table == record.TableLeavings || e.Table == record.TableIncoming || e.Table == record.TableExpiry ||
			e.Table == record.TableSystem && strings.HasPrefix(string(e.Key), "reign"); local != own {
			continue
		}
		all[fmt.Sprint(e.Table, " ", string(e.Key), " ", string(e.Field))] = string(e.State)
	}
	return all
}

// bothHold are the cells that a node has of what its site and another's both hold.
func bothHold(n, other *node) map[string]string {
	all := n.cells(false)
	for _, t := range apart(n.engine, other.site) {
		maps.DeleteFunc(all, func(k, _ string) bool { return strings.HasPrefix(k, fmt.Sprint(t, " ")) })
	}
	return all
}

func groupOf(p quorum.Policy) (o singleleader.Options) {
	o.Sync = p
	return o
}

// own returns under which origin the node's site writes.
func (n *node) own() version.Origin {
	n.stats.mu.Lock()
	defer n.stats.mu.Unlock()
	return n.stats.own
}
