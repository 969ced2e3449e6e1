package config

import (
	"slices"
	"time"

	"github.com/triad-kv/triad/internal/config/strict"
	"github.com/triad-kv/triad/quorum"
)

// Cluster is cluster.yaml: a whole cluster on one machine.
type Cluster struct {
	Cluster  string    `yaml:"cluster" default:"triad"`
	Topology Topology  `yaml:"topology"`
	Control  Control   `yaml:"control"`
	Sites    []Site    `yaml:"sites"`
	Replicas []Replica `yaml:"nodes"`
	Tables   []Table   `yaml:"tables"`
	Limits   Limits    `yaml:"limits"`
	RESP     RESP      `yaml:"resp"`

	values *strict.Values
}

// Site is a data centre, and how far it is from others.
type Site struct {
	Name   string   `yaml:",key"`
	Nodes  []string `yaml:"nodes"`
	Delay  []Delay  `yaml:"delay"`
	Number int      `yaml:"number" default:"0"` // where several write; 0 is its place in the file
}

// LeaderOf is the node of a site that leads its first term, where several sites write.
func (c *Cluster) LeaderOf(site string) string {
	i := slices.IndexFunc(c.Replicas, func(r Replica) bool { return r.Role == RoleLeader && r.Site == site })
	return c.Replicas[i].ID // check has seen to it
}

// SeveralLead reports whether every site has a leader, and all of them take writes.
func (c *Cluster) SeveralLead() bool { return c.Topology.several() }

// Linked reports whether two sites, all of which take writes, exchange with one another.
func (c *Cluster) Linked(a, b string) bool { return c.Topology.siteOptions().Linked(a, b) }

// Delay is how long a message takes from one site to another. Where the other
// says none of its own, it holds for the way back too.
type Delay struct {
	To    string   `yaml:",key"`
	Delay Duration `yaml:",short"`
}

// Replica is what a node of the cluster is for. Its Site, and its Role if the
// file says none, are known once the cluster was read.
type Replica struct {
	ID         string   `yaml:",key"`
	Role       Role     `yaml:"role,short"`
	ApplyDelay Duration `yaml:"apply_delay" default:"0"`
	Upstream   []string `yaml:"upstream"`
	Memory     bool     `yaml:"memory" default:"false"`
	Listen     Listen   `yaml:"listen"`

	Site string
}

// ReadCluster reads cluster.yaml. name is how errors call the file, which are
// [*strict.Refused]; overrides replace what it says.
func ReadCluster(name string, text []byte, overrides ...strict.Override) (*Cluster, error) {
	return Reader{}.ReadCluster(name, text, overrides...)
}

// ReadCluster is the function of that name, with the reader's controls.
func (r Reader) ReadCluster(name string, text []byte, overrides ...strict.Override) (*Cluster, error) {
	d, err := strict.Parse(name, text)
	if err != nil {
		return nil, err
	}
	return r.bindCluster(d, overrides)
}

func (r Reader) bindCluster(d *strict.Document, overrides []strict.Override) (*Cluster, error) {
	overrides = forCluster(overrides)
	c := &Cluster{Control: Control{Options: r.outside(d, overrides)}}
	c.values = strict.Bind(d, c, overrides...)
	c.check(r.names())
	if err := c.values.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

// forCluster leaves out variables that are set for nodes.
func forCluster(overrides []strict.Override) []strict.Override {
	keys := strict.Keys(Cluster{})
	return slices.DeleteFunc(slices.Clone(overrides), func(o strict.Override) bool {
		return o.Origin.From == strict.Env && !slices.ContainsFunc(keys, func(k strict.Key) bool { return k.Path == o.Path })
	})
}

// Warnings is what is taken and may not be what its author wants.
func (c *Cluster) Warnings() []strict.Finding { return c.values.Warnings() }

// Values is every value and where it comes from.
func (c *Cluster) Values() []strict.Value { return c.values.All(*c) }

// Leader is the node that leads the first term; where several do, that of the first
// site.
func (c *Cluster) Leader() string {
	i := slices.IndexFunc(c.Replicas, func(r Replica) bool { return r.Role == RoleLeader })
	return c.Replicas[i].ID // check has seen to it
}

// Delay is how long a message takes from one site to another, one way.
func (c *Cluster) Delay(from, to string) time.Duration {
	for _, way := range [][2]string{{from, to}, {to, from}} {
		if d, ok := c.delay(way[0], way[1]); ok {
			return d
		}
	}
	return 0
}

// delay is what the file says of one direction.
func (c *Cluster) delay(from, to string) (time.Duration, bool) {
	for _, s := range c.Sites {
		for _, d := range s.Delay {
			if s.Name == from && d.To == to {
				return time.Duration(d.Delay), true
			}
		}
	}
	return 0, false
}

// Nodes returns the configuration of every node, in the order of the file. They
// have no directory yet, and those ports that the file names; [Place] gives them
// the others.
func (c *Cluster) Nodes() []Node {
	var ms []Member
	for _, r := range c.Replicas {
		m := Member{ID: r.ID, Addr: r.Listen.Peers, RESP: r.Listen.RESP, Site: r.Site, Role: r.Role}
		if r.Role.votes() {
			m.Role = RoleVoter
		}
		ms = append(ms, m)
	}
	var ns []Node
	for i, r := range c.Replicas {
		n := Node{}
		n.values = strict.Bind(nil, &n)
		n.Cluster, n.Topology, n.Tables, n.Limits, n.RESP = c.Cluster, c.Topology, c.Tables, c.Limits, c.RESP
		n.Self.ID, n.Self.Site, n.Self.Role, n.Self.ApplyDelay, n.Self.Memory = r.ID, r.Site, ms[i].Role, r.ApplyDelay, r.Memory
		n.Self.Upstream = r.Upstream
		n.Listen, n.Members, n.Control = r.Listen, slices.Clone(ms), c.Control
		switch {
		case c.Topology.several():
			n.Control = c.controlOf(r.Site)
		case c.Topology.leaderless():
			if c.Control.Kind == controlStatic {
				n.Control.Leader = first(ms)
			}
		case c.Control.Kind == controlStatic:
			n.Control.Leader = c.Leader()
		}
		ns = append(ns, n)
	}
	return ns
}

// Place gives the nodes of a cluster their directories and addresses, which all of them
// learn.
func Place(ns []Node, at func(n *Node) (dir string, l Listen)) {
	for i := range ns {
		ns[i].Self.Dir, ns[i].Listen = at(&ns[i])
	}
	for i := range ns {
		for j := range ns[i].Members {
			ns[i].Members[j].Addr, ns[i].Members[j].RESP = ns[j].Listen.Peers, ns[j].Listen.RESP
		}
	}
}

// counted is the policy with the nodes written out that it may count, where there
// are nodes that never are.
func counted(p quorum.Policy, members []Member) quorum.Policy {
	var voters []string
	for _, m := range members {
		if m.Role.votes() {
			voters = append(voters, m.ID)
		}
	}
	if p.Kind != quorum.KindAsync && len(p.Of) == 0 && len(voters) < len(members) {
		p.Of = voters
	}
	return p
}
