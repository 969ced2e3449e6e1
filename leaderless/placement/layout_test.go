package placement_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/topology"
)

// member is a node with numbers of its own for up to 1,024 partitions.
func member(i int, site, rack string, weight uint32) placement.Node {
	return placement.Node{ID: topology.NodeID(fmt.Sprintf("n%02d", i)), Site: site, Rack: rack, Weight: weight, Numbers: uint32(1 + 1024*i)}
}

func found(t require.TestingT, l placement.Layout, partitions int) *placement.Map {
	m, err := placement.Found(1, l, partitions)
	require.NoError(t, err)
	return m
}

// layouts draws layouts of up to twelve nodes in up to three sites of two racks.
func layouts() *rapid.Generator[placement.Layout] {
	return rapid.Custom(func(t *rapid.T) placement.Layout {
		var l placement.Layout
		sites, racks := rapid.IntRange(0, 3).Draw(t, "sites"), rapid.Bool().Draw(t, "racks")
		in := map[string]int{}
		for i := range rapid.IntRange(1, 12).Draw(t, "nodes") {
			n := member(i, "", "", uint32(rapid.IntRange(1, 4).Draw(t, "weight")))
			if sites > 0 {
				n.Site = fmt.Sprint("s", i%sites)
			}
			if racks {
				n.Rack = fmt.Sprint("r", rapid.IntRange(0, 2).Draw(t, "rack"))
			}
			in[n.Site]++
			l.Nodes = append(l.Nodes, n)
		}
		if sites > 0 && rapid.Bool().Draw(t, "per site") {
			for s := range sites {
				if name := fmt.Sprint("s", s); in[name] > 0 {
					l.PerSite = append(l.PerSite, placement.SiteCopies{Site: name, Copies: rapid.IntRange(1, in[name]).Draw(t, "copies")})
				}
			}
			return l
		}
		l.Copies = rapid.IntRange(1, len(l.Nodes)).Draw(t, "copies")
		return l
	})
}

func TestEveryPartitionHasItsCopiesSpreadOverSitesAndRacks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := layouts().Draw(t, "layout")
		m := found(t, l, 16)
		for p := range m.Partitions() {
			at := m.Replicas(p)
			require.Len(t, at, m.N())
			require.Len(t, slices.Compact(slices.Sorted(slices.Values(at))), m.N(), "nobody twice")
			sites, racks := map[string]int{}, map[[2]string]int{}
			for _, id := range at {
				n, ok := m.Node(id)
				require.True(t, ok)
				sites[n.Site]++
				racks[[2]string{n.Site, n.Rack}]++
			}
			for _, s := range l.PerSite {
				require.Equal(t, s.Copies, sites[s.Site])
			}
			checkEven(t, l, sites, racks)
		}
	})
}

// checkEven holds that no site or rack has two copies more than one that has nodes
// to spare.
func checkEven(t *rapid.T, l placement.Layout, sites map[string]int, racks map[[2]string]int) {
	nodesOf, nodesIn := map[string]int{}, map[[2]string]int{}
	for _, n := range l.Nodes {
		nodesOf[n.Site]++
		nodesIn[[2]string{n.Site, n.Rack}]++
	}
	for s, most := range sites {
		for o, n := range nodesOf {
			if l.PerSite == nil && sites[o] < n {
				require.LessOrEqual(t, most, sites[o]+1, "%s and %s", s, o)
			}
		}
	}
	for r, most := range racks {
		for o, n := range nodesIn {
			if r[1] != "" && r[0] == o[0] && racks[o] < n {
				require.LessOrEqual(t, most, racks[o]+1, "%v and %v", r, o)
			}
		}
	}
}

