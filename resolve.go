package triad

import (
	"context"
	"fmt"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Resolution is what became of a write.
type Resolution = topology.Resolution

// Resolve tells what became of a write whose outcome is Unknown: dot and term are
// those of its error, or of its receipt. It waits, while ctx lasts, until that is
// settled; any node may be asked. An error says that it is not known yet, or that
// this topology cannot tell (topology.ErrUnsupported).
func (n *Node) Resolve(ctx context.Context, dot version.Dot, term uint64) (Resolution, error) {
	err := n.gate.enter(ctx)
	if err != nil {
		return Resolution{}, n.errorOf("resolve", "", nil, unresolved(dot, term, err))
	}
	defer n.gate.leave()
	r, ok := n.engine.(topology.Resolver)
	if !ok {
		err = fmt.Errorf("this topology does not tell what became of a write: %w", topology.ErrUnsupported)
		return Resolution{}, n.errorOf("resolve", "", nil, unresolved(dot, term, err))
	}
	what, err := r.Resolve(ctx, dot, term)
	if err != nil {
		return Resolution{}, n.errorOf("resolve", "", nil, err)
	}
	return what, nil
}

// unresolved is an error that leaves the write as unknown as it was.
func unresolved(dot version.Dot, term uint64, err error) error {
	return &topology.Error{Outcome: topology.Unknown, Dot: dot, Term: term, Err: err}
}

func (n remote) resolve(ctx context.Context, req []byte) ([]byte, error) {
	m, err := call.DecodeAsked(req)
	if err != nil {
		return nil, n.malformed("resolve", err)
	}
	r, err := n.Resolve(ctx, m.Dot, m.Term)
	if err != nil {
		return nil, err
	}
	return call.EncodeResolution(r), nil
}
