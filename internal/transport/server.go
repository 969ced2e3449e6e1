package transport

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/triad-kv/triad/topology"
)

// workersKeptMax is how many idle goroutines a connection keeps for its next calls.
const workersKeptMax = 8

// server is the end of a control connection that answers calls.
type server struct {
	*line
	t      *Transport
	lastID uint64         // of the reader alone
	queue  chan request   // to a worker that is free
	team   sync.WaitGroup // of workers

	mu      sync.Mutex
	workers int
	idle    int                           // −1 while the reader waits for the first that is free
	open    map[uint64]context.CancelFunc // calls without an answer; nil until a worker has it
}

// request is one call on its way to a worker.
type request struct {
	id       uint64
	until    time.Time // zero: its caller waits for ever
	handle   topology.CallHandler
	body     []byte
	reserved int // bytes of the budget that it holds
}

func newServer(t *Transport, l *line) *server {
	l.in.room = &budget{purse: &t.requests, wait: t.limits.ReadTimeout, done: l.done}
	return &server{line: l, t: t, queue: make(chan request), open: map[uint64]context.CancelFunc{}}
}

// serve answers calls until the line ends or ctx does, and waits for handlers.
func (s *server) serve(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { s.end(topology.ErrClosed) })
	defer stop()
	s.run(func(f frame) error {
		switch f.kind {
		case kindCall:
			return s.onCall(ctx, f)
		case kindCancel:
			return s.onCancel(f)
		}
		return faultf(FaultKind, "a frame of kind %d among calls", f.kind)
	})
	s.out.close()
	cancel()
	s.team.Wait()
}

func (s *server) onCall(ctx context.Context, f frame) error {
	owned, reserved, err := s.in.own(f.payload)
	if err != nil {
		return err
	}
	l, err := readLetter(kindCall, owned)
	if err == nil && l.id <= s.lastID {
		err = faultf(FaultDuplicate, "request id %d came after %d", l.id, s.lastID)
	}
	if err != nil {
		s.t.requests.give(reserved)
		return err
	}
	s.lastID = l.id
	handle, err := s.t.routes.call(l.method, s.peer.Role)
	if err != nil {
		s.t.requests.give(reserved)
		s.t.counts.denied.Add(1)
		return s.reply(ctx, &letter{kind: kindFailure, id: l.id, body: topology.AppendError(nil, s.t.failed(opCall(l.method), topology.NotApplied, err))})
	}
	r := request{id: l.id, handle: handle, body: l.body, reserved: reserved}
	if l.wait > 0 {
		r.until = time.Now().Add(time.Duration(l.wait) * time.Millisecond)
	}
	return s.hand(ctx, r)
}

// hand gives r to a worker: an idle one, a new one, or the first that is free.
// While it waits nothing is read, which is how a caller that asks too much is
// slowed down; so it does while replies are not taken.
func (s *server) hand(ctx context.Context, r request) error {
	for room := s.out.congestion(); room != nil; room = s.out.congestion() {
		select {
		case <-room:
		case <-s.done:
			s.t.requests.give(r.reserved)
			return s.cause
		}
	}
	s.mu.Lock()
	s.open[r.id] = nil
	fresh := s.idle == 0 && s.workers < s.t.limits.HandlersMax
	if fresh {
		s.workers++
	} else {
		s.idle--
	}
	s.mu.Unlock()
	if fresh {
		s.team.Go(func() { s.work(ctx, r) })
		return nil
	}
	select {
	case s.queue <- r:
		return nil
	case <-s.done:
		s.t.requests.give(r.reserved)
		return s.cause
	}
}

// work answers r, and further requests while it is kept.
func (s *server) work(ctx context.Context, r request) {
	for {
		s.answer(ctx, r)
		s.mu.Lock()
		keep := s.idle < workersKeptMax
		if keep {
			s.idle++
		} else {
			s.workers--
		}
		s.mu.Unlock()
		if !keep {
			return
		}
		select {
		case r = <-s.queue:
		case <-s.done:
			return
		}
	}
}

func (s *server) answer(ctx context.Context, r request) {
	defer s.t.requests.give(r.reserved)
	cctx, cancel := contextOf(ctx, r.until)
	defer cancel()
	if !s.begin(r.id, cancel) || !r.until.IsZero() && !time.Now().Before(r.until) {
		s.finish(r.id)
		return // its caller waits no more: it is not executed
	}
	s.t.counts.calls.Add(1)
	body, err := r.handle(cctx, s.peer, r.body)
	if !s.finish(r.id) {
		return
	}
	l := &letter{kind: kindReply, id: r.id, body: body}
	if most := s.t.limits.FrameBytesMax - letterRoom; err == nil && len(body) > most {
		err = s.t.failed("", topology.Unknown, fmt.Errorf("the answer of %d bytes: %w: at most %d", len(body), topology.ErrTooLarge, most))
	}
	if err != nil {
		l.kind, l.body = kindFailure, topology.AppendError(nil, err)
	}
	if err := s.reply(ctx, l); err != nil {
		s.end(err)
	}
}

func contextOf(ctx context.Context, until time.Time) (context.Context, context.CancelFunc) {
	if until.IsZero() {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, until)
}

// begin notes how a call is cancelled; false if it has been already.
func (s *server) begin(id uint64, cancel context.CancelFunc) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, there := s.open[id]
	if there {
		s.open[id] = cancel
	}
	return there
}

// finish forgets a call; false if it was cancelled.
func (s *server) finish(id uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, there := s.open[id]
	delete(s.open, id)
	return there
}

func (s *server) onCancel(f frame) error {
	l, err := readLetter(kindCancel, f.payload)
	if err != nil {
		return err
	}
	s.mu.Lock()
	cancel := s.open[l.id]
	delete(s.open, l.id)
	s.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	return nil
}

// reply puts an answer in the outbox, and waits for room. It ends with the line:
// its writer gives up on a caller that takes nothing.
func (s *server) reply(ctx context.Context, l *letter) error {
	for {
		if _, p := s.out.put(l); p != full {
			return nil // placed, or nobody is there to read it
		}
		room := s.out.vacancy(l.size())
		if room == nil {
			continue
		}
		select {
		case <-room:
		case <-s.done:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}
