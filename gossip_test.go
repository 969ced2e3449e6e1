package triad_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/singleleader"
	"github.com/triad-kv/triad/topology"
)

const patience = 20 * time.Second

// found is a cluster of a, b and c whose nodes know names, and no addresses.
type found struct {
	t     *testing.T
	disks map[topology.NodeID]*vfs.MemFS
	key   triad.GossipKey
	seeds []string
}

func newFound(t *testing.T) *found {
	key, err := triad.ParseGossipKey("c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTMyIDs=")
	require.NoError(t, err)
	f := &found{t: t, key: key, disks: map[topology.NodeID]*vfs.MemFS{}}
	for _, id := range []topology.NodeID{"a", "b", "c"} {
		f.disks[id] = vfs.NewMem()
	}
	return f
}

// start runs a node on whatever ports are free; that of the first is the seed.
func (f *found) start(id topology.NodeID) (n *triad.Node, end func()) {
	f.t.Helper()
	n, err := triad.Open(triad.Config{
		ID: id, Dir: "data", FS: f.disks[id], Listen: "127.0.0.1:0", Leader: "a",
		Members:  []triad.Member{{ID: "a"}, {ID: "b"}, {ID: "c"}},
		Topology: singleleader.New(singleleader.Options{Sync: quorum.All()}),
		Gossip:   triad.Gossip{Listen: "127.0.0.1:0", Join: f.seeds, Keys: []triad.GossipKey{f.key}, ProbeEvery: 40 * time.Millisecond},
		Limits:   triad.Limits{BootstrapWait: 200 * time.Millisecond},
	})
	require.NoError(f.t, err)
	if len(f.seeds) == 0 {
		f.seeds = []string{n.GossipAddr()}
	}
	done := make(chan error, 1)
	go func() { done <- n.Run(context.Background()) }()
	ended := false
	end = func() {
		if !ended {
			ended = true
			require.NoError(f.t, errors.Join(n.Close(), <-done))
		}
	}
	f.t.Cleanup(end)
	return n, end
}

// put writes until the write is acknowledged by all.
func (f *found) put(n *triad.Node, value string) {
	f.t.Helper()
	require.Eventually(f.t, func() bool {
		ctx, cancel := context.WithTimeout(f.t.Context(), time.Second)
		defer cancel()
		_, err := n.Put(ctx, triad.DefaultTable, []byte("k"), []byte(value))
		return err == nil
	}, patience, 10*time.Millisecond)
}

func (f *found) warned(n *triad.Node, text string) {
	f.t.Helper()
	require.Eventually(f.t, func() bool {
		return strings.Contains(strings.Join(n.Status().Warnings, "\n"), text)
	}, patience, 5*time.Millisecond, text)
}

func TestAFollowerOnAnotherPortIsFoundAgain(t *testing.T) {
	f := newFound(t)
	a, _ := f.start("a")
	f.start("b")
	c, end := f.start("c")
	f.put(a, "first")

	before := c.Addr().String()
	end()
	f.warned(a, "gossip: node c, last at "+before+", has left")
	held := freeze(t, before) // so that it cannot come back there
	defer held()
	c, _ = f.start("c")
	require.NotEqual(t, before, c.Addr().String())
	f.put(a, "second")
	require.Eventually(t, func() bool {
		got, err := c.Get(t.Context(), triad.DefaultTable, []byte("k"), triad.Any())
		return err == nil && string(got.Value) == "second"
	}, patience, 5*time.Millisecond)
	require.Empty(t, a.Status().Warnings)
}

// freeze occupies an address until it is released.
func freeze(t *testing.T, addr string) (release func()) {
	n, err := triad.Open(triad.Config{Dir: "data", FS: vfs.NewMem(), Topology: singleleader.New(singleleader.Options{}), Listen: addr})
	require.NoError(t, err)
	return func() { require.NoError(t, n.Close()) }
}

func TestWhatGossipThinksChangesNoQuorum(t *testing.T) {
	f := newFound(t)
	a, _ := f.start("a")
	b, _ := f.start("b")
	_, _ = f.start("c")
	f.put(a, "first")
	// b says goodbye and goes on, as one would be taken for gone whose gossip
	// alone is lost. It acknowledges, and is needed.
	require.NoError(t, triad.MembershipOf(b).Leave(t.Context()))
	f.warned(a, "gossip: node b, last at "+b.Addr().String()+", has left")
	r, err := a.Put(t.Context(), triad.DefaultTable, []byte("k"), []byte("second"))
	require.NoError(t, err)
	require.Subset(t, r.Durable, []topology.NodeID{"a", "b", "c"})
}

func TestConfigurationOfGossip(t *testing.T) {
	for name, tc := range map[string]struct {
		c    triad.Config
		want string
	}{
		"seeds without gossip":        {triad.Config{Gossip: triad.Gossip{Join: []string{"127.0.0.1:1"}}}, "join: seeds are for gossip, and gossip.listen names no address"},
		"options without gossip":      {triad.Config{Gossip: triad.Gossip{ProbeEvery: 1}}, "gossip.listen: none was named"},
		"a seed that is no address":   {triad.Config{Gossip: triad.Gossip{Listen: "127.0.0.1:0", Join: []string{"somewhere"}}}, `join[0]: "somewhere" is not host:port`},
		"no address of this node":     {triad.Config{Members: []triad.Member{{ID: "a"}, {ID: "b"}}, Gossip: triad.Gossip{Listen: "127.0.0.1:0"}}, "listen: none was named, and members[0] has no address"},
		"no address without gossip":   {triad.Config{Members: []triad.Member{{ID: "a"}, {ID: "b"}}}, `members[1]: node "b" has no address`},
		"nobody is told of this node": {triad.Config{Gossip: triad.Gossip{Listen: "127.0.0.1:0"}}, "gossip.peers: this node has no peers port"},
		"all interfaces":              {triad.Config{Listen: "127.0.0.1:0", Gossip: triad.Gossip{Listen: "0.0.0.0:0"}}, "gossip.advertise: gossip listens on all interfaces"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.c.Dir, tc.c.FS, tc.c.Topology = "data", vfs.NewMem(), singleleader.New(singleleader.Options{})
			_, err := triad.Open(tc.c)
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestAGossipKeyNeverShowsItself(t *testing.T) {
	f := newFound(t)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		require.NotContains(t, fmt.Sprintf(verb, triad.Config{Gossip: triad.Gossip{Keys: []triad.GossipKey{f.key}}}), fmt.Sprintf(verb, []byte("secret-")[:6]))
	}
}
