package config

import (
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/internal/config/strict"
	"github.com/triad-kv/triad/internal/members"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// checker holds the rules that both kinds of file have. What it finds goes to
// the values.
type checker struct {
	*strict.Values
	here string            // the site, where sites count apart
	far  map[string]string // then the sites of the members of others

	controls []string // the kinds that a file may name
}

// name wants a name of a node, a site or a cluster.
func (c checker) name(path, what, name string) bool {
	if topology.NodeID(name).Valid() {
		return true
	}
	c.Fault(path, "%.70q is not the name of a %s: small letters, digits and -, a letter first, 63 at most", name, what)
	return false
}

// word wants one of the words that this version has, and knows those that a later
// one will.
func (c checker) word(path, word, what string, has []string, later ...string) bool {
	for _, w := range has {
		if w == word {
			return true
		}
	}
	for _, w := range later {
		if w == word {
			c.Fault(path, "%s %s is not in this version, which has %s", what, word, strings.Join(has, ", "))
			return false
		}
	}
	c.Fault(path, "%v", notOneOf(word, append(has[:len(has):len(has)], later...)))
	return false
}

// address wants host:port.
func (c checker) address(path, addr string) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		c.Fault(path, "an address host:port is wanted here, as in 127.0.0.1:7400 or [::1]:7400, not %.80q", addr)
		return
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		c.Fault(path, "the port of %.80q is no number from 0 to 65535", addr)
	}
	if strings.ContainsAny(host, " /@") {
		c.Fault(path, "%.80q is no host that can be reached", host)
	}
}

// addresses wants addresses that are there to be addresses, each once.
func (c checker) addresses(paths []string, addrs []string) {
	seen := map[string]string{}
	for i, addr := range addrs {
		if addr == "" {
			continue
		}
		c.address(paths[i], addr)
		if strings.HasSuffix(addr, ":0") {
			continue // each gets a port of its own
		}
		if first, twice := seen[addr]; twice {
			c.Fault(paths[i], "%s is the address of %s too", addr, first)
		}
		seen[addr] = paths[i]
	}
}

func (l Listen) addresses(under string) (paths, addrs []string) {
	return []string{under + "listen.peers", under + "listen.resp", under + "listen.admin", under + "listen.gossip"},
		[]string{l.Peers, l.RESP, l.Admin, l.Gossip}
}

// kind checks which topology and which control are wanted. It reports false if
// nothing else of the topology means anything.
func (c checker) kind(t Topology, k Control) bool {
	if !c.Faulty("topology.kind") && t.Kind != kindSingleLeader && !t.several() && !t.leaderless() {
		c.Dismiss("topology") // its keys are those of another kind
		c.word("topology.kind", t.Kind, "topology", []string{kindSingleLeader, kindMultiLeader, kindLeaderless})
		return false
	}
	if !t.several() {
		c.oneSite(t)
	}
	if !t.leaderless() {
		council{c}.notQuorums()
	}
	if binary := elsewhere[k.Kind]; binary != "" && !slices.Contains(c.controls, k.Kind) {
		c.Dismiss("control") // its keys are those of that kind
		c.Fault("control.kind", "control %s is in the command %s and not in this one; use it, which is all of this one too", k.Kind, binary)
		return true
	}
	if !c.word("control.kind", k.Kind, "control", c.controls) {
		return true
	}
	for path, given := range map[string]bool{
		"control.voters":    len(k.Voters) > 0 && k.Kind != controlRaft,
		"control.heartbeat": c.Given("control.heartbeat") && k.Kind != controlRaft,
	} {
		if given {
			c.Fault(path, "it belongs to another control than %s; drop it", k.Kind)
		}
	}
	return true
}

// hooks wants programs by their whole paths: what a name means is another thing for a
// service than for who writes the file.
func (c checker) hooks(h Hooks) {
	for path, argv := range map[string][]string{"promoted": h.Promoted, "demoted": h.Demoted, "fence": h.Fence} {
		if len(argv) > 0 && !filepath.IsAbs(argv[0]) {
			c.Fault("topology.hooks."+path, "%.80q is not the whole path of a program; it is [PROGRAM, ARGUMENT, …], as in [/usr/local/bin/address, up]", argv[0])
		}
	}
}

