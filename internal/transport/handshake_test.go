package transport

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

var otherID = [16]byte{9, 9, 9}

func fresh(c *Config) { c.Identity = Ephemeral("test") }

func named(name string) change {
	return func(c *Config) { c.Identity = &ephemeral{name: name, id: clusterID, known: true} }
}

// requireRefused wants a call that was refused for that reason.
func requireRefused(t *testing.T, err error, code RefusalCode) *Refusal {
	t.Helper()
	var r *Refusal
	require.ErrorAs(t, err, &r)
	require.Equal(t, code.String(), r.Code.String(), r.Text)
	requireOutcome(t, err, r.Unwrap(), topology.NotApplied)
	return r
}

func callB(t *testing.T, from *node) error {
	t.Helper()
	_, err := from.Call(within(t), "b", "echo", nil)
	return err
}

func serveEcho(b *node) { b.HandleCall("echo", topology.PeerNode|topology.PeerClient, echo) }

func TestClustersOfDifferentNamesRefuseEachOther(t *testing.T) {
	f := newFleet(t, memoryWires{NewNetwork()})
	a, b := f.node("a", named("blue")), f.node("b", named("red"))
	f.run(a, b)
	r := requireRefused(t, callB(t, a), RefusedClusterName)
	require.Contains(t, r.Text, "blue")
	require.Contains(t, r.Text, "red")
	eventually(t, func() bool { return maps.Equal(b.Stats().Refusals, map[string]uint64{"cluster-name": 1}) }, "it is counted")
}

func TestTwoClustersOfOneNameRefuseEachOtherWithBothIDsInTheLog(t *testing.T) {
	f := newFleet(t, memoryWires{NewNetwork()})
	a, b := f.node("a", known(clusterID)), f.node("b", known(otherID))
	f.run(a, b)
	r := requireRefused(t, callB(t, a), RefusedClusterID)
	for _, id := range [][16]byte{clusterID, otherID} {
		require.Contains(t, r.Text, fmt.Sprintf("%x", id))
		eventually(t, func() bool { return strings.Contains(b.log.String(), fmt.Sprintf("%x", id)) }, "in the log")
	}
}

func TestADiallerRefusesAListenerOfAnotherCluster(t *testing.T) {
	f := newFleet(t, memoryWires{NewNetwork()})
	a := f.node("a")
	f.run(a)
	accept, result := f.impostor("b"), make(chan error, 1)
	go func() { result <- callB(t, a) }()
	h := as("b")
	h.cluster = otherID
	f1 := accept(h).next()
	require.Equal(t, kindRefuse, f1.kind, "and says so")
	require.False(t, requireRefused(t, <-result, RefusedClusterID).ByPeer)
}

func TestAFreshNodeLearnsTheClusterFromWhomItDials(t *testing.T) {
	f := newFleet(t, memoryWires{NewNetwork()})
	a, b := f.node("a", fresh), f.node("b")
	serveEcho(b)
	f.run(a, b)
	require.NoError(t, callB(t, a))
	id, known := a.Transport.id.Cluster()
	require.True(t, known)
	require.Equal(t, clusterID, id)
}

func TestAFreshNodeLearnsTheClusterFromWhoDialsIt(t *testing.T) {
	f := newFleet(t, memoryWires{NewNetwork()})
	a, b := f.node("a"), f.node("b", fresh)
	serveEcho(b)
	f.run(a, b)
	require.NoError(t, callB(t, a))
	id, known := b.Transport.id.Cluster()
	require.True(t, known)
	require.Equal(t, clusterID, id)
}

func TestTwoFreshNodesRefuseEachOther(t *testing.T) {
	f := newFleet(t, memoryWires{NewNetwork()})
	a, b := f.node("a", fresh), f.node("b", fresh)
	f.run(a, b)
	require.True(t, requireRefused(t, callB(t, a), RefusedFresh).ByPeer)
}

