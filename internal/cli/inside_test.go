package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/internal/config"
)

// inside are nodes that run in this process as their files say, each at an address that
// is its own from the beginning. They end with the test.
type inside struct {
	t     *testing.T
	dir   string
	addrs map[string]string

	listeners map[string]net.Listener
	run       func(*triad.Node)
	started   int
}

func newInside(t *testing.T, ids ...string) *inside {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, len(ids))
	n := &inside{t: t, dir: t.TempDir(), addrs: map[string]string{}, listeners: map[string]net.Listener{}}
	n.run = func(node *triad.Node) { ended <- errors.Join(node.Run(ctx), node.Close()) }
	for _, id := range ids {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		n.listeners[id], n.addrs[id] = l, l.Addr().String()
	}
	t.Cleanup(func() {
		cancel()
		for range n.started {
			require.NoError(t, <-ended)
		}
	})
	return n
}

// place is the directory of a node.
func (n *inside) place(id string) string { return filepath.Join(n.dir, id) }

// start runs a node from the text of its file.
func (n *inside) start(id, text string) {
	n.t.Helper()
	f, err := config.ReadNode(id+".yaml", []byte(text))
	require.NoError(n.t, err)
	c, err := f.Open()
	require.NoError(n.t, err)
	c.Listener = n.listeners[id]
	node, err := triad.Open(c)
	require.NoError(n.t, err)
	n.started++
	go n.run(node)
}

// memberFiles returns how to write the file of the i-th of some nodes, whose admin ports
// and addresses are in addrs, one half after the other: it knows the first so many of
// them as members. The voters of its control are the first three.
func memberFiles(t *testing.T, ids, addrs []string, heartbeat, topology string) func(i, members int) string {
	dir := t.TempDir()
	return func(i, members int) string {
		var list []string
		for k, id := range ids[:members] {
			list = append(list, fmt.Sprintf("%s: %q", id, addrs[len(ids)+k]))
		}
		return write(t, ids[i]+".yaml", fmt.Sprintf(`node: {id: %s, dir: %s}
listen: {admin: %q}
control: {kind: raft, heartbeat: %s, voters: [%s]}
topology: %s
members: {%s}
`, ids[i], filepath.Join(dir, ids[i]), addrs[i], heartbeat, strings.Join(ids[:3], ", "), topology, strings.Join(list, ", ")))
	}
}
