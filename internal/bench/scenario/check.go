package scenario

import (
	"fmt"
	"slices"
	"time"

	"github.com/triad-kv/triad/internal/config/strict"
	"github.com/triad-kv/triad/internal/link"
	"github.com/triad-kv/triad/topology"
)

// Limits of a scenario.
const (
	RepeatsMax   = 100
	SitesMax     = 9
	NodesMax     = 5 // of a site
	KeysMax      = 10_000_000
	ClientsMax   = 4096
	TablesMax    = 64
	RateMax      = 1_000_000
	TimeMax      = time.Hour
	SubjectsMax  = 64 // after lists were multiplied
	KeyBytesMin  = 12 // that every key fits
	KeyBytesMax  = 1024
	ProbesMax    = 64
	ProbeKeysMax = 1024
	CopiesMax    = 3      // of every key where nobody leads
	sumsKeysMax  = 10_000 // of kinds of work whose every key is looked at in the end
)

func (s *Scenario) check() {
	s.within("repeats", s.Repeats, 1, RepeatsMax)
	s.within("nodes", s.Nodes, 1, NodesMax)
	s.within("probes.sessions", s.Probes.Sessions, 0, ProbesMax)
	s.within("probes.keys", s.Probes.Keys, 1, ProbeKeysMax)
	s.duration("time", time.Duration(s.Time), time.Millisecond)
	s.duration("settle", time.Duration(s.Settle), time.Millisecond)
	s.duration("timeout", time.Duration(s.Timeout), time.Millisecond)
	s.checkSites()
	s.checkSubjects()
	for _, w := range s.Workloads {
		s.checkWorkload(w)
	}
	if len(s.Workloads) == 0 {
		s.values.Fault("workloads", "there is none; name at least one kind of work")
	}
	s.checkFaults()
	for _, x := range s.Shows {
		if !slices.ContainsFunc(s.Subjects, func(y Subject) bool { return y.Name == x.Subject }) {
			s.values.Fault(strict.Join("shows", x.Subject), "%q is not among the subjects", x.Subject)
		}
	}
}

// within wants a number within limits.
func (s *Scenario) within(path string, n, from, to int) {
	if n < from || n > to {
		s.values.Fault(path, "%d: from %d to %d", n, from, to)
	}
}

func (s *Scenario) duration(path string, d, least time.Duration) {
	if d < least || d > TimeMax {
		s.values.Fault(path, "%v: from %v to %v", d, least, TimeMax)
	}
}

func (s *Scenario) checkSites() {
	if len(s.Sites) > SitesMax {
		s.values.Fault("sites", "%d are more than %d", len(s.Sites), SitesMax)
	}
	for i, site := range s.Sites {
		at := fmt.Sprintf("sites[%d]", i)
		switch {
		case !topology.NodeID(site).Valid():
			s.values.Fault(at, "%.64q is not a name ([a-z][a-z0-9-]{0,62})", site)
		case slices.Contains(s.Sites[:i], site):
			s.values.Fault(at, "%s stands twice", site)
		case site == leader:
			s.values.Fault(at, "no site can be called leader: it means whoever leads")
		}
	}
	for i, l := range s.Links {
		at := strict.Join("links", l.Name)
		a, b := l.Between()
		switch {
		case a == b || !slices.Contains(s.Sites, a) || !slices.Contains(s.Sites, b):
			s.values.Fault(at, "%.64q names no two of the sites %v, as in a/b", l.Name, s.Sites)
		case slices.ContainsFunc(s.Links[:i], func(o Link) bool { return o.Name == b+"/"+a }):
			s.values.Fault(at, "%s/%s is the same link", b, a)
		case time.Duration(l.Delay) > link.DelayMax || time.Duration(l.Jitter) > link.DelayMax:
			s.values.Fault(at, "a delay or jitter of more than %v", link.DelayMax)
		}
	}
}

func (s *Scenario) checkSubjects() {
	if len(s.Subjects) == 0 {
		s.values.Fault("subjects", "there is none; name at least one topology")
		return
	}
	for _, x := range s.Subjects {
		at := strict.Join("subjects", x.Name)
		given := func(key string) bool { return s.values.Given(strict.Join(at, key)) }
		if x.Topology == "" {
			s.values.Fault(at, "it has no topology: %s, %s or %s", SingleLeader, MultiLeader, Leaderless)
			continue
		}
		for key, of := range map[string][]Topology{
			"sync": {SingleLeader, MultiLeader}, "conflicts": {MultiLeader, Leaderless}, "w": {Leaderless}, "r": {Leaderless}, "write_back": {Leaderless},
			"max_lost": {SingleLeader}, "fail_after": {SingleLeader},
		} {
			if given(key) && !slices.Contains(of, x.Topology) {
				s.values.Fault(strict.Join(at, key), "%s means nothing where the topology is %s", key, x.Topology)
			}
		}
		if x.Topology == Leaderless && slices.Contains(x.Read, LevelLinearizable) {
			s.values.Fault(strict.Join(at, "read"), "%s has no %s reads", Leaderless, LevelLinearizable)
		}
		nodes := min(len(s.Sites)*s.Nodes, CopiesMax)
		for _, n := range slices.Concat(x.W, x.R) {
			if x.Topology == Leaderless && int(n) > nodes {
				s.values.Fault(at, "%d of %d copies can not answer", n, nodes)
			}
		}
		s.checkVia(at, x)
	}
	if n := len(s.Variants()); n > SubjectsMax {
		s.values.Fault("subjects", "their lists make %d subjects; at most %d", n, SubjectsMax)
	}
}

