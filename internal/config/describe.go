package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/quorum"
)

// Line is one line of what a configuration would run.
type Line struct {
	What string `json:"what"`
	Says string `json:"says"`
}

// Describe says what the node would be, for people.
func (n *Node) Describe() []Line {
	ls := []Line{{"node", fmt.Sprintf("%s of cluster %s, %s", n.Self.ID, n.Cluster, roleSays(n.Self.Role, n.Self.Site, n.Self.ApplyDelay)+fedSays(n.Self.Upstream))}}
	if n.Topology.leaderless() {
		ls = append(ls, quorumsSay(n.Topology, len(n.everybody()))...)
	} else if n.Topology.several() {
		ls = append(ls, severalSay(n.Topology)...)
		for _, s := range n.Topology.Sites {
			own, _ := within(n.everybody(), s.Name)
			leader := "" // who leads another site first is said there
			if s.Name == n.Self.Site {
				leader = n.leading()
			}
			ls = append(ls, siteSays(n.Topology, s, leader, own)...)
		}
	} else {
		ls = append(ls, topologySays(n.Topology, n.leading(), n.everybody())...)
	}
	if n.Control.Options != nil {
		ls = append(ls, Line{"control", n.Control.Kind + ", " + n.Control.Options.Describe(n.controlPlace())})
	}
	var ms []string
	for _, m := range n.Members {
		ms = append(ms, strings.TrimSpace(m.ID+" "+m.Addr))
	}
	ls = append(ls, Line{"members", orNone(ms, "this node alone")}, Line{"ports", n.Listen.says()})
	where := n.Self.Dir
	if n.Self.Memory {
		where += ", the store in memory"
	}
	return append(ls, Line{"directory", where}, Line{"tables", tablesSay(n.Tables)}, Line{"secured", n.TLS.says()})
}

// leading is who leads first.
func (n *Node) leading() string {
	switch {
	case n.Control.Elects():
		return first(n.group())
	case n.Control.Leader == "":
		return n.Self.ID
	}
	return n.Control.Leader
}

// Describe says what the cluster would be, for people.
func (c *Cluster) Describe() []Line {
	ls := []Line{{"cluster", fmt.Sprintf("%s, %d nodes on this machine", c.Cluster, len(c.Replicas))}}
	if c.Topology.leaderless() {
		ls = append(ls, quorumsSay(c.Topology, len(c.Replicas))...)
	} else if c.Topology.several() {
		ls = append(ls, severalSay(c.Topology)...)
		for _, s := range c.Topology.Sites {
			own, _ := within(c.members(), s.Name)
			ls = append(ls, siteSays(c.Topology, s, c.LeaderOf(s.Name), own)...)
		}
	} else {
		ls = append(ls, topologySays(c.Topology, c.Leader(), c.members())...)
	}
	if c.Control.Options != nil {
		ls = append(ls, Line{"control", c.Control.Kind + ", " + c.Control.Options.Describe(&ControlPlace{Cluster: c.Cluster, values: c.values})})
	}
	for _, r := range c.Replicas {
		if c.Topology.leaderless() {
			r.Role = "replica" // all are alike
		}
		ls = append(ls, Line{"node " + r.ID, roleSays(r.Role, r.Site, r.ApplyDelay) + fedSays(r.Upstream)})
	}
	for i, from := range c.Sites {
		for _, to := range c.Sites[i+1:] {
			there, back := Duration(c.Delay(from.Name, to.Name)), Duration(c.Delay(to.Name, from.Name))
			says := there.String() + " each way"
			if there != back {
				says = fmt.Sprintf("%v, %v back", there, back)
			}
			if c.Topology.several() && !c.Linked(from.Name, to.Name) {
				says += ", not linked: by way of other sites"
			}
			ls = append(ls, Line{from.Name + " to " + to.Name, says})
		}
	}
	return append(ls, Line{"tables", tablesSay(c.Tables)})
}

func roleSays(r Role, site string, late Duration) string {
	says := string(r)
	if late > 0 {
		says += fmt.Sprintf(", applies %v late", late)
	}
	if site != "" {
		says += ", in site " + site
	}
	return says
}

// fedSays tells who feeds a node.
func fedSays(up []string) string {
	if len(up) == 0 {
		return ""
	}
	return ", fed by " + strings.Join(up, ", else ") + ", else by its leader"
}

