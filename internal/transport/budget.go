package transport

import (
	"sync"
	"time"
)

// purse is the bytes that requests may hold, over all connections. It is safe
// for concurrent use.
type purse struct {
	mu   sync.Mutex
	max  int
	used int
	free chan struct{} // closed at the next release; nil while nobody waits
}

// budget is one connection's access to a purse.
type budget struct {
	purse *purse
	wait  time.Duration // how long to wait for room
	done  <-chan struct{}
}

// acquire takes n bytes, and waits for room.
func (b *budget) acquire(n int) error {
	free := b.purse.take(n)
	if free == nil {
		return nil
	}
	t := time.NewTimer(b.wait)
	defer t.Stop()
	for free != nil {
		select {
		case <-free:
			free = b.purse.take(n)
		case <-t.C:
			return faultf(FaultMemory, "no room for %d more bytes of requests", n)
		case <-b.done:
			return faultf(FaultTruncated, "the connection ended while a request waited for room")
		}
	}
	return nil
}

func (b *budget) release(n int) { b.purse.give(n) }

// take takes n bytes and returns nil, or returns what to wait for.
func (p *purse) take(n int) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n <= 0 || p.used+n <= p.max {
		p.used += n
		return nil
	}
	if p.free == nil {
		p.free = make(chan struct{})
	}
	return p.free
}

func (p *purse) give(n int) {
	if n == 0 {
		return
	}
	p.mu.Lock()
	p.used -= n
	free := p.free
	p.free = nil
	p.mu.Unlock()
	if free != nil {
		close(free)
	}
}

func (p *purse) held() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used
}