// checkVia refuses what can not be asked or done by the way in which a subject is asked.
func (s *Scenario) checkVia(at string, x Subject) {
	if !slices.ContainsFunc(x.Via, Via.Processes) {
		return
	}
	for _, f := range s.Faults {
		if f.Do.inside() {
			s.values.Fault(strict.Join("faults", f.Name), "%s can not be done to processes, and subject %s is of some (via)", f.Do, x.Name)
		}
	}
	if !slices.Contains(x.Via, ViaRESP) {
		return
	}
	if slices.Contains(x.Conflicts, PolicySiblings) {
		s.values.Fault(strict.Join(at, "conflicts"), "the load does not bring siblings together over RESP; use via client or calls")
	}
	for _, w := range s.Workloads {
		if w.Kind == YCSBE || w.Kind == Bank || w.Kind == Append {
			s.values.Fault(strict.Join(strict.Join("workloads", w.Name), "kind"), "%s has operations that RESP has not, and subject %s is asked by it (via)", w.Kind, x.Name)
		}
	}
}

func (s *Scenario) checkWorkload(w Workload) {
	at := strict.Join("workloads", w.Name)
	if w.Kind == "" {
		s.values.Fault(at, "it has no kind, as ycsb-a, counter, cart, bank or append")
		return
	}
	most := KeysMax
	if !w.Kind.Records() {
		most = sumsKeysMax
	}
	s.within(strict.Join(at, "keys"), w.Keys, 2, most)
	s.within(strict.Join(at, "key_bytes"), w.KeyBytes, KeyBytesMin, KeyBytesMax)
	s.within(strict.Join(at, "value_bytes"), int(w.ValueBytes), 1, 1<<20)
	s.within(strict.Join(at, "tables"), w.Tables, 1, TablesMax)
	s.within(strict.Join(at, "clients"), w.Clients, 1, ClientsMax)
	s.within(strict.Join(at, "rate"), w.Rate, 0, RateMax)
	if !w.Kind.Records() && w.Tables > 1 {
		s.values.Fault(strict.Join(at, "tables"), "%s has one table", w.Kind)
	}
}

const leader = "leader"

func (s *Scenario) checkFaults() {
	for _, f := range s.Faults {
		at := strict.Join("faults", f.Name)
		switch {
		case f.Do == "":
			s.values.Fault(at, "it does nothing: do is missing")
		case len(f.Who) == 0:
			s.values.Fault(at, "it is done to nobody: who is missing")
		case f.For == 0:
			s.values.Fault(at, "it lasts no time: for is missing")
		case f.At+f.For > s.Time:
			s.values.Fault(at, "it ends %v after measuring began, and that ends after %v", time.Duration(f.At+f.For), time.Duration(s.Time))
		}
		s.checkMembers(at, f)
		for i, who := range f.Who {
			if who != leader && !slices.Contains(s.Sites, who) && s.siteOf(who) == "" {
				s.values.Fault(fmt.Sprintf("%s.who[%d]", at, i), "%.64q is none of the sites %v, none of their nodes (%s, …) and not leader", who, s.Sites, NodeName(s.Sites[0], 0))
			}
		}
	}
}

// checkMembers refuses changes of the members that subjects do not have.
func (s *Scenario) checkMembers(at string, f Fault) {
	if !f.Do.Members() {
		return
	}
	if slices.Contains(f.Who, leader) {
		s.values.Fault(strict.Join(at, "who"), "who leads does not %s: name nodes or sites", f.Do)
	}
	if slices.Contains(f.Who, NodeName(s.Sites[0], 0)) || slices.Contains(f.Who, s.Sites[0]) {
		s.values.Fault(strict.Join(at, "who"), "%s is where everybody begins, and does not %s", NodeName(s.Sites[0], 0), f.Do)
	}
	for _, x := range s.Subjects {
		switch {
		case x.Topology == Leaderless:
			s.values.Fault(at, "nodes of a %s subject neither join nor leave yet, and %s is one", Leaderless, x.Name)
		case x.Topology == SingleLeader && len(s.Links) > 0 && slices.ContainsFunc(x.Via, Via.Processes):
			s.values.Fault(at, "a process that is added has one address for all others, which no link leads to: subject %s is of processes, and there are links", x.Name)
		case x.Topology == MultiLeader && slices.ContainsFunc(f.Who, func(who string) bool { return !slices.Contains(s.Sites, who) }):
			s.values.Fault(strict.Join(at, "who"), "subject %s is of sites, of which whole ones join and leave", x.Name)
		}
	}
}

func (s *Scenario) siteOf(node string) string {
	for _, site := range s.Sites {
		if slices.Contains(s.NodesOf(site), node) {
			return site
		}
	}
	return ""
}

// Records reports whether a kind of work reads and writes whole records, as YCSB
// does; the others are judged by their sums.
func (k Kind) Records() bool {
	switch k {
	case Counter, Cart, Bank, Append:
		return false
	}
	return true
}