func topologySays(t Topology, leader string, ms []Member) []Line {
	d, _ := t.Durability.MarshalText() // it never fails
	survives, stops := survival(t.Sync.Policy, leader, ms)
	ls := []Line{
		{"topology", fmt.Sprintf("%s, led by %s first, sync %v, answered once %s", t.Kind, leader, t.Sync, d)},
		{"a write survives", survives},
	}
	if stops != "" {
		ls = append(ls, Line{"writes stop", stops})
	}
	return ls
}

// severalSay says how sites that all write stand to one another.
func severalSay(t Topology) []Line {
	d, _ := t.Durability.MarshalText() // it never fails
	return []Line{{"topology", fmt.Sprintf("%s, %d sites linked as %v, each with sync %v within, answered once %s there", t.Kind, len(t.Sites), t.Links, t.Sync, d)}}
}

// siteSays says what one of them is. A leader that is not known is left out.
func siteSays(t Topology, s SiteNumber, leader string, ms []Member) []Line {
	var ids, linked []string
	for _, m := range ms {
		ids = append(ids, m.ID)
	}
	for _, other := range t.Sites {
		if t.siteOptions().Linked(s.Name, other.Name) {
			linked = append(linked, other.Name)
		}
	}
	says := fmt.Sprintf("number %d for good, %s", s.Number, strings.Join(ids, ", "))
	if leader != "" {
		says += fmt.Sprintf(", led by %s first", leader)
	}
	if slices.Contains(t.ReadOnly, s.Name) {
		says += ", takes no writes"
	}
	ls := []Line{{"site " + s.Name, says + ", linked with " + orNone(linked, "nobody")}}
	if leader == "" {
		return ls
	}
	survives, stops := survival(t.Sync.Policy, leader, ms)
	ls = append(ls, Line{"a write in " + s.Name + " survives", survives})
	if stops != "" {
		ls = append(ls, Line{"writes in " + s.Name + " stop", stops})
	}
	return ls
}

// survival says what an acknowledged write outlives under a policy, and what
// stops writes; empty if only the leader's loss does.
func survival(p quorum.Policy, leader string, ms []Member) (survives, stops string) {
	var voters []string
	for _, m := range ms {
		if m.Role.votes() {
			voters = append(voters, m.ID)
		}
	}
	rule, err := quorum.NewRule(counted(p, ms), leader, voters)
	if err != nil || rule.Needed() < 2 {
		return "a crash of " + leader + ", if its disk is kept", ""
	}
	of := rule.Members()
	spare := len(of) - rule.Needed()
	survives = fmt.Sprintf("the loss of any %d of %s", rule.Needed()-1, strings.Join(of, ", "))
	if spare == 0 {
		return survives, "while any of these is away: " + strings.Join(of[1:], ", ")
	}
	return survives, fmt.Sprintf("while more than %d of these are away: %s", spare, strings.Join(of[1:], ", "))
}

func (l Listen) says() string {
	var ports []string
	for _, p := range []struct{ name, addr string }{{"peers", l.Peers}, {"resp", l.RESP}, {"admin", l.Admin}, {"gossip", l.Gossip}} {
		if p.addr != "" {
			ports = append(ports, p.name+" "+p.addr)
		}
	}
	return orNone(ports, "none")
}

func (t TLS) says() string {
	switch {
	case t.Secured():
		return "by certificates: " + t.Cert
	case t.Insecure:
		return "no: insecure is true"
	}
	return "no: it listens on loopback alone"
}

func tablesSay(ts []Table) string {
	var says []string
	if !slices.ContainsFunc(ts, func(t Table) bool { return t.Name == triad.DefaultTable }) {
		says = []string{triad.DefaultTable + " (any)"}
	}
	for _, t := range ts {
		s := t.Name + " (" + t.Kind
		if says := resolverSays(t); says != "" {
			s += ", " + says
		}
		if len(t.Sites) > 0 {
			s += ", held by " + strings.Join(t.Sites, " and ") + " alone"
		}
		if t.TTL > 0 {
			s += fmt.Sprintf(", kept %v", t.TTL)
		}
		says = append(says, s+")")
	}
	return strings.Join(says, ", ")
}

func orNone(all []string, none string) string {
	if len(all) == 0 {
		return none
	}
	return strings.Join(all, ", ")
}
