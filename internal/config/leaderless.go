package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/triad-kv/triad/leaderless"
	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

// Consistency is how many replicas a request waits for where nobody leads, in a file.
type Consistency string

var levels = map[Consistency]quorum.Consistency{
	"one": quorum.AtOne, "two": quorum.AtTwo, "quorum": quorum.AtQuorum, "all": quorum.AtAll,
	"local_one": quorum.AtLocalOne, "local_quorum": quorum.AtLocalQuorum, "each_quorum": quorum.AtEachQuorum,
}

var levelNames = []string{"one", "two", "quorum", "all", "local_one", "local_quorum", "each_quorum"}

// TypeName is what docs call the type.
func (c Consistency) TypeName() string {
	return strings.Join(levelNames[:len(levelNames)-1], ", ") + " or " + levelNames[len(levelNames)-1]
}

// UnmarshalText reads a consistency.
func (c *Consistency) UnmarshalText(b []byte) error {
	if _, ok := levels[Consistency(b)]; !ok {
		return notOneOf(string(b), levelNames)
	}
	*c = Consistency(b)
	return nil
}

// Repair is what a read does for replicas that are behind, in a file.
type Repair string

var repairs = map[Repair]core.Repair{"none": core.RepairNone, "async": core.RepairAsync, "blocking": core.RepairBlocking, "write-back": core.RepairWriteBack}

// TypeName is what docs call the type.
func (r Repair) TypeName() string { return "none, async, blocking or write-back" }

// UnmarshalText reads a mode of repair.
func (r *Repair) UnmarshalText(b []byte) error {
	if _, ok := repairs[Repair(b)]; !ok {
		return notOneOf(string(b), []string{"none", "async", "blocking", "write-back"})
	}
	*r = Repair(b)
	return nil
}

// leaderless reports whether every node takes writes and none leads.
func (t Topology) leaderless() bool { return t.Kind == kindLeaderless }

// NobodyLeads reports whether every node takes writes and none leads.
func (c *Cluster) NobodyLeads() bool { return c.Topology.leaderless() }

// Local reports whether writes and reads are of the site of the node that is asked.
func (t Topology) Local() bool { return levels[t.Write].Local() && levels[t.Read].Local() }

// Needs returns how many replicas of a key writes and reads wait for, of how many.
func (t Topology) Needs() (write, read, of int) {
	return levels[t.Write].Needed(t.Replicas), levels[t.Read].Needed(t.Replicas), t.Replicas
}

// quorumOptions are those of the engine.
func quorumOptions(n *Node) leaderless.Options {
	t := n.Topology
	return leaderless.Options{
		Replicas: t.Replicas, Partitions: t.Partitions, Write: levels[t.Write], Read: levels[t.Read], Repair: repairs[t.Repair],
		MaxSkew: time.Duration(t.MaxSkew), TickEvery: time.Duration(t.TickEvery), CallTimeout: time.Duration(t.CallTimeout),
		HedgeAfter: time.Duration(t.HedgeAfter), ValueBytesMax: int(n.Limits.ValueBytesMax), PendingBytesMax: int64(t.PendingBytesMax), RetainBytesMax: uint64(t.RetainBytesMax),
		MovesMax: t.MovesMax, MoveBytesPerSec: uint64(t.MoveBytes),
		AntiEntropy: leaderless.AntiEntropy{
			Every: orNever(t.RepairEvery), RereadEvery: orNever(t.RereadEvery), BytesPerSec: int64(t.RepairBytesPerSec), PauseAbove: orNever(t.RepairPauseAbove),
		},
	}
}

// orNever is a pause of which 0 says that nothing comes after it.
func orNever(d Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return time.Duration(d)
}

