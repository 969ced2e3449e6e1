// Package scenario is what is measured: a file that says which subjects do which
// work, over which network, and what goes wrong meanwhile. It is read strictly: what
// it does not know is refused with the line and a caret.
package scenario

import (
	"slices"
	"strings"
	"time"

	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/internal/config/strict"
)

// Scenario is one file.
type Scenario struct {
	About   string `yaml:"about"`
	Seed    int    `yaml:"seed" default:"1"`
	Repeats int    `yaml:"repeats" default:"3"`
	// Within bounds the whole by the clock: no repeat is begun that would take it beyond,
	// by how long the others took; 0: none is left out for that.
	Within config.Duration `yaml:"within" default:"0"`
	Warm   config.Duration `yaml:"warm" default:"300ms"` // of load that is not measured
	Time   config.Duration `yaml:"time" default:"2s"`    // of load that is
	// Settle is how long nodes may take to come up, and to converge once the load has
	// ended.
	Settle  config.Duration `yaml:"settle" default:"30s"`
	Timeout config.Duration `yaml:"timeout" default:"1s"` // of one operation
	// Sites are named places, the first of which leads where one does; each has Nodes.
	Sites     []string   `yaml:"sites"`
	Nodes     int        `yaml:"nodes" default:"1"`
	Links     []Link     `yaml:"links"`
	Probes    Probes     `yaml:"probes"`
	Subjects  []Subject  `yaml:"subjects"`
	Workloads []Workload `yaml:"workloads"`
	Faults    []Fault    `yaml:"faults"`
	Shows     []Shown    `yaml:"shows"`

	values *strict.Values
}

// Link is what lies between two sites, both ways, as us/eu.
type Link struct {
	Name      string          `yaml:",key"`
	Delay     config.Duration `yaml:"delay,short"` // one way
	Jitter    config.Duration `yaml:"jitter"`
	Loss      Share           `yaml:"loss"`
	Bandwidth config.Size     `yaml:"bandwidth"` // bytes a second; 0: as fast as it goes
}

// Between returns the sites of a link.
func (l Link) Between() (a, b string) {
	a, b, _ = strings.Cut(l.Name, "/")
	return a, b
}

// Probes are the sessions whose every operation is recorded and judged: a light load
// of its own beside the measured one.
type Probes struct {
	Sessions int             `yaml:"sessions" default:"6"`
	Keys     int             `yaml:"keys" default:"6"`
	Pause    config.Duration `yaml:"pause" default:"3ms"` // of a session between two operations
}

// Subject is a topology and how it is set up. Lists make one subject of each
// combination.
type Subject struct {
	Name       string              `yaml:",key"`
	Topology   Topology            `yaml:"topology"`
	Sync       []config.Sync       `yaml:"sync"`       // default any 1; async where a site of several has one node
	Durability []config.Durability `yaml:"durability"` // default flushed
	Read       []Level             `yaml:"read"`       // of the load; default any
	Conflicts  []Policy            `yaml:"conflicts"`  // where several write; default lww
	W          []Count             `yaml:"w"`          // leaderless; default 2
	R          []Count             `yaml:"r"`          // leaderless; default 2
	WriteBack  bool                `yaml:"write_back" default:"false"`
	Via        []Via               `yaml:"via"` // how clients ask; default calls
	// MaxLost is how many acknowledged records an election may lose, under async.
	MaxLost   int             `yaml:"max_lost" default:"1000000"`
	FailAfter config.Duration `yaml:"fail_after" default:"500ms"`
}

// Workload is what clients do.
type Workload struct {
	Name         string       `yaml:",key"`
	Kind         Kind         `yaml:"kind"`
	Keys         int          `yaml:"keys" default:"1000"`
	KeyBytes     int          `yaml:"key_bytes" default:"16"`
	ValueBytes   config.Size  `yaml:"value_bytes" default:"128"`
	Tables       int          `yaml:"tables" default:"1"`
	Clients      int          `yaml:"clients" default:"16"` // over all sites, evenly
	Rate         int          `yaml:"rate" default:"0"`     // a second over all clients; 0: each asks again once it was answered
	Reads        Percent      `yaml:"reads"`                // instead of what the kind says
	Distribution Distribution `yaml:"distribution"`         // likewise
}

