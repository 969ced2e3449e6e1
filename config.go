package triad

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/triad-kv/triad/control/static"
	"github.com/triad-kv/triad/internal/gossip"
	"github.com/triad-kv/triad/internal/home"
	"github.com/triad-kv/triad/internal/members"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Member is one node as the configuration names it.
type Member = topology.Member

// Gossip is what may be said of gossip.
type Gossip = gossip.Options

// GossipKey encrypts gossip. It never prints itself.
type GossipKey = gossip.Key

// ParseGossipKey reads a key: 32 bytes in base64.
func ParseGossipKey(s string) (GossipKey, error) { return gossip.ParseKey(s) }

// FS is the file system a node keeps its directory in: that of
// github.com/cockroachdb/pebble/v2/vfs, whose NewMem gives one in memory.
type FS = home.FS

// Config says what a node is. A Dir and a Topology are enough for a node that is
// alone; every other field has a default.
type Config struct {
	// ID names this node; default "a". The data directory keeps it.
	ID topology.NodeID
	// Cluster names the cluster; default "triad". The data directory keeps it.
	Cluster string
	// Site names the data centre of this node; default what Members says of it.
	Site string
	// Dir is the data directory. It is made, with mode 0700, if it is not there.
	Dir string

	// Listen is the address of the peers port, for other nodes and remote
	// clients; default what Members says of this node. A node that is alone and
	// names none does not listen.
	Listen string
	// Listener is a peers port that is bound already; it replaces Listen. The
	// node closes it.
	Listener net.Listener
	// Dial connects to another node; default TCP. Where TLS is set, it goes through
	// what Dial and Listener return.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// TLS proves who is at the other end of the peers port, in both directions,
	// and keeps others from reading; default none, and then the port must be on
	// loopback.
	TLS TLS
	// Insecure lets a node without TLS listen beyond loopback: whoever reaches the
	// port reads and writes everything.
	Insecure bool
	// Members are all nodes of the cluster, this one included; default this one
	// alone. With Gossip an address may be missing, and one that is wrong is set
	// right once the node has been heard of.
	Members []Member
	// Gossip finds out where members are and whether they answer; it never
	// changes who they are. The zero value is no gossip: then Members says it all.
	Gossip Gossip

	// Topology builds the engine, as singleleader.New does. There is no default.
	Topology topology.Builder
	// Control builds the backend of the documents that say who counts; default
	// control/static with Leader.
	Control topology.ControlBuilder
	// Leader leads the first term; default this node, if it is alone. It belongs
	// to control/static and may not be set together with Control.
	Leader topology.NodeID

	// Tables are defined by the leader if they are not yet. One that is defined
	// otherwise ends Open or Run, and the error shows both.
	Tables []Table

	// Memory keeps the store in memory. It is built from the log at every start,
	// so the log is never trimmed.
	Memory bool
	// FS replaces the operating system's file system, for tests.
	FS FS
	// WallClock replaces time.Now where the time of day counts: in the timestamps
	// of records and the expiry of keys. It is for tests and debugging, of clocks
	// that are wrong; time-outs and lags never ask it.
	WallClock func() time.Time
	// Logger hears what an operator should; default nobody.
	Logger *slog.Logger
	// Limits bound what the node holds and waits for.
	Limits Limits
}

