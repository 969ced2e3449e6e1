package gossip

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

func TestNodesFindOneAnotherByOneSeed(t *testing.T) {
	_, b, c := trio(t, Options{})
	v, _ := b.View()
	require.Equal(t, []topology.Member{
		{ID: "a", Addr: "127.0.0.1:7479", Liveness: topology.LivenessAlive},
		{ID: "b", Addr: "127.0.0.1:7489", Liveness: topology.LivenessAlive},
		{ID: "c", Addr: "127.0.0.1:7499", Site: "eu", Liveness: topology.LivenessAlive},
	}, v.Members)
	require.Empty(t, v.Strangers)
	require.Empty(t, c.Warnings())
}

func TestANodeThatIsKilledHasFailedAndStaysAMember(t *testing.T) {
	a, b, c := trio(t, Options{})
	c.kill()
	for _, n := range []*node{a, b} {
		m := n.sees("c", topology.LivenessFailed)
		require.Equal(t, "127.0.0.1:7499", m.Addr)
	}
	require.Contains(t, a.Warnings(), "gossip: node c, last at 127.0.0.1:7499, has failed")
}

func TestANodeThatSaysGoodbyeHasLeft(t *testing.T) {
	a, b, c := trio(t, Options{})
	c.leave()
	a.sees("c", topology.LivenessLeft)
	b.sees("c", topology.LivenessLeft)
}
