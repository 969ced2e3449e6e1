package link

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Limits of what is under way in one direction of one connection, and of delays.
const (
	QueueBytesMin = 256 << 10
	QueueBytesMax = 64 << 20
	DelayMax      = time.Minute

	bytesPerSecondDefault = 1e9 / 8 // a line of 1 Gbit/s
)

// LingerTimeout is how long after its delay a closed connection may still deliver
// what was written to it.
const LingerTimeout = 2 * time.Second

// Options are one direction of a link. The zero value delays nothing.
type Options struct {
	Delay          time.Duration // of every byte, one way; at most DelayMax
	Jitter         time.Duration // up to so much more, drawn for every write
	Seed           uint64        // of what is drawn
	BytesPerSecond int64         // what the line carries, which bounds what is under way; default that of 1 Gbit/s
}

// QueueBytes is how much is under way at most: the product of bandwidth and delay,
// not less than QueueBytesMin and not more than QueueBytesMax.
func (o Options) QueueBytes() int {
	rate := o.BytesPerSecond
	if rate == 0 {
		rate = bytesPerSecondDefault
	}
	product := float64(rate) * (o.Delay + o.Jitter).Seconds()
	return int(max(QueueBytesMin, min(QueueBytesMax, product)))
}

func (o Options) check() error {
	switch {
	case o.Delay < 0 || o.Jitter < 0 || o.BytesPerSecond < 0:
		return fmt.Errorf("link: delay %v, jitter %v, %d bytes a second: none may be negative", o.Delay, o.Jitter, o.BytesPerSecond)
	case o.Delay > DelayMax || o.Jitter > DelayMax:
		return fmt.Errorf("link: delay %v, jitter %v: at most %v", o.Delay, o.Jitter, DelayMax)
	}
	return nil
}

// Link is what lies between two places: a lane there and one back. Its methods may
// be called from any goroutine.
type Link struct {
	there, back *lane
	open        openConns
}

// New makes a link that is whole. there are the bytes towards the far place, back
// those from it.
func New(there, back Options) (*Link, error) {
	if err := errors.Join(there.check(), back.check()); err != nil {
		return nil, err
	}
	return &Link{there: newLane(there), back: newLane(back)}, nil
}

// Cut stops everything on the way, until Heal.
func (l *Link) Cut() { l.Drop(true, true) }

// Heal makes a cut link whole.
func (l *Link) Heal() { l.Drop(false, false) }

// Drop says for each direction alone whether it is cut.
func (l *Link) Drop(there, back bool) {
	l.there.set(there)
	l.back.set(back)
}

// Delay is how long a byte takes there and back, without jitter.
func (l *Link) Delay() (there, back time.Duration) { return l.there.o.Delay, l.back.o.Delay }

// Dial makes a connection to the far place by dial, and returns it once the round
// trip of setting it up is over.
func (l *Link) Dial(ctx context.Context, dial func(context.Context) (net.Conn, error)) (net.Conn, error) {
	if err := l.there.cross(ctx); err != nil {
		return nil, err
	}
	c, err := dial(ctx)
	if crossed := l.back.cross(ctx); crossed != nil && err == nil {
		_ = c.Close() // nobody has it yet
		err = crossed
	}
	if err != nil {
		return nil, err
	}
	return l.Conn(c), nil
}

// Conn wraps a connection to the far place, whose owner it becomes.
func (l *Link) Conn(c net.Conn) net.Conn { return l.open.wrap(c, l.there, l.back) }

// Listener wraps a listener whose connections come from the far place.
func (l *Link) Listener(inner net.Listener) net.Listener { return &listener{Listener: inner, link: l} }

type listener struct {
	net.Listener
	link *Link
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.link.open.wrap(c, l.link.back, l.link.there), nil
}

// Drain returns once every connection that was closed has delivered what was
// written to it, or given that up, or ctx has ended.
func (l *Link) Drain(ctx context.Context) error { return l.open.drain(ctx) }

// errCut is why a connection is not made.
var errCut = errors.New("the link is cut")

// lane is one direction of a link.
type lane struct {
	o Options

	mu      sync.Mutex // guards what follows; a leaf
	draw    *rand.Rand
	cut     bool
	healed  time.Time     // when it last was
	changed chan struct{} // closed at the next Cut or Heal
}

func newLane(o Options) *lane {
	return &lane{o: o, draw: rand.New(rand.NewPCG(o.Seed, o.Seed)), changed: make(chan struct{})}
}

func (l *lane) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut == cut {
		return
	}
	if l.cut = cut; !cut {
		l.healed = time.Now()
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

// lag is the delay of what is sent now.
func (l *lane) lag() time.Duration {
	if l.o.Jitter == 0 {
		return l.o.Delay
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.o.Delay + time.Duration(l.draw.Int64N(int64(l.o.Jitter)))
}

// arrives is when something arrives that is due at a time: never sooner than a
// delay after the last Heal, never while the lane is cut. The channel is closed
// when the answer may be another one.
func (l *lane) arrives(due time.Time) (at time.Time, cut bool, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.healed.IsZero() {
		if again := l.healed.Add(l.o.Delay); again.After(due) {
			due = again
		}
	}
	return due, l.cut, l.changed
}

// cross returns once something sent now has arrived.
func (l *lane) cross(ctx context.Context) error {
	due := time.Now().Add(l.lag())
	for {
		at, cut, changed := l.arrives(due)
		left := time.Until(at)
		if !cut && left <= 0 {
			return nil
		}
		t := time.NewTimer(max(left, 0))
		on := t.C
		if cut {
			on = nil
		}
		select {
		case <-on:
		case <-changed:
		case <-ctx.Done():
			t.Stop()
			if cut {
				return &net.OpError{Op: "dial", Net: "link", Err: fmt.Errorf("%w: %w", errCut, ctx.Err())}
			}
			return &net.OpError{Op: "dial", Net: "link", Err: ctx.Err()}
		}
		t.Stop()
	}
}