// elected refuses the name of a leader where the members elect who leads.
func elected(c checker, k Control) {
	if k.Leader != "" {
		c.Fault("control.leader", "with control %s the members elect who leads; drop it: the first by name begins, and triad switchover hands over", k.Kind)
	}
}

// raftVoters checks who keeps the documents, and names them where nobody did: all
// members that vote on data and the witnesses, if they are few enough and odd.
func (c checker) raftVoters(k *Control, ms []Member) {
	const path = "control.voters"
	var ids, voting []string
	for _, m := range ms {
		ids = append(ids, m.ID)
		if m.Role.votes() || m.Role == RoleWitness {
			voting = append(voting, m.ID)
		}
	}
	elected(c, *k)
	for _, v := range k.Voters {
		if !slices.Contains(ids, v) {
			c.Fault(path, "%.70q %s", v, c.stranger(v, ids))
			return
		}
	}
	if len(k.Voters) == 0 {
		k.Voters = voting
	}
	for _, m := range ms {
		if m.Role == RoleWitness && !slices.Contains(k.Voters, m.ID) {
			c.Fault(path, "%s is a witness, and is there for its vote alone: name it", m.ID)
		}
	}
	if h := time.Duration(k.Heartbeat); h < heartbeatMin || h > heartbeatMax {
		c.Fault("control.heartbeat", "%v is not within %v and %v", k.Heartbeat, heartbeatMin, heartbeatMax)
	}
	if n := len(k.Voters); n != 1 && n != 3 && n != 5 {
		c.Fault(path, "%d voters%s keep the documents that say who leads: name 1, 3 or 5 members, as in control: {kind: raft, voters: [%s]}", n, c.ofSite(), strings.Join(ids[:min(len(ids), 3)], ", "))
	}
}

const (
	heartbeatMin = 20 * time.Millisecond
	heartbeatMax = time.Minute
)

// first is who leads first where members elect.
func first(ms []Member) (id string) {
	for _, m := range ms {
		if m.Role.votes() && (id == "" || m.ID < id) {
			id = m.ID
		}
	}
	return id
}

const (
	kindSingleLeader = "single-leader"
	kindMultiLeader  = "multi-leader"
	kindLeaderless   = "leaderless"
	controlStatic    = "static"
	controlRaft      = "raft"
)

// minimum checks with how few in sync writes go on.
func (c checker) minimum(t Topology, k Control) {
	const path = "topology.min_in_sync"
	p := t.Sync.Policy
	switch {
	case c.Faulty(path) || c.Faulty("topology.sync") || !c.Given(path) || t.MinInSync == 0:
	case k.Kind == controlStatic:
		c.Fault(path, "with control %s the policy alone says how many a commit needs: drop it, or write control: {kind: raft}", k.Kind)
	case p.Kind != quorum.KindFirst:
		c.Fault(path, "only first k goes on with fewer than it names, not %v: drop it", p)
	case t.MinInSync < 0 || t.MinInSync > p.K+1:
		c.Fault(path, "%d in sync: from 1, the leader alone, to %d under %v", t.MinInSync, p.K+1, p)
	}
}

// policy checks whom commits wait for, against who there is.
func (c checker) policy(p quorum.Policy, leader string, ms []Member) {
	const path = "topology.sync"
	if c.Faulty(path) {
		return
	}
	var all, voters []string
	byID := map[string]Role{}
	for _, m := range ms {
		all = append(all, m.ID)
		byID[m.ID] = m.Role
		if m.Role.votes() {
			voters = append(voters, m.ID)
		}
	}
	for _, id := range p.Of {
		role, there := byID[id]
		switch {
		case !there:
			c.Fault(path, "%v names %s, which %s", p, id, c.stranger(id, all))
			return
		case !role.votes():
			c.Fault(path, "%v names %s, whose role is %s: no commit waits for it; give it the role of a voter or name another", p, id, role)
			return
		}
	}
	if !slices.Contains(voters, leader) {
		return // said elsewhere
	}
	rule, err := quorum.NewRule(counted(p, ms), leader, voters)
	switch {
	case p.K > 0 && (err != nil || rule.Needed() <= p.K):
		c.Fault(path, "%v wants %d besides the leader %s, and no more than %d can be counted; lower it or add voters", p, p.K, leader, others(p, voters, leader))
	case err != nil:
		c.Fault(path, "%v", err)
	}
}

