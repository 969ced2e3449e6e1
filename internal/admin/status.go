package admin

import (
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Status is what GET /status answers: a topology.Status with names for JSON.
type Status struct {
	Node     topology.NodeID `json:"node"`
	Cluster  string          `json:"cluster"`
	Topology string          `json:"topology"`
	Role     topology.Role   `json:"role"`
	Leader   topology.NodeID `json:"leader"` // empty if not known
	Term     uint64          `json:"term"`
	Policy   string          `json:"policy"`
	Since    time.Time       `json:"since"` // of the role
	Log      Log             `json:"log"`
	Lag      Lag             `json:"lag"`
	Delay    float64         `json:"apply_delay_seconds"`
	Peers    []Peer          `json:"peers,omitempty"` // on the leader: every other member
	Rewound  uint64          `json:"rewound_records"`
	Failure  string          `json:"failure,omitempty"`
	Warnings []string        `json:"warnings,omitempty"`
	Scrub    Scrub           `json:"scrub"`
	Standing
}

// Standing is how the node stands to its group and to those who ask it.
type Standing struct {
	Sync      bool            `json:"sync"`             // commits wait for it, or may count it
	Stale     float64         `json:"stale_seconds"`    // upper bound on how old what it shows may be; -1 if not known
	Reached   time.Time       `json:"reached,omitzero"` // on the leader: when as many as a commit needs were last heard of
	Undefined []string        `json:"undefined_tables,omitempty"`
	Paused    bool            `json:"paused"` // nobody is made leader but by hand
	Change    *Change         `json:"change,omitempty"`
	Lease     float64         `json:"lease_seconds,omitempty"` // on the leader: for which it may still answer reads by itself
	Upstream  topology.NodeID `json:"upstream,omitempty"`      // who feeds the node, where that is not its leader
	Site      string          `json:"site,omitempty"`
	Sites     []Site          `json:"sites,omitempty"` // where several take writes
}

// Change is a change of the members that is under way.
type Change struct {
	Op    string          `json:"op"` // adding, removing
	Node  topology.NodeID `json:"node"`
	Waits string          `json:"waits"`
}

func changeOf(c topology.MemberChange) *Change {
	if c.Op == topology.NoChange {
		return nil
	}
	return &Change{Op: c.Op.String(), Node: c.Node, Waits: c.Waits}
}

// Site is what a node's site knows of another one, or of itself.
type Site struct {
	Site    string          `json:"site"`
	Number  uint32          `json:"number"`
	Own     bool            `json:"own"`
	State   string          `json:"state"` // of the link to it: up, down, frozen, idle where the node does not lead
	Peer    topology.NodeID `json:"peer,omitempty"`
	Applied uint64          `json:"applied"`       // writes of it that the node shows
	Behind  Lag             `json:"behind"`        // what it has, and the node's site has not
	Ahead   Lag             `json:"ahead"`         // what the node's site has, and it is not known to have
	Said    time.Time       `json:"said,omitzero"` // when it last said what it has for good: what is newer can not be forgotten
	Problem string          `json:"problem,omitempty"`

	Standing string `json:"standing,omitempty"` // joining, active, retiring, retired, evicting, evicted
	Holds    uint64 `json:"holds"`              // records that can not be forgotten, as it has not said that it has them
	Snapshot string `json:"snapshot,omitempty"` // what the node's site takes of its store

	ReadOnly bool      `json:"read_only"`         // it takes no writes of clients
	Without  []Skipped `json:"without,omitempty"` // tables that it does not hold
}

// Skipped is a table that a site does not hold.
type Skipped struct {
	Table   string `json:"table"`
	Records uint64 `json:"records"` // of the node's own site: from which what they wrote to the table is left out
}

// Scrub is how far the node has come in reading its own files again.
type Scrub struct {
	Passes  uint64    `json:"passes"`
	Ended   time.Time `json:"ended,omitzero"` // the last whole one
	Seconds float64   `json:"seconds"`
	Bytes   uint64    `json:"bytes"`
	Damage  []string  `json:"damage,omitempty"`
}

// Log is how far the node's log is, in LSNs.
type Log struct {
	First   record.LSN `json:"first"`
	End     record.LSN `json:"end"`
	Flushed record.LSN `json:"flushed"`
	Commit  record.LSN `json:"commit"`
	Applied record.LSN `json:"applied"`
}

// Lag is a distance behind the leader.
type Lag struct {
	Records uint64  `json:"records"`
	Bytes   uint64  `json:"bytes"`
	Seconds float64 `json:"seconds"`
}

// Peer is what a leader knows of another member.
type Peer struct {
	Node    topology.NodeID `json:"node"`
	Addr    string          `json:"addr"`
	State   string          `json:"state"`
	Sync    bool            `json:"sync"`
	Sent    record.LSN      `json:"sent"`
	Written record.LSN      `json:"written"`
	Flushed record.LSN      `json:"flushed"`
	Applied record.LSN      `json:"applied"`
	Lag     Lag             `json:"lag"`
	Contact time.Time       `json:"contact"` // last frame from it
	Problem string          `json:"problem,omitempty"`

	Upstream topology.NodeID `json:"upstream,omitempty"` // the follower that feeds it, where its state is cascade
}

// StatusOf is s with names for JSON.
func StatusOf(s topology.Status) Status {
	a := Status{
		Node: s.Node, Cluster: s.Cluster, Topology: s.Kind, Role: s.Role, Leader: s.Leader, Term: s.Term, Policy: s.Policy,
		Since: s.Since, Log: Log{First: s.First, End: s.End, Flushed: s.Flushed, Commit: s.Commit, Applied: s.Applied},
		Lag: lagOf(s.Lag), Delay: s.Delay.Seconds(), Rewound: s.Rewound, Failure: s.Failure, Warnings: s.Warnings,
		Scrub:    Scrub{Passes: s.Scrub.Passes, Ended: s.Scrub.Ended, Seconds: s.Scrub.Took.Seconds(), Bytes: s.Scrub.Bytes, Damage: s.Scrub.Damage},
		Standing: Standing{Sync: s.Sync, Stale: s.Stale.Seconds(), Reached: s.Reached, Undefined: s.Undefined, Paused: s.Paused, Lease: s.Lease.Seconds(), Change: changeOf(s.Change), Site: s.Site, Upstream: s.Upstream},
	}
	if s.Stale < 0 {
		a.Stale = -1
	}
	for _, p := range s.Peers {
		a.Peers = append(a.Peers, Peer{
			Node: p.Node, Addr: p.Addr, State: p.State, Sync: p.Sync, Sent: p.Sent, Written: p.Written, Flushed: p.Flushed,
			Applied: p.Applied, Lag: lagOf(p.Lag), Contact: p.Contact, Problem: p.Problem,
			Upstream: p.Upstream,
		})
	}
	for _, x := range s.Sites {
		var without []Skipped
		for _, t := range x.Without {
			without = append(without, Skipped(t))
		}
		a.Sites = append(a.Sites, Site{
			ReadOnly: x.ReadOnly, Without: without,
			Site: x.Site, Number: x.Number, Own: x.Own, State: x.State, Peer: x.Peer, Applied: x.Applied,
			Behind: lagOf(x.Behind), Ahead: lagOf(x.Ahead), Said: x.Said, Problem: x.Problem, Standing: x.Standing, Holds: x.Holds, Snapshot: x.Snapshot,
		})
	}
	return a
}

func lagOf(l topology.Lag) Lag {
	return Lag{Records: l.Records, Bytes: l.Bytes, Seconds: l.Time.Seconds()}
}
