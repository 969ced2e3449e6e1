package gossip

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/serf/serf"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

func key(b byte) (k Key) {
	for i := range k {
		k[i] = b
	}
	return k
}

// neverMeets waits until n has asked its seeds in vain a few times.
func (n *node) neverMeets(ids ...topology.NodeID) {
	n.t.Helper()
	require.Eventually(n.t, func() bool {
		return strings.Count(n.log.String(), "a seed did not answer") >= 3
	}, patience, every, "%s asks its seeds", n.env.Self)
	v, _ := n.View()
	require.Empty(n.t, v.Strangers)
	for _, id := range ids {
		m, _ := v.Find(id)
		require.Equal(n.t, topology.LivenessUnknown, m.Liveness, "%s has not met %s", n.env.Self, id)
	}
}

func TestWhoHasAnotherKeyOrNoneStaysOutside(t *testing.T) {
	for name, other := range map[string][]Key{"another key": {key(2)}, "no key": nil} {
		t.Run(name, func(t *testing.T) {
			a := open(t, setup{id: "a", options: Options{Keys: []Key{key(1)}}})
			b := open(t, setup{id: "b", options: Options{Keys: []Key{key(1)}}, seeds: []string{a.Addr()}})
			a.sees("b", topology.LivenessAlive)
			c := open(t, setup{id: "c", options: Options{Keys: other}, seeds: []string{a.Addr(), b.Addr()}})
			c.neverMeets("a", "b")
			v, _ := a.View()
			m, _ := v.Find("c")
			require.Equal(t, topology.LivenessUnknown, m.Liveness)
			a.sees("b", topology.LivenessAlive)
		})
	}
}

func TestAKeyIsChangedInThreeStepsWhileAllRun(t *testing.T) {
	before, after := key(1), key(2)
	a := open(t, setup{id: "a", options: Options{Keys: []Key{before, after}}})
	b := open(t, setup{id: "b", options: Options{Keys: []Key{after, before}}, seeds: []string{a.Addr()}})
	a.sees("b", topology.LivenessAlive)
	b.sees("a", topology.LivenessAlive)
	c := open(t, setup{id: "c", options: Options{Keys: []Key{after}}, seeds: []string{b.Addr()}})
	b.sees("c", topology.LivenessAlive)
	c.sees("b", topology.LivenessAlive)
}

func TestKeysStandInNoLine(t *testing.T) {
	k, err := ParseKey(base64.StdEncoding.EncodeToString([]byte("planted-planted-planted-planted-")))
	require.NoError(t, err)
	a, _, _ := trio(t, Options{Keys: []Key{k}})
	a.env.Logger.Info("options", "options", a.options, "keys", a.options.Keys, "key", k)
	for _, s := range []string{a.log.String(), fmt.Sprintf("%v %+v %#v %x %d", k, a.options, a.options, k, k)} {
		for _, secret := range []string{"planted", "cGxhbnRlZC", fmt.Sprintf("%x", "planted"), "112 108 97"} {
			require.NotContains(t, s, secret)
		}
	}
}

func TestClustersOfAnotherNameDoNotMerge(t *testing.T) {
	a := open(t, setup{id: "a"})
	b := open(t, setup{id: "b", known: known{name: "bank", id: clusterID{1}}, seeds: []string{a.Addr()}})
	b.neverMeets("a")
	v, _ := a.View()
	m, _ := v.Find("b")
	require.Equal(t, topology.LivenessUnknown, m.Liveness)
}

func TestClustersOfOneNameAndTwoIdsDoNotMerge(t *testing.T) {
	a, b, c := trio(t, Options{})
	other := known{name: "shop", id: clusterID{2}}
	x := open(t, setup{id: "a", known: other, life: 100, peers: "127.0.0.1:9001"})
	y := open(t, setup{id: "b", known: other, life: 101, peers: "127.0.0.1:9002", seeds: []string{x.Addr(), a.Addr(), b.Addr(), c.Addr()}})
	y.sees("a", topology.LivenessAlive)
	require.Eventually(t, func() bool { return strings.Count(y.log.String(), "a seed did not answer") >= 6 }, patience, every)
	for _, n := range []*node{a, b, c} {
		require.Equal(t, "127.0.0.1:7479", n.sees("a", topology.LivenessAlive).Addr)
		require.Equal(t, "127.0.0.1:7489", n.sees("b", topology.LivenessAlive).Addr)
	}
	require.Equal(t, "127.0.0.1:9001", y.sees("a", topology.LivenessAlive).Addr)
}

