package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/triad-kv/triad"
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
}

// inside is a node in this process, on a loopback socket and a real directory.
type inside struct {
	plug   *plug
	cancel context.CancelFunc
	done   chan struct{}
	err    error // of Run and Close; set before done is closed
}

// liveInside opens a node and runs it.
func liveInside(s Spec, l *net.TCPListener, logger *slog.Logger) (life, error) {
	p := newPlug()
	c, err := s.Config(p.listener(l), logger)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	c.FS, c.Dial = p.fs(), p.dial
	n, err := triad.Open(c)
	if err != nil {
		return nil, err // Open has closed the listener
	}
	ctx, cancel := context.WithCancel(context.Background())
	i := &inside{plug: p, cancel: cancel, done: make(chan struct{})}
	go i.live(ctx, n)
	return i, nil
}

func (i *inside) live(ctx context.Context, n *triad.Node) {
	defer close(i.done)
	err := n.Run(ctx)
	if err == nil && ctx.Err() == nil {
		err = errEndedEarly
	}
	i.err = errors.Join(err, n.Close())
}

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
	i.plug.pull()
	i.cancel()
	select {
	case <-i.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("it does not end: %w", context.Cause(ctx))
	}
}
