package triad

import (
	"context"
	"fmt"
	"net"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/topology"
)

// Seat is a member as it is added to a cluster that runs.
type Seat = topology.Seat

// AddMember takes a node into the cluster while it works (rule S15), and returns once
// it is in: one that is to vote, once it has caught up and may be counted. It is asked of
// the leader; any other node is topology.ErrNotLeader, with who leads. The node itself
// starts from an empty directory, with members in its configuration that know it by
// then, before or after this call. One change of the members is under way at a time.
func (o Operator) AddMember(ctx context.Context, s Seat) error {
	return o.changeMembers(ctx, "member add", func(m topology.MemberChanger) error {
		if _, _, err := net.SplitHostPort(s.Addr); err != nil {
			return notApplied(fmt.Errorf("%w: %q is not host:port: %w", topology.ErrMalformed, s.Addr, err))
		}
		return m.AddMember(ctx, s)
	})
}

// RemoveMember lets a node go from the cluster while it works, and returns once it is
// counted no more; then it may be stopped. It is asked of the leader, which is not
// removed itself: let it hand over first.
func (o Operator) RemoveMember(ctx context.Context, id topology.NodeID) error {
	return o.changeMembers(ctx, "member remove", func(m topology.MemberChanger) error { return m.RemoveMember(ctx, id) })
}

func (o Operator) changeMembers(ctx context.Context, op string, change func(topology.MemberChanger) error) error {
	return o.with(ctx, op, func() error {
		m, ok := o.n.engine.(topology.MemberChanger)
		if !ok {
			return notApplied(fmt.Errorf("this topology takes no members in and lets none go: %w", topology.ErrUnsupported))
		}
		return change(m)
	})
}

// members are those of the view that are members by the record of the group too, where
// that names them: who was removed can be reached, and is none.
func (n inner) members() []Member {
	view, _ := n.membership.View()
	m, ok := n.engine.(topology.MemberChanger)
	if !ok {
		return view.Members
	}
	seats := m.Seats()
	if seats == nil {
		return view.Members
	}
	var out []Member
	for _, v := range view.Members {
		for _, s := range seats {
			if s.ID == v.ID {
				out = append(out, v)
			}
		}
	}
	return out
}

func (n remote) addMember(ctx context.Context, req []byte) ([]byte, error) {
	s, err := call.DecodeSeat(req)
	if err != nil {
		return nil, n.malformed("member add", err)
	}
	if err := n.Operator().AddMember(ctx, s); err != nil {
		return nil, err
	}
	return call.EncodeNothing(), nil
}

func (n remote) removeMember(ctx context.Context, req []byte) ([]byte, error) {
	id, err := call.DecodeName(req)
	if err == nil && !topology.NodeID(id).Valid() {
		err = fmt.Errorf("%w: %q is not a node's name", topology.ErrMalformed, id)
	}
	if err != nil {
		return nil, n.malformed("member remove", err)
	}
	if err := n.Operator().RemoveMember(ctx, topology.NodeID(id)); err != nil {
		return nil, err
	}
	return call.EncodeNothing(), nil
}
