package server

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/control/static"
	"github.com/triad-kv/triad/multileader"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// severalNode is a node of a site among others that write, whose tables have the names
// of their prefixes.
func severalNode(t *testing.T, tables ...triad.Table) (*triad.Node, started) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	n, err := triad.Open(triad.Config{
		ID: "us1", Cluster: "shop", Dir: t.TempDir(), Listener: l, Tables: tables, Site: "us",
		Members:  []triad.Member{{ID: "us1", Addr: l.Addr().String(), Site: "us"}},
		Topology: multileader.New(multileader.Options{Sites: []multileader.Site{{Name: "us", Number: 1}}}),
		Control:  static.New(static.Options{Leader: "us1"}),
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	o := Options{Prefixes: map[string]string{}}
	for _, x := range tables {
		o.Prefixes[x.Name+":"] = x.Name
	}
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, n.Close())
	})
	eventually(t, func() bool {
		for _, x := range tables {
			if _, err := n.Cells().Table(ctx, x.Name); err != nil {
				return false
			}
		}
		return true
	}, "the tables are there")
	return n, start(t, n.Cells(), o)
}

func TestSiblingsAreReadAndResolved(t *testing.T) {
	_, s := severalNode(t, triad.Table{Name: "notes", Kind: record.KindBytes, Resolver: "siblings"}, triad.Table{Name: "users", Kind: record.KindBytes})
	cl := s.dial(t)
	require.Equal(t, "OK", cl.do("SET", "notes:1", "first"))
	require.Equal(t, `"first"`, cl.do("GET", "notes:1"))
	seen := contextIn(cl.do("TRIAD", "SIBLINGS", "notes:1"))
	require.Equal(t, "OK", cl.do("TRIAD", "RESOLVE", "notes:1", seen, "mine"))
	require.Equal(t, "OK", cl.do("TRIAD", "RESOLVE", "notes:1", seen, "yours"))
	require.Equal(t, "OK", cl.do("TRIAD", "RESOLVE", "notes:1", seen))
	require.Contains(t, cl.do("GET", "notes:1"), "(error) CONFLICT ")
	all := cl.do("TRIAD", "SIBLINGS", "notes:1")
	require.Contains(t, all, `["mine", "yours", (nil)]`)
	require.Equal(t, "OK", cl.do("TRIAD", "RESOLVE", "notes:1", contextIn(all), "ours"))
	require.Equal(t, `"ours"`, cl.do("GET", "notes:1"))
	none := cl.do("TRIAD", "SIBLINGS", "notes:none")
	require.Contains(t, none, `[]]`)
	require.Equal(t, fmt.Sprintf("[%q, []]", topology.ContextOf(nil).String()), none)

	require.Equal(t, "(error) "+string(errNoSiblings), cl.do("TRIAD", "SIBLINGS", "users:1"))
	require.Contains(t, cl.do("TRIAD", "RESOLVE", "users:1", seen, "v"), "a context is for tables that keep siblings")
	require.Contains(t, cl.do("TRIAD", "RESOLVE", "notes:1", "x", "v"), "is not the context of a reading")
	require.Contains(t, cl.do("TRIAD", "RESOLVE", "notes:1", seen, "v", "w"), "ERR syntax error")
}

// contextIn is the context in an answer of TRIAD SIBLINGS.
func contextIn(answer string) string { return strings.Split(answer, `"`)[1] }

func TestOneLeaderKeepsNoSiblings(t *testing.T) {
	cl := start(t, newFake(), Options{}).dial(t)
	require.Equal(t, "(error) "+string(errNoSiblings), cl.do("TRIAD", "SIBLINGS", "k"))
}
