package server

import (
	"container/list"
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"
)

// cursors remember where scans stand. A cursor is a number to a client, and a
// key is not: so a scan under way has an entry here, with the place it stands at
// and the one before, so that a page may be asked for again. The entries are
// bounded, the oldest used goes first, and one that is not continued expires.
//
// A cursor is 47 bits that name the scan, drawn at random so that none can be
// guessed, and 16 that count its pages.
type cursors struct {
	limits Limits

	mu    sync.Mutex // guards what follows; a leaf
	scans map[uint64]*list.Element
	order *list.List // of *scan, the last used first
	bytes int
}

// scan is one scan under way.
type scan struct {
	name  uint64
	step  uint16
	again bool        // at[1] is a position
	at    [2]position // the newest first
	used  time.Time
	bytes int
}

// position is where a scan goes on: at a key of a table, by its place in the
// order that tables are scanned in.
type position struct {
	table int
	key   []byte // the first that is not yet returned; owned by the scan
}

const cursorStepBits = 16

func newCursors(l Limits) *cursors {
	return &cursors{limits: l, scans: map[uint64]*list.Element{}, order: list.New()}
}

// find returns the position of a cursor, false if it is forged or has expired.
// 0 is the beginning.
func (cs *cursors) find(cursor uint64, now time.Time) (position, bool) {
	if cursor == 0 {
		return position{}, true
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.expire(now)
	e := cs.scans[cursor>>cursorStepBits]
	if e == nil {
		return position{}, false
	}
	s := e.Value.(*scan)
	switch uint16(cursor) {
	case s.step:
		return s.at[0], true
	case s.step - 1:
		return s.at[1], s.again
	}
	return position{}, false
}

// advance notes that the scan of a cursor, or with 0 a new one, goes on at p,
// and returns the cursor for that.
func (cs *cursors) advance(cursor uint64, p position, now time.Time) uint64 {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	var s *scan
	if e := cs.scans[cursor>>cursorStepBits]; e != nil && cursor != 0 {
		s = e.Value.(*scan)
		cs.order.MoveToFront(e)
		if uint16(cursor) == s.step { // else the page was asked for again
			s.step, s.at[1], s.again = s.step+1, s.at[0], true
		}
	} else {
		s = &scan{name: cs.draw(), step: 1}
		cs.scans[s.name] = cs.order.PushFront(s)
	}
	s.at[0], s.used = p, now
	cs.bytes -= s.bytes
	s.bytes = len(s.at[0].key) + len(s.at[1].key)
	cs.bytes += s.bytes
	for cs.order.Len() > cs.limits.CursorsMax || cs.bytes > cs.limits.CursorBytesMax && cs.order.Len() > 1 {
		cs.drop(cs.order.Back())
	}
	return s.name<<cursorStepBits | uint64(s.step)
}

// end forgets the scan of a cursor: it is done.
func (cs *cursors) end(cursor uint64) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if e := cs.scans[cursor>>cursorStepBits]; e != nil {
		cs.drop(e)
	}
}

func (cs *cursors) expire(now time.Time) {
	for e := cs.order.Back(); e != nil && now.Sub(e.Value.(*scan).used) > cs.limits.CursorTimeout; e = cs.order.Back() {
		cs.drop(e)
	}
}

func (cs *cursors) drop(e *list.Element) {
	s := e.Value.(*scan)
	cs.order.Remove(e)
	delete(cs.scans, s.name)
	cs.bytes -= s.bytes
}

// draw returns a name that no scan has.
func (cs *cursors) draw() uint64 {
	for {
		var b [8]byte
		_, _ = rand.Read(b[:])
		n := binary.LittleEndian.Uint64(b[:]) >> (1 + cursorStepBits)
		if _, taken := cs.scans[n]; n != 0 && !taken {
			return n
		}
	}
}
