package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/demo/grid"
	"github.com/triad-kv/triad/topology"
)

// member is one node as `triad status` shows it.
type member struct {
	Node       topology.NodeID `json:"node"`
	Address    string          `json:"address,omitempty"`
	Role       topology.Role   `json:"role"`
	State      string          `json:"state"` // of the stream to it: probe, snapshot, replicate, down, refused
	Commit     string          `json:"commit,omitempty"`
	Term       uint64          `json:"term"`
	FlushLSN   uint64          `json:"flush_lsn"`
	ReplayLSN  uint64          `json:"replay_lsn"`
	LagRecords uint64          `json:"lag_records"`
	LagBytes   uint64          `json:"lag_bytes"`
	LagSeconds float64         `json:"lag_seconds"`
	DelaySecs  float64         `json:"apply_delay_seconds,omitempty"` // on purpose, and within the lag
	Rewound    uint64          `json:"rewound_records,omitempty"`
	Problem    string          `json:"problem,omitempty"`
	Warnings   []string        `json:"warnings,omitempty"`
}

// overview is the whole answer of `triad status`.
type overview struct {
	Cluster  string          `json:"cluster"`
	Topology string          `json:"topology"`
	Policy   string          `json:"policy"`
	Term     uint64          `json:"term"`
	Leader   topology.NodeID `json:"leader"`
	Members  []member        `json:"members"`
	Silent   []silent        `json:"silent,omitempty"` // endpoints that did not answer, and that no leader knows
}

// silent is an endpoint without an answer.
type silent struct {
	Address string `json:"address"`
	Problem string `json:"problem"`
}

func newStatus() *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "Show who leads, and who has what",
		Long: `Show who leads, and who has what: every node that one of --endpoints is, or that
its leader knows. LSNs are places in the log: flush, what a node has durable; replay,
what it shows. A read replica is counted by no commit and made leader by nobody. Exit code 3 if no node answered, or none of them leads.`,
		Args: exactly(),
	}
	r := remoteFlags(c)
	r.attempts = 1 // who is not there is what it shows
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		var o overview
		err := r.with(cmd, func(ctx context.Context, c *client.Client) (err error) {
			o, err = look(ctx, c, r.endpoints)
			return err
		})
		if err != nil {
			return err
		}
		if err := r.show(cmd, o.result()); err != nil {
			return err
		}
		if o.Leader == "" {
			return advise(fmt.Errorf("no node that answers leads: %w", topology.ErrUnavailable))
		}
		return nil
	}
	return c
}

// asked is one endpoint's answer.
type asked struct {
	addr   string
	status topology.Status
	err    error
}

// askAll asks every address at once. It fails only where nobody answered.
func askAll(ctx context.Context, c *client.Client, addrs []string) ([]asked, error) {
	all := make([]asked, len(addrs))
	var wait sync.WaitGroup
	for i, addr := range addrs {
		wait.Go(func() {
			// One that hangs must not keep the others' answers from being shown.
			ctx, cancel := context.WithTimeout(ctx, askTimeout)
			defer cancel()
			s, err := c.StatusOf(ctx, addr)
			all[i] = asked{addr: addr, status: s, err: err}
		})
	}
	wait.Wait()
	for _, a := range all {
		if a.err == nil {
			return all, nil
		}
	}
	return nil, all[0].err
}

// askTimeout bounds the question to one node.
const askTimeout = 3 * time.Second

// survey asks the endpoints, and the members that their leader names besides.
func survey(ctx context.Context, c *client.Client, endpoints []string) ([]asked, error) {
	all, err := askAll(ctx, c, endpoints)
	if err != nil {
		return nil, err
	}
	var more []string
	for _, a := range all {
		for _, p := range a.status.Peers {
			known := slices.Contains(endpoints, p.Addr) || slices.Contains(more, p.Addr) || nodeIn(all, p.Node)
			if p.Addr != "" && !known {
				more = append(more, p.Addr)
			}
		}
	}
	if len(more) > 0 {
		if others, err := askAll(ctx, c, more); err == nil {
			all = append(all, others...)
		}
	}
	return all, nil
}

func nodeIn(all []asked, id topology.NodeID) bool {
	return slices.ContainsFunc(all, func(a asked) bool { return a.err == nil && a.status.Node == id })
}

// leaderOf returns the answer of whoever leads the highest term.
func leaderOf(all []asked) (asked, bool) {
	var best asked
	for _, a := range all {
		if a.err == nil && a.status.Role == topology.RoleLeader && a.status.Term > best.status.Term {
			best = a
		}
	}
	return best, best.status.Term > 0
}

