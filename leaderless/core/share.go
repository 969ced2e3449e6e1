package core

import (
	"fmt"
	"github.com/triad-kv/triad/leaderless/placement"
	"slices"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// share is what a node keeps of one partition it holds a copy of.
type share struct {
	partition int
	own       version.Origin // under which this node writes to it
	seq       uint64         // of its newest write, in the log
	applied   version.Set    // what is applied, and so durable: exact, not a prefix (L5)
	round     uint64         // of exchanges: the newest
	left      bool           // by the newest map it holds no copy any more
	needs     needs          // that requests of this node have had
	cut       cut            // what all replicas are known to have
}

// tailed is something in the log that is not durable yet, and who waits for it.
type tailed struct {
	lsn     record.LSN
	share   *share
	dot     version.Dot  // of a note, zero
	set     *version.Set // of a note that tells what a state has brought, all of it
	expires version.Dot  // of a delete of what was due, that
	waits   []waiting
}

// waiting is who is to be told; node is this one for a request of its own, op 0
// for nobody.
type waiting struct {
	node  topology.NodeID
	op    uint64
	more  *share // node has more for this share, if its round is still
	round uint64 // this one
}

// append puts a record in the log, and has somebody told once it is durable.
func (c *Core) append(s *share, dot version.Dot, e record.Entry, w waiting) {
	c.End++
	e.LSN, e.Term = c.End, uint64(c.Life)
	c.tail = append(c.tail, tailed{lsn: c.End, share: s, dot: dot, waits: []waiting{w}})
	c.do(Effect{Kind: DoAppend, LSN: c.End, Entry: e})
}

// flushed: the log is durable up to lsn. What stands there is applied, shown to
// readers, and acknowledged from now on (C2).
func (c *Core) flushed(lsn record.LSN) {
	lsn = min(lsn, c.End)
	if lsn <= c.Flushed {
		return
	}
	n := int(lsn - c.Flushed)
	done := slices.Clone(c.tail[:n])
	c.tail = append(c.tail[:0], c.tail[n:]...)
	c.Flushed = lsn
	c.do(Effect{Kind: DoApply, LSN: lsn})
	for _, t := range done {
		if !t.dot.IsZero() {
			t.share.applied.Add(t.dot)
		}
		t.share.applied.Union(t.set)
		for _, w := range t.waits {
			c.durable(w)
		}
	}
}

// retract forgets what is behind lsn: the log did not take it, because its disk is
// full. Nobody has seen it, so a put of this node is not applied.
func retract(c *Core, lsn record.LSN, why error) {
	lsn = max(lsn, c.Flushed)
	gone := slices.Clone(c.tail[min(len(c.tail), int(lsn-c.Flushed)):])
	c.tail, c.End = c.tail[:len(c.tail)-len(gone)], c.End-record.LSN(len(gone))
	for _, t := range slices.Backward(gone) {
		if t.dot.Origin == t.share.own {
			t.share.seq = t.dot.Seq - 1
		}
	}
	for _, t := range gone {
		for _, w := range t.waits {
			if w.node != c.Self {
				c.nack(w.node, w.op, why)
			} else if p := c.putting(w.op); p != nil {
				c.puts = slices.DeleteFunc(c.puts, func(q *put) bool { return q == p })
				c.do(Effect{Kind: DoAnswer, Op: p.op, Answer: Answer{Err: &topology.Error{Op: "put", Node: c.Self, Key: p.key, Outcome: topology.NotApplied, Err: why}}})
			} else if g := c.getting(w.op); g != nil {
				g.failed(c, c.Self, why)
			}
		}
	}
}

// durable tells who waits for it that something is durable here.
func (c *Core) durable(w waiting) {
	switch {
	case w.more != nil && w.more.round == w.round:
		w.more.tell(c, w.node)
	case w.op == 0:
	case w.node != c.Self && c.votes():
		c.send(w.node, Message{Kind: MsgAck, Op: w.op})
	case w.node != c.Self:
		c.nack(w.node, w.op, errMute(c))
	default:
		if p := c.putting(w.op); p != nil {
			p.fanOut(c)
		} else if g := c.getting(w.op); g != nil {
			g.stood(c, c.Self)
		}
	}
}

// takeRecord takes another node's write, once (rule X, second row).
func (c *Core) takeRecord(from topology.NodeID, m *Message) {
	r, s, err := c.admissible(&m.Entry)
	if err != nil {
		c.nack(from, m.Op, err)
		return
	}
	w := waiting{node: from, op: m.Op}
	if m.Full {
		w.more, w.round = s, m.Round
	}
	if s.applied.Has(r.Dot) {
		c.Counts.Duplicates++
		c.durable(w)
		return
	}
	if i := slices.IndexFunc(c.tail, func(t tailed) bool { return t.dot == r.Dot }); i >= 0 {
		c.Counts.Duplicates++
		c.tail[i].waits = append(c.tail[i].waits, w)
		return
	}
	if d, ok := s.unknown(r.Context, r.Dot); ok {
		c.forget(from, d)
		err = errMute(c)
	} else if len(s.applied.Dots) >= c.cfg.Limits.gaps(s.filling(c)) && r.Seq != s.applied.Prefix.Get(r.Origin)+1 {
		err = fmt.Errorf("%w: %s lacks writes to partition %d, and takes those first", topology.ErrOverloaded, c.Self, s.partition)
	} else {
		err = c.room(r.Time)
	}
	if err != nil {
		c.nack(from, m.Op, err)
		return
	}
	c.Counts.Taken++
	c.append(s, r.Dot, m.Entry, w)
}

// admissible decodes a record and finds the share it belongs to.
func (c *Core) admissible(e *record.Entry) (r record.Record, s *share, err error) {
	if r, err = e.Record(); err != nil {
		return r, nil, fmt.Errorf("%w: %w", topology.ErrMalformed, err)
	}
	if r.IsNote() {
		return r, nil, fmt.Errorf("%w: record %v is no write", topology.ErrMalformed, r.Dot)
	}
	if err = writes(r.Mutations); err != nil {
		return r, nil, fmt.Errorf("%w: record %v: %w", topology.ErrMalformed, r.Dot, err)
	}
	if !c.cfg.knows(r.Mutations[0].Table) {
		return r, nil, fmt.Errorf("%w: %s does not know table %d yet", topology.ErrNoTable, c.Self, r.Mutations[0].Table)
	}
	if s = c.share(placement.Of(c.cfg.Map, r.Mutations[0].Table, r.Mutations[0].Key)); s == nil {
		return r, nil, fmt.Errorf("%w: %s holds no copy of key %q under map %d", topology.ErrStale, c.Self, r.Mutations[0].Key, c.cfg.Map.Epoch())
	}
	return r, s, nil
}

// room says whether something of a time may be appended for others, and raises
// the clock to it (C3). What is too far ahead is refused: it stays in its
// sender's log, and comes again.
func (c *Core) room(at version.Timestamp) error {
	if len(c.tail) >= c.cfg.Limits.Unflushed {
		return fmt.Errorf("%w: %d records wait for the disk of %s", topology.ErrOverloaded, len(c.tail), c.Self)
	}
	if err := c.clock.Observe(at); err != nil {
		if c.Counts.Skewed++; c.Counts.Skewed == 1 {
			c.do(Effect{Kind: DoAlarm, Err: err})
		}
		return err
	}
	return nil
}

// note takes what another replica holds of a key (rule X, third row). It is
// nobody's write: a note in the log, which never leaves it.
func (s *share) note(c *Core, cells []Held, w waiting) error {
	r := record.Record{}
	var latest version.Timestamp
	for i := range cells {
		h := &cells[i]
		for _, v := range h.State.Siblings {
			latest = max(latest, v.Time)
			if d, ok := s.unknown(h.State.Context, v.Dot); ok {
				c.forget(w.node, d)
				return errMute(c)
			}
		}
		r.Mutations = append(r.Mutations, record.Mutation{
			Table: h.Table, Key: h.Key, Field: h.Field, Op: record.OpState, Value: c.enc.AppendState(nil, &h.State),
		})
	}
	if len(r.Mutations) == 0 {
		return fmt.Errorf("%w: nothing is held", topology.ErrMalformed)
	}
	if err := c.room(latest); err != nil {
		return err
	}
	r.Time = latest
	b := c.enc.Append(nil, &r)
	c.Counts.Repaired++
	c.append(s, version.Dot{}, record.Entry{Sum: record.Sum(b), Bytes: b}, w)
	return nil
}

// unknown returns a write of this node's share, in this life, that somebody knows
// and it has not made: a sign that it has lost its memory (C1).
func (s *share) unknown(seen *version.Set, more ...version.Dot) (version.Dot, bool) {
	if seen != nil {
		if seq := seen.Prefix.Get(s.own); seq > s.seq {
			return version.Dot{Origin: s.own, Seq: seq}, true
		}
		more = append(more, seen.Dots...)
	}
	i := slices.IndexFunc(more, func(d version.Dot) bool { return d.Origin == s.own && d.Seq > s.seq })
	if i < 0 {
		return version.Dot{}, false
	}
	return more[i], true
}

// forget: another node holds a write of this life that this node does not know.
// It had been durable here, so this node has lost its memory, of others' writes
// too: it neither writes nor votes until it has a new life and has caught up.
func (c *Core) forget(from topology.NodeID, d version.Dot) {
	if c.forgot {
		return
	}
	c.forgot = true
	c.do(Effect{Kind: DoAlarm, Err: fmt.Errorf("%w: %s holds write %v of this node, which it does not know: it has lost durable writes and needs a new incarnation", topology.ErrFailed, from, d)})
	c.do(Effect{Kind: DoIncarnate})
}