// Keys that belong to some kinds of topology alone, below topology.
var (
	keysOfQuorums = []string{"replicas", "partitions", "write", "read", "repair", "hedge_after", "repair_every", "reread_every", "repair_bytes_per_sec", "repair_pause_above", "moves_max", "move_bytes_per_sec"}
	keysOfLeaders = []string{
		"sync", "durability", "rewind_records_max", "rewind_bytes_max", "retry_every", "fail_after", "drop_after", "hang_after", "min_reign",
		"min_in_sync", "fail_fast", "reads", "lease", "clock_drift", "max_lag_on_failover", "hooks", "stream",
	}
)

// council is a checker of topologies in which nobody leads.
type council struct{ checker }

// quorums checks a topology in which nobody leads, against who there is.
func (c council) quorums(t *Topology, k *Control, cluster string, ms []Member) {
	switch {
	case k.Kind == controlRaft:
		c.raftVoters(k, ms)
	case k.Elects():
		checkOutside(c.checker, *k, cluster, ms)
	}
	if !c.Given("topology.replicas") {
		t.Replicas = min(t.Replicas, len(ms)) // as many as there are
	}
	for _, key := range keysOfLeaders {
		if path := "topology." + key; c.Given(path) && !c.Faulty(path) {
			c.Fault(path, "nobody leads in a topology of kind %s; drop it", kindLeaderless)
		}
	}
	if c.Given("control.leader") {
		c.Fault("control.leader", "nobody leads in a topology of kind %s; drop it", kindLeaderless)
	}
	var other []string
	for _, m := range ms {
		if !m.Role.votes() {
			other = append(other, m.ID+" is a "+string(m.Role))
		}
	}
	if len(other) > 0 {
		c.Fault("topology.kind", "in a topology of kind %s every node holds keys and takes writes: %s", kindLeaderless, strings.Join(other, ", "))
	}
	const replicas, partitions = "topology.replicas", "topology.partitions"
	switch {
	case c.Faulty(replicas):
	case t.Replicas < 1 || t.Replicas > len(ms):
		c.Fault(replicas, "%d copies of every key on %d nodes", t.Replicas, len(ms))
	}
	if !c.Faulty(partitions) && (t.Partitions < 1 || t.Partitions > leaderless.PartitionsMax) {
		c.Fault(partitions, "%d is not from 1 to %d", t.Partitions, leaderless.PartitionsMax)
	}
	if t.MovesMax < 1 && !c.Faulty("topology.moves_max") {
		c.Fault("topology.moves_max", "%d partitions can not move at a time; 1 or more", t.MovesMax)
	}
	if len(ms) > quorum.MembersMax {
		c.Fault("topology.kind", "%d nodes are more than %d", len(ms), quorum.MembersMax)
	}
	c.levels(t, ms)
	if t.TickEvery < tickEveryMin && !c.Faulty("topology.tick_every") {
		c.Fault("topology.tick_every", "%v is less than %v", t.TickEvery, tickEveryMin)
	}
}

// levels refuses levels that mean nothing for these nodes, and write-back where it would
// not make keys linearizable.
func (c council) levels(t *Topology, ms []Member) {
	for _, path := range []string{"topology", "topology.replicas", "topology.partitions", "topology.write", "topology.read", "topology.repair", "members"} {
		if c.Faulty(path) {
			return
		}
	}
	var all []topology.Member
	siteless := ""
	for _, m := range ms {
		all = append(all, topology.Member{ID: topology.NodeID(m.ID), Site: m.Site})
		if m.Site == "" {
			siteless = m.ID
		}
	}
	for _, l := range []struct {
		path  string
		level Consistency
	}{{"topology.write", t.Write}, {"topology.read", t.Read}} {
		if levels[l.level].Sited() && siteless != "" {
			c.Fault(l.path, "%s counts by sites, and %s names none: give every node its site", l.level, siteless)
			return
		}
	}
	o := leaderless.Options{Replicas: t.Replicas, Partitions: t.Partitions, Write: levels[t.Write], Read: levels[t.Read], Repair: repairs[t.Repair]}
	if err := o.Check(all); err != nil {
		path := "topology.repair"
		if repairs[t.Repair] != core.RepairWriteBack {
			path = "topology.read"
		}
		c.Fault(path, "%v", err)
	}
}

