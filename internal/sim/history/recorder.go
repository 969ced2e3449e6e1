package history

import (
	"slices"
	"sync"
	"time"
)

// Recorder collects operations from many clients. It may be used from any
// goroutine; an operation costs it one clock reading and one short lock a side.
type Recorder struct {
	now func() time.Duration

	mu    sync.Mutex // guards what follows
	pages [][]Op     // of pageOps each; never moved, as moving millions of them would stop every goroutine meanwhile
	count int
}

// pageOps is how many operations are kept in one piece.
const pageOps = 1024

// op returns the place of an operation. Its caller has the lock.
func (r *Recorder) op(id uint64) *Op { return &r.pages[(id-1)/pageOps][(id-1)%pageOps] }

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
	if r.count%pageOps == 0 {
		r.pages = append(r.pages, make([]Op, 0, pageOps))
	}
	r.count++
	op.ID, op.Invoke, op.Return, op.Outcome = uint64(r.count), r.now(), 0, Unknown
	last := &r.pages[len(r.pages)-1]
	*last = append(*last, op)
	return op
}

// End records the answer to what Begin returned, with everything its client
// was told in op, and returns it with its time.
func (r *Recorder) End(op Op) Op {
	now := r.now() // before the lock: waiting for it is no part of the operation
	r.mu.Lock()
	defer r.mu.Unlock()
	have := r.op(op.ID)
	op.Invoke, op.Return = have.Invoke, max(now, 1)
	*have = op
	return op
}

// Ops returns a copy of what is recorded so far, by ID. What has not ended is
// Unknown and has no Return.
func (r *Recorder) Ops() []Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Concat(r.pages...)
}

// Len returns how many operations were begun.
func (r *Recorder) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}
