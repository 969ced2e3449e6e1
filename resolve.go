package triad

import (
	"context"
	"fmt"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/record"
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

// settled is what a record tells that has taken the name of a request: no result of an
// update begins like this.
const settled = "\xc1not applied"

// ResolveRequest tells what became of a named write (rule S17) whose outcome is Unknown,
// also of one that has no dot, as no node has answered it: by a record that takes the
// name if nobody has. FateApplied comes with the write's place in the log; after
// FateNotApplied the write is refused if it comes late. So it is asked once nobody waits
// for the write any more. Only the leader answers. A request that is too old to be known
// is topology.ErrForgotten, and stays as unknown as it was.
func ResolveRequest(ctx context.Context, n *Node, id record.RequestID) (Resolution, error) {
	r, err := inner{n}.resolveRequest(ctx, id)
	if err != nil {
		err = &topology.Error{Outcome: topology.Unknown, Request: id, Err: err}
		return Resolution{}, n.errorOf("resolve", "", nil, err)
	}
	return r, nil
}

func (n inner) resolveRequest(ctx context.Context, id record.RequestID) (Resolution, error) {
	if err := n.gate.enter(ctx); err != nil {
		return Resolution{}, err
	}
	defer n.gate.leave()
	u, decides := n.engine.(topology.Updater)
	if _, remembers := n.engine.(Idempotent); !remembers || !decides {
		return Resolution{}, fmt.Errorf("this topology does not know a retry: %w", topology.ErrUnsupported)
	}
	if id.Client == 0 || id.Seq == 0 {
		return Resolution{}, fmt.Errorf("request %d of client %d: both begin with 1: %w", id.Seq, id.Client, topology.ErrMalformed)
	}
	fate := topology.FateApplied
	us := []topology.Update{{
		Request: id,
		Decide: func(topology.Sight) ([]record.Mutation, error) {
			return []record.Mutation{{Table: record.TableSystem, Key: []byte(record.ResolvedKey), Op: record.OpPut, Kind: record.KindBytes}}, nil
		},
		Result: func() []byte { fate = topology.FateNotApplied; return []byte(settled) },
		Repeat: func(b []byte) error {
			if string(b) == settled { // by somebody who asked before
				fate = topology.FateNotApplied
			}
			return nil
		},
	}}
	u.Update(ctx, us, topology.WriteOptions{})
	switch r := us[0].Receipt; {
	case us[0].Err != nil:
		return Resolution{}, us[0].Err
	case fate == topology.FateApplied:
		return Resolution{Fate: fate, LSN: r.LSN, Term: r.Term}, nil
	}
	return Resolution{Fate: fate}, nil
}

func settle(ctx context.Context, n remote, req []byte) ([]byte, error) {
	id, err := call.DecodeRequest(req)
	if err != nil {
		return nil, n.malformed("resolve", err)
	}
	r, err := ResolveRequest(ctx, n.Node, id)
	if err != nil {
		return nil, err
	}
	return call.EncodeResolution(r), nil
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