func TestANewNodeTellsTheClustersIdOnceItKnowsIt(t *testing.T) {
	a := open(t, setup{id: "a"})
	fresh := &latecomer{known: known{name: "shop", ch: make(chan struct{})}}
	b := open(t, setup{id: "b", seeds: []string{a.Addr()}, known: fresh.known, silent: true})
	b.env.Identity = fresh
	b.run()
	require.Zero(t, cluster(a, "b"))
	a.sees("b", topology.LivenessAlive)
	fresh.id = clusterID{1}
	close(fresh.known.ch)
	require.Eventually(t, func() bool { return cluster(a, "b") == clusterID{1} }, patience, every)
}

// latecomer learns its cluster's id before its channel is closed.
type latecomer struct {
	known
	id clusterID
}

func (l *latecomer) Cluster() (id [16]byte, ok bool) {
	select {
	case <-l.ch:
		return l.id, true
	default:
		return id, false
	}
}

// cluster returns what a node's tags say of its cluster.
func cluster(n *node, id topology.NodeID) clusterID {
	n.mu.Lock()
	s := n.serf
	n.mu.Unlock()
	if s == nil {
		return clusterID{}
	}
	for _, m := range s.Members() {
		if m.Name == string(id) {
			t, _ := decodeTags(m.Tags)
			return t.cluster
		}
	}
	return clusterID{}
}

func TestASecondProcessOfANameIsReportedAndTheFirstStays(t *testing.T) {
	a, b, _ := trio(t, Options{})
	double := open(t, setup{id: "b", life: 666, peers: "127.0.0.1:6666", seeds: []string{a.Addr()}})
	warned := func(n *node) bool {
		return strings.Contains(strings.Join(n.Warnings(), "\n"), "node b is at "+b.Addr()+" (life 62), and a process at "+double.Addr()+" (life 29a) claims its name")
	}
	require.Eventually(t, func() bool { return warned(a) }, patience, every)
	require.Contains(t, a.log.String(), "two processes claim the name of one node")
	require.Equal(t, "127.0.0.1:7489", a.sees("b", topology.LivenessAlive).Addr)
	b.kill()
	require.Eventually(t, func() bool {
		return a.sees("b", topology.LivenessAlive).Addr == "127.0.0.1:6666"
	}, patience, every, "a name is free once who had it has failed")
}

func TestANodeThatCrashedComesBackAtAnotherAddress(t *testing.T) {
	a, b, c := trio(t, Options{})
	b.kill()
	again := open(t, setup{id: "b", peers: "127.0.0.1:5555", seeds: []string{a.Addr(), c.Addr()}})
	for _, n := range []*node{a, c, again} {
		require.Eventually(t, func() bool {
			v, _ := n.View()
			m, _ := v.Find("b")
			return m.Addr == "127.0.0.1:5555" && m.Liveness == topology.LivenessAlive
		}, patience, every)
		require.Empty(t, n.Warnings(), "an earlier start of the same directory is no alarm")
	}
}

func TestANodeLooksForItsSeedsUntilTheyAreThere(t *testing.T) {
	seed := open(t, setup{id: "a", silent: true}).unbound()
	b := open(t, setup{id: "b", seeds: []string{seed}})
	require.Eventually(t, func() bool {
		return strings.Contains(b.log.String(), "no other member was found yet")
	}, patience, every)
	a := open(t, setup{id: "a", options: Options{Listen: seed}})
	b.sees("a", topology.LivenessAlive)
	a.sees("b", topology.LivenessAlive)
}

// unbound returns the address of a port that was given back.
func (n *node) unbound() string {
	require.NoError(n.t, n.Close())
	return n.Addr()
}

func TestASeedsNameIsResolvedEachTime(t *testing.T) {
	a := open(t, setup{id: "a"})
	_, port, err := net.SplitHostPort(a.Addr())
	require.NoError(t, err)
	open(t, setup{id: "b", seeds: []string{"localhost:" + port}}).sees("a", topology.LivenessAlive)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = resolve(ended, "localhost.localdomain:1")
	require.Error(t, err)
}

