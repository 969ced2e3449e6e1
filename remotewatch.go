package triad

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/topology"
)

// watch serves the feed of a remote client: its request, then changes one a
// message, while the client says what it has taken in. The stream's own windows
// are all that is buffered: a client that does not read is waited for.
func (n remote) watch(ctx context.Context, s topology.Stream) error {
	b, err := s.Recv()
	if err != nil {
		return err
	}
	f := feed{Node: n.Node}
	f.table, f.o, err = call.DecodeWatch(append([]byte(nil), b...))
	if err != nil {
		return s.Send(call.FeedError(n.malformed("watch", err)))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var hear sync.WaitGroup
	defer hear.Wait()
	defer func() { _ = s.Close() }() // which ends the hearing, and not before all was sent
	a := &acks{f: &f, begun: make(chan struct{})}
	hear.Go(func() { cancel(a.hear(s)) })
	var lost error
	err = f.run(ctx, func(c Change) bool {
		a.ready()
		lost = s.Send(call.FeedChange(&c))
		return lost == nil
	})
	switch cause := context.Cause(ctx); {
	case lost != nil:
		return lost
	case cause != nil && errors.Is(cause, io.EOF), err == nil:
		return nil // the client has had enough
	}
	return s.Send(call.FeedError(n.errorOf("watch", f.table, nil, err)))
}

// acks are what a client says that it has taken in, which may come before the feed
// is ready for it.
type acks struct {
	f     *feed
	begun chan struct{} // closed once the feed yields
	once  sync.Once
}

func (a *acks) ready() { a.once.Do(func() { close(a.begun) }) }

// hear passes on what comes, and returns why nothing does any more.
func (a *acks) hear(s topology.Stream) error {
	for {
		b, err := s.Recv()
		if err != nil {
			return err
		}
		c, err := call.DecodeChange(b)
		if err != nil {
			return notApplied(err)
		}
		select {
		case <-a.begun:
			a.f.consumed(c)
		default:
			return notApplied(fmt.Errorf("it takes in what was not sent yet: %w", topology.ErrMalformed))
		}
	}
}

// slot answers a node or a client that asks for a change of a slot.
func (n remote) slot(ctx context.Context, req []byte) ([]byte, error) {
	m, err := call.DecodeSlotRequest(req)
	if err != nil {
		return nil, n.malformed("slot", err)
	}
	if err := n.gate.enter(ctx); err != nil {
		return nil, n.errorOf("slot", m.Table, nil, notApplied(err))
	}
	defer n.gate.leave()
	s, err := n.catalogue.slots.change(ctx, &m)
	if err != nil {
		return nil, n.errorOf("slot", m.Table, nil, err)
	}
	return call.EncodeSlots([]Slot{s}), nil
}

func slotsOf(ctx context.Context, n remote, req []byte) ([]byte, error) {
	if err := call.DecodeNothing(req); err != nil {
		return nil, n.malformed("slots", err)
	}
	all, err := n.Slots().List(ctx)
	if err != nil {
		return nil, err
	}
	return call.EncodeSlots(all), nil
}
