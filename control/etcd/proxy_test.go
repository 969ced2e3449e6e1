package etcd_test

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// proxy stands between a backend and a member, and does to their bytes what a
// network can: hold them, drop them, deliver them after the one who sent them has
// given up. HTTP/2 leaves keys and bodies readable, so a request is known by what
// it carries.
type proxy struct {
	t      *testing.T
	l      net.Listener
	target string
	wait   sync.WaitGroup

	mu     sync.Mutex
	cond   *sync.Cond
	frozen bool // nothing passes, on new connections neither
	needle []byte
	fault  fault
	hit    chan struct{}
	every  int // cut a connection after so many answers; 0: never
	count  int
	pairs  []*pair
}

// fault is what happens once a request with the needle comes by.
type fault uint8

const (
	dropAnswers  fault = iota // the request passes, and nothing comes back on its connection
	holdRequests              // it is held, with what follows it on its connection, until release
)

// pair is a connection and its continuation.
type pair struct {
	client, server net.Conn
	held, dropped  bool
	seen           bytes.Buffer // what the server sent since it was dropped
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{t: t, l: l, target: target}
	p.cond = sync.NewCond(&p.mu)
	p.wait.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.mu.Lock()
		p.frozen = false
		for _, c := range p.pairs {
			c.held = false
			_, _ = c.client.Close(), c.server.Close()
		}
		p.cond.Broadcast()
		p.mu.Unlock()
		p.wait.Wait()
	})
	return p
}

func (p *proxy) at() string { return p.l.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		c := &pair{client: client, server: server}
		p.mu.Lock()
		p.pairs = append(p.pairs, c)
		p.mu.Unlock()
		p.wait.Go(func() { p.requests(c) })
		p.wait.Go(func() { p.answers(c) })
	}
}

// requests carries what the client sends. What is held is still read, so that the
// end of the client is seen.
func (p *proxy) requests(c *pair) {
	chunks := make(chan []byte, 1024)
	p.wait.Go(func() {
		defer close(chunks)
		for {
			b := make([]byte, 32<<10)
			n, err := c.client.Read(b)
			if n > 0 {
				p.look(c, b[:n])
				chunks <- b[:n]
			}
			if err != nil {
				return
			}
		}
	})
	for b := range chunks {
		p.mu.Lock()
		for p.frozen || c.held {
			p.cond.Wait()
		}
		p.mu.Unlock()
		_, _ = c.server.Write(b) // a server that is gone is seen by answers
	}
	p.mu.Lock()
	keep := c.dropped // its answers are still of interest
	p.mu.Unlock()
	if !keep {
		_ = c.server.Close()
	}
}

// look makes the fault take place if b is what it waits for.
func (p *proxy) look(c *pair, b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.needle == nil || !bytes.Contains(b, p.needle) {
		return
	}
	p.needle = nil
	c.dropped, c.held = true, p.fault == holdRequests
	close(p.hit)
}

// answers carries what the server sends.
func (p *proxy) answers(c *pair) {
	b := make([]byte, 32<<10)
	for {
		n, err := c.server.Read(b)
		p.mu.Lock()
		for p.frozen {
			p.cond.Wait()
		}
		dropped := c.dropped
		if dropped {
			c.seen.Write(b[:n])
			p.cond.Broadcast()
		}
		p.count++
		cut := p.every > 0 && p.count%p.every == 0
		p.mu.Unlock()
		if n > 0 && !dropped && !cut {
			_, _ = c.client.Write(b[:n]) // a client that is gone is seen by requests
		}
		if err != nil || cut {
			_ = c.client.Close()
			return
		}
	}
}

// arm makes f happen once to the first request that carries needle, and returns a
// channel that is closed then.
func (p *proxy) arm(f fault, needle string) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.needle, p.hit = f, []byte(needle), make(chan struct{})
	return p.hit
}

// cut ends the client's side of every connection.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.pairs {
		_ = c.client.Close()
	}
}

// cutEvery ends a connection in the place of every n-th answer.
func (p *proxy) cutEvery(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.every = n
}

// freeze holds everything until thaw.
func (p *proxy) freeze(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = yes
	p.cond.Broadcast()
}

// release delivers what was held, and waits until the server has answered it with
// something that carries want.
func (p *proxy) release(want string) {
	p.t.Helper()
	late := time.AfterFunc(patience, func() { p.cut(); p.cond.Broadcast() })
	defer late.Stop()
	end := time.Now().Add(patience)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.pairs {
		c.held = false
	}
	p.cond.Broadcast()
	for time.Now().Before(end) {
		for _, c := range p.pairs {
			if bytes.Contains(c.seen.Bytes(), []byte(want)) {
				return
			}
		}
		p.cond.Wait()
	}
	p.t.Errorf("what was held was not answered with %q", want)
}
