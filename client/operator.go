package client

import (
	"context"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/topology"
)

// Operator is what a client asks of nodes on behalf of who looks after them.
type Operator struct{ c *Client }

// Operator returns the orders and questions of an operator.
func (c *Client) Operator() Operator { return Operator{c} }

// Past is what a node remembers: the terms of its group, and what was cut from its
// own log.
type Past = call.Past

// PastOf returns what the node at addr remembers.
func (o Operator) PastOf(ctx context.Context, addr string) (Past, error) {
	answer, err := o.c.askAt(ctx, addr, call.MethodHistory, call.EncodeNothing())
	var p Past
	if err == nil {
		p, err = call.DecodePast(answer)
	}
	if err != nil {
		return Past{}, errorOf("history", "", nil, err)
	}
	return p, nil
}

// Explain has the node at addr ask all others who would lead if the leader failed now,
// and why nobody else would. It changes nothing.
func (o Operator) Explain(ctx context.Context, addr string) (topology.Explanation, error) {
	answer, err := o.c.askAt(ctx, addr, call.MethodExplain, call.EncodeNothing())
	var x topology.Explanation
	if err == nil {
		x, err = call.DecodeExplanation(answer)
	}
	if err != nil {
		return topology.Explanation{}, errorOf("explain", "", nil, err)
	}
	return x, nil
}

// ApproveRewind lets a rewind of the node at addr go on that waits for an operator,
// and returns how many records that takes out of its log; where none waits it is
// topology.ErrNotFound.
func (o Operator) ApproveRewind(ctx context.Context, addr string) (records uint64, err error) {
	answer, err := o.c.askAt(ctx, addr, call.MethodApprove, call.EncodeNothing())
	if err == nil {
		records, err = call.DecodeCount(answer)
	}
	if err != nil {
		return 0, errorOf("approve rewind", "", nil, err)
	}
	return records, nil
}

// Switchover has the node at addr, which must be the leader, hand over to another
// member in sync: nothing is lost, and nobody's write ends unknown (rule S10).
func (o Operator) Switchover(ctx context.Context, addr string, to topology.NodeID) (topology.Promotion, error) {
	answer, err := o.c.askAt(ctx, addr, call.MethodHandover, call.EncodeName(string(to)))
	var p topology.Promotion
	if err == nil {
		p, err = call.DecodePromotion(answer)
	}
	if err != nil {
		return topology.Promotion{}, errorOf("switchover", "", nil, err)
	}
	return p, nil
}

// Restore has the node at addr lead from a point of the past that it does not show more
// than, and everybody give up what came after: at most giveUp records of that node, and
// with 0 it only says what that would be. See [topology.Restorer].
func (o Operator) Restore(ctx context.Context, addr string, to topology.Point, giveUp uint64) (topology.Restoration, error) {
	answer, err := o.c.askAt(ctx, addr, call.MethodRestore, call.Restore{To: to, GiveUp: giveUp}.Encode())
	var p topology.Restoration
	if err == nil {
		p, err = call.DecodeRestoration(answer)
	}
	if err != nil {
		return topology.Restoration{}, errorOf("restore", "", nil, err)
	}
	return p, nil
}

// Pause keeps the group of the node at addr from electing a leader by itself, until it
// is ended, or ends that.
func (o Operator) Pause(ctx context.Context, addr string, paused bool) error {
	if _, err := o.c.askAt(ctx, addr, call.MethodPause, call.EncodeForce(paused)); err != nil {
		return errorOf("pause", "", nil, err)
	}
	return nil
}

// AddMember has the node at addr, which must be the leader, take another one in, and
// returns once that is in: as a voter, once it has caught up (rule S15). See
// [topology.MemberChanger].
func (o Operator) AddMember(ctx context.Context, addr string, s topology.Seat) error {
	if _, err := o.c.askAt(ctx, addr, call.MethodEnrol, call.EncodeSeat(s)); err != nil {
		return errorOf("member add", "", nil, err)
	}
	return nil
}

// RemoveMember has the node at addr, which must be the leader, let another one go, and
// returns once that is counted no more. See [topology.MemberChanger].
func (o Operator) RemoveMember(ctx context.Context, addr string, id topology.NodeID) error {
	if _, err := o.c.askAt(ctx, addr, call.MethodDismiss, call.EncodeName(string(id))); err != nil {
		return errorOf("member remove", "", nil, err)
	}
	return nil
}
