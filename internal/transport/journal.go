package transport

import (
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/triad-kv/triad/topology"
)

// journal counts what happens and tells it to the log. It is safe for
// concurrent use.
type journal struct {
	log      *slog.Logger
	counts   counts
	throttle throttle
}

// fault counts a fault and logs it, in one line.
func (j *journal) fault(f *FaultError, addr string, peer topology.NodeID) {
	j.counts.faults[f.Fault].Add(1)
	if f.Fault == FaultAge {
		j.log.Debug("a connection was closed", "reason", f.Fault.String(), "text", f.Text, "addr", addr, "peer", string(peer))
		return
	}
	j.warn("a connection was closed", f.Fault.String(), f.Text, addr, peer)
}

// refused counts a refusal and logs it, in one line.
func (j *journal) refused(r *Refusal, addr string, peer topology.NodeID) {
	if r.ByPeer {
		j.warn("a connection was refused by the other side", r.Code.String(), r.Text, addr, peer)
		return
	}
	j.counts.refusals[r.Code].Add(1)
	j.warn("a connection was refused", r.Code.String(), r.reason(), addr, peer)
}

func (j *journal) warn(what, kind, why, addr string, peer topology.NodeID) {
	ok, leftOut := j.throttle.admit(what+kind, time.Now())
	if !ok {
		return
	}
	j.log.Warn(what, "reason", kind, "text", why, "addr", addr, "peer", string(peer), "left-out", leftOut)
}

// rejected counts and logs why a connection was not taken in.
func (j *journal) rejected(addr string, err error) {
	var f *FaultError
	var r *Refusal
	switch {
	case errors.As(err, &r):
		j.refused(r, addr, "")
	case errors.As(err, &f):
		j.fault(f, addr, "")
	default:
		j.log.Debug("a connection ended before its hello", "addr", addr, "error", err)
	}
}

// report counts and logs why a link ended, unless that is in order.
func (j *journal) report(l *link) {
	var f *FaultError
	var r *Refusal
	switch {
	case errors.As(l.cause, &r):
		j.refused(r, l.peer.Addr, l.peer.ID)
	case errors.As(l.cause, &f):
		j.fault(f, l.peer.Addr, l.peer.ID)
	case errors.Is(l.cause, io.EOF), errors.Is(l.cause, topology.ErrClosed):
	default:
		j.log.Debug("a connection was lost", "peer", string(l.peer.ID), "addr", l.peer.Addr, "error", l.cause)
	}
}

// What a storm of bad connections may write to the log: so many lines of one
// kind in one window; the rest is counted.
const (
	logLinesMax = 10
	logWindow   = 10 * time.Second
)

// throttle keeps the log readable in a storm. It is safe for concurrent use.
type throttle struct {
	mu    sync.Mutex
	kinds map[string]*window
}

type window struct {
	since time.Time
	lines int
	more  int
}

// admit reports whether a line of that kind may be written, and how many were
// left out since the last window.
func (t *throttle) admit(kind string, now time.Time) (ok bool, leftOut int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kinds == nil {
		t.kinds = map[string]*window{}
	}
	w := t.kinds[kind]
	if w == nil || now.Sub(w.since) >= logWindow {
		if w != nil {
			leftOut = w.more
		}
		t.kinds[kind] = &window{since: now, lines: 1}
		return true, leftOut
	}
	if w.lines >= logLinesMax {
		w.more++
		return false, 0
	}
	w.lines++
	return true, 0
}
