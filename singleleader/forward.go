package singleleader

import (
	"context"
	"errors"
	"fmt"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// forwarded reads at a node that follows: the leader is asked for the place to wait for.
type forwarded struct{ *reader }

// follow returns once the store shows everything that was acknowledged before the call,
// by the leader's round, or by its lease where want is content with that. A node that
// shows what another leader has replaced since waits until it is taken back.
func (f forwarded) follow(ctx context.Context, want topology.Guarantee) error {
	for {
		at, err := f.ask(ctx, want)
		switch {
		case err != nil:
			return err
		case at.Term == 0: // a leader of an older version, or a log without an entry
			return f.e.applier.wait(ctx, at.LSN)
		}
		if err := f.Wait(ctx, at); !errors.Is(err, topology.ErrRewound) {
			return err
		}
	}
}

// ask asks the leader for a place, and in which term it was written.
func (f forwarded) ask(ctx context.Context, want topology.Guarantee) (at topology.Token, err error) {
	g := f.e.group.Load()
	if g.Leader == "" {
		return at, fmt.Errorf("%w: no leader is known yet", topology.ErrUnavailable)
	}
	if g.Leader == f.e.env.Self {
		return at, fmt.Errorf("%w: this node is named leader and has not started its term yet", topology.ErrUnavailable)
	}
	ctx, cancel := context.WithTimeout(ctx, f.e.o.CallTimeout)
	defer cancel()
	req := pack.NewWriter(nil)
	req.Uint(uint64(want))
	b, err := f.e.env.Transport.Call(ctx, g.Leader, methodRead, req.Bytes())
	if err != nil {
		return at, fmt.Errorf("the leader %s: %w", g.Leader, err)
	}
	body := pack.NewReader(b)
	at.Origin, at.LSN = g.Origin, record.LSN(body.Uint())
	if len(body.Rest()) > 0 {
		at.Term = body.Uint()
	}
	return at, body.Done()
}

// answerRead answers a follower that was asked for a linearizable read. One of an older
// version sends nothing, and is told no term.
func (rd *reader) answerRead(ctx context.Context, _ topology.Peer, req []byte) ([]byte, error) {
	want, err := wanted(req)
	if err != nil {
		return nil, err
	}
	var lsn record.LSN
	if want == topology.ReadLeased {
		lsn, _, err = lessee{rd}.index(ctx)
	} else {
		lsn, err = rd.index(ctx)
	}
	if err != nil {
		return nil, rd.readError("read index", nil, err)
	}
	w := pack.NewWriter(nil)
	w.Uint(uint64(lsn))
	if len(req) > 0 {
		term, _ := rd.e.env.Log.History().TermAt(lsn)
		w.Uint(term)
	}
	return w.Bytes(), nil
}

// wanted reads what a follower asks for.
func wanted(req []byte) (topology.Guarantee, error) {
	if len(req) == 0 {
		return topology.ReadLinearizable, nil
	}
	r := pack.NewReader(req)
	want := topology.Guarantee(r.UintMax(uint64(topology.ReadLeased)))
	if err := r.Done(); err != nil {
		return want, fmt.Errorf("%w: %w", topology.ErrMalformed, err)
	}
	return want, nil
}
