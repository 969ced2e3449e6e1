package config

import (
	"time"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/control/raft"
	"github.com/triad-kv/triad/internal/hooks"
	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/leaderless"
	"github.com/triad-kv/triad/multileader"
	"github.com/triad-kv/triad/singleleader"
	"github.com/triad-kv/triad/topology"
)

// Open is what the node is opened with. The caller adds what no file says: a
// logger, listeners, a file system.
func (n *Node) Open() (triad.Config, error) {
	control, err := n.openControl()
	if err != nil {
		return triad.Config{}, err
	}
	c := triad.Config{
		ID: topology.NodeID(n.Self.ID), Cluster: n.Cluster, Site: n.Self.Site, Dir: n.Self.Dir, Memory: n.Self.Memory,
		Listen: n.Listen.Peers, Leader: topology.NodeID(n.Control.Leader), Control: control,
		Topology: n.engine(), Limits: n.Limits.options(),
	}
	for _, m := range n.Members {
		c.Members = append(c.Members, triad.Member{ID: topology.NodeID(m.ID), Addr: m.Addr, Site: m.Site})
	}
	for _, t := range n.Tables {
		kind, err := triad.ParseKind(t.Kind)
		if err != nil {
			return c, err
		}
		table := triad.Table{Name: t.Name, Kind: kind, TTL: time.Duration(t.TTL)}
		if n.Topology.several() || n.Topology.leaderless() {
			if table.Resolver, err = n.Topology.resolverOf(t.Resolver); err != nil {
				return c, err
			}
		}
		c.Tables = append(c.Tables, table)
	}
	return c, nil
}

// engine builds the engine, with its hooks, which log as it does.
func (n *Node) engine() topology.Builder {
	return func(env topology.Env) (topology.Engine, error) {
		if n.Topology.leaderless() {
			return leaderless.New(quorumOptions(n))(env)
		}
		o, h := n.Options(), n.Topology.Hooks
		c := &hooks.Commands{Promoted: h.Promoted, Demoted: h.Demoted, Fence: h.Fence, Timeout: time.Duration(h.Timeout), Cluster: n.Cluster, Logger: env.Logger}
		if len(h.Promoted)+len(h.Demoted) > 0 {
			o.OnRole = c.Role
		}
		if len(h.Fence) > 0 {
			o.Fence = c.FenceOld
		}
		if !n.Topology.several() {
			return singleleader.New(o)(env)
		}
		s := n.Topology.siteOptions()
		s.Group, s.Filters = o, filters(n.Tables)
		return multileader.New(s)(env)
	}
}

// Elects reports whether the members elect their leader, with such a control.
func (k Control) Elects() bool { return k.Kind == controlRaft || k.Options != nil }

// builder is that of a control backend that this package knows; nil for the control
// that needs none.
func (k Control) builder() topology.ControlBuilder {
	if k.Kind != controlRaft {
		return nil
	}
	o := raft.Options{Heartbeat: time.Duration(k.Heartbeat)}
	for _, v := range k.Voters {
		o.Voters = append(o.Voters, topology.NodeID(v))
	}
	return raft.New(o)
}

// Options are those of the single-leader engine, which every site has for itself.
func (n *Node) Options() singleleader.Options {
	t := n.Topology
	var replicas, witnesses []topology.NodeID
	ms := n.group()
	for _, m := range ms {
		switch id := topology.NodeID(m.ID); {
		case m.Role == RoleWitness:
			witnesses = append(witnesses, id)
		case !m.Role.votes():
			replicas = append(replicas, id)
		}
	}
	return singleleader.Options{
		Sync: counted(t.Sync.Policy, ms), ReadReplicas: replicas, Witnesses: witnesses, Durability: topology.Durability(t.Durability),
		Replica: singleleader.Replica{ApplyDelay: time.Duration(n.Self.ApplyDelay), Upstreams: nodeIDs(n.Self.Upstream)}, ValueBytesMax: int(n.Limits.ValueBytesMax),
		PendingBytesMax: int64(t.PendingBytesMax), RetainBytesMax: uint64(t.RetainBytesMax), Stream: t.Stream.options(),
		CallTimeout: time.Duration(t.CallTimeout), RetryEvery: time.Duration(t.RetryEvery),
		FailAfter: time.Duration(t.FailAfter), DropAfter: time.Duration(t.DropAfter), HangAfter: time.Duration(t.HangAfter), MinReign: time.Duration(t.MinReign), MinInSync: t.MinInSync, FailFast: t.FailFast,
		Rewinds: singleleader.Rewinds{RewindRecordsMax: uint64(t.RewindRecordsMax), RewindBytesMax: uint64(t.RewindBytesMax)},
		Leases:  singleleader.Leases{LeaseReads: t.Reads == ReadsLease, Lease: time.Duration(t.Lease), ClockDrift: time.Duration(t.ClockDrift), MaxLagOnFailover: uint64(t.MaxLagOnFailover)},
	}
}

func (s Stream) options() stream.Limits {
	return stream.Limits{
		BatchBytesMax: int(s.BatchBytesMax), WindowBytesMax: int(s.WindowBytesMax), ChunkBytesMax: int(s.ChunkBytesMax),
		SnapshotBytesMax: int(s.SnapshotBytesMax), HeartbeatEvery: time.Duration(s.HeartbeatEvery),
		CommitDelay: time.Duration(s.CommitDelay), SnapshotHold: time.Duration(s.SnapshotHold),
	}
}

func (l Limits) options() triad.Limits {
	return triad.Limits{
		ValueBytesMax: int(l.ValueBytesMax), LogSegmentBytes: int64(l.LogSegmentBytes), LogFirstSegmentBytes: int64(l.LogFirstSegmentBytes),
		LogUnflushedBytesMax: int64(l.LogUnflushedBytesMax), LogTailBytes: int64(l.LogTailBytes), LogRetainBytes: uint64(l.LogRetainBytes),
		StoreCacheBytes: int64(l.StoreCacheBytes), BootstrapWait: time.Duration(l.BootstrapWait),
		StartWait: time.Duration(l.StartWait), HandoverWait: time.Duration(l.HandoverWait), RetainEvery: time.Duration(l.RetainEvery),
		ScrubEvery: time.Duration(l.ScrubEvery), ScrubBytesPerSec: int64(l.ScrubBytesPerSec),
		CompressAbove: int(l.CompressAbove), ConnAgeMax: time.Duration(l.ConnAgeMax),
	}
}
