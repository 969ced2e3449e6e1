package triad

import (
	"context"
	"errors"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/topology"
)

// members answers who is in the cluster, and how this node stands in it.
func (n remote) members(_ context.Context, req []byte) ([]byte, error) {
	if err := call.DecodeNothing(req); err != nil {
		return nil, n.malformed("members", err)
	}
	s := n.Status()
	m := call.Members{Self: s.Node, Leader: s.Leader, Term: s.Term, Apart: len(s.Sites) > 0}
	peers := make(map[topology.NodeID]*topology.PeerStatus, len(s.Peers))
	for i := range s.Peers {
		peers[s.Peers[i].Node] = &s.Peers[i]
	}
	for _, v := range inner(n).members() {
		one := call.Member{ID: v.ID, Addr: v.Addr, Site: v.Site, Liveness: v.Liveness, Stale: -1}
		switch p := peers[v.ID]; {
		case v.ID == s.Node:
			one.Role, one.Applied, one.Lag, one.Stale, one.Delay = s.Role, s.Applied, s.Lag, s.Stale, s.Delay
			one.Liveness = topology.LivenessAlive
		case p != nil:
			one.State, one.Applied, one.Lag = p.State, p.Applied, p.Lag
		}
		m.All = append(m.All, one)
	}
	return m.Encode(), nil
}

// sight answers a read whose key may hold nothing.
func (n remote) sight(ctx context.Context, req []byte) ([]byte, error) {
	m, err := call.DecodeRead(req)
	if err != nil {
		return nil, n.malformed("get", err)
	}
	r, err := n.Get(ctx, m.Table, m.Key, m.Options...)
	if err != nil && (!errors.Is(err, topology.ErrNotFound) || r.Served == "") {
		return nil, err
	}
	s := call.Sight{Found: err == nil, Reading: r}
	return s.Encode(), nil
}