// look makes the overview.
func look(ctx context.Context, c *client.Client, endpoints []string) (overview, error) {
	all, err := survey(ctx, c, endpoints)
	if err != nil {
		return overview{}, err
	}
	leader, led := leaderOf(all)
	var o overview
	if led {
		s := leader.status
		o = overview{Cluster: s.Cluster, Topology: s.Kind, Policy: s.Policy, Term: s.Term, Leader: s.Node}
	}
	for _, a := range all {
		if a.err != nil || slices.ContainsFunc(o.Members, func(m member) bool { return m.Node == a.status.Node }) {
			continue
		}
		if !led && a.status.Term >= o.Term {
			o.Cluster, o.Topology, o.Policy, o.Term = a.status.Cluster, a.status.Kind, a.status.Policy, a.status.Term
		}
		o.Members = append(o.Members, memberOf(a, leader.status))
	}
	for _, p := range leader.status.Peers {
		if !nodeIn(all, p.Node) {
			o.Members = append(o.Members, absent(p))
		}
	}
	for _, a := range all {
		if a.err != nil && !slices.ContainsFunc(o.Members, func(m member) bool { return m.Address == a.addr }) {
			o.Silent = append(o.Silent, silent{Address: a.addr, Problem: a.err.Error()})
		}
	}
	slices.SortFunc(o.Members, func(a, b member) int {
		if first := cmp.Compare(rank(a.Role), rank(b.Role)); first != 0 {
			return first
		}
		return cmp.Compare(a.Node, b.Node)
	})
	return o, nil
}

func rank(r topology.Role) int {
	switch r {
	case topology.RoleLeader:
		return 0
	case topology.RoleReadReplica:
		return 2
	}
	return 1
}

// memberOf is a node by its own answer, and by what the leader says of it.
func memberOf(a asked, leader topology.Status) member {
	s := a.status
	m := member{
		Node: s.Node, Address: a.addr, Role: s.Role, State: "alone", Term: s.Term, FlushLSN: uint64(s.Flushed), ReplayLSN: uint64(s.Applied),
		LagRecords: s.Lag.Records, LagBytes: s.Lag.Bytes, LagSeconds: s.Lag.Time.Seconds(),
		DelaySecs: s.Delay.Seconds(), Rewound: s.Rewound, Problem: s.Failure, Warnings: s.Warnings,
	}
	if s.Node == leader.Node {
		m.State = "leads"
		return m
	}
	for _, p := range leader.Peers {
		if p.Node != s.Node {
			continue
		}
		m.State, m.Commit = p.State, commitMode(p.Sync)
		if m.Problem == "" {
			m.Problem = p.Problem
		}
		// The leader's distances do not age when a node is cut off.
		m.LagRecords, m.LagBytes, m.LagSeconds = p.Lag.Records, p.Lag.Bytes, p.Lag.Time.Seconds()
	}
	return m
}

// absent is a node that did not answer, as the leader knows it.
func absent(p topology.PeerStatus) member {
	problem := p.Problem
	if problem == "" {
		problem = "it does not answer"
	}
	return member{
		Node: p.Node, Address: p.Addr, Role: "unknown", State: p.State, Commit: commitMode(p.Sync),
		FlushLSN: uint64(p.Flushed), ReplayLSN: uint64(p.Applied),
		LagRecords: p.Lag.Records, LagBytes: p.Lag.Bytes, LagSeconds: p.Lag.Time.Seconds(), Problem: problem,
	}
}

func commitMode(counted bool) string {
	if counted {
		return "sync"
	}
	return "async"
}

func (o overview) result() result {
	r := result{value: o, table: grid.Table{Header: []string{"node", "role", "state", "commit", "term", "flush lsn", "replay lsn", "lag", "in bytes", "in time", "apply delay", "address"}}}
	leader := "nobody leads"
	if o.Leader != "" {
		leader = fmt.Sprintf("%s leads term %d", o.Leader, o.Term)
	}
	r.above = grid.Plain(fmt.Sprintf("cluster %s: %s, %s, commits wait for %s", o.Cluster, o.Topology, leader, o.Policy))
	var below []string
	for _, m := range o.Members {
		lag := time.Duration(m.LagSeconds * float64(time.Second)).Round(time.Millisecond)
		r.table.Rows = append(r.table.Rows, []string{
			string(m.Node), string(m.Role), m.State, m.Commit, termText(m.Term), fmt.Sprint(m.FlushLSN), fmt.Sprint(m.ReplayLSN),
			fmt.Sprint(m.LagRecords), grid.Bytes(m.LagBytes), lag.String(), delayText(m.DelaySecs), m.Address,
		})
		if m.Problem != "" {
			below = append(below, grid.Plain(fmt.Sprintf("%s: %s", m.Node, m.Problem)))
		}
		if m.Rewound > 0 {
			below = append(below, fmt.Sprintf("%s: %d records were rewound; `triad rewound list DIR` shows them", m.Node, m.Rewound))
		}
		for _, w := range m.Warnings {
			below = append(below, grid.Plain(fmt.Sprintf("%s: warning: %s", m.Node, w)))
		}
	}
	for _, n := range o.Silent {
		below = append(below, grid.Plain(n.Address+": "+n.Problem))
	}
	r.below = strings.Join(below, "\n")
	return r
}

// delayText is empty where a node applies at once.
func delayText(seconds float64) string {
	if seconds == 0 {
		return ""
	}
	return time.Duration(seconds * float64(time.Second)).Round(time.Millisecond).String()
}

// termText is empty where no term is known.
func termText(t uint64) string {
	if t == 0 {
		return ""
	}
	return fmt.Sprint(t)
}
