package bench

import (
	"fmt"
	"strings"
	"time"
)

// The axes that are spoken of by name.
const (
	axisKeys    = "keys"
	axisClients = "clients"
)

// shape is what is run at one place.
type shape struct {
	sites, nodes int // nodes of each site
	keys, value  int
	clients      int
}

// shapeDefault is what stays as it is while one thing grows.
var shapeDefault = shape{sites: 3, nodes: 1, keys: 10_000, value: 128, clients: 64}

// Subjects of curves.
const (
	growLeader = "single-leader"
	growSites  = "multi-leader"
	growQuorum = "leaderless"
)

// axis is one direction in which the work grows.
type axis struct {
	name, unit string
	speed      bool
	xs         []float64
	subjects   []string
	set        func(s *shape, x int)
}

// valuesBytesMax bounds what all values of a place come to, so that large ones are few.
const valuesBytesMax = 64 << 20

var axes = []axis{
	{"nodes", "", false, []float64{1, 3, 5, 7}, []string{growLeader, growQuorum}, func(s *shape, x int) { s.sites = x }},
	{"sites", "", false, []float64{1, 2, 3, 5, 7, 9}, []string{growSites}, func(s *shape, x int) { s.sites = x }},
	{axisClients, "", true, []float64{1, 4, 16, 64, 256, 1024}, []string{growLeader, growSites, growQuorum}, func(s *shape, x int) { s.clients = x }},
	{axisKeys, "", true, []float64{1e4, 1e5, 1e6, 1e7}, []string{growLeader, growQuorum}, func(s *shape, x int) { s.keys = x }},
	{"values", "B", true, []float64{16, 128, 1 << 10, 16 << 10, 128 << 10, 1 << 20}, []string{growLeader, growSites, growQuorum}, func(s *shape, x int) {
		s.value, s.clients = x, 16
		s.keys = min(s.keys, valuesBytesMax/x)
	}},
}

// AxisNames are those that there are.
func AxisNames() (names []string) {
	for _, a := range axes {
		names = append(names, a.name)
	}
	return names
}

// text is the scenario of a place: writes alone, of one subject, with nobody who judges
// beside them.
func (s shape) text(subject string, length time.Duration, seed int) string {
	var sites []string
	for i := range s.sites {
		sites = append(sites, string(rune('a'+i)))
	}
	set := ""
	switch {
	case subject == growLeader && s.sites*s.nodes == 1, subject == growSites:
		set = ", sync: [async]" // nobody else is there
	case subject == growQuorum && s.sites*s.nodes < 3:
		set = ", w: [1], r: [1]"
	}
	return fmt.Sprintf(`repeats: 1
seed: %d
time: %v
settle: 2m
timeout: 30s
sites: [%s]
nodes: %d
probes: {sessions: 0}
subjects: {it: {topology: %s%s}}
workloads: {writes: {kind: ycsb-a, reads: 0, keys: %d, value_bytes: %d, clients: %d}}
`, seed, length, strings.Join(sites, ", "), s.nodes, subject, set, s.keys, s.value, s.clients)
}
