package admin

import (
	"cmp"
	"slices"

	"github.com/triad-kv/triad/topology"
)

// Overview is a cluster as one look at its nodes shows it: GET /api/v1/status, and
// what `triad status` prints.
type Overview struct {
	Cluster  string          `json:"cluster"`
	Topology string          `json:"topology"`
	Policy   string          `json:"policy"`
	Term     uint64          `json:"term"`
	Leader   topology.NodeID `json:"leader"`
	Paused   bool            `json:"paused,omitempty"` // nobody is made leader but by hand
	Change   *Change         `json:"change,omitempty"` // of the members, that is under way
	Members  []Member        `json:"members"`
	Silent   []Silent        `json:"silent,omitempty"` // addresses that did not answer, and that no leader knows
	Sites    []Group         `json:"sites,omitempty"`  // where each has a leader; then Leader and Term are there, and Members are of all
}

// Group is a site of an overview where every site has a leader.
type Group struct {
	Site   string          `json:"site"`
	Number uint32          `json:"number"`
	Policy string          `json:"policy"`
	Term   uint64          `json:"term"`
	Leader topology.NodeID `json:"leader"` // empty if nobody who answers leads it
	Paused bool            `json:"paused,omitempty"`
	Links  []Site          `json:"links,omitempty"` // to the other sites, as its leader knows them
}

// Member is one node of an overview. Its LSNs are places in the log: sent by the
// leader, received (and not yet durable), flushed, and replayed into its store.
type Member struct {
	Node       topology.NodeID `json:"node"`
	Address    string          `json:"address,omitempty"`
	Site       string          `json:"site,omitempty"` // where every site has a leader
	Role       topology.Role   `json:"role"`
	State      string          `json:"state"`              // of the stream to it: probe, snapshot, replicate, down, refused; cascade where it has none
	Upstream   topology.NodeID `json:"upstream,omitempty"` // who feeds it, where that is not its leader
	Commit     string          `json:"commit,omitempty"`
	Term       uint64          `json:"term"`
	SentLSN    uint64          `json:"sent_lsn"`
	WriteLSN   uint64          `json:"write_lsn"`
	FlushLSN   uint64          `json:"flush_lsn"`
	ReplayLSN  uint64          `json:"replay_lsn"`
	LagRecords uint64          `json:"lag_records"`
	LagBytes   uint64          `json:"lag_bytes"`
	LagSeconds float64         `json:"lag_seconds"`
	DelaySecs  float64         `json:"apply_delay_seconds,omitempty"` // on purpose, and within the lag
	Rewound    uint64          `json:"rewound_records,omitempty"`
	Undefined  []string        `json:"undefined_tables,omitempty"`
	Problem    string          `json:"problem,omitempty"`
	Warnings   []string        `json:"warnings,omitempty"`
}

// Silent is an address without an answer.
type Silent struct {
	Address string `json:"address"`
	Problem string `json:"problem"`
}

// Answer is what one node says of itself, or why it says nothing.
type Answer struct {
	Addr   string
	Status topology.Status
	Err    error
}

// LeaderOf returns the answer of whoever leads the highest term.
func LeaderOf(all []Answer) (Answer, bool) {
	var best Answer
	for _, a := range all {
		if a.Err == nil && a.Status.Role == topology.RoleLeader && a.Status.Term > best.Status.Term {
			best = a
		}
	}
	return best, best.Status.Term > 0
}

// Answers reports whether a node is among those that answered.
func Answers(all []Answer, id topology.NodeID) bool {
	return slices.ContainsFunc(all, func(a Answer) bool { return a.Err == nil && a.Status.Node == id })
}

// OverviewOf puts the answers of nodes together.
func OverviewOf(all []Answer) Overview {
	if i := slices.IndexFunc(all, func(a Answer) bool { return a.Err == nil && len(a.Status.Sites) > 0 }); i >= 0 {
		return overviewOfSites(all, all[i].Status)
	}
	if i := slices.IndexFunc(all, func(a Answer) bool { return a.Err == nil && a.Status.Kind == "leaderless" }); i >= 0 {
		return overviewOfReplicas(all, all[i].Status)
	}
	return overviewOfGroup(all)
}

// Leaderless reports whether nobody leads, and everybody takes writes.
func (o Overview) Leaderless() bool { return o.Topology == "leaderless" }

// overviewOfReplicas puts together the answers of nodes none of which leads: who does
// not answer is shown as one of those who do knows it.
func overviewOfReplicas(all []Answer, one topology.Status) Overview {
	o := Overview{Cluster: one.Cluster, Topology: one.Kind, Policy: one.Policy, Members: []Member{}}
	for _, a := range all {
		if a.Err != nil || slices.ContainsFunc(o.Members, func(m Member) bool { return m.Node == a.Status.Node }) {
			continue
		}
		m := memberOf(a, topology.Status{})
		m.State = "catches up"
		if a.Status.Role.Writes() {
			m.State = "takes writes"
		}
		for _, p := range a.Status.Peers {
			if p.State != "replicate" && m.Problem == "" {
				m.Problem = string(p.Node) + " is " + p.State + " for it: " + p.Problem
			}
		}
		o.Members = append(o.Members, m)
	}
	for _, p := range one.Peers {
		if !Answers(all, p.Node) {
			m := absent(p)
			m.Commit = ""
			o.Members = append(o.Members, m)
		}
	}
	o.Silent = silent(all, o.Members)
	slices.SortFunc(o.Members, func(a, b Member) int { return cmp.Compare(a.Node, b.Node) })
	return o
}

