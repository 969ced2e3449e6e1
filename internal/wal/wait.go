package wal

import (
	"slices"

	"github.com/triad-kv/triad/record"
)

// waiter waits for a position in the log. Its channel has room for the one
// answer it gets, so whoever wakes it never blocks.
type waiter struct {
	lsn  record.LSN
	done chan error
}

// waitList holds those who wait for one of the log's positions. They are a
// handful (senders, the applier, a notifier), so it is a slice; each is woken
// once, when its own position is reached, and told if it never will be.
type waitList struct {
	ws   []*waiter
	free []*waiter
}

func (q *waitList) add(lsn record.LSN) *waiter {
	var w *waiter
	if n := len(q.free); n > 0 {
		w, q.free = q.free[n-1], q.free[:n-1]
	} else {
		w = &waiter{done: make(chan error, 1)}
	}
	w.lsn = lsn
	q.ws = append(q.ws, w)
	return w
}

// leave takes back a waiter that was answered, or whose caller gave up.
func (q *waitList) leave(w *waiter) {
	if i := slices.Index(q.ws, w); i >= 0 {
		q.ws = slices.Delete(q.ws, i, i+1)
	}
	select {
	case <-w.done: // an answer that came too late
	default:
	}
	if len(q.free) < waitersKept {
		q.free = append(q.free, w)
	}
}

// reach wakes those who wait for lsn or less.
func (q *waitList) reach(lsn record.LSN) { q.wake(0, lsn, nil) }

// fail wakes those who wait for more than lsn, with an error.
func (q *waitList) fail(above record.LSN, err error) { q.wake(above+1, ^record.LSN(0), err) }

func (q *waitList) wake(from, to record.LSN, err error) {
	if len(q.ws) == 0 {
		return
	}
	q.ws = slices.DeleteFunc(q.ws, func(w *waiter) bool {
		hit := from <= w.lsn && w.lsn <= to
		if hit {
			w.done <- err
		}
		return hit
	})
}

// all wakes everybody.
func (q *waitList) all(err error) { q.wake(0, ^record.LSN(0), err) }

// cuts remembers how far the log was cut back, so that a reader can tell
// whether what it has read is still there.
type cuts struct {
	count  uint64
	lowest [cutsKept]record.LSN
}

func (c *cuts) add(keep record.LSN) {
	c.lowest[c.count%cutsKept] = keep
	c.count++
}

// since returns the lowest LSN that was the end of the log after a cut since
// count was seen; the highest LSN there is if there was none. It is 0 if there
// were more cuts than are remembered.
func (c *cuts) since(count uint64) record.LSN {
	if c.count-count > cutsKept {
		return 0
	}
	low := ^record.LSN(0)
	for ; count < c.count; count++ {
		low = min(low, c.lowest[count%cutsKept])
	}
	return low
}