func TestAFreshNodeIsTaughtByNobodyButAMember(t *testing.T) {
	f := newFleet(t, memoryWires{NewNetwork()})
	f.members.set("x", "nowhere")
	b := f.node("b", fresh)
	f.run(b)
	stranger := f.raw(b).refusal(as("stranger"))
	require.Equal(t, RefusedStranger, stranger.Code)
	client := f.raw(b).refusal(as("", asClient))
	require.Equal(t, RefusedFresh, client.Code)
	wrongStream := f.raw(b).refusal(as("x", asStream))
	require.Equal(t, RefusedStream, wrongStream.Code)
	_, known := b.Transport.id.Cluster()
	require.False(t, known)
}

// forgetful is an identity that cannot keep what it learns.
type forgetful struct{ Identity }

func (forgetful) Adopt([16]byte) error { return errors.New("the disk is gone") }

func TestWhoCannotKeepTheClustersIDDoesNotConnect(t *testing.T) {
	broken := func(c *Config) { c.Identity = forgetful{Ephemeral("test")} }
	t.Run("as a dialler", func(t *testing.T) {
		f := newFleet(t, memoryWires{NewNetwork()})
		a, b := f.node("a", broken), f.node("b")
		f.run(a, b)
		requireRefused(t, callB(t, a), RefusedAdoption)
	})
	t.Run("as a listener", func(t *testing.T) {
		f := newFleet(t, memoryWires{NewNetwork()})
		a, b := f.node("a"), f.node("b", broken)
		f.run(a, b)
		requireRefused(t, callB(t, a), RefusedAdoption)
		require.Zero(t, b.Stats().Nodes, "and leaves no claim")
	})
}

func TestProtocolsThatDoNotOverlapAreRefusedWithBothRanges(t *testing.T) {
	later := func(h *hello) { h.min, h.max = 41, 43 }
	f := newFleet(t, memoryWires{NewNetwork()})
	f.members.set("x", "nowhere")
	a, b := f.pair(nil)
	r := f.raw(b).refusal(as("x", later))
	require.Equal(t, RefusedProtocol, r.Code)
	require.Contains(t, r.Text, "41 to 43")
	require.Contains(t, r.Text, fmt.Sprintf("%d to %d", ProtocolMin, ProtocolMax))

	accept, result := f.impostor("x"), make(chan error, 1)
	go func() {
		_, err := a.Call(within(t), "x", "echo", nil)
		result <- err
	}()
	accept(as("x", later))
	require.Contains(t, requireRefused(t, <-result, RefusedProtocol).Text, "41 to 43")
}

func TestOnlyMembersConnectAsNodes(t *testing.T) {
	f := newFleet(t, memoryWires{NewNetwork()})
	b := f.node("b")
	serveEcho(b)
	stranger := f.node("stranger")
	f.members.remove("stranger")
	f.run(b, stranger)
	requireRefused(t, callB(t, stranger), RefusedStranger)
	f.members.set("stranger", stranger.addr)
	eventually(t, func() bool { return callB(t, stranger) == nil }, "once it is a member it is let in")
}

func TestANodeDoesNotConnectToItself(t *testing.T) {
	f := newFleet(t, memoryWires{NewNetwork()})
	a := f.node("a")
	f.run(a)
	_, err := a.Call(within(t), "a", "echo", nil)
	requireRefused(t, err, RefusedSelf)
	_, err = a.CallAddr(within(t), a.addr, "echo", nil)
	requireRefused(t, err, RefusedSelf)
	_, err = a.Open(within(t), "a", "echo")
	requireRefused(t, err, RefusedSelf)
}

func TestAnAddressThatAnswersAsAnotherNodeIsNotUsed(t *testing.T) {
	f := newFleet(t, memoryWires{NewNetwork()})
	a, b := f.pair(nil)
	f.members.set("c", b.addr)
	_, err := a.Call(within(t), "c", "echo", nil)
	r := requireRefused(t, err, RefusedWrongNode)
	require.False(t, r.ByPeer)
	require.Contains(t, r.Text, "answers as node b")
}

