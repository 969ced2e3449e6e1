package transport

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/triad-kv/triad/topology"
)

// caller is the end of a control connection that calls.
type caller struct {
	*line
	t    *Transport
	born time.Time

	mu      sync.Mutex
	lastID  uint64
	waiting map[uint64]*question // what has no answer yet
	idle    []*question          // for use again, at most idleQuestionsMax
	begun   uint64               // once the line has ended: up to where bytes may have left
	retired bool                 // nothing more is asked, and it ends with the last answer
}

const idleQuestionsMax = 64

// question is a call that waits for its answer, which comes once, or never if
// the question was withdrawn before.
type question struct {
	answer chan answer // of one
	at     uint64      // where it begins in all that was put in the outbox
	method string
}

type answer struct {
	body []byte
	err  error
}

func newCaller(t *Transport, l *link) *caller {
	return &caller{line: newLine(l, &t.limits, t.journal), t: t, born: time.Now(), waiting: map[uint64]*question{}}
}

// serve reads answers until the line ends, and answers what is left.
func (c *caller) serve() {
	c.run(c.take)
	begun := c.out.close()
	c.mu.Lock()
	c.begun = begun
	left := c.waiting
	c.waiting = nil
	c.mu.Unlock()
	for _, q := range left {
		q.answer <- answer{err: c.broken(q)}
	}
}

// broken is the error of a question on a line that has ended.
func (c *caller) broken(q *question) error {
	outcome := topology.Unknown
	if q.at >= c.begun {
		outcome = topology.NotApplied
	}
	return c.t.failed(opCall(q.method), outcome, c.lost())
}

// lost is the ground of what fails on a line that has ended.
func (c *caller) lost() error {
	return fmt.Errorf("the connection to %s was lost: %w", name(c.peer), lost(c.cause))
}

func (c *caller) take(f frame) error {
	if f.kind != kindReply && f.kind != kindFailure {
		return faultf(FaultKind, "a frame of kind %d in answer to calls", f.kind)
	}
	l, err := readLetter(f.kind, f.payload)
	if err != nil {
		return err
	}
	q := c.withdraw(l.id)
	if q == nil {
		c.t.counts.lateReplies.Add(1)
		return nil
	}
	if l.kind == kindFailure {
		q.answer <- answer{err: topology.ReadError(l.body)}
		return nil
	}
	q.answer <- answer{body: c.keep(f.payload, l.body)}
	return nil
}

// keep returns body, the end of payload, as its receiver's.
func (c *caller) keep(payload, body []byte) []byte {
	if !c.in.inBulk {
		return append(make([]byte, 0, len(body)), body...)
	}
	_, _, _ = c.in.own(payload) // without a budget it cannot fail
	return body
}

// withdraw takes a question back; nil if it has been answered, or never was.
func (c *caller) withdraw(id uint64) *question {
	c.mu.Lock()
	q := c.waiting[id]
	delete(c.waiting, id)
	over := c.retired && len(c.waiting) == 0
	c.mu.Unlock()
	if over {
		c.end(aged())
	}
	return q
}

// retire ends the line once what was asked has been answered.
func (c *caller) retire() {
	c.mu.Lock()
	c.retired = true
	over := len(c.waiting) == 0
	c.mu.Unlock()
	if over {
		c.end(aged())
	}
}

// call asks and waits for the answer.
func (c *caller) call(ctx context.Context, method string, req []byte) ([]byte, error) {
	id, q, err := c.ask(ctx, method, req)
	if err == errRetired {
		return nil, err
	}
	if err != nil {
		return nil, c.t.failed(opCall(method), topology.NotApplied, err)
	}
	select {
	case a := <-q.answer:
		c.recycle(q)
		return a.body, a.err
	case <-ctx.Done():
	}
	if c.withdraw(id) == nil { // its answer is on the way to us
		a := <-q.answer
		c.recycle(q)
		return a.body, a.err
	}
	c.recycle(q)
	c.out.put(&letter{kind: kindCancel, id: id})
	return nil, c.t.failed(opCall(method), topology.Unknown, expired(ctx))
}

// ask puts a call in the outbox. If it fails, nothing was sent.
func (c *caller) ask(ctx context.Context, method string, req []byte) (uint64, *question, error) {
	wait, err := waitOf(ctx)
	if err != nil {
		return 0, nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.retired {
		return 0, nil, errRetired
	}
	if c.waiting == nil {
		return 0, nil, c.lost()
	}
	if most := c.t.limits.InFlightMax; len(c.waiting) >= most {
		c.t.counts.overloaded.Add(1)
		return 0, nil, fmt.Errorf("%w: %d calls to %s wait for their answers", topology.ErrOverloaded, most, name(c.peer))
	}
	l := letter{kind: kindCall, id: c.lastID + 1, method: method, wait: wait, body: req}
	at, p := c.out.put(&l)
	switch p {
	case full:
		c.t.counts.overloaded.Add(1)
		return 0, nil, fmt.Errorf("%w: more than %d bytes wait to be sent to %s", topology.ErrOverloaded, c.out.max, name(c.peer))
	case gone:
		return 0, nil, fmt.Errorf("the connection to %s was lost: %w", name(c.peer), topology.ErrUnavailable)
	}
	c.lastID = l.id
	q := c.question(at, method)
	c.waiting[l.id] = q
	return l.id, q, nil
}

func (c *caller) question(at uint64, method string) *question {
	n := len(c.idle)
	if n == 0 {
		return &question{answer: make(chan answer, 1), at: at, method: method}
	}
	q := c.idle[n-1]
	c.idle = c.idle[:n-1]
	q.at, q.method = at, method
	return q
}

// recycle keeps a question to which no answer can come any more.
func (c *caller) recycle(q *question) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.idle) < idleQuestionsMax {
		c.idle = append(c.idle, q)
	}
}

// waitOf returns how long ctx lets a call wait, in milliseconds; 0 is for ever.
func waitOf(ctx context.Context) (uint64, error) {
	if ctx.Err() != nil {
		return 0, expired(ctx)
	}
	until, ok := ctx.Deadline()
	if !ok {
		return 0, nil
	}
	left := time.Until(until)
	if left <= 0 {
		return 0, fmt.Errorf("%w: %w", topology.ErrTimeout, context.DeadlineExceeded)
	}
	return min(uint64((left+time.Millisecond-1)/time.Millisecond), waitMax), nil
}

// expired is the ground of an operation whose context has ended.
func expired(ctx context.Context) error {
	return fmt.Errorf("%w: %w", topology.ErrTimeout, context.Cause(ctx))
}

// name is how a peer is called in errors.
func name(p topology.Peer) string {
	if p.ID == "" {
		return p.Addr
	}
	return fmt.Sprintf("%s (%s)", p.ID, p.Addr)
}
