package client

import (
	"context"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Resolve tells what became of a write whose outcome is Unknown: dot and term are
// those of its error, or of its receipt. It waits, while ctx lasts, until that is
// settled.
func (c *Client) Resolve(ctx context.Context, dot version.Dot, term uint64) (topology.Resolution, error) {
	answer, err := c.ask(ctx, reads, call.MethodResolve, call.Asked{Dot: dot, Term: term}.Encode())
	var r topology.Resolution
	if err == nil {
		r, err = call.DecodeResolution(answer)
	}
	if err != nil {
		return topology.Resolution{}, errorOf("resolve", "", nil, err)
	}
	return r, nil
}
