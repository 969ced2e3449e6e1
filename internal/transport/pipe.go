package transport

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// pipeBytesMax is what one direction of a connection in memory holds.
const pipeBytesMax = 256 << 10

// pipe is one direction of a connection of a Network: bounded, with the faults
// of its direction. Its lock is a leaf.
type pipe struct {
	n   *Network
	dir direction

	mu       sync.Mutex
	parcels  []parcel // sent, not yet taken, in order
	held     int      // bytes of parcels
	writeEnd bool     // nothing more is written
	readEnd  bool     // nobody reads any more
	reset    bool     // the writer is gone without an end
	broken   bool     // by the network
	endAt    time.Time
	changed  chan struct{} // closed at the next change; nil while nobody waits
}

// parcel is bytes that arrive at some time.
type parcel struct {
	bytes []byte
	at    time.Time
}

func newPipe(n *Network, d direction) *pipe { return &pipe{n: n, dir: d} }

// wait returns a channel that is closed at the next change. The lock is held.
func (p *pipe) wait() <-chan struct{} {
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return p.changed
}

func (p *pipe) signal() {
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// write puts up to all of b into the pipe, and returns what to wait for if none
// of it fits.
func (p *pipe) write(b []byte) (n int, wait <-chan struct{}, err error) {
	path, healed := p.n.path(p.dir)
	back, _ := p.n.path(direction{p.dir.to, p.dir.from})
	lag := p.n.lag(path.Road)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.broken:
		return 0, nil, os.NewSyscallError("write", syscall.ECONNRESET)
	case p.writeEnd:
		return 0, nil, net.ErrClosed
	case p.readEnd && !path.cut && !back.cut:
		return 0, nil, os.NewSyscallError("write", syscall.EPIPE)
	case p.held >= pipeBytesMax && p.readEnd:
		return 0, healed, nil
	case p.held >= pipeBytesMax:
		return 0, p.wait(), nil
	}
	n = min(len(b), pipeBytesMax-p.held)
	p.parcels = append(p.parcels, parcel{bytes: append([]byte(nil), b[:n]...), at: time.Now().Add(lag)})
	p.held += n
	p.signal()
	return n, nil, nil
}

// read takes bytes that have arrived, or returns what to wait for, until when.
func (p *pipe) read(b []byte) (n int, wait []<-chan struct{}, until time.Time, err error) {
	path, healed := p.n.path(p.dir)
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	switch {
	case p.readEnd:
		return 0, nil, time.Time{}, net.ErrClosed
	case p.broken:
		return 0, nil, time.Time{}, os.NewSyscallError("read", syscall.ECONNRESET)
	case path.cut:
		return 0, []<-chan struct{}{healed, p.wait()}, time.Time{}, nil
	case p.reset:
		return 0, nil, time.Time{}, os.NewSyscallError("read", syscall.ECONNRESET)
	case len(p.parcels) == 0 && p.writeEnd && !now.Before(p.endAt):
		return 0, nil, time.Time{}, io.EOF
	case len(p.parcels) == 0 && p.writeEnd:
		return 0, []<-chan struct{}{healed, p.wait()}, p.endAt, nil
	case len(p.parcels) == 0:
		return 0, []<-chan struct{}{healed, p.wait()}, time.Time{}, nil
	case now.Before(p.parcels[0].at):
		return 0, []<-chan struct{}{healed, p.wait()}, p.parcels[0].at, nil
	}
	for n < len(b) && len(p.parcels) > 0 && !now.Before(p.parcels[0].at) {
		first := &p.parcels[0]
		m := copy(b[n:], first.bytes)
		n += m
		if first.bytes = first.bytes[m:]; len(first.bytes) == 0 {
			p.parcels = p.parcels[1:]
		}
	}
	p.held -= n
	p.signal()
	return n, nil, time.Time{}, nil
}

// endWrite ends the pipe behind what was written, or at once with a reset.
func (p *pipe) endWrite(reset bool) {
	path, _ := p.n.path(p.dir)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.writeEnd {
		p.writeEnd, p.reset = true, reset
		p.endAt = time.Now().Add(path.Delay)
	}
	p.signal()
}

// cutShort breaks the pipe for both sides, with what is in it.
func (p *pipe) cutShort() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken, p.parcels, p.held = true, nil, 0
	p.signal()
}