// overviewOfSites puts together the answers of nodes each site of which has a leader:
// one of them has told which sites there are.
func overviewOfSites(all []Answer, one topology.Status) Overview {
	o := Overview{Cluster: one.Cluster, Topology: one.Kind, Members: []Member{}}
	for _, s := range one.Sites {
		var own []Answer
		for _, a := range all {
			if a.Err == nil && a.Status.Site == s.Site {
				own = append(own, a)
			}
		}
		g := Group{Site: s.Site, Number: s.Number}
		of := overviewOfGroup(own)
		g.Policy, g.Term, g.Leader, g.Paused = of.Policy, of.Term, of.Leader, of.Paused
		if leader, led := LeaderOf(own); led {
			g.Links = slices.DeleteFunc(StatusOf(leader.Status).Sites, func(x Site) bool { return x.Own })
		}
		for _, m := range of.Members {
			m.Site = s.Site
			o.Members = append(o.Members, m)
		}
		o.Sites = append(o.Sites, g)
	}
	o.Silent = silent(all, o.Members)
	return o
}

// overviewOfGroup puts together the answers of nodes that follow one leader.
func overviewOfGroup(all []Answer) Overview {
	leader, led := LeaderOf(all)
	var o Overview
	if led {
		s := leader.Status
		o = Overview{Cluster: s.Cluster, Topology: s.Kind, Policy: s.Policy, Term: s.Term, Leader: s.Node, Paused: s.Paused, Change: changeOf(s.Change)}
	}
	for _, a := range all {
		if a.Err != nil || slices.ContainsFunc(o.Members, func(m Member) bool { return m.Node == a.Status.Node }) {
			continue
		}
		if !led && a.Status.Term >= o.Term {
			o.Cluster, o.Topology, o.Policy, o.Term, o.Paused = a.Status.Cluster, a.Status.Kind, a.Status.Policy, a.Status.Term, a.Status.Paused
		}
		o.Members = append(o.Members, memberOf(a, leader.Status))
	}
	for _, p := range leader.Status.Peers {
		if !Answers(all, p.Node) {
			o.Members = append(o.Members, absent(p))
		}
	}
	o.Silent = silent(all, o.Members)
	slices.SortFunc(o.Members, func(a, b Member) int {
		if first := cmp.Compare(rank(a.Role), rank(b.Role)); first != 0 {
			return first
		}
		return cmp.Compare(a.Node, b.Node)
	})
	return o
}

// silent are the addresses without an answer that no member is known by.
func silent(all []Answer, members []Member) (out []Silent) {
	for _, a := range all {
		if a.Err != nil && !slices.ContainsFunc(members, func(m Member) bool { return m.Address == a.Addr }) {
			out = append(out, Silent{Address: a.Addr, Problem: a.Err.Error()})
		}
	}
	return out
}

func rank(r topology.Role) int {
	switch r {
	case topology.RoleLeader:
		return 0
	case topology.RoleReadReplica:
		return 2
	case topology.RoleWitness:
		return 3
	case topology.RoleRemoved:
		return 4
	}
	return 1
}

// memberOf is a node by its own answer, and by what the leader says of it.
func memberOf(a Answer, leader topology.Status) Member {
	s := a.Status
	m := Member{
		Node: s.Node, Address: a.Addr, Role: s.Role, State: "alone", Term: s.Term,
		WriteLSN: uint64(s.End), FlushLSN: uint64(s.Flushed), ReplayLSN: uint64(s.Applied),
		LagRecords: s.Lag.Records, LagBytes: s.Lag.Bytes, LagSeconds: s.Lag.Time.Seconds(),
		DelaySecs: s.Delay.Seconds(), Upstream: s.Upstream, Rewound: s.Rewound, Undefined: s.Undefined, Problem: s.Failure, Warnings: s.Warnings,
	}
	switch {
	case s.Node == leader.Node:
		m.State, m.SentLSN = "leads", uint64(s.End)
		return m
	case s.Role == topology.RoleWitness:
		m.State = "votes"
		return m
	case s.Role == topology.RoleRemoved:
		m.State = "removed"
		return m
	}
	for _, p := range leader.Peers {
		if p.Node != s.Node {
			continue
		}
		m.State, m.Commit, m.SentLSN = p.State, commitMode(p.Sync), uint64(p.Sent)
		if m.Problem == "" {
			m.Problem = p.Problem
		}
		if s.Upstream != "" && s.Lag != (topology.Lag{}) {
			continue // what it says of itself is newer than what it told the leader
		}
		// The leader's distances do not age when a node is cut off.
		m.LagRecords, m.LagBytes, m.LagSeconds = p.Lag.Records, p.Lag.Bytes, p.Lag.Time.Seconds()
	}
	return m
}

// absent is a node that did not answer, as the leader knows it.
func absent(p topology.PeerStatus) Member {
	problem := p.Problem
	if problem == "" {
		problem = "it does not answer"
	}
	return Member{
		Node: p.Node, Address: p.Addr, Role: "unknown", State: p.State, Upstream: p.Upstream, Commit: commitMode(p.Sync),
		SentLSN: uint64(p.Sent), WriteLSN: uint64(p.Written), FlushLSN: uint64(p.Flushed), ReplayLSN: uint64(p.Applied),
		LagRecords: p.Lag.Records, LagBytes: p.Lag.Bytes, LagSeconds: p.Lag.Time.Seconds(), Problem: problem,
	}
}

func commitMode(counted bool) string {
	if counted {
		return "sync"
	}
	return "async"
}
