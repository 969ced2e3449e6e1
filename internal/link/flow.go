package link

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// parcelBytes is what a parcel counts beside its bytes, so that many small ones
// are bounded too.
const parcelBytes = 64

// parcel is what one write brought, and when it is due.
type parcel struct {
	bytes []byte
	due   time.Time
}

// flow is one direction of one connection: a bounded queue between who puts and
// who takes, each one goroutine at a time or more.
type flow struct {
	lane *lane
	most int

	mu      sync.Mutex // guards what follows; a leaf
	parcels []parcel   // in order, due in order
	held    int        // bytes of parcels, with what they count beside
	latest  time.Time  // when the newest was due
	end     error      // what take returns behind the parcels; nil while the flow goes on
	endDue  time.Time
	fault   error // of put and take, at once
	deaf    bool  // what is put is dropped: nobody takes any more
	putBy   time.Time
	takeBy  time.Time
	changed chan struct{} // closed at the next change; nil while nobody waits
}

func newFlow(l *lane) *flow { return &flow{lane: l, most: l.o.QueueBytes()} }

// change runs f on the state and tells everybody who waits for it.
func (f *flow) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
	f.signal()
}

func (f *flow) signal() {
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}

// waiting returns what is closed at the next change. The lock is held.
func (f *flow) waiting() <-chan struct{} {
	if f.changed == nil {
		f.changed = make(chan struct{})
	}
	return f.changed
}

// due is when n bytes that are sent now are due: behind all that was sent before. The
// lock is held.
func (f *flow) due(n int) time.Time {
	if at := time.Now().Add(f.lane.lag(n)); at.After(f.latest) {
		f.latest = at
	}
	return f.latest
}

// finish ends the flow behind what was put: take then returns err.
func (f *flow) finish(err error) {
	f.change(func() {
		if f.end == nil {
			f.end, f.endDue = err, f.due(0)
		}
	})
}

// abandon ends the flow at once and drops what is in it.
func (f *flow) abandon(err error) {
	f.change(func() {
		if f.fault == nil {
			f.fault, f.parcels, f.held = err, nil, 0
		}
	})
}

// mute drops what is in the flow and what will be put: take fails.
func (f *flow) mute() {
	f.change(func() { f.deaf, f.parcels, f.held = true, nil, 0 })
}

func (f *flow) setPutBy(t time.Time)  { f.change(func() { f.putBy = t }) }
func (f *flow) setTakeBy(t time.Time) { f.change(func() { f.takeBy = t }) }

// put queues b, or as much of it as it could until its deadline.
func (f *flow) put(b []byte) (n int, err error) {
	for {
		did, wait, by, err := f.putSome(b[n:])
		n += did
		if err != nil || n == len(b) && wait == nil {
			return n, err
		}
		if wait != nil {
			await(wait, nil, by)
		}
	}
}

// putSome queues what fits now; if nothing does, wait is closed when that may
// have changed.
func (f *flow) putSome(b []byte) (n int, wait <-chan struct{}, by time.Time, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.fault != nil:
		return 0, nil, by, f.fault
	case f.end != nil:
		return 0, nil, by, net.ErrClosed
	case late(f.putBy):
		return 0, nil, by, os.ErrDeadlineExceeded
	case f.deaf:
		return len(b), nil, by, nil
	case len(b) == 0:
		return 0, nil, by, nil
	case f.held+parcelBytes >= f.most:
		return 0, f.waiting(), f.putBy, nil
	}
	n = min(len(b), f.most-f.held-parcelBytes)
	f.parcels = append(f.parcels, parcel{bytes: append([]byte(nil), b[:n]...), due: f.due(n)})
	f.held += n + parcelBytes
	f.signal()
	return n, nil, by, nil
}

// take fills b with what has arrived, and waits until something has.
func (f *flow) take(b []byte) (int, error) {
	for {
		n, wait, until, err := f.takeSome(b)
		if n > 0 || err != nil || len(b) == 0 {
			return n, err
		}
		await(wait[0], wait[1], until)
	}
}

// takeSome takes what has arrived; if nothing has, what to wait for, and until
// when at most.
func (f *flow) takeSome(b []byte) (n int, wait [2]<-chan struct{}, until time.Time, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.fault != nil:
		return 0, wait, until, f.fault
	case f.deaf:
		return 0, wait, until, net.ErrClosed
	case late(f.takeBy):
		return 0, wait, until, os.ErrDeadlineExceeded
	}
	until = f.takeBy
	wait[0] = f.waiting()
	next := f.endDue
	if len(f.parcels) > 0 {
		next = f.parcels[0].due
	} else if f.end == nil {
		return 0, wait, until, nil
	}
	at, cut, changed := f.lane.arrives(next)
	wait[1] = changed
	switch {
	case cut:
		return 0, wait, until, nil
	case time.Until(at) > 0:
		if until.IsZero() || at.Before(until) {
			until = at
		}
		return 0, wait, until, nil
	case len(f.parcels) == 0:
		return 0, wait, until, f.end
	}
	return f.takeDue(b), wait, until, nil
}

// takeDue copies what is due from the parcels, of which the first is. The lock is
// held.
func (f *flow) takeDue(b []byte) (n int) {
	for now := time.Now(); n < len(b) && len(f.parcels) > 0; {
		first := &f.parcels[0]
		if n > 0 && first.due.After(now) {
			break
		}
		m := copy(b[n:], first.bytes)
		n += m
		f.held -= m
		if first.bytes = first.bytes[m:]; len(first.bytes) == 0 {
			f.held -= parcelBytes
			*first = parcel{}
			f.parcels = f.parcels[1:]
		}
	}
	f.signal()
	return n
}

// late reports whether a deadline has passed.
func late(by time.Time) bool { return !by.IsZero() && time.Until(by) <= 0 }

// await returns once a or b is closed, or a time has come unless it is zero.
func await(a, b <-chan struct{}, until time.Time) {
	var comes <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		comes = t.C
	}
	select {
	case <-a:
	case <-b:
	case <-comes:
	}
}

var _ io.Reader = flowReader{}

// flowReader reads what is taken.
type flowReader struct{ *flow }

func (r flowReader) Read(b []byte) (int, error) { return r.take(b) }
