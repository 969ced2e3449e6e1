package transport

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/triad-kv/triad/topology"
)

// deadlineSlack is the part of a time-out by which a deadline may be early, so
// that it need not be set for every read and write.
const deadlineSlack = 16

// link is one connection that has been through its hello, or is in it. Control
// lines and streams are built on it.
type link struct {
	conn     net.Conn
	in       *frameReader
	from     *timedReader
	peer     topology.Peer
	instance uint64 // names the other side's process
	class    class
	accepted bool          // the other side dialled
	protocol string        // of a stream
	proven   topology.Peer // what the certificate says: role and id; nothing without a Guard
	features uint64        // of the other side

	done  chan struct{} // closed by end
	once  sync.Once
	cause error // why it ended; read it after done
	pulse pulse
}

func newLink(conn net.Conn) *link {
	l := &link{conn: conn, from: &timedReader{conn: conn}, done: make(chan struct{})}
	l.in = newFrameReader(l.from)
	l.from.heard.Store(time.Now().UnixNano())
	return l
}

// end closes the connection, for cause; the first cause counts.
func (l *link) end(cause error) {
	l.once.Do(func() {
		l.cause = cause
		close(l.done)
		_ = l.conn.Close() // nothing is promised of what was not read yet
	})
}

// ended reports whether the link has ended.
func (l *link) ended() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// silent is how long nothing has been heard from the other side.
func (l *link) silent(now time.Time) time.Duration {
	return time.Duration(now.UnixNano() - l.from.heard.Load())
}

// timedReader reads from a connection and keeps its read deadline ahead. It is
// used by one goroutine.
type timedReader struct {
	conn    net.Conn
	timeout time.Duration // 0: the deadline is somebody else's business
	armed   time.Time     // when the deadline was last set
	closed  atomic.Bool   // nothing more is to be read by the owner
	heard   atomic.Int64  // Unix nanoseconds: when the last bytes were taken
}

func (r *timedReader) Read(p []byte) (int, error) {
	if r.timeout == 0 {
		return r.conn.Read(p)
	}
	now := time.Now()
	r.heard.Store(now.UnixNano())
	if now.Sub(r.armed) > r.timeout/deadlineSlack {
		if err := r.conn.SetReadDeadline(now.Add(r.timeout)); err != nil {
			return 0, err
		}
		r.armed = now
	}
	if r.closed.Load() { // after the deadline: who closes sets them in the other order
		return 0, net.ErrClosed
	}
	return r.conn.Read(p)
}

// pulse lets others learn that a pong came.
type pulse struct {
	mu   sync.Mutex
	beat chan struct{} // closed at the next pong; nil while nobody waits
}

// next returns a channel that is closed at the next pong.
func (p *pulse) next() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.beat == nil {
		p.beat = make(chan struct{})
	}
	return p.beat
}

func (p *pulse) felt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.beat != nil {
		close(p.beat)
		p.beat = nil
	}
}
