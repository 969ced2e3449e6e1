package config

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/multileader"
	"github.com/triad-kv/triad/topology"
)

// three is a cluster of three sites.
const three = `
cluster: shop
topology: {kind: multi-leader, links: %s, sync: first 1}
sites:
  us: {nodes: [us1, us2]}
  eu: {nodes: [eu1, eu2], delay: {us: 80ms, ap: 160ms}}
  ap: {nodes: [ap1, ap2, ap3], delay: {us: 110ms}}
nodes: {eu2: leader, ap3: read-replica}
tables: {users: {kind: bytes, resolver: lww}}
`

func TestEverySiteOfAClusterIsAGroupOfItsOwn(t *testing.T) {
	c := readCluster(t, fmt.Sprintf(three, "mesh"))
	require.Empty(t, c.Warnings())
	require.Equal(t, "eu2", c.LeaderOf("eu"))
	require.Equal(t, "us1", c.Leader())
	ns := placed(c)
	leaders := map[string]string{}
	for _, n := range ns {
		require.Len(t, n.Members, 7)
		leaders[n.Self.ID] = n.Control.Leader
		require.Equal(t, []SiteNumber{{"us", 1}, {"eu", 2}, {"ap", 3}}, n.Topology.Sites)
		opened, err := n.Open()
		require.NoError(t, err)
		require.Equal(t, n.Control.Leader, string(opened.Leader))
		require.Equal(t, n.Self.Site, opened.Site)
	}
	require.Equal(t, map[string]string{"us1": "us1", "us2": "us1", "eu1": "eu2", "eu2": "eu2", "ap1": "ap1", "ap2": "ap1", "ap3": "ap1"}, leaders)
	require.Empty(t, ns[0].Options().ReadReplicas, "ap3 is of another site")
	require.Equal(t, []topology.NodeID{"ap3"}, ns[6].Options().ReadReplicas)
	require.Equal(t, "first 1 (ap1, ap2)", ns[6].Options().Sync.String())
	require.Equal(t, "first 1", ns[0].Options().Sync.String())
}

func TestTheNumberOfASiteIsItsPlaceUnlessTheFileSaysAnother(t *testing.T) {
	c := readCluster(t, `
topology: {kind: multi-leader}
sites:
  us: {nodes: [a], delay: {eu: 1ms}}
  eu: {nodes: [b], number: 7}
`)
	require.Equal(t, []SiteNumber{{"us", 1}, {"eu", 7}}, c.Topology.Sites)
	require.Equal(t, []multileader.Site{{Name: "us", Number: 1}, {Name: "eu", Number: 7}}, c.Topology.siteOptions().Sites)
}

func TestTheVotersOfEverySiteAreItsOwn(t *testing.T) {
	const of = `
topology: {kind: multi-leader, sync: first 1}
control: {kind: raft%s}
sites:
  us: {nodes: [a, b, c], delay: {eu: 1ms}}
  eu: {nodes: [d, e, f]}
`
	for given, want := range map[string][]string{"": {"d", "e", "f"}, ", voters: [a, b, c, e]": {"e"}} {
		ns := placed(readCluster(t, fmt.Sprintf(of, given)))
		require.Equal(t, []string{"a", "b", "c"}, ns[0].Control.Voters)
		require.Equal(t, want, ns[3].Control.Voters)
		require.Empty(t, ns[3].Control.Leader)
	}
}

const nodeOfSites = `
node: {id: us2, dir: data/us2}
members:
  us2: {addr: 127.0.0.1:7401, site: us}
  us1: {addr: 127.0.0.1:7400, site: us}
  eu1: {addr: 127.0.0.1:7402, site: eu}
topology:
  kind: multi-leader
  sites: {us: 1, eu: 2}
  links: star (eu)
  sync: first 1 (us1, us2)
  max_skew: 1s
  tick_every: 10ms
  cut_every: 1s
  snapshot_kept: 1m
  conflicts_kept: 24h
  conflicts_bytes_max: 1MiB
  fold_time_max: 2s
  expiry_grace: 3s
  retain_bytes_max: 1MiB
  read_only: [eu]
`

func TestATableNamesWhatSettlesIt(t *testing.T) {
	c := readCluster(t, `
topology: {kind: multi-leader}
sites: {us: {nodes: [us1], number: 7}, eu: {nodes: [eu1], number: 3, delay: {us: 1ms}}}
tables:
  a: {kind: bytes, resolver: first-writer}
  b: {kind: bytes, resolver: "site-priority(eu, us)"}
  c: {kind: any, resolver: siblings}
  d: {kind: bytes, resolver: longest}
  e: {kind: row, resolver: fields}
`)
	require.Empty(t, c.Warnings())
	opened, err := placed(c)[0].Open()
	require.NoError(t, err)
	spelled := map[string]string{}
	for _, x := range opened.Tables {
		spelled[x.Name] = x.Resolver
	}
	require.Equal(t, map[string]string{"a": "first-writer", "b": "site-priority(3,7)", "c": "siblings", "d": "longest", "e": "fields"}, spelled)
	require.Contains(t, tablesSay(c.Tables), "b (bytes, the first of sites eu, us wins)")
}

