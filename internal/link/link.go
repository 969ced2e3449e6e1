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
	Shaped         bool          // all connections together pass no more than that
	Loss           float64       // the share of writes, below 1, that are lost on the way and sent once more
}

// RetransmitAfter is how much later what was lost arrives, or a round trip if that is
// longer: as TCP does where little else is under way.
const RetransmitAfter = 200 * time.Millisecond

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
	case o.Loss < 0 || o.Loss >= 1:
		return fmt.Errorf("link: a loss of %v: it is a share, from 0 to less than 1", o.Loss)
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

// Call does something at the far place that takes a message there and one back, as a
// call of a client: do runs once the first has arrived, and Call returns once the second
// has. It reports whether do was run, beside its error; where it was, and ctx ends before
// the answer is back, nobody knows what came of it.
func (l *Link) Call(ctx context.Context, do func(context.Context) error) (done bool, err error) {
	if err := l.there.cross(ctx); err != nil {
		return false, err
	}
	err = do(ctx)
	if lost := l.back.cross(ctx); lost != nil {
		return true, lost
	}
	return true, err
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
	free    time.Time // when a shaped line has carried what was given to it
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

// lag is the delay of n bytes that are sent now.
func (l *lane) lag(n int) time.Duration {
	if l.o.Jitter == 0 && l.o.Loss == 0 && !l.o.Shaped {
		return l.o.Delay
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.o.Delay + l.queued(n)
	if l.o.Jitter > 0 {
		d += time.Duration(l.draw.Int64N(int64(l.o.Jitter)))
	}
	if l.o.Loss > 0 && l.draw.Float64() < l.o.Loss {
		d += max(RetransmitAfter, 2*l.o.Delay)
	}
	return d
}

// queued is how long n bytes wait until a shaped line has carried them. The lock is
// held.
func (l *lane) queued(n int) time.Duration {
	if !l.o.Shaped {
		return 0
	}
	rate := l.o.BytesPerSecond
	if rate == 0 {
		rate = bytesPerSecondDefault
	}
	now := time.Now()
	if l.free.Before(now) {
		l.free = now
	}
	l.free = l.free.Add(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
	return l.free.Sub(now)
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
	due := time.Now().Add(l.lag(0))
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