// Loads are those of chance: the mean give or take some roots of it.
func TestLoadsAreAsNodesHaveWeight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l placement.Layout
		total := 0.
		for i := range rapid.IntRange(3, 20).Draw(t, "nodes") {
			w := rapid.IntRange(1, 3).Draw(t, "weight")
			total += float64(w)
			l.Nodes = append(l.Nodes, member(i, "", "", uint32(w)))
		}
		l.Copies = 1
		m := found(t, l, 1024)
		load := map[topology.NodeID]int{}
		for p := range m.Partitions() {
			for _, n := range m.Replicas(p) {
				load[n]++
			}
		}
		for _, n := range l.Nodes {
			mean := 1024 * float64(n.Weight) / total
			require.InDelta(t, mean, load[n.ID], 5*math.Sqrt(mean), n.ID)
		}
	})
}

func TestEqualNodesHaveNearlyEqualLoads(t *testing.T) {
	var l placement.Layout
	for i := range 10 {
		l.Nodes = append(l.Nodes, member(i, fmt.Sprint("s", i%2), "", 1))
	}
	l.Copies = 4
	m := found(t, l, 1024)
	load := map[topology.NodeID]int{}
	for p := range m.Partitions() {
		for _, n := range m.Replicas(p) {
			load[n]++
		}
	}
	least, most := 1<<30, 0
	for _, n := range load {
		least, most = min(least, n), max(most, n)
	}
	require.Less(t, float64(most)/float64(least), 1.2, "%v", load)
}

// Who comes takes; whoever else changes does so to keep sites and racks even.
func TestANodeThatComesMovesWhatItTakes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := layouts().Draw(t, "layout")
		more := l
		more.Nodes = append(slices.Clone(l.Nodes), member(20, l.Nodes[0].Site, l.Nodes[0].Rack, 1))
		was, is := found(t, l, 128), found(t, more, 128)
		racks := l.Nodes[0].Rack != ""
		for p := range was.Partitions() {
			var joined int
			for _, n := range is.Replicas(p) {
				if !slices.Contains(was.Replicas(p), n) {
					joined++
				}
			}
			takes := is.Holds("n20", p)
			switch {
			case !takes && !racks:
				require.Equal(t, was.Replicas(p), is.Replicas(p))
			case !racks:
				require.Equal(t, 1, joined)
			default:
				require.LessOrEqual(t, joined, 2)
			}
		}
	})
}

func TestACopiesShareMovesWhenANodeComes(t *testing.T) {
	var l placement.Layout
	for i := range 9 {
		l.Nodes = append(l.Nodes, member(i, "", "", 1))
	}
	l.Copies = 3
	more := l
	more.Nodes = append(slices.Clone(l.Nodes), member(9, "", "", 1))
	p, err := found(t, l, 1024).Plan(more)
	require.NoError(t, err)
	require.InDelta(t, 1024*3/10, len(p.Moves), 60, "a tenth of all copies")
}

// Data lies where this function said it does: these answers may never change.
func TestThePlacementByWeightsSitesAndRacksIsForEver(t *testing.T) {
	var l placement.Layout
	for i := range 8 {
		l.Nodes = append(l.Nodes, member(i, []string{"eu", "us"}[i%2], fmt.Sprint("r", i/4), uint32(1+i%3)))
	}
	l.Copies = 3
	var got []string
	m := found(t, l, 8)
	for p := range m.Partitions() {
		got = append(got, fmt.Sprint(m.Replicas(p)))
	}
	l.Copies, l.PerSite = 0, []placement.SiteCopies{{Site: "us", Copies: 2}, {Site: "eu", Copies: 1}}
	m = found(t, l, 8)
	for p := range m.Partitions() {
		got = append(got, fmt.Sprint(m.Replicas(p)))
	}
	require.Equal(t, forEver, got)
}

