package members

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/topology/topologytest"
)

var (
	a = topology.Member{ID: "a", Addr: "h1:7400", Site: "us"}
	b = topology.Member{ID: "b", Addr: "h2:7400"}
	c = topology.Member{ID: "c", Addr: "h3:7400"}
)

func list(t *testing.T, all ...topology.Member) *List {
	t.Helper()
	l, err := New("a", all)
	require.NoError(t, err)
	return l
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func TestViewIsSortedAndStays(t *testing.T) {
	all := []topology.Member{c, a, b}
	l := list(t, all...)
	all[0].ID = "z"
	v, stale := l.View()
	require.Equal(t, []topology.Member{a, b, c}, v.Members)
	require.False(t, isClosed(stale))
	require.NoError(t, l.Leave(t.Context()))
	require.False(t, isClosed(stale))
}

func TestSetMakesTheViewStale(t *testing.T) {
	l := list(t, a, b)
	_, first := l.View()
	require.NoError(t, l.Set([]topology.Member{b, a}))
	require.False(t, isClosed(first), "the same list changes nothing")
	require.NoError(t, l.Set([]topology.Member{a, b, c}))
	require.True(t, isClosed(first))
	v, second := l.View()
	require.Len(t, v.Members, 3)
	require.False(t, isClosed(second))
}

func TestSetRefusesAListWithFaultsAndKeepsTheOldOne(t *testing.T) {
	l := list(t, a, b)
	_, stale := l.View()
	require.Error(t, l.Set([]topology.Member{b}))
	v, _ := l.View()
	require.Len(t, v.Members, 2)
	require.False(t, isClosed(stale))
}

func TestListNamesEveryFault(t *testing.T) {
	for name, tc := range map[string]struct {
		all  []topology.Member
		want []string
	}{
		"nobody":             {nil, []string{`this node, "a", is not among them`}},
		"without this node":  {[]topology.Member{b}, []string{`this node, "a", is not among them`}},
		"a name that is not": {[]topology.Member{a, {ID: "B b", Addr: "h:1"}}, []string{`members[1]: id "B b"`}},
		"this node twice":    {[]topology.Member{a, {ID: "a", Addr: "h:2"}}, []string{`members[1]: id "a" is that of members[0]`}},
		"an address twice":   {[]topology.Member{a, {ID: "b", Addr: a.Addr}}, []string{`members[1]: address "h1:7400" is that of members[0]`}},
		"no address":         {[]topology.Member{a, {ID: "b"}}, []string{`members[1]: node "b" has no address`}},
		"several": {[]topology.Member{{ID: "b"}, {ID: "b"}}, []string{
			"members[0]: node", `members[1]: id "b" is that of members[0]`, "is not among them"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New("a", tc.all)
			require.Error(t, err)
			for _, w := range tc.want {
				require.Contains(t, err.Error(), w)
			}
		})
	}
}

func TestALoneNodeNeedsNoAddress(t *testing.T) {
	v, _ := list(t, topology.Member{ID: "a"}).View()
	require.Len(t, v.Members, 1)
}

func TestListHasALimit(t *testing.T) {
	all := []topology.Member{a}
	for i := range MembersMax {
		all = append(all, topology.Member{ID: topology.NodeID(fmt.Sprintf("n%d", i)), Addr: fmt.Sprintf("n%d:1", i)})
	}
	_, err := New("a", all)
	require.ErrorContains(t, err, "more than")
	_, err = New("a", all[:MembersMax])
	require.NoError(t, err)
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, list(t, a).Run(ctx))
}

func TestEverySetIsSeen(t *testing.T) {
	l := list(t, a)
	const sets = 200
	var wait sync.WaitGroup
	wait.Go(func() {
		for i := 1; i <= sets; i++ {
			_ = l.Set([]topology.Member{a, {ID: "b", Addr: fmt.Sprintf("h:%d", i)}})
		}
	})
	last := fmt.Sprintf("h:%d", sets)
	for {
		v, stale := l.View()
		if m, ok := v.Find("b"); ok && m.Addr == last {
			break
		}
		<-stale
	}
	wait.Wait()
}

func TestAListKeepsTheContractOfAMembership(t *testing.T) {
	topologytest.TestMembership(t, func(t *testing.T) topologytest.Membership {
		l, n := list(t, b, a), 0
		return topologytest.Membership{
			Membership: l, Self: "a", Members: []topology.NodeID{"a", "b"},
			Change: func() {
				n++
				require.NoError(t, l.Set([]topology.Member{a, {ID: "b", Addr: fmt.Sprintf("h:%d", n)}}))
			},
		}
	})
}

func TestWhoIsAdmittedIsAMemberAndHasItsAddressAlone(t *testing.T) {
	l := list(t, a, b)
	_, stale := l.View()
	l.Admit(c)
	require.True(t, isClosed(stale))
	v, stale := l.View()
	require.Equal(t, []topology.Member{a, b, c}, v.Members)
	l.Admit(c, topology.Member{ID: "not a name", Addr: "h9:1"})
	require.False(t, isClosed(stale), "nothing is new")

	d := topology.Member{ID: "aa", Addr: b.Addr, Liveness: topology.LivenessFailed}
	l.Admit(d)
	v, _ = l.View()
	require.Equal(t, []topology.Member{a, {ID: "aa", Addr: b.Addr}, {ID: "b"}, c}, v.Members, "b is there no longer")
	l.Admit(topology.Member{ID: "b", Addr: "h4:7400"})
	v, _ = l.View()
	require.Equal(t, "h4:7400", v.Members[2].Addr)
}

func TestNoMoreAreAdmittedThanThereMayBe(t *testing.T) {
	l := list(t, a)
	for i := range MembersMax + 1 {
		l.Admit(topology.Member{ID: topology.NodeID(fmt.Sprintf("n%d", i)), Addr: fmt.Sprintf("h:%d", i)})
	}
	v, _ := l.View()
	require.Len(t, v.Members, MembersMax)
}
