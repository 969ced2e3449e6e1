package transport

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/triad-kv/triad/topology"
)

// How long accepting rests after it failed, as it does where there are no file
// descriptors left; doubled from the first to the second.
const (
	acceptRestMin = 5 * time.Millisecond
	acceptRestMax = time.Second
)

// accept takes connections until ctx ends or the listener was closed.
func (t *Transport) accept(ctx context.Context) error {
	rest := acceptRestMin
	for {
		conn, err := t.listener.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = conn.Close() // nobody will hear of it
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			t.fault(&FaultError{Fault: FaultAccept, Text: err.Error()}, t.listener.Addr().String(), "")
			if !pause(ctx, rest) {
				return nil
			}
			rest = min(2*rest, acceptRestMax)
			continue
		}
		rest = acceptRestMin
		t.admitConn(ctx, conn)
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// admitConn gives a connection a goroutine, or turns it away.
func (t *Transport) admitConn(ctx context.Context, conn net.Conn) {
	p, err := t.gate.enter(conn.RemoteAddr())
	if err != nil {
		var f *FaultError
		if errors.As(err, &f) {
			t.fault(f, conn.RemoteAddr().String(), "")
		}
		turnAway(conn)
		return
	}
	if !t.group.spawn(func() { defer p.leave(); t.serve(ctx, conn, p) }) {
		p.leave()
		_ = conn.Close() // the transport is closing, and so is the connection
	}
}

// turnAway tells a connection that there is no room for it, as far as that is
// possible without waiting.
func turnAway(conn net.Conn) {
	_ = conn.SetWriteDeadline(time.Now().Add(acceptRestMin))
	_, _ = conn.Write(refusef(RefusedOverloaded, "too many connections").append(nil))
	_ = conn.Close()
}

// serve goes through the hello and serves a connection until it ends.
func (t *Transport) serve(ctx context.Context, conn net.Conn, p *pass) {
	free, ok := t.group.hold(func() { _ = conn.Close() })
	defer free()
	if !ok {
		return
	}
	l, ln, err := t.welcome(conn, p)
	p.settled()
	if err != nil {
		t.rejected(conn.RemoteAddr().String(), err)
		return
	}
	young := t.after(t.limits.ConnAgeMax, func() { l.end(aged()) })
	defer young()
	if l.peer.Role == topology.PeerNode {
		t.pool.encourage(l.peer.ID)
	}
	if l.class == classControl {
		newServer(t, ln).serve(ctx)
	} else {
		t.serveStream(ctx, l)
	}
	t.claims.remove(l)
	t.report(l)
}

// serveStream runs a stream's handler, and tells the other side how it ended.
func (t *Transport) serveStream(ctx context.Context, l *link) {
	s := newStream(t, l)
	if !t.group.spawn(s.attend) {
		l.end(topology.ErrClosed)
		return
	}
	err := t.routes.stream(l.protocol)(ctx, s)
	if err != nil && !s.ended() && ctx.Err() == nil {
		t.log.Info("a stream's handler failed", "protocol", l.protocol, "peer", string(l.peer.ID), "error", err)
	}
	if ctx.Err() != nil {
		err = nil // this side ends, in order
	}
	s.finish(err)
	<-s.done
}
