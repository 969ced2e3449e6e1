package transport

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"github.com/triad-kv/triad/topology"
)

// Transport is a topology.Transport over connections. Its methods may be called
// from any goroutine; Call and Open wait until Run runs.
type Transport struct {
	greeter
	*journal
	listener net.Listener
	dial     func(ctx context.Context, addr string) (net.Conn, error)
	group    *group
	gate     gate
	pool     pool
	requests purse
}

var _ topology.Transport = (*Transport)(nil)

// New returns a transport that does nothing yet. The listener is its own from
// now on: Run closes it.
func New(c Config) (*Transport, error) {
	c, err := c.complete()
	if err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	j := &journal{log: c.Logger}
	t := &Transport{
		greeter: greeter{
			self: c.Self, role: c.Role, life: c.Life, guard: c.Guard, instance: newInstance(), id: c.Identity, members: c.Membership, limits: c.Limits,
			routes: routes{calls: map[string]callRoute{}, streams: map[string]topology.StreamHandler{}, open: map[string]bool{}},
			notes:  j,
		},
		journal:  j,
		listener: c.Listener, dial: c.Dial, group: newGroup(),
		pool:     pool{paths: map[target]*path{}},
		requests: purse{max: c.Limits.RequestBytesMax},
	}
	t.gate.limits = &t.limits
	return t, nil
}

func newInstance() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}

// Run listens and works until ctx ends (nil), the listener fails (the reason),
// or at once if a registration was wrong. It then closes every connection and
// waits for all goroutines, handlers included.
func (t *Transport) Run(ctx context.Context) error {
	misuse := t.routes.seal()
	if !t.group.start() {
		return errors.New("transport: Run was called twice")
	}
	ctx, cancel := context.WithCancel(ctx)
	failed := make(chan error, 1)
	err := misuse
	if err == nil {
		if t.listener != nil {
			t.group.spawn(func() { failed <- t.accept(ctx) })
		}
		select {
		case <-ctx.Done():
		case err = <-failed:
		}
	}
	cancel()
	if t.listener != nil {
		_ = t.listener.Close() // nothing was promised of connections that were not accepted
	}
	t.group.stop()
	if err != nil {
		return fmt.Errorf("transport: %w", err)
	}
	return nil
}

// Call sends req to a method of node to and returns its answer.
func (t *Transport) Call(ctx context.Context, to topology.NodeID, method string, req []byte) ([]byte, error) {
	return t.callTarget(ctx, target{id: to}, method, req)
}

// CallAddr is Call for whatever node of the cluster listens on addr.
func (t *Transport) CallAddr(ctx context.Context, addr, method string, req []byte) ([]byte, error) {
	return t.callTarget(ctx, target{addr: addr}, method, req)
}

func (t *Transport) callTarget(ctx context.Context, to target, method string, req []byte) ([]byte, error) {
	if most := t.limits.FrameBytesMax - letterRoom - len(method); len(req) > most || len(method) > nameBytesMax {
		return nil, t.failed(opCall(method), topology.NotApplied,
			fmt.Errorf("a request of %d bytes, a method of %d: %w: at most %d and %d", len(req), len(method), topology.ErrTooLarge, most, nameBytesMax))
	}
	for {
		c, err := t.callerTo(ctx, to)
		if err != nil {
			return nil, t.failed(opCall(method), topology.NotApplied, err)
		}
		answer, err := c.call(ctx, method, req)
		if err == errRetired { // its place in the pool is free already
			continue
		}
		return answer, err
	}
}

// Open opens a stream to node to.
func (t *Transport) Open(ctx context.Context, to topology.NodeID, protocol string) (topology.Stream, error) {
	if t.role != topology.PeerNode {
		return nil, t.failed("open "+protocol, topology.NotApplied, refusef(RefusedRole, "a client knows nodes by their address alone"))
	}
	return t.open(ctx, target{id: to}, protocol)
}