func TestWhatIsNoTriadPortIsNamed(t *testing.T) {
	f := newFleet(t, memoryWires{NewNetwork()})
	a := f.node("a")
	f.run(a)
	l := f.wires.listen(t, "web")
	f.members.set("b", l.Addr().String())
	result := make(chan error, 1)
	go func() { result <- callB(t, a) }()
	conn, err := l.Accept()
	require.NoError(t, err)
	_, err = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	require.NoError(t, err)
	err = <-result
	requireOutcome(t, err, topology.ErrMalformed, topology.NotApplied)
	require.ErrorContains(t, err, `"HTTP/1.1"`)
	require.NoError(t, conn.Close())
	require.NoError(t, l.Close())
}

func TestASecondProcessOfANodeIsRefusedAndTheFirstGoesOn(t *testing.T) {
	for name, l := range map[string]uint64{"on another directory": 8, "on a copy of the directory": 7} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, w wires) {
				f := newFleet(t, w)
				first, b := f.node("a"), f.node("b")
				serveEcho(b)
				f.run(first, b)
				require.NoError(t, callB(t, first))
				second := f.make(Config{Self: "a", Life: l, Membership: f.members, Dial: w.dialer("second")}, "", nil)
				f.run(second)
				require.True(t, requireRefused(t, callB(t, second), RefusedDuplicate).ByPeer)
				require.NoError(t, callB(t, first))
				require.Equal(t, uint64(1), first.Stats().Dials, "on the connection it had")
			})
		})
	}
}

func TestASecondProcessOfOursIsRefused(t *testing.T) {
	f := newFleet(t, memoryWires{NewNetwork()})
	b := f.node("b")
	f.run(b)
	r := f.raw(b).refusal(as("b", func(h *hello) { h.life = 99 }))
	require.Equal(t, RefusedDuplicate, r.Code)
}

func TestARestartedNodeIsLetIn(t *testing.T) {
	for name, l := range map[string]uint64{"with its directory": 7, "with a new directory": 8} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, w wires) {
				f := newFleet(t, w)
				first, b := f.pair(func(_, b *node) { serveEcho(b) })
				require.NoError(t, callB(t, first))
				first.stop()
				again := f.make(Config{Self: "a", Life: l, Membership: f.members, Dial: w.dialer("a")}, "", nil)
				f.run(again)
				require.NoError(t, callB(t, again))
				require.Equal(t, 1, b.Stats().Nodes)
			})
		})
	}
}

func TestANodeThatVanishedMakesRoomForItsSuccessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork()
		f := newFleet(t, memoryWires{n})
		first, b := f.pair(func(_, b *node) {
			serveEcho(b)
			b.HandleStream("echo", echoStream)
		})
		require.NoError(t, callB(t, first))
		s, err := first.Open(within(t), "b", "echo")
		require.NoError(t, err)
		n.Cut("a", "b") // nothing tells b that a is gone
		again := f.make(Config{Self: "a", Life: 8, Membership: f.members, Dial: n.Dialer("elsewhere")}, "", nil)
		f.run(again)
		begun := time.Now()
		require.NoError(t, callB(t, again))
		require.GreaterOrEqual(t, time.Since(begun), b.limits.ProbeTimeout, "after the first did not answer")
		synctest.Wait()
		require.Equal(t, 1, b.Stats().Nodes)
		require.Equal(t, 1, b.Stats().Conns, "what the first had is closed")
		require.NoError(t, s.Close())
		first.stop()
		again.stop()
		b.stop()
	})
}

func TestAProcessWhoseCallsAreGoneHoldsItsNameByItsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, memoryWires{NewNetwork()})
		f.members.set("x", "nowhere")
		b := f.node("b")
		b.HandleStream("echo", echoStream)
		f.run(b)
		r := f.raw(b)
		require.Equal(t, kindHello, r.hello(as("x", asStream)).kind)
		other := as("x", func(h *hello) { h.instance++ })
		require.Equal(t, RefusedDuplicate, f.raw(b).refusal(other).Code)
		time.Sleep(2 * b.limits.ReadTimeout) // virtual: x falls silent
		require.Equal(t, kindHello, f.raw(b).hello(other).kind)
		b.stop()
	})
}

