package singleleader

import (
	"context"
	"errors"
	"fmt"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Resolve implements topology.Resolver, on any node: it asks the leader how far
// the group has come, as a linearizable read does, waits until this node shows
// that, and looks at the terms of its own log, which is then the group's. A write
// of the present term that is not committed yet is waited for.
func (rd *reader) Resolve(ctx context.Context, dot version.Dot, term uint64) (topology.Resolution, error) {
	r, err := rd.resolve(ctx, dot, term)
	if err != nil {
		var t *topology.Error
		if !errors.As(rd.readError("resolve", nil, err), &t) {
			return r, err
		}
		known := *t
		known.Outcome, known.Dot, known.Term = topology.Unknown, dot, term
		return r, &known
	}
	return r, nil
}

func (rd *reader) resolve(ctx context.Context, dot version.Dot, term uint64) (topology.Resolution, error) {
	if o := rd.e.group.Load().Origin; dot.Origin != o || dot.Seq == 0 {
		return topology.Resolution{}, fmt.Errorf("%w: %v is no write of this group, which is %v", topology.ErrMalformed, dot, o)
	}
	if err := ctx.Err(); err != nil {
		return topology.Resolution{}, fmt.Errorf("%w: %w", topology.ErrTimeout, err)
	}
	if err := rd.e.broken(); err != nil {
		return topology.Resolution{}, err
	}
	led := rd.e.group.Load().Term
	if err := rd.linearizable(ctx); err != nil {
		return topology.Resolution{}, err
	}
	lsn := record.LSN(dot.Seq)
	for {
		applied := rd.e.applier.applied()
		if at, _ := rd.e.env.Log.History().TermAt(applied); at < led {
			// of an asynchronous group: it has a tail that the leader lacks, and shows it
			return topology.Resolution{}, fmt.Errorf("%w: this node does not follow the leader of term %d yet", topology.ErrUnavailable, led)
		}
		if r, ok := core.FateOf(rd.e.env.Log.History(), applied, lsn, term); ok {
			return r, nil
		}
		if err := rd.e.applier.wait(ctx, applied+1); err != nil {
			return topology.Resolution{}, fmt.Errorf("the write at entry %d is not committed yet: %w", lsn, err)
		}
	}
}