// notQuorums refuses what means something only where nobody leads.
func (c council) notQuorums() {
	for _, key := range keysOfQuorums {
		if path := "topology." + key; c.Given(path) && !c.Faulty(path) {
			c.Fault(path, "it belongs to %s, where nobody leads; drop it", kindLeaderless)
		}
	}
}

// quorumsSay says what a topology in which nobody leads promises.
func quorumsSay(t Topology, nodes int) []Line {
	w, r, n := t.Needs()
	reads := "find every write that was acknowledged before them"
	sited := levels[t.Write].Sited() || levels[t.Read].Sited()
	switch {
	case repairs[t.Repair] == core.RepairWriteBack:
		reads = "of one cell, and writes, are linearizable: as if one copy took them, one by one"
	case sited:
		return []Line{
			{"topology", fmt.Sprintf("%s, %d nodes, %d copies of every key in %d partitions, write %s, read %s, repair %s", t.Kind, nodes, n, t.Partitions, t.Write, t.Read, t.Repair)},
			{"a write survives", sitedSurvival(t)},
			{"writes, reads", "are counted by sites; triad quorum says what follows"},
		}
	case w+r <= n:
		reads = fmt.Sprintf("may miss a write that was acknowledged before them: %d and %d are no more than %d", w, r, n)
	}
	return []Line{
		{"topology", fmt.Sprintf("%s, %d nodes, %d copies of every key in %d partitions, write %s, read %s, repair %s", t.Kind, nodes, n, t.Partitions, t.Write, t.Read, t.Repair)},
		{"a write survives", fmt.Sprintf("the loss of any %d of the %d nodes that hold its key", w-1, n)},
		{"writes stop", fmt.Sprintf("for keys of which more than %d of the %d copies are away; reads, where more than %d are", n-w, n, n-r)},
		{"reads", reads},
	}
}

// sitedSurvival says what a write survives where writes or reads are counted by sites.
func sitedSurvival(t Topology) string {
	w, _, _ := t.Needs()
	switch l := levels[t.Write]; {
	case !l.Sited():
		return fmt.Sprintf("the loss of any %d of the nodes that hold its key", w-1)
	case l == quorum.AtEachQuorum:
		return "the loss of any site, and in each of one disk less than it waited for there"
	}
	return "in its own site the loss of one disk less than it waited for there; other sites have it one journey later"
}

// warnQuorums warns of what loses or hides acknowledged writes.
func (c council) warnQuorums(t Topology) {
	w, r, n := t.Needs()
	if levels[t.Write].Sited() || levels[t.Read].Sited() {
		return
	}
	if w == 1 && n > 1 {
		c.Warn("topology.write", "no other node has a write when it is acknowledged: what had not reached another is lost with that node's disk; quorum waits for more than half")
	}
	if w+r <= n {
		c.Warn("topology.read", "reads may miss what was acknowledged before them: %d and %d are no more than %d", w, r, n)
	}
}

// ofNode checks a node of a cluster in which nobody leads. The first by name founds
// the cluster.
func (c council) ofNode(n *Node) {
	ms := n.everybody()
	c.quorums(&n.Topology, &n.Control, n.Cluster, ms)
	if n.Control.Kind == controlStatic {
		n.Control.Leader = first(ms) // who keeps the map, which leads nobody
	}
}

// Joining is the configuration of a node that the file does not name, and that joins a
// cluster in which nobody leads while it works: the others, itself and where the map is
// kept are known to it.
func Joining(c *Cluster, id string) Node {
	grown := *c
	grown.Replicas = append(slices.Clone(c.Replicas), Replica{ID: id, Role: RoleVoter})
	ns := grown.Nodes()
	n := ns[len(ns)-1]
	n.Control.Leader = c.Nodes()[0].Control.Leader // not the first by name of those that are there then
	return n
}