// Limits bound what a node holds and waits for. Zero means the default that
// stands beside each.
type Limits struct {
	ValueBytesMax        int           // of one value: 16 MiB, and not more
	LogSegmentBytes      int64         // of one file of the log: 64 MiB
	LogFirstSegmentBytes int64         // of a new log's first file, from which the others double: 1 MiB
	LogUnflushedBytesMax int64         // accepted and not yet durable, until writers wait: 64 MiB
	LogTailBytes         int64         // of the log's newest part that stays in memory: 8 MiB
	LogRetainBytes       uint64        // of the log kept behind the store, where the engine states no need: 256 MiB
	StoreCacheBytes      int64         // of the store's block cache: 32 MiB
	BootstrapWait        time.Duration // for peers that may know the cluster already, before the first leader founds it with those that answer: 2 s
	StartWait            time.Duration // that the first calls wait for a leader to be known: 2 s
	CompressAbove        int           // bytes of a message of replication above which it is compressed, where the other side reads that: 0, never
	ConnAgeMax           time.Duration // of a connection with TLS, until it is made anew: 6 h
	HandoverWait         time.Duration // that a node which is told to end and leads may take to hand over first: 2 s, at most 4 s
	RetainEvery          time.Duration // between two trims of the log: 10 s
	ScrubEvery           time.Duration // from the end of one scrub of log and store to the next: 24 h
	ScrubBytesPerSec     int64         // that a scrub reads: 8 MiB
}

const (
	idDefault      = "a"
	clusterDefault = "triad"

	logRetainBytesDefault = 256 << 20
	bootstrapWaitDefault  = 2 * time.Second
	startWaitDefault      = 2 * time.Second
	handoverWaitDefault   = 2 * time.Second
	handoverWaitMax       = 4 * time.Second
	retainEveryDefault    = 10 * time.Second

	configTablesMax = 1024
)

