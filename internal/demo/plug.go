package demo

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// errPulled is what a node meets at its disk once its plug was pulled.
var errPulled = errors.New("the plug was pulled")

// A plug connects one node in this process to its disk and its network. Pulled,
// it does to the node what SIGKILL does to a process: what the node has written
// stays as the kernel has it, nothing is written, synced or renamed any more,
// and its connections are reset without a word. So nothing of an orderly end
// reaches disk or peers, whatever the node tries.
type plug struct {
	mu     sync.Mutex // guards what follows; a leaf
	pulled bool
	open   map[interface{ Close() error }]struct{} // listeners and connections
}

func newPlug() *plug { return &plug{open: map[interface{ Close() error }]struct{}{}} }

// pull cuts disk and network, for good.
func (p *plug) pull() {
	p.mu.Lock()
	open := p.open
	p.open, p.pulled = nil, true
	p.mu.Unlock()
	for c := range open {
		if conn, ok := c.(*pluggedConn); ok {
			_ = conn.SetLinger(0) // the peer meets a reset, not an orderly end
			_ = conn.TCPConn.Close()
			continue
		}
		_ = c.(*pluggedListener).Listener.Close()
	}
}

// err is errPulled once the plug was pulled.
func (p *plug) err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pulled {
		return errPulled
	}
	return nil
}

// hold notes something to close when the plug is pulled; false if it was.
func (p *plug) hold(c interface{ Close() error }) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.pulled {
		p.open[c] = struct{}{}
	}
	return !p.pulled
}

func (p *plug) drop(c interface{ Close() error }) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
}

// conn plugs a connection in.
func (p *plug) conn(c net.Conn) (net.Conn, error) {
	t := &pluggedConn{TCPConn: c.(*net.TCPConn), plug: p}
	if !p.hold(t) {
		_ = c.Close() // nobody has it yet
		return nil, errPulled
	}
	return t, nil
}

// dial is a triad.Config's Dial.
func (p *plug) dial(ctx context.Context, addr string) (net.Conn, error) {
	if err := p.err(); err != nil {
		return nil, err
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return p.conn(c)
}

// listener plugs a listener in.
func (p *plug) listener(l net.Listener) net.Listener {
	t := &pluggedListener{Listener: l, plug: p}
	p.hold(t)
	return t
}

// fs plugs the operating system's file system in.
func (p *plug) fs() vfs.FS { return pluggedFS{FS: vfs.Default, plug: p} }

// pluggedConn keeps the abilities of a TCP connection, half-closing among them.
type pluggedConn struct {
	*net.TCPConn
	plug *plug
}

func (c *pluggedConn) Close() error {
	c.plug.drop(c)
	return c.TCPConn.Close()
}

type pluggedListener struct {
	net.Listener
	plug *plug
}

func (l *pluggedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.plug.conn(c)
}

func (l *pluggedListener) Close() error {
	l.plug.drop(l)
	return l.Listener.Close()
}

// pluggedFS refuses every change once the plug was pulled. Reading harms nobody.
type pluggedFS struct {
	vfs.FS
	plug *plug
}

func (f pluggedFS) Unwrap() vfs.FS { return f.FS }

func (f pluggedFS) file(open func() (vfs.File, error)) (vfs.File, error) {
	if err := f.plug.err(); err != nil {
		return nil, err
	}
	file, err := open()
	if err != nil {
		return nil, err
	}
	return pluggedFile{File: file, plug: f.plug}, nil
}

func (f pluggedFS) change(do func() error) error {
	if err := f.plug.err(); err != nil {
		return err
	}
	return do()
}

func (f pluggedFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file(func() (vfs.File, error) { return f.FS.Create(name, c) })
}

func (f pluggedFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return f.file(func() (vfs.File, error) { return f.FS.OpenReadWrite(name, c, o...) })
}

func (f pluggedFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file(func() (vfs.File, error) { return f.FS.ReuseForWrite(from, to, c) })
}

func (f pluggedFS) OpenDir(name string) (vfs.File, error) {
	return f.file(func() (vfs.File, error) { return f.FS.OpenDir(name) })
}

func (f pluggedFS) Link(from, to string) error {
	return f.change(func() error { return f.FS.Link(from, to) })
}

func (f pluggedFS) Remove(name string) error {
	return f.change(func() error { return f.FS.Remove(name) })
}

func (f pluggedFS) RemoveAll(name string) error {
	return f.change(func() error { return f.FS.RemoveAll(name) })
}

func (f pluggedFS) Rename(from, to string) error {
	return f.change(func() error { return f.FS.Rename(from, to) })
}

func (f pluggedFS) MkdirAll(dir string, perm os.FileMode) error {
	return f.change(func() error { return f.FS.MkdirAll(dir, perm) })
}

type pluggedFile struct {
	vfs.File
	plug *plug
}

func (f pluggedFile) Write(b []byte) (int, error) {
	if err := f.plug.err(); err != nil {
		return 0, err
	}
	return f.File.Write(b)
}

func (f pluggedFile) WriteAt(b []byte, at int64) (int, error) {
	if err := f.plug.err(); err != nil {
		return 0, err
	}
	return f.File.WriteAt(b, at)
}

func (f pluggedFile) Sync() error {
	if err := f.plug.err(); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f pluggedFile) SyncData() error {
	if err := f.plug.err(); err != nil {
		return err
	}
	return f.File.SyncData()
}

func (f pluggedFile) SyncTo(length int64) (bool, error) {
	if err := f.plug.err(); err != nil {
		return false, err
	}
	return f.File.SyncTo(length)
}

func (f pluggedFile) Preallocate(at, length int64) error {
	if err := f.plug.err(); err != nil {
		return err
	}
	return f.File.Preallocate(at, length)
}