// others is how many besides the leader a policy can count.
func others(p quorum.Policy, voters []string, leader string) int {
	of := p.Of
	if len(of) == 0 {
		of = voters
	}
	n := len(of)
	if slices.Contains(of, leader) {
		n--
	}
	return n
}

// leader checks who leads first, and returns it: the only node, where there is
// one.
func (c checker) leader(k Control, ms []Member) string {
	const path = "control.leader"
	var ids []string
	for _, m := range ms {
		ids = append(ids, m.ID)
		if m.Role == RoleWitness {
			c.Fault(path, "%s is a witness, and votes where members elect who leads: write control: {kind: raft}, or give it another role", m.ID)
		}
		if m.ID == k.Leader && !m.Role.votes() {
			c.Fault(path, "%s has the role %s and cannot lead", m.ID, m.Role)
		}
	}
	switch {
	case k.Leader == "" && len(ms) == 1:
		return ids[0]
	case k.Leader == "" && c.far != nil:
		return first(ms) // the same on all nodes of the site
	case k.Leader == "":
		c.Fault(path, "there are %d members: name the one that leads the first term, as in control: {leader: %s}", len(ms), ids[0])
	case !slices.Contains(ids, k.Leader):
		c.Fault(path, "%.70q %s", k.Leader, c.stranger(k.Leader, ids))
	}
	return k.Leader
}

// tables checks the tables, and the prefixes that lead to them.
func (c checker) tables(ts []Table, r RESP, t Topology) {
	if len(ts) > tablesMax {
		c.Fault("tables", "%d are more than %d", len(ts), tablesMax)
		return
	}
	if len(r.Prefixes) > tablesMax {
		c.Fault("resp.prefixes", "%d are more than %d", len(r.Prefixes), tablesMax)
		return
	}
	names, several, topology := []string{triad.DefaultTable}, t.several() || t.leaderless(), t
	for _, t := range ts {
		path := strict.Join("tables", t.Name)
		names = append(names, t.Name)
		if !c.Faulty(path + ".kind") {
			c.tableKind(path+".kind", t)
		}
		switch ttl := time.Duration(t.TTL); {
		case ttl < 0 || ttl > triad.TTLMax || ttl%time.Millisecond != 0:
			c.Fault(path+".ttl", "%v is none of whole milliseconds up to %v", ttl, triad.TTLMax)
		case ttl > 0 && t.Name == triad.DefaultTable:
			c.Fault(path+".ttl", "table %s always exists, and has no TTL; name another table", t.Name)
		}
		shares{c}.holders(path, topology, t)
		switch {
		case several:
			c.severalTable(path, topology, t)
		case t.Resolver != "":
			c.Fault(path+".resolver", "one leader orders all writes, so there is nothing to resolve; drop it (resolvers are of %s)", kindMultiLeader)
		}
		if !triad.ValidTable(t.Name) {
			c.Fault(path, "%.70q is not the name of a table: small letters, digits, _ . and -, a letter first, 64 at most", t.Name)
		}
	}
	shares{c}.unfed(topology, ts)
	seen := map[string]bool{}
	for _, p := range r.Prefixes {
		path := strict.Join("resp.prefixes", p.Prefix)
		switch {
		case len(p.Prefix) > prefixBytesMax:
			c.Fault("resp.prefixes", "a prefix of %d bytes; at most %d", len(p.Prefix), prefixBytesMax)
		case seen[p.Table]:
			c.Fault(path, "table %s has a prefix already", p.Table)
		case p.Table != "" && !slices.Contains(names, p.Table):
			c.Fault(path, "there is no table %.70q; tables are %s", p.Table, strings.Join(names, ", "))
		}
		seen[p.Table] = true
	}
}

const (
	tablesMax      = 1024
	prefixBytesMax = 255
)

