package plug

import "net"

// breaker is a connection that can be broken without a word.
type breaker interface{ reset() }

// conn plugs a connection in.
func (p *Plug) conn(c net.Conn) (net.Conn, error) {
	t := conn{TCPConn: c.(*net.TCPConn), plug: p}
	var plugged interface {
		net.Conn
		breaker
	}
	if t.self = &t; p.o.Freezes {
		f := &freezing{conn: &t, Conn: &t}
		plugged, t.self = f, f
	} else {
		plugged = &t
	}
	if !p.hold(t.self) {
		_ = c.Close() // nobody has it yet
		return nil, ErrPulled
	}
	return plugged, nil
}

// conn keeps the abilities of a TCP connection, half-closing among them.
type conn struct {
	*net.TCPConn
	plug *Plug
	self interface{ Close() error } // as the plug holds it
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	c.plug.wire.Add(uint64(n))
	if n > 0 {
		c.plug.messages.Add(1)
		late(&c.plug.readLate)
	}
	return n, err
}

func (c *conn) Close() error {
	c.plug.drop(c.self)
	return c.TCPConn.Close()
}

func (c *conn) reset() {
	_ = c.SetLinger(0) // the peer meets a reset, not an orderly end
	_ = c.TCPConn.Close()
}

// freezing is a connection that can be frozen: all that it reads and writes passes
// through it.
type freezing struct {
	net.Conn
	conn *conn
}

func (f *freezing) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	_ = f.conn.plug.pass() // a connection that was reset says so itself
	return n, err
}

func (f *freezing) Write(b []byte) (int, error) {
	_ = f.conn.plug.pass()
	return f.Conn.Write(b)
}

// CloseWrite ends writing.
func (f *freezing) CloseWrite() error { return f.conn.CloseWrite() }

func (f *freezing) reset() { f.conn.reset() }

type listener struct {
	net.Listener
	plug *Plug
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.plug.conn(c)
}

func (l *listener) Close() error {
	l.plug.drop(l)
	return l.Listener.Close()
}