// complete fills in the defaults, and returns every fault of the configuration
// with the path of its field.
func (c *Config) complete() error {
	if c.ID == "" {
		c.ID = idDefault
	}
	if c.Cluster == "" {
		c.Cluster = clusterDefault
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.WallClock == nil {
		c.WallClock = time.Now
	}
	faults := []error{
		c.checkNames(), c.completeMembers(), c.Gossip.Check(), c.completeControl(), c.checkExposure(), c.checkTLS(),
		c.checkTables(), c.Limits.complete(),
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	return nil
}

func (c *Config) checkNames() error {
	var faults []error
	if !c.ID.Valid() {
		faults = append(faults, fmt.Errorf("id: %q is not a node's name ([a-z][a-z0-9-]{0,62})", c.ID))
	}
	if !topology.NodeID(c.Cluster).Valid() {
		faults = append(faults, fmt.Errorf("cluster: %q is not a name ([a-z][a-z0-9-]{0,62})", c.Cluster))
	}
	if c.Site != "" && !topology.NodeID(c.Site).Valid() {
		faults = append(faults, fmt.Errorf("site: %q is not a name ([a-z][a-z0-9-]{0,62})", c.Site))
	}
	if c.Dir == "" {
		faults = append(faults, errors.New("dir: none was named"))
	}
	if c.Topology == nil {
		faults = append(faults, errors.New("topology: none was given; singleleader.New(singleleader.Options{}) is one"))
	}
	return errors.Join(faults...)
}

// alone reports whether there is no other node.
func (c *Config) alone() bool { return len(c.Members) == 1 }

func (c *Config) completeMembers() error {
	if len(c.Members) == 0 {
		addr := c.Listen
		if c.Listener != nil {
			addr = c.Listener.Addr().String()
		}
		c.Members = []Member{{ID: c.ID, Addr: addr, Site: c.Site}}
		return nil
	}
	c.Members = slices.Clone(c.Members)
	check := members.Check
	if c.Gossip.On() {
		check = members.CheckNames
	}
	if err := check(c.ID, c.Members); err != nil {
		return err
	}
	i := slices.IndexFunc(c.Members, func(m Member) bool { return m.ID == c.ID })
	self := &c.Members[i]
	switch {
	case c.Site == "":
		c.Site = self.Site
	case self.Site == "":
		self.Site = c.Site
	case self.Site != c.Site:
		return fmt.Errorf("members[%d].site: %q, and site is %q", i, self.Site, c.Site)
	}
	self.Liveness = topology.LivenessUnknown
	if c.Listen == "" && c.Listener == nil {
		c.Listen = self.Addr
	}
	if c.Listen == "" && c.Listener == nil && !c.alone() {
		return fmt.Errorf("listen: none was named, and members[%d] has no address", i)
	}
	return nil
}

func (c *Config) completeControl() error {
	if c.Control != nil {
		if c.Leader != "" {
			return errors.New("leader: it belongs to control/static, and another control was given")
		}
		return nil
	}
	if c.Leader == "" {
		if !c.alone() {
			return errors.New("leader: several members and no control: name the node that leads the first term")
		}
		c.Leader = c.ID
	}
	if !slices.ContainsFunc(c.Members, func(m Member) bool { return m.ID == c.Leader }) {
		return fmt.Errorf("leader: %q is not among the members", c.Leader)
	}
	c.Control = static.New(static.Options{Leader: c.Leader})
	return nil
}

func (c *Config) checkTables() error {
	if len(c.Tables) > configTablesMax {
		return fmt.Errorf("tables: %d are more than %d", len(c.Tables), configTablesMax)
	}
	var faults []error
	seen := map[string]int{}
	for i, t := range c.Tables {
		if err := t.check(); err != nil {
			faults = append(faults, fmt.Errorf("tables[%d]: %w", i, err))
		}
		if at, twice := seen[t.Name]; twice {
			faults = append(faults, fmt.Errorf("tables[%d].name: %q is that of tables[%d] too", i, t.Name, at))
		}
		seen[t.Name] = i
	}
	return errors.Join(faults...)
}

func (l *Limits) complete() error {
	var faults []error
	notNegative := func(name string, n int64) {
		if n < 0 {
			faults = append(faults, fmt.Errorf("limits.%s: %d is negative", name, n))
		}
	}
	notNegative("value_bytes_max", int64(l.ValueBytesMax))
	notNegative("log_segment_bytes", l.LogSegmentBytes)
	notNegative("log_first_segment_bytes", l.LogFirstSegmentBytes)
	notNegative("log_unflushed_bytes_max", l.LogUnflushedBytesMax)
	notNegative("log_tail_bytes", l.LogTailBytes)
	notNegative("store_cache_bytes", l.StoreCacheBytes)
	notNegative("bootstrap_wait", int64(l.BootstrapWait))
	notNegative("start_wait", int64(l.StartWait))
	notNegative("handover_wait", int64(l.HandoverWait))
	notNegative("compress_above", int64(l.CompressAbove))
	notNegative("conn_age_max", int64(l.ConnAgeMax))
	notNegative("retain_every", int64(l.RetainEvery))
	notNegative("scrub_every", int64(l.ScrubEvery))
	notNegative("scrub_bytes_per_sec", l.ScrubBytesPerSec)
	if l.ValueBytesMax > record.ValueBytesMax {
		faults = append(faults, fmt.Errorf("limits.value_bytes_max: %d is more than %d", l.ValueBytesMax, record.ValueBytesMax))
	}
	if l.HandoverWait > handoverWaitMax {
		faults = append(faults, fmt.Errorf("limits.handover_wait: %v is more than %v", l.HandoverWait, handoverWaitMax))
	}
	if l.ValueBytesMax == 0 {
		l.ValueBytesMax = record.ValueBytesMax
	}
	if l.LogRetainBytes == 0 {
		l.LogRetainBytes = logRetainBytesDefault
	}
	if l.BootstrapWait == 0 {
		l.BootstrapWait = bootstrapWaitDefault
	}
	if l.StartWait == 0 {
		l.StartWait = startWaitDefault
	}
	if l.HandoverWait == 0 {
		l.HandoverWait = handoverWaitDefault
	}
	if l.RetainEvery == 0 {
		l.RetainEvery = retainEveryDefault
	}
	if l.ScrubEvery == 0 {
		l.ScrubEvery = scrubEveryDefault
	}
	if l.ScrubBytesPerSec == 0 {
		l.ScrubBytesPerSec = scrubBytesPerSecDefault
	}
	return errors.Join(faults...)
}
