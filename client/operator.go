package client

import (
	"context"

	"github.com/triad-kv/triad/internal/call"
)

// Past is what a node remembers: the terms of its group, and what was cut from its
// own log.
type Past = call.Past

// PastOf returns what the node at addr remembers.
func (c *Client) PastOf(ctx context.Context, addr string) (Past, error) {
	answer, err := c.askAt(ctx, addr, call.MethodHistory, call.EncodeNothing())
	var p Past
	if err == nil {
		p, err = call.DecodePast(answer)
	}
	if err != nil {
		return Past{}, errorOf("history", "", nil, err)
	}
	return p, nil
}

// ApproveRewind lets a rewind of the node at addr go on that waits for an operator,
// and returns how many records that takes out of its log; where none waits it is
// topology.ErrNotFound.
func (c *Client) ApproveRewind(ctx context.Context, addr string) (records uint64, err error) {
	answer, err := c.askAt(ctx, addr, call.MethodApprove, call.EncodeNothing())
	if err == nil {
		records, err = call.DecodeCount(answer)
	}
	if err != nil {
		return 0, errorOf("approve rewind", "", nil, err)
	}
	return records, nil
}
