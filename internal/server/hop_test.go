package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

// pair is a server that leads and one that forwards to it.
func pair(t *testing.T, o Options) (leader, follower started, at *fakeNode) {
	at = newFake()
	behind := newFake()
	behind.leader = "b"
	leader = start(t, at, Options{Password: o.Password})
	o.Forward = true
	addr := leader.addr
	o.Addr = func(topology.NodeID) string { return addr }
	return leader, start(t, behind, o), at
}

func TestWritesAreForwardedToTheLeader(t *testing.T) {
	_, follower, at := pair(t, Options{Password: "secret"})
	cl := follower.dial(t)
	require.Equal(t, "OK", cl.do("AUTH", "secret"))
	require.Equal(t, "OK", cl.do("SET", "k", "1"))
	require.Equal(t, "(integer) 2", cl.do("INCR", "k"))
	require.Equal(t, "(error) "+string(errWrongType), cl.do("SADD", "k", "x"))
	cl.send(array("SET", "a", "1") + array("GET", "a") + array("INCR", "a") + array("INCR", "a") + array("PING"))
	require.Equal(t, "OK", cl.answer())
	require.Equal(t, "(nil)", cl.answer(), "the follower in memory knows nothing of it")
	require.Equal(t, "(integer) 2", cl.answer())
	require.Equal(t, "(integer) 3", cl.answer())
	require.Equal(t, "PONG", cl.answer())
	cl.send(array("MULTI") + array("SET", "x", "1") + array("INCR", "x") + array("EXEC"))
	for range 3 {
		cl.answer()
	}
	require.Equal(t, "[OK, (integer) 2]", cl.answer())
	last := at.records[len(at.records)-1]
	require.Len(t, last, 2, "one record")
	cl.do("WATCH", "x")
	cl.send(array("MULTI") + array("SET", "x", "1") + array("EXEC"))
	cl.answer()
	cl.answer()
	require.Contains(t, cl.answer(), "READONLY", "what was watched here, the leader can not compare")
}

func TestForwardedAnswersAreOfTheClientsProtocol(t *testing.T) {
	_, follower, _ := pair(t, Options{})
	cl := follower.dial(t)
	require.Equal(t, "(nil)", cl.do("GETSET", "k", "1"))
	cl.do("HELLO", "3")
	require.Equal(t, "(null)", cl.do("GETSET", "k2", "1"))
	require.Equal(t, "OK", cl.do("TRIAD", "DURABILITY", "applied"))
	require.Equal(t, "OK", cl.do("SET", "k", "2"))
}

// Bad input 88: two nodes that each take the other for the leader do not send a
// command round and round.
func TestForwardingGoesOneNodeFar(t *testing.T) {
	var addrs [2]string
	var dials atomic.Int32
	servers := [2]started{}
	for i := range servers {
		node := newFake()
		node.leader = "b"
		servers[i] = start(t, node, Options{Forward: true, Addr: func(topology.NodeID) string { return addrs[1-i] },
			Dial: func(ctx context.Context, addr string) (net.Conn, error) {
				dials.Add(1)
				return new(net.Dialer).DialContext(ctx, "tcp", addr)
			}})
	}
	addrs[0], addrs[1] = servers[0].addr, servers[1].addr
	require.Contains(t, servers[0].dial(t).do("SET", "k", "v"), "(error) READONLY")
	require.EqualValues(t, 1, dials.Load())
}

func TestALeaderThatCanNotBeReachedAppliesNothing(t *testing.T) {
	node := newFake()
	node.leader = "b"
	s := start(t, node, Options{Forward: true, Addr: func(topology.NodeID) string { return "b:1" },
		Dial: func(context.Context, string) (net.Conn, error) { return nil, errors.New("no way") }})
	require.Equal(t, "(error) TRYAGAIN not applied: the leader at b:1 could not be reached: no way", s.dial(t).do("SET", "k", "v"))
}

func TestALeaderThatRefusesThisNodeAppliesNothing(t *testing.T) {
	leader := start(t, newFake(), Options{Password: "other"})
	node := newFake()
	node.leader = "b"
	s := start(t, node, Options{Forward: true, Password: "secret", Addr: func(topology.NodeID) string { return leader.addr }})
	cl := s.dial(t)
	cl.do("AUTH", "secret")
	answer := cl.do("SET", "k", "v")
	require.Contains(t, answer, "TRYAGAIN not applied")
	require.NotContains(t, answer, "secret")
}

// C9: what was sent and not answered may have happened.
func TestALeaderThatIsLostMeanwhileLeavesTheOutcomeUnknown(t *testing.T) {
	leader, follower, at := pair(t, Options{Limits: Limits{CallTimeout: patience}})
	at.hold = make(chan struct{})
	cl := follower.dial(t)
	cl.send(array("SET", "k", "v"))
	eventually(t, func() bool { return leader.counts.groups.Load() == 1 }, "the leader is asked")
	leader.cutOff()
	require.Contains(t, cl.answer(), "(error) UNKNOWN the outcome is not known")
	close(at.hold)
	eventually(t, func() bool { return len(leader.present()) == 0 }, "the lost way is gone")
	require.Equal(t, "OK", cl.do("SET", "k", "w"), "a new way is found")
}

func TestManyForwardedWritesAreAnsweredInOrder(t *testing.T) {
	_, follower, _ := pair(t, Options{})
	cl := follower.dial(t)
	const n = 2000
	go func() {
		for range n {
			_, _ = cl.sock.Write([]byte(array("INCR", "k")))
		}
	}()
	for i := range n {
		require.Equal(t, fmt.Sprintf("(integer) %d", i+1), cl.answer())
	}
}