// tableKind wants a kind that this version has.
func (c checker) tableKind(path string, t Table) {
	var has, later []string
	for _, k := range []string{"any", "bytes", "row", "counter", "set", "map", "flag", "max", "min", "text", "hll"} {
		if _, err := triad.ParseKind(k); err == nil {
			has = append(has, k)
		} else {
			later = append(later, k)
		}
	}
	if c.word(path, t.Kind, "kind", has, later...) && t.Name == triad.DefaultTable && t.Kind != "any" {
		c.Fault(path, "table %s always exists, and its kind is any", t.Name)
	}
}

// limits checks the limits against one another.
func (c checker) limits(l Limits, t Topology) {
	if l.ValueBytesMax > record.ValueBytesMax {
		c.Fault("limits.value_bytes_max", "%v is more than a record can carry, %v", l.ValueBytesMax, Size(record.ValueBytesMax))
	}
	if l.LogSegmentBytes < l.ValueBytesMax+recordBytesMore {
		c.Fault("limits.log_segment_bytes", "a segment of %v cannot hold a record of %v (limits.value_bytes_max); raise the one or lower the other", l.LogSegmentBytes, l.ValueBytesMax)
	}
	if l.LogSegmentBytes > segmentBytesMax {
		c.Fault("limits.log_segment_bytes", "%v is more than %v", l.LogSegmentBytes, Size(segmentBytesMax))
	}
	if l.LogFirstSegmentBytes > l.LogSegmentBytes {
		c.Fault("limits.log_first_segment_bytes", "%v is more than a later segment has, %v (limits.log_segment_bytes)", l.LogFirstSegmentBytes, l.LogSegmentBytes)
	}
	if t.FailAfter < failAfterMin {
		c.Fault("topology.fail_after", "%v is less than %v: a leader would be given up for a pause of the machine", t.FailAfter, failAfterMin)
	}
	if t.MinReign > minReignMax {
		c.Fault("topology.min_reign", "%v is more than %v: while it lasts nobody replaces a leader that died; `triad pause` leaves a group alone for longer", t.MinReign, minReignMax)
	}
	if t.Stream.HeartbeatEvery > 0 && t.CallTimeout > 0 && t.CallTimeout < 2*t.Stream.HeartbeatEvery {
		c.Fault("topology.call_timeout", "%v is less than two heartbeats of %v (topology.stream.heartbeat_every): a node that is well would be given up", t.CallTimeout, t.Stream.HeartbeatEvery)
	}
}

const (
	recordBytesMore = 64 << 10 // of a record beyond its value: the key and what frames both
	segmentBytesMax = 1 << 30
	failAfterMin    = Duration(20 * time.Millisecond)
	minReignMax     = Duration(24 * time.Hour)
)

// zeros refuses 0 where a package would take it for its default, and the file
// would so say another thing than what runs.
func (c checker) zeros(of any) {
	standard := map[string]string{}
	for _, k := range strict.Keys(of) {
		standard[k.Path] = k.Default
	}
	for _, v := range c.All(of) {
		d := standard[v.Path]
		if (v.Text == "0" || v.Text == "0s") && d != "" && d != "0" {
			c.Fault(v.Path, "0 is no limit; drop the key for the default, %s", d)
		}
	}
}

// members checks who there is.
func (c checker) members(ms []Member, wantAddrs bool) {
	if len(ms) > members.MembersMax {
		c.Fault("members", "%d are more than %d", len(ms), members.MembersMax)
		return
	}
	var paths, addrs []string
	voters := 0
	for _, m := range ms {
		path := strict.Join("members", m.ID)
		c.name(path, "node", m.ID)
		if m.Site != "" {
			c.name(path+".site", "site", m.Site)
		}
		if m.Addr == "" && wantAddrs && !c.Faulty(path) {
			c.Fault(path, "it has no address; write %s: host:port", m.ID)
		}
		if m.Role.votes() {
			voters++
		}
		paths, addrs = append(paths, path+".addr", path+".resp"), append(addrs, m.Addr, m.RESP)
	}
	if voters > quorum.MembersMax {
		c.Fault("members", "%d voters are more than %d", voters, quorum.MembersMax)
	}
	c.addresses(paths, addrs)
}