func TestRolesAreHeldByEveryMethodAndStream(t *testing.T) {
	methods := map[string]topology.PeerRoles{"both": topology.PeerNode | topology.PeerClient, "nodes": topology.PeerNode, "clients": topology.PeerClient}
	f := newFleet(t, memoryWires{NewNetwork()})
	a, b := f.pair(func(_, b *node) {
		for m, roles := range methods {
			b.HandleCall(m, roles, echo)
		}
		b.HandleStream("echo", echoStream)
	})
	client := f.client()
	f.run(client)
	for _, caller := range []*node{a, client} {
		for m := range methods {
			t.Run(fmt.Sprintf("role %d calls %s", caller.role, m), func(t *testing.T) {
				for _, call := range []func() ([]byte, error){
					func() ([]byte, error) { return caller.Call(within(t), "b", m, nil) },
					func() ([]byte, error) { return caller.CallAddr(within(t), b.addr, m, nil) },
				} {
					_, err := call()
					if methods[m]&caller.role != 0 {
						require.NoError(t, err)
						continue
					}
					requireOutcome(t, err, topology.ErrDenied, topology.NotApplied)
				}
			})
		}
	}
	t.Run("a client does not learn which methods there are", func(t *testing.T) {
		_, none := client.Call(within(t), "b", "none", nil)
		_, nodes := client.Call(within(t), "b", "nodes", nil)
		require.Equal(t, nodes.Error(), strings.Replace(none.Error(), "none", "nodes", 2))
	})
	t.Run("a client opens no stream, whatever it says", func(t *testing.T) {
		_, err := client.Open(within(t), "b", "echo")
		requireRefused(t, err, RefusedRole)
		r := f.raw(b).refusal(as("", asClient, asStream))
		require.Equal(t, RefusedRole, r.Code)
	})
}

func TestAClientReachesANodeByAddressAlone(t *testing.T) {
	overBoth(t, func(t *testing.T, w wires) {
		f := newFleet(t, w)
		b := f.node("b")
		serveEcho(b)
		client := f.make(Config{Role: topology.PeerClient, Dial: w.dialer("client")}, "", []change{fresh})
		f.run(b, client)
		got, err := client.CallAddr(within(t), b.addr, "echo", []byte("hello"))
		require.NoError(t, err)
		require.Equal(t, "hello", string(got))
		_, err = client.Call(within(t), "b", "echo", nil)
		requireOutcome(t, err, topology.ErrUnavailable, topology.NotApplied)
		id, _ := client.Transport.id.Cluster()
		require.Equal(t, clusterID, id)
	})
}

func TestAClientOpensTheStreamsThatAreServedToClientsAlone(t *testing.T) {
	overBoth(t, func(t *testing.T, w wires) {
		f := newFleet(t, w)
		b := f.node("b")
		greet := func(_ context.Context, s topology.Stream) error { return s.Send([]byte("hello")) }
		b.HandleClientStream("open", greet)
		b.HandleStream("nodes", greet)
		client := f.make(Config{Role: topology.PeerClient, Dial: w.dialer("client")}, "", []change{fresh})
		f.run(b, client)
		s, err := client.OpenAddr(within(t), b.addr, "open")
		require.NoError(t, err)
		got, err := s.Recv()
		require.NoError(t, err)
		require.Equal(t, "hello", string(got))
		require.NoError(t, s.Close())
		_, err = client.OpenAddr(within(t), b.addr, "nodes")
		var r *Refusal
		require.ErrorAs(t, err, &r)
		require.Equal(t, RefusedRole, r.Code)
	})
}

func TestCallsWaitForRun(t *testing.T) {
	f := newFleet(t, memoryWires{NewNetwork()})
	a, b := f.node("a"), f.node("b")
	serveEcho(b)
	f.run(b)
	ctx, cancel := context.WithCancel(within(t))
	cancel()
	_, err := a.Call(ctx, "b", "echo", nil)
	requireOutcome(t, err, topology.ErrTimeout, topology.NotApplied)
	result := make(chan error, 1)
	go func() { result <- callB(t, a) }()
	f.run(a)
	require.NoError(t, <-result)
}