// endRead throws away what is in the pipe and what still comes.
func (p *pipe) endRead() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.readEnd = true
	p.parcels, p.held = nil, 0
	p.signal()
}

// memoryConn is one end of a connection of a Network.
type memoryConn struct {
	n             *Network
	local, remote memoryAddr
	in, out       *pipe
	readBy        deadline
	writeBy       deadline
	once          sync.Once
}

func newMemoryConn(n *Network, local, remote string, in, out *pipe) *memoryConn {
	return &memoryConn{n: n, local: memoryAddr(local), remote: memoryAddr(remote), in: in, out: out}
}

func (c *memoryConn) Read(b []byte) (int, error) {
	for {
		late := c.readBy.passed()
		if isClosed(late) {
			return 0, c.fail("read", os.ErrDeadlineExceeded)
		}
		n, wait, until, err := c.in.read(b)
		if n > 0 || err == io.EOF || len(b) == 0 {
			return n, err
		}
		if err != nil {
			return 0, c.fail("read", err)
		}
		await(wait, until, late)
	}
}

// await returns once one of wait is closed, until has come, or late is closed.
func await(wait []<-chan struct{}, until time.Time, late <-chan struct{}) {
	var arrives <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		arrives = t.C
	}
	select {
	case <-wait[0]:
	case <-wait[1]:
	case <-arrives:
	case <-late:
	}
}

func (c *memoryConn) Write(b []byte) (int, error) {
	sent := 0
	for len(b) > 0 {
		late := c.writeBy.passed()
		if isClosed(late) {
			return sent, c.fail("write", os.ErrDeadlineExceeded)
		}
		n, wait, err := c.out.write(b[sent:])
		if sent += n; err != nil {
			return sent, c.fail("write", err)
		}
		if sent == len(b) {
			return sent, nil
		}
		if n == 0 {
			select {
			case <-wait:
			case <-late:
			}
		}
	}
	return 0, nil
}

func (c *memoryConn) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: memoryNet, Source: c.local, Addr: c.remote, Err: err}
}

func (c *memoryConn) Close() error {
	err := c.fail("close", net.ErrClosed)
	c.once.Do(func() {
		err = nil
		c.out.endWrite(false)
		c.in.endRead()
		c.readBy.stop()
		c.writeBy.stop()
		c.n.forget(c)
	})
	return err
}

// abort closes with a reset.
func (c *memoryConn) abort() {
	c.out.endWrite(true)
	_ = c.Close() // closed before or now
}

// CloseWrite says that nothing more will be written.
func (c *memoryConn) CloseWrite() error { c.out.endWrite(false); return nil }

func (c *memoryConn) LocalAddr() net.Addr                { return c.local }
func (c *memoryConn) RemoteAddr() net.Addr               { return c.remote }
func (c *memoryConn) SetReadDeadline(t time.Time) error  { return c.readBy.set(t) }
func (c *memoryConn) SetWriteDeadline(t time.Time) error { return c.writeBy.set(t) }
func (c *memoryConn) SetDeadline(t time.Time) error {
	if err := c.readBy.set(t); err != nil {
		return err
	}
	return c.writeBy.set(t)
}

// deadline is a time after which a channel is closed. The zero value never comes.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	late  chan struct{} // replaced once it was closed
	over  bool          // it is set no more
}

func (d *deadline) set(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return net.ErrClosed
	}
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	// Whoever waits looks again, with the new deadline.
	if d.late != nil && !isClosed(d.late) {
		close(d.late)
	}
	late := make(chan struct{})
	d.late = late
	if t.IsZero() {
		return nil
	}
	if left := time.Until(t); left > 0 {
		d.timer = time.AfterFunc(left, func() { d.come(late) })
		return nil
	}
	close(late)
	return nil
}

// stop ends the deadline with its connection.
func (d *deadline) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = true
	if d.timer != nil {
		d.timer.Stop()
	}
}

// come closes late, unless set has.
func (d *deadline) come(late chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.late == late && !isClosed(late) {
		close(late)
	}
}

// passed returns a channel that is closed once the deadline has come, or was
// set anew.
func (d *deadline) passed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.late == nil {
		d.late = make(chan struct{})
	}
	return d.late
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
