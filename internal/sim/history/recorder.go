package history

import (
	"sync"
	"time"
)

// Recorder collects operations from many clients. It may be used from any
// goroutine; an operation costs it one clock reading and one short lock a side.
type Recorder struct {
	now func() time.Duration

	mu  sync.Mutex // guards ops
	ops []Op       // Ops[id-1]
}

// NewRecorder returns an empty recorder. now is the clock of the history: it
// must never go back. Nil is the time since this call.
func NewRecorder(now func() time.Duration) *Recorder {
	if now == nil {
		began := time.Now()
		now = func() time.Duration { return time.Since(began) }
	}
	return &Recorder{now: now}
}

// Begin records that op is about to be asked, and returns it with its ID and
// its time. Until [Recorder.End] its outcome is Unknown.
func (r *Recorder) Begin(op Op) Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	op.ID, op.Invoke, op.Return, op.Outcome = uint64(len(r.ops)+1), r.now(), 0, Unknown
	r.ops = append(r.ops, op)
	return op
}

// End records the answer to what Begin returned, with everything its client
// was told in op, and returns it with its time.
func (r *Recorder) End(op Op) Op {
	now := r.now() // before the lock: waiting for it is no part of the operation
	r.mu.Lock()
	defer r.mu.Unlock()
	op.Invoke, op.Return = r.ops[op.ID-1].Invoke, max(now, 1)
	r.ops[op.ID-1] = op
	return op
}

// Ops returns a copy of what is recorded so far, by ID. What has not ended is
// Unknown and has no Return.
func (r *Recorder) Ops() []Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Op(nil), r.ops...)
}

// Len returns how many operations were begun.
func (r *Recorder) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ops)
}