func TestAStrangerIsShownAndIsNoMember(t *testing.T) {
	a, _, _ := trio(t, Options{})
	x := open(t, setup{id: "x", seeds: []string{a.Addr()}, members: []topology.Member{{ID: "a"}, {ID: "x"}}, peers: "127.0.0.1:9999"})
	x.sees("a", topology.LivenessAlive)
	require.Eventually(t, func() bool { return len(a.strangers()) == 1 }, patience, every)
	require.Equal(t, topology.Member{ID: "x", Addr: "127.0.0.1:9999", Liveness: topology.LivenessAlive}, a.strangers()[0])
	v, _ := a.View()
	require.Len(t, v.Members, 3)
	require.Contains(t, a.Warnings(), "gossip: node x at 127.0.0.1:9999 is not of this configuration: it is not counted")
}

func TestRunRunsOnceAndClosePrecedesNothing(t *testing.T) {
	a := open(t, setup{id: "a"})
	require.Eventually(t, func() bool {
		v, _ := a.View()
		m, _ := v.Find("a")
		return m.Liveness == topology.LivenessAlive
	}, patience, every)
	require.ErrorIs(t, a.Run(t.Context()), topology.ErrConflict)
	a.kill()
	require.NoError(t, a.Close())
	require.NoError(t, a.Leave(t.Context()))
}

func TestAPortInUseIsAFaultOfTheOptions(t *testing.T) {
	a := open(t, setup{id: "a", silent: true})
	_, err := Open(Env{Self: "a", Members: three, Peers: "127.0.0.1:1", Identity: shop(), Logger: a.env.Logger}, Options{Listen: a.Addr()})
	require.ErrorContains(t, err, "gossip.listen: listen tcp")
}

func TestADialEndsWithThePort(t *testing.T) {
	a := open(t, setup{id: "a", silent: true})
	c, err := a.sockets.DialTimeout(a.Addr(), time.Minute)
	require.NoError(t, err)
	require.NoError(t, a.Close())
	_, err = c.Read(make([]byte, 1))
	require.Error(t, err)
	_, err = a.sockets.DialTimeout(a.Addr(), time.Minute)
	require.Error(t, err)
}

func TestGossipWithoutAKeyStaysOnLoopback(t *testing.T) {
	env := Env{Self: "a", Members: three, Peers: "127.0.0.1:1", Identity: shop(), Logger: discard()}
	o := Options{Listen: "0.0.0.0:0", Advertise: "127.0.0.1:1"}
	_, err := Open(env, o)
	require.ErrorContains(t, err, "gossip.keys: there is none, and gossip listens beyond loopback")
	o.Keys = []Key{key(1)}
	g, err := Open(env, o)
	require.NoError(t, err)
	require.NoError(t, g.Close())
}

func TestAStrangerThatIsAdmittedIsAMemberWhereItIsHeard(t *testing.T) {
	a, _, _ := trio(t, Options{})
	x := open(t, setup{id: "x", seeds: []string{a.Addr()}, members: []topology.Member{{ID: "a"}, {ID: "x"}}, peers: "127.0.0.1:9999"})
	x.sees("a", topology.LivenessAlive)
	require.Eventually(t, func() bool { return len(a.strangers()) == 1 }, patience, every)
	_, stale := a.View()
	a.Admit(topology.Member{ID: "x", Addr: "127.0.0.1:1"}, topology.Member{ID: "y", Addr: "127.0.0.1:2"})
	<-stale
	require.Equal(t, "127.0.0.1:9999", a.sees("x", topology.LivenessAlive).Addr, "what is heard holds")
	require.Equal(t, "127.0.0.1:2", a.sees("y", topology.LivenessUnknown).Addr)
	require.Empty(t, a.strangers())
	require.NotContains(t, strings.Join(a.Warnings(), "\n"), "not of this configuration")
	x.kill()
	a.sees("x", topology.LivenessFailed)
	require.Equal(t, reconnectFor, a.judge.ReconnectTimeout(&serf.Member{Name: "x"}, 0), "it is sought as a member")
}