func TestANodeKnowsTheSitesAndCountsItsOwn(t *testing.T) {
	n := readNode(t, nodeOfSites)
	require.Equal(t, "us1", n.Control.Leader, "the first by name of its site, on every node")
	require.Equal(t, "us", n.Self.Site)
	o := n.Topology.siteOptions()
	for i := range reflect.TypeOf(o).NumField() {
		field := reflect.TypeOf(o).Field(i).Name
		if field != "Group" && field != "Limits" && field != "Joins" && !strings.EqualFold(field, "Filters") { // who joins has no sites, the group's are Options, the limits have no keys, tables say who holds them
			require.False(t, reflect.ValueOf(o).Field(i).IsZero(), field)
		}
	}
	require.Equal(t, time.Second, o.MaxSkew)
	require.Equal(t, multileader.Links{Shape: multileader.Star, Hub: "eu"}, o.Links)
	require.Equal(t, "b", readNode(t, `
node: {id: b, dir: data/b, site: us}
control: {leader: b}
members: {a: {addr: 127.0.0.1:7400, site: us}, b: 127.0.0.1:7401, c: {addr: 127.0.0.1:7402, site: eu}}
topology: {kind: multi-leader, sites: {us: 1, eu: 2}, sync: first 1}
`).Control.Leader)
}

func TestLinksAreSpelledAsTheyAreRead(t *testing.T) {
	for text, want := range map[string]multileader.Links{
		"mesh":                {},
		"ring":                {Shape: multileader.Ring},
		"star (us)":           {Shape: multileader.Star, Hub: "us"},
		"list (us/eu, eu/ap)": {Shape: multileader.List, Pairs: [][2]string{{"us", "eu"}, {"eu", "ap"}}},
	} {
		var l Links
		require.NoError(t, l.UnmarshalText([]byte(text)))
		require.Equal(t, want, l.Links)
		require.Equal(t, text, l.String())
	}
	for _, bad := range []string{"", "star", "star ()", "star (us", "star (us, eu)", "mesh (us)", "list", "list (us)", "list (us/)", "list (us/eu,)", "Mesh"} {
		var l Links
		require.Error(t, l.UnmarshalText([]byte(bad)), bad)
	}
}

func TestSitesAreDescribed(t *testing.T) {
	require.Equal(t, []Line{
		{"cluster", "shop, 7 nodes on this machine"},
		{"topology", "multi-leader, 3 sites linked as list (us/eu, us/ap), each with sync first 1 within, answered once flushed there"},
		{"site us", "number 1 for good, us1, us2, led by us1 first, linked with eu, ap"},
		{"a write in us survives", "the loss of any 1 of us1, us2"},
		{"writes in us stop", "while any of these is away: us2"},
		{"site eu", "number 2 for good, eu1, eu2, led by eu2 first, linked with us"},
		{"a write in eu survives", "the loss of any 1 of eu2, eu1"},
		{"writes in eu stop", "while any of these is away: eu1"},
		{"site ap", "number 3 for good, ap1, ap2, ap3, led by ap1 first, linked with us"},
		{"a write in ap survives", "the loss of any 1 of ap1, ap2"},
		{"writes in ap stop", "while any of these is away: ap2"},
	}, readCluster(t, fmt.Sprintf(three, `"list (us/eu, us/ap)"`)).Describe()[:11])
	ls := readCluster(t, fmt.Sprintf(three, `"list (us/eu, us/ap)"`)).Describe()
	require.Contains(t, ls, Line{"eu to ap", "160ms each way, not linked: by way of other sites"})
	require.Contains(t, ls, Line{"tables", "default (any), users (bytes, the last writer wins)"})
	ls = readNode(t, nodeOfSites).Describe()
	require.Contains(t, ls, Line{"site us", "number 1 for good, us2, us1, led by us1 first, linked with eu"})
	require.Contains(t, ls, Line{"site eu", "number 2 for good, eu1, takes no writes, linked with us"})
}

func TestATableIsHeldBySomeSites(t *testing.T) {
	const of = `
topology: {kind: multi-leader, links: %s}
sites: {us: {nodes: [us1]}, eu: {nodes: [eu1], delay: {us: 1ms}}, ap: {nodes: [ap1], delay: {us: 1ms, eu: 1ms}}}
tables:
  a: {kind: bytes, sites: [us, eu]}
  b: {kind: row, resolver: fields, sites: %s}
  c: {kind: set}
`
	c := readCluster(t, fmt.Sprintf(of, "mesh", "[us, ap]"))
	require.Len(t, c.Warnings(), 1)
	require.Contains(t, c.Warnings()[0].Why, "no site that is linked with us holds all tables that us holds")
	c = readCluster(t, fmt.Sprintf(of, "mesh", "[us]"))
	require.Empty(t, c.Warnings())
	require.Equal(t, []multileader.Filter{{Table: "a", Sites: []string{"us", "eu"}}, {Table: "b", Sites: []string{"us"}}}, filters(placed(c)[2].Tables))
	require.Contains(t, c.Describe(), Line{"tables", "default (any), a (bytes, held by us and eu alone), b (row, the last writer of each column wins, held by us alone), c (set)"})
	require.Empty(t, readCluster(t, fmt.Sprintf(of, "ring", "[us, eu]")).Warnings())
}
