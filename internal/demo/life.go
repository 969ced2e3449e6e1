package demo

import (
	"context"
	"fmt"

	"github.com/triad-kv/triad/internal/plug"
)

// A life is one run of a node, from its start to its end.
type life interface {
	// ended is closed when the node has ended, by itself or not.
	ended() <-chan struct{}
	// reason is why it ended: nil if in order. It is known once it has ended.
	reason() error
	// stop ends it in order and waits for that, as long as ctx lasts.
	stop(ctx context.Context) error
	// kill ends it at once, with nothing flushed and nobody told, and waits.
	kill(ctx context.Context) error
	// tell has it do what Wires.Obey does, and returns once it has.
	tell(ctx context.Context, line string) error
}

// inside is a node in this process, on a loopback socket and a real directory.
type inside struct {
	*Alive
	plug   *plug.Plug
	cancel context.CancelFunc
	done   chan struct{}
	err    error // of Run; set before done is closed
}

// liveInside opens a node and runs it.
func liveInside(s Start) (life, error) {
	p := plug.New(plug.Options{})
	s.Peers = p.Listener(s.Peers)
	if s.Clients != nil {
		s.Clients = p.Listener(s.Clients)
	}
	s.fs, s.below = p.FS(), p.Dial
	a, err := s.Open()
	if err != nil {
		return nil, err // Open has closed the listeners
	}
	ctx, cancel := context.WithCancel(context.Background())
	i := &inside{Alive: a, plug: p, cancel: cancel, done: make(chan struct{})}
	go i.live(ctx)
	return i, nil
}

func (i *inside) live(ctx context.Context) {
	defer close(i.done)
	i.err = i.Run(ctx)
	if i.err == nil && ctx.Err() == nil {
		i.err = errEndedEarly
	}
}

func (i *inside) tell(_ context.Context, line string) error { return i.Obey(line) }

func (i *inside) ended() <-chan struct{} { return i.done }

func (i *inside) reason() error { return i.err }

func (i *inside) stop(ctx context.Context) error {
	i.cancel()
	select {
	case <-i.done:
		return i.err
	case <-ctx.Done():
		return fmt.Errorf("it does not end: %w", context.Cause(ctx))
	}
}

// kill pulls the plug first. What the node then complains of is no news.
func (i *inside) kill(ctx context.Context) error {
	i.plug.Pull()
	i.Restore() // or what a cut link holds would be waited for, which no longer goes anywhere
	i.cancel()
	select {
	case <-i.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("it does not end: %w", context.Cause(ctx))
	}
}
