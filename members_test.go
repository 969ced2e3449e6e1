package triad_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/control/raft"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/singleleader"
	"github.com/triad-kv/triad/topology"
)

// fleet is nodes that agree through raft who leads, of which members come and go.
type fleet struct {
	t      *testing.T
	sync   quorum.Policy
	list   []triad.Member
	disks  map[topology.NodeID]vfs.FS
	nodes  map[topology.NodeID]*triad.Node
	stops  map[topology.NodeID]func()
	listen map[topology.NodeID]net.Listener

	witnesses []topology.NodeID // of nodes that are started from now on

	mu       sync.Mutex
	controls map[topology.NodeID]topology.Control
}

// report is what a node's control says of itself.
func (f *fleet) report(id topology.NodeID) topology.ControlStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.controls[id].(topology.ControlReporter).Report()
}

func newFleet(t *testing.T, p quorum.Policy, ids ...topology.NodeID) *fleet {
	f := &fleet{
		t: t, sync: p, disks: map[topology.NodeID]vfs.FS{}, nodes: map[topology.NodeID]*triad.Node{},
		stops: map[topology.NodeID]func(){}, listen: map[topology.NodeID]net.Listener{}, controls: map[topology.NodeID]topology.Control{},
	}
	for _, id := range ids {
		f.list = append(f.list, f.member(id))
	}
	for _, id := range ids {
		f.start(id, f.list, ids)
	}
	t.Cleanup(func() {
		for id := range f.nodes {
			f.stop(id)
		}
	})
	return f
}

// member takes a port for a node.
func (f *fleet) member(id topology.NodeID) triad.Member {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(f.t, err)
	f.disks[id], f.listen[id] = vfs.NewMem(), l
	return triad.Member{ID: id, Addr: l.Addr().String()}
}

func (f *fleet) start(id topology.NodeID, list []triad.Member, voters []topology.NodeID) {
	f.t.Helper()
	if f.listen[id] == nil {
		i := slices.IndexFunc(list, func(m triad.Member) bool { return m.ID == id })
		var err error
		f.listen[id], err = net.Listen("tcp", list[i].Addr)
		require.NoError(f.t, err)
	}
	n, err := triad.Open(triad.Config{
		ID: id, Dir: "data", FS: f.disks[id], Listener: f.listen[id], Members: list,
		Control: func(env topology.ControlEnv) (topology.Control, error) {
			c, err := raft.New(raft.Options{Voters: voters, Heartbeat: raft.HeartbeatFast})(env)
			f.mu.Lock()
			defer f.mu.Unlock()
			f.controls[id] = c
			return c, err
		},
		Topology: singleleader.New(singleleader.Options{Sync: f.sync, Witnesses: f.witnesses, FailAfter: 250 * time.Millisecond, RetryEvery: 10 * time.Millisecond}),
		Limits:   triad.Limits{BootstrapWait: 200 * time.Millisecond},
	})
	require.NoError(f.t, err)
	f.nodes[id] = n
	done := make(chan error, 1)
	go func() { done <- n.Run(context.Background()) }()
	f.stops[id] = func() {
		require.NoError(f.t, n.Close())
		require.NoError(f.t, <-done)
	}
}

func (f *fleet) stop(id topology.NodeID) {
	f.stops[id]()
	delete(f.nodes, id)
	f.listen[id] = nil
}

// leads waits for a node that leads and commits.
func (f *fleet) leads() (id topology.NodeID) {
	f.t.Helper()
	f.eventually("somebody leads", func() bool {
		for _, n := range f.nodes {
			ctx, cancel := context.WithTimeout(f.t.Context(), time.Second)
			_, err := n.Put(ctx, triad.DefaultTable, []byte("probe"), nil)
			cancel()
			if err == nil && n.Status().Role == topology.RoleLeader {
				id = n.ID()
				return true
			}
		}
		return false
	})
	return id
}

func (f *fleet) eventually(what string, holds func() bool) {
	f.t.Helper()
	require.Eventually(f.t, holds, patience, 5*time.Millisecond, what)
}

// load writes through the given nodes, whoever of them leads, until it is stopped.
func (f *fleet) load(nodes ...*triad.Node) (stop func() (acked []string)) {
	ctx, cancel := context.WithCancel(context.Background())
	var mu sync.Mutex
	var acked []string
	var wait sync.WaitGroup
	for w := range 3 {
		wait.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				key := fmt.Sprintf("%d-%d", w, i)
				for _, n := range nodes {
					within, end := context.WithTimeout(ctx, time.Second)
					_, err := n.Put(within, triad.DefaultTable, []byte(key), []byte(key))
					end()
					if err == nil {
						mu.Lock()
						acked = append(acked, key)
						mu.Unlock()
						break
					}
				}
			}
		})
	}
	return func() []string { cancel(); wait.Wait(); return acked }
}

