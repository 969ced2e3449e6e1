//go:build linux

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"github.com/triad-kv/triad/internal/link"
)

// loopback is a network of addresses on loopback, where every node reaches every
// other through a proxy of its own, over a link that can be cut one way.
type loopback struct {
	subnet  string // the first three bytes
	proxies map[way]*proxy
}

// newLoopback makes the network; the proxies listen until close.
func newLoopback() (*loopback, error) {
	pid := os.Getpid()
	n := &loopback{subnet: fmt.Sprintf("127.%d.%d", 101+pid%100, pid/100%250), proxies: map[way]*proxy{}}
	for _, from := range ids {
		for _, to := range others(from) {
			p, err := newProxy(at(n.view(from, to), portPeers), at(n.addr(to), portPeers))
			if err != nil {
				return nil, errors.Join(err, n.close())
			}
			n.proxies[way{from, to}] = p
		}
	}
	return n, nil
}

func (n *loopback) addr(id string) string { return fmt.Sprintf("%s.%d", n.subnet, place(id)+1) }

func (n *loopback) view(from, to string) string {
	if from == to {
		return n.addr(to)
	}
	return fmt.Sprintf("%s.%d%d", n.subnet, place(from)+1, place(to)+1)
}

func (n *loopback) space(string) string { return "" }

// cut stops bytes that go these ways, on whichever side's connection.
func (n *loopback) cut(_ context.Context, ways []way) error {
	dropped := map[way]bool{}
	for _, w := range ways {
		dropped[w] = true
	}
	for w, p := range n.proxies {
		p.link.Drop(dropped[w], dropped[way{w.to, w.from}])
	}
	return nil
}

func (n *loopback) slow(context.Context, string, int) error { return errNotHere }

func (n *loopback) close() error {
	var errs []error
	for _, p := range n.proxies {
		errs = append(errs, p.close())
	}
	return errors.Join(errs...)
}

// proxy passes connections on over a link.
type proxy struct {
	link   *link.Link
	listen net.Listener
	to     string
	wait   sync.WaitGroup

	mu    sync.Mutex // guards what follows; a leaf
	ended bool
	open  map[net.Conn]struct{}
}

func newProxy(from, to string) (*proxy, error) {
	l, err := link.New(link.Options{}, link.Options{})
	if err != nil {
		return nil, err
	}
	p := &proxy{link: l, to: to, open: map[net.Conn]struct{}{}}
	if p.listen, err = net.Listen("tcp", from); err != nil {
		return nil, err
	}
	p.wait.Go(p.accept)
	return p, nil
}

func (p *proxy) accept() {
	for {
		c, err := p.listen.Accept()
		if err != nil {
			return // closed
		}
		p.wait.Go(func() { p.pass(c) })
	}
}

// pass is one connection, until either side ends it or the proxy is closed.
func (p *proxy) pass(near net.Conn) {
	if !p.keep(near) {
		return
	}
	defer p.drop(near)
	ctx, cancel := context.WithTimeout(context.Background(), dialWait)
	defer cancel()
	far, err := p.link.Dial(ctx, func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", p.to)
	})
	if err != nil || !p.keep(far) {
		return
	}
	defer p.drop(far)
	var wait sync.WaitGroup
	wait.Go(func() { _, _ = io.Copy(near, far); _ = near.Close() }) // either end ends both
	_, _ = io.Copy(far, near)
	_ = far.Close()
	wait.Wait()
}

// keep notes a connection that close is to close, unless it is too late.
func (p *proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		_ = c.Close() // nobody has it
		return false
	}
	p.open[c] = struct{}{}
	return true
}

func (p *proxy) drop(c net.Conn) {
	p.mu.Lock()
	delete(p.open, c)
	p.mu.Unlock()
	_ = c.Close() // perhaps again
}

func (p *proxy) close() error {
	err := p.listen.Close()
	p.mu.Lock()
	p.ended = true
	for c := range p.open {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.link.Heal()
	p.wait.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 2*link.LingerTimeout)
	defer cancel()
	return errors.Join(err, p.link.Drain(ctx))
}
