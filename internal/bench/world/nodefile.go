package world

import (
	"fmt"
	"strings"
	"time"

	"github.com/triad-kv/triad/internal/bench/scenario"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// nodeFile is the configuration of a node that is a process: what docs/configuration.md
// says, and what config has a node in this process do.
func (w told) nodeFile(n *Node) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("cluster: %s", clusterName)
	line("node: {id: %s, site: %s, dir: %q}", n.ID, n.Site, n.dir)
	line("listen: {peers: %q, resp: %q, admin: %q}", n.addr, n.proc.resp, n.proc.admin)
	line("tls: {insecure: true}")
	line("log: {level: warn}")
	line("limits: {log_first_segment_bytes: %d}", segmentBytes)
	line("members:")
	for _, to := range w.nodes {
		if !w.names(n, to) {
			continue
		}
		addr := to.addr
		if r := n.relays[to.ID]; r != nil {
			addr = r.addr()
		}
		line("  %s: {addr: %q, resp: %q, site: %s}", to.ID, addr, to.proc.resp, to.Site)
	}
	w.topologyLines(n, line)
	if len(w.o.Tables) > 0 {
		line("tables:")
	}
	for _, t := range w.o.Tables {
		resolver := ""
		if t.Resolver != "" {
			resolver = ", resolver: " + t.Resolver
		}
		line("  %s: {kind: %s%s}", t.Name, kindWords[t.Kind], resolver)
	}
	if len(w.o.Tables) > 0 {
		line("resp:\n  prefixes:")
	}
	for _, t := range w.o.Tables {
		line("    %q: %s", prefixOf(t.Name), t.Name)
	}
	return b.String()
}

// kindWords are what files call the kinds of tables that the load has.
var kindWords = map[record.Kind]string{record.KindBytes: "bytes", record.KindCounter: "counter", record.KindSet: "set", record.KindAny: "any"}

func (w told) topologyLines(n *Node, line func(format string, args ...any)) {
	v := w.o.Variant
	switch v.Topology {
	case scenario.SingleLeader:
		line("control: {kind: raft, voters: [%s]}", joined(w.voters()))
		line("topology:\n  kind: single-leader\n  sync: %q\n  durability: %s\n  fail_after: %v\n  call_timeout: %v", v.Sync.String(), v.Durability, time.Duration(v.Subject.FailAfter), w.callTimeout())
		if v.Sync.Kind == quorum.KindAsync {
			line("  max_lag_on_failover: %d", v.Subject.MaxLost)
		}
	case scenario.MultiLeader:
		line("control: {kind: static, leader: %s}", scenario.NodeName(n.Site, 0))
		line("topology:\n  kind: multi-leader\n  sync: %q\n  durability: %s", v.Sync.String(), v.Durability)
		if n.joins.Load() {
			line("  joins: true")
			return
		}
		line("  sites:")
		var expects []string
		for i, site := range w.o.Scenario.Sites {
			if w.o.Scenario.Absent(scenario.NodeName(site, 0)) {
				expects = append(expects, site)
				continue
			}
			line("    %s: %d", site, i+1)
		}
		if len(expects) > 0 {
			line("  expects: [%s]", joined(expects))
		}
	default:
		line("topology:\n  kind: leaderless\n  replicas: %d\n  write: %s\n  read: %s", v.Copies, levelWord(v.W, v.Copies), levelWord(v.R, v.Copies))
		if v.Subject.WriteBack {
			line("  repair: blocking")
		}
	}
}

// callTimeout is that of one question to another node, which is no longer than clients
// wait and yet longer than two heartbeats.
func (w told) callTimeout() time.Duration {
	return max(time.Duration(w.o.Scenario.Timeout), time.Second)
}

func levelWord(n, copies int) string {
	switch {
	case n == copies:
		return "all"
	case n == 1:
		return "one"
	}
	return "quorum"
}

func joined[T ~string](names []T) string {
	var words []string
	for _, n := range names {
		words = append(words, string(n))
	}
	return strings.Join(words, ", ")
}

// voters are the nodes that keep the documents which say who leads.
func (w told) voters() (ids []topology.NodeID) {
	for _, n := range w.nodes {
		if len(ids) < votersMax && !w.o.Scenario.Absent(n.ID) {
			ids = append(ids, topology.NodeID(n.ID))
		}
	}
	if len(ids)%2 == 0 {
		ids = ids[:len(ids)-1]
	}
	return ids
}

// clusterName is that of every subject.
const clusterName = "bench"