// do has the leader change the members, whoever leads.
func (f *fleet) do(what string, change func(context.Context, triad.Operator) error) {
	f.t.Helper()
	f.eventually(what, func() bool {
		ctx, cancel := context.WithTimeout(f.t.Context(), patience)
		defer cancel()
		err := change(ctx, f.nodes[f.leads()].Operator())
		if err != nil {
			f.t.Log(what, err)
		}
		return err == nil
	})
}

// TestANodeIsReplacedUnderLoad puts new nodes, which also vote, in the place of two of
// three, one after another, the first leader among them, while writers go on.
func TestANodeIsReplacedUnderLoad(t *testing.T) {
	f := newFleet(t, quorum.First(1), "b", "c", "d")
	first := f.leads()
	var olds []*triad.Node
	for _, n := range f.nodes {
		olds = append(olds, n)
	}
	ids := []topology.NodeID{"b", "c", "d"}
	// Its name comes first, and it is there before anybody knows it.
	voters := append(slices.DeleteFunc(slices.Clone(ids), func(id topology.NodeID) bool { return id == first }), "a")
	list := append(slices.Clone(f.list), f.member("a"))
	f.start("a", list, voters)
	stop := f.load(append(olds, f.nodes["a"])...)

	seat := triad.Seat{Member: list[3], Role: topology.MemberVoter, Votes: true}
	f.do("a is added", func(ctx context.Context, o triad.Operator) error { return o.AddMember(ctx, seat) })
	f.do("the leader hands over", func(ctx context.Context, o triad.Operator) error {
		if f.nodes[first].Status().Role != topology.RoleLeader {
			return nil
		}
		for id := range f.nodes {
			if id != first && f.nodes[id].Status().Sync {
				_, err := o.Switchover(ctx, id)
				return err
			}
		}
		return topology.ErrUnavailable
	})
	f.do("the first leader is removed", func(ctx context.Context, o triad.Operator) error { return o.RemoveMember(ctx, first) })
	gone := f.nodes[first]
	f.eventually("it knows", func() bool { return gone.Status().Role == topology.RoleRemoved })
	_, err := gone.Put(t.Context(), triad.DefaultTable, []byte("k"), nil)
	require.ErrorIs(t, err, topology.ErrNotLeader)
	f.eventually("the others know", func() bool {
		return !slices.ContainsFunc(f.nodes["a"].Operator().Members(), func(m triad.Member) bool { return m.ID == first })
	})
	acked := stop()
	require.NotEmpty(t, acked)
	f.stop(first)

	f.eventually("a votes in place of the first leader", func() bool {
		r := f.report("a")
		return r.Votes && slices.Equal(r.Voters, slices.Sorted(slices.Values(voters)))
	})
	other := voters[0]
	f.stop(other)
	require.NoError(t, f.nodes["a"].Operator().Pause(t.Context(), false), "a and the third are a majority of the control's voters")
	f.start(other, f.list, ids)
	lead := f.nodes[f.leads()]
	for _, key := range acked {
		v, err := lead.Get(t.Context(), triad.DefaultTable, []byte(key))
		require.NoError(t, err, key)
		require.Equal(t, key, string(v.Value))
	}
}

func TestAWitnessIsAddedAndRemoved(t *testing.T) {
	f := newFleet(t, quorum.First(1), "a", "b", "c")
	f.leads()
	f.witnesses = []topology.NodeID{"w"}
	list := append(slices.Clone(f.list), f.member("w"))
	f.start("w", list, []topology.NodeID{"a", "b", "c"})
	seat := triad.Seat{Member: list[3], Role: topology.MemberWitness}
	f.do("w is added", func(ctx context.Context, o triad.Operator) error { return o.AddMember(ctx, seat) })
	w := f.nodes["w"]
	f.eventually("w knows who leads", func() bool { s := w.Status(); return s.Role == topology.RoleWitness && s.Leader != "" })
	require.Zero(t, w.Status().End)
	f.do("w is removed", func(ctx context.Context, o triad.Operator) error { return o.RemoveMember(ctx, "w") })
	f.eventually("w knows", func() bool { return w.Status().Role == topology.RoleRemoved })
	lead := f.nodes[f.leads()].Operator()
	require.ErrorIs(t, lead.RemoveMember(t.Context(), "w"), topology.ErrNotFound)
	err := lead.AddMember(t.Context(), triad.Seat{Member: triad.Member{ID: "x", Addr: "nowhere"}, Role: topology.MemberVoter})
	require.ErrorIs(t, err, topology.ErrMalformed)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(err))
}