func TestALayoutThatMeansNothingIsRefused(t *testing.T) {
	a, b := member(0, "eu", "", 1), member(1, "us", "", 1)
	with := func(n placement.Node, change func(*placement.Node)) placement.Node {
		change(&n)
		return n
	}
	for why, l := range map[string]placement.Layout{
		"0 nodes, 1 to 1024 may be":                                       {Copies: 1},
		"names have 1 to 255 bytes":                                       {Copies: 1, Nodes: []placement.Node{with(a, func(n *placement.Node) { n.ID = "" })}},
		"node n00 is listed twice":                                        {Copies: 1, Nodes: []placement.Node{a, a}},
		"all nodes stand in sites or none":                                {Copies: 1, Nodes: []placement.Node{a, with(b, func(n *placement.Node) { n.Site = "" })}},
		"all in racks or none":                                            {Copies: 1, Nodes: []placement.Node{a, with(b, func(n *placement.Node) { n.Rack = "1" })}},
		"node n00 has weight 0, 1 to 65536 may be":                        {Copies: 1, Nodes: []placement.Node{with(a, func(n *placement.Node) { n.Weight = 0 })}},
		"node n00: the numbers of origins begin at 1":                     {Copies: 1, Nodes: []placement.Node{with(a, func(n *placement.Node) { n.Numbers = 0 })}},
		"there are no 8 numbers from 4294967290 on":                       {Copies: 1, Nodes: []placement.Node{with(a, func(n *placement.Node) { n.Numbers = math.MaxUint32 - 5 })}},
		"nodes n00 and n01 have numbers from 1 and 8 on, and need 8 each": {Copies: 1, Nodes: []placement.Node{a, with(b, func(n *placement.Node) { n.Numbers = 8 })}},
		"3 copies on 2 nodes, 1 to 64 may be":                             {Copies: 3, Nodes: []placement.Node{a, b}},
		"0 copies on 2 nodes":                                             {Nodes: []placement.Node{a, b}},
		"copies in all or copies in each site: one of the two":            {Copies: 1, PerSite: []placement.SiteCopies{{"eu", 1}}, Nodes: []placement.Node{a, b}},
		`2 copies on 1 nodes of site "eu"`:                                {PerSite: []placement.SiteCopies{{"eu", 2}}, Nodes: []placement.Node{a, b}},
		`1 copies on 0 nodes of site "ap"`:                                {PerSite: []placement.SiteCopies{{"ap", 1}}, Nodes: []placement.Node{a, b}},
		`site "eu" is listed twice`:                                       {PerSite: []placement.SiteCopies{{"eu", 1}, {"eu", 1}}, Nodes: []placement.Node{a, b}},
	} {
		_, err := placement.Found(1, l, 8)
		require.ErrorIs(t, err, topology.ErrMalformed)
		require.ErrorContains(t, err, why)
	}
	var many placement.Layout
	many.Copies = 1
	for i := range placement.SitesMax + 1 {
		many.Nodes = append(many.Nodes, member(i, fmt.Sprint("s", i), "", 1))
	}
	_, err := placement.Found(1, many, 8)
	require.ErrorContains(t, err, "65 sites, at most 64")
}

func TestLayoutsAreEqualInAnyOrder(t *testing.T) {
	a, b := member(0, "eu", "", 1), member(1, "us", "", 1)
	l := placement.Layout{Nodes: []placement.Node{a, b}, PerSite: []placement.SiteCopies{{"eu", 1}, {"us", 1}}}
	o := placement.Layout{Nodes: []placement.Node{b, a}, PerSite: []placement.SiteCopies{{"us", 1}, {"eu", 1}}}
	require.True(t, l.Equal(o))
	require.Equal(t, found(t, l, 8), found(t, o, 8))
	o.PerSite = o.PerSite[:1]
	require.False(t, l.Equal(o))
}

var forEver = []string{
	"[n05 n02 n01]", "[n05 n04 n02]", "[n04 n01 n02]", "[n00 n07 n04]", "[n04 n05 n02]", "[n02 n03 n07]", "[n07 n04 n02]", "[n00 n05 n01]",
	"[n05 n01 n02]", "[n05 n04 n03]", "[n04 n01 n07]", "[n00 n07 n01]", "[n04 n05 n03]", "[n02 n03 n07]", "[n07 n04 n03]", "[n00 n05 n01]",
}