// Fault is something that goes wrong for a while.
type Fault struct {
	Name string          `yaml:",key"`
	Do   Deed            `yaml:"do"`
	At   config.Duration `yaml:"at"`                // since measuring began
	For  config.Duration `yaml:"for"`               // then it is mended
	Who  []string        `yaml:"who"`               // sites, nodes, or leader: whoever leads then
	By   config.Duration `yaml:"by" default:"50ms"` // slow-disk, slow-node: so much slower; clock: so far ahead
}

// Shown is what a run must find: anomalies that a subject allows, so that a
// harness that no longer sees them is noticed.
type Shown struct {
	Subject string    `yaml:",key"`
	What    []Anomaly `yaml:",short"`
}

// Read reads a scenario. name is how errors call the file; they are
// [*strict.Refused].
func Read(name string, text []byte, overrides ...strict.Override) (*Scenario, error) {
	d, err := strict.Parse(name, text)
	if err != nil {
		return nil, err
	}
	s := &Scenario{}
	s.values = strict.Bind(d, s, overrides...)
	if s.values.Err() == nil {
		s.complete()
		s.check()
	}
	return s, s.values.Err()
}

var sitesDefault = []string{"a", "b", "c"}

func (s *Scenario) complete() {
	if len(s.Sites) == 0 {
		s.Sites = slices.Clone(sitesDefault)
	}
	for i := range s.Subjects {
		x := &s.Subjects[i]
		if len(x.Sync) == 0 {
			if x.Sync = []config.Sync{anyOne}; x.Topology == MultiLeader && s.Nodes == 1 {
				x.Sync = []config.Sync{{}} // nobody else is there
			}
		}
		if len(x.Durability) == 0 {
			x.Durability = []config.Durability{flushed}
		}
		if len(x.Read) == 0 {
			x.Read = []Level{LevelAny}
		}
		if len(x.Conflicts) == 0 {
			x.Conflicts = []Policy{PolicyLWW}
		}
		if len(x.Via) == 0 {
			x.Via = []Via{ViaCalls}
		}
		if len(x.W) == 0 {
			x.W = []Count{2}
		}
		if len(x.R) == 0 {
			x.R = []Count{2}
		}
	}
}

// Length is how long one run measures.
func (s *Scenario) Length() time.Duration { return time.Duration(s.Time) }

// NodesOf returns the names of a site's nodes, the one that leads it first.
func (s *Scenario) NodesOf(site string) (names []string) {
	for i := range s.Nodes {
		names = append(names, NodeName(site, i))
	}
	return names
}

// NodeName is the name of a site's i-th node, from 0.
func NodeName(site string, i int) string { return site + "-" + string(rune('1'+i)) }

// LinkOf returns what lies between two sites; the zero Link if nothing is said.
func (s *Scenario) LinkOf(from, to string) Link {
	for _, l := range s.Links {
		if a, b := l.Between(); a == from && b == to || a == to && b == from {
			return l
		}
	}
	return Link{}
}

// Voters is how many nodes a subject's commits may count.
func (s *Scenario) Voters(v Variant) int {
	if v.Topology == MultiLeader {
		return s.Nodes
	}
	return s.Nodes * len(s.Sites)
}

// Absent reports whether a node is not there at first, as it is to join.
func (s *Scenario) Absent(node string) bool {
	return slices.ContainsFunc(s.Faults, func(f Fault) bool {
		return f.Do == Join && (slices.Contains(f.Who, node) || slices.Contains(f.Who, s.siteOf(node)))
	})
}

// Apart reports whether anything lies between the sites, so that clients of one
// site pay for asking another.
func (s *Scenario) Apart() bool { return len(s.Links) > 0 || len(s.Faults) > 0 }