// OpenAddr is Open to whatever node of the cluster listens on addr. A client opens
// only what a node serves to clients.
func (t *Transport) OpenAddr(ctx context.Context, addr, protocol string) (topology.Stream, error) {
	return t.open(ctx, target{addr: addr}, protocol)
}

func (t *Transport) open(ctx context.Context, to target, protocol string) (topology.Stream, error) {
	s, err := dialStream(ctx, t, to, protocol)
	if err != nil {
		return nil, t.failed("open "+protocol, topology.NotApplied, err)
	}
	return s, nil
}

// dialStream opens a stream on a connection of its own. Errors are grounds: nothing
// was sent.
func dialStream(ctx context.Context, t *Transport, to target, protocol string) (*stream, error) {
	switch {
	case protocol == "" || len(protocol) > nameBytesMax:
		return nil, fmt.Errorf("a protocol of %d bytes: %w: one to %d", len(protocol), topology.ErrTooLarge, nameBytesMax)
	}
	c, err := t.callerTo(ctx, to) // by which the other side can ask whether we live
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, t.limits.HandshakeTimeout)
	defer cancel()
	l, free, err := t.connect(ctx, c.peer.Addr, c.peer.ID, t.hello(classStream, protocol))
	if err != nil {
		return nil, err
	}
	if refusal := t.admit(l, nil); refusal != nil {
		l.refuse(refusal)
		free()
		return nil, refusal
	}
	s := newStream(t, l)
	young := t.after(t.retireAge(), func() { l.end(aged()) })
	if !t.group.spawn(func() { defer free(); s.attend(); young() }) {
		young()
		t.claims.remove(l)
		l.end(topology.ErrClosed)
		return nil, errClosed()
	}
	return s, nil
}

// connect dials addr and goes through the hello. free gives up what the
// transport holds of the connection; the caller calls it once it has ended.
func (t *Transport) connect(ctx context.Context, addr string, want topology.NodeID, mine hello) (l *link, free func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	unhold, ok := t.group.hold(cancel)
	defer unhold()
	if !ok {
		return nil, nil, errClosed()
	}
	t.counts.dials.Add(1)
	defer func() {
		if err != nil {
			t.counts.dialsFailed.Add(1)
		}
	}()
	conn, err := t.dial(ctx, addr)
	if err != nil {
		return nil, nil, dialFault(ctx, t.group.ending, addr, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	l, err = t.greet(conn, addr, want, mine)
	if !stop() && err == nil {
		l.end(topology.ErrClosed)
		err = net.ErrClosed
	}
	if err != nil {
		t.disproved(addr, err)
		return nil, nil, dialFault(ctx, t.group.ending, addr, err)
	}
	free, ok = t.group.hold(func() { l.end(topology.ErrClosed) })
	if !ok {
		return nil, nil, errClosed()
	}
	return l, free, nil
}

// dialFault is the ground of a dial that failed.
func dialFault(ctx context.Context, ending <-chan struct{}, addr string, err error) error {
	select {
	case <-ending:
		return errClosed()
	default:
	}
	if ctx.Err() != nil {
		return fmt.Errorf("dialling %s: %w", addr, expired(ctx))
	}
	var r *Refusal
	if errors.As(err, &r) {
		return fmt.Errorf("dialling %s: %w", addr, err)
	}
	return fmt.Errorf("dialling %s: %w", addr, lost(err))
}

// ready waits until Run runs.
func (t *Transport) ready(ctx context.Context) error {
	if ctx.Err() != nil {
		return expired(ctx)
	}
	select {
	case <-t.group.started:
	case <-ctx.Done():
		return fmt.Errorf("the transport does not run yet: %w", expired(ctx))
	}
	select {
	case <-t.group.ending:
		return errClosed()
	default:
		return nil
	}
}

// failed is the error of an operation at this side.
func (t *Transport) failed(op string, o topology.Outcome, err error) error {
	return &topology.Error{Op: op, Node: t.self, Outcome: o, Err: err}
}

func opCall(method string) string { return "call " + method }

func errClosed() error { return fmt.Errorf("the transport: %w", topology.ErrClosed) }
