package core

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"

	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// put is a write that this node coordinates.
type put struct {
	op       uint64
	dot      version.Dot
	time     version.Timestamp
	key      []byte
	entry    record.Entry
	replicas []topology.NodeID
	needed   need
	answers  []answered
	sent     bool // to the other replicas

	partition int
	bound     uint64 // the epoch of the partition's last change by the map that says whom it waits for
}

// put takes a client's write, passes it on, or refuses it before it has any
// effect (L1, L2, C9).
func (c *Core) put(ev *Event) {
	if len(ev.Mutations) == 0 {
		c.refuse(ev, "put", nil, fmt.Errorf("%w: nothing is to be written", topology.ErrMalformed))
		return
	}
	at := ev.Mutations[0]
	part := c.cfg.Map.Part(placement.Of(c.cfg.Map, at.Table, at.Key))
	replicas := writers(part)
	s := c.route(ev, at.Table, at.Key, part.Replicas())
	if s == nil {
		return
	}
	needed, err := s.needFor(c, toWrite, ev.Level)
	if err == nil {
		err = s.refusal(c, ev, needed)
	}
	if err != nil {
		c.refuse(ev, "put", at.Key, err)
		return
	}
	if ev.Repair == RepairWriteBack {
		s.survey(c, ev)
		return
	}
	s.seq++
	seen := ev.Context.Seen
	if seen == nil {
		seen = &version.Set{}
	}
	r := record.Record{
		Dot: version.Dot{Origin: s.own, Seq: s.seq}, Time: c.clock.Now(), Term: uint64(c.Life),
		Context: seen, Mutations: ev.Mutations,
	}
	b := c.enc.Append(nil, &r)
	p := &put{
		op: ev.Op, dot: r.Dot, time: r.Time, key: at.Key, replicas: replicas, needed: needed,
		entry: record.Entry{Sum: record.Sum(b), Bytes: b}, partition: part.ID, bound: part.Epoch,
	}
	// One that heard first how late its key is comes after others that were asked later.
	i, _ := slices.BinarySearchFunc(c.puts, p.op, func(q *put, op uint64) int { return cmp.Compare(q.op, op) })
	c.puts = slices.Insert(c.puts, i, p)
	c.append(s, r.Dot, p.entry, waiting{node: c.Self, op: p.op})
}

// route returns this node's share of a key's partition, or passes the request
// on, once, to a replica that is alive (L1).
func (c *Core) route(ev *Event, table record.TableID, key []byte, replicas []topology.NodeID) *share {
	if s := c.share(placement.Of(c.cfg.Map, table, key)); s != nil && (ev.Kind == EvGet || !s.filling(c)) {
		return s // who is being filled does not know yet after what its writes are to sort (C3, L9)
	}
	op := "put"
	if ev.Kind == EvGet {
		op = "get"
	}
	i := slices.IndexFunc(replicas, func(n topology.NodeID) bool { return c.isAlive(n) && serves(c, n, ev.Level) })
	switch {
	case ev.Forwarded:
		c.refuse(ev, op, key, fmt.Errorf("%w: %s holds no copy of the key that is whole under map %d, and the request was passed on already", topology.ErrStale, c.Self, c.cfg.Map.Epoch()))
	case i < 0:
		c.refuse(ev, op, key, fmt.Errorf("%w: none of %v %sis alive", topology.ErrUnavailable, replicas, where(c, ev.Level)))
	default:
		c.do(Effect{Kind: DoForward, Op: ev.Op, Node: replicas[i]})
	}
	return nil
}

func (c *Core) refuse(ev *Event, op string, key []byte, err error) {
	c.do(Effect{Kind: DoAnswer, Op: ev.Op, Answer: Answer{Err: &topology.Error{Op: op, Node: c.Self, Key: key, Outcome: topology.NotApplied, Err: err}}})
}

// serves reports whether a node may do a request of this node's at a level: one of a
// site's own is done in that site.
func serves(c *Core, id topology.NodeID, l quorum.Consistency) bool {
	self, _ := c.cfg.Map.Node(c.Self)
	n, _ := c.cfg.Map.Node(id)
	return !l.Local() || n.Site == self.Site
}

// where says, in an error, which replicas a level means; nothing for all.
func where(c *Core, l quorum.Consistency) string {
	if !l.Local() {
		return ""
	}
	self, _ := c.cfg.Map.Node(c.Self)
	return fmt.Sprintf("in site %s ", self.Site)
}

func (s *share) refusal(c *Core, ev *Event, needed need) error {
	// What is only surveyed is not settled yet: it is looked at when it comes again.
	if err := writes(ev.Mutations); err != nil && ev.Repair != RepairWriteBack {
		return fmt.Errorf("%w: %w", topology.ErrUnsupported, err)
	}
	if err := c.able(needed); err != nil {
		return err
	}
	if d, ok := s.unknown(ev.Context.Seen); ok {
		return fmt.Errorf("%w: the context names write %v of this node, which it has not made", topology.ErrConflict, d)
	}
	return c.room(ev.Context.Time)
}

// able says whether this node can coordinate a request with that need: the only error
// that means that nothing happened (L2).
func (c *Core) able(n need) error {
	if !c.votes() {
		return errMute(c)
	}
	replicas := n.Members()
	var alive uint64
	for i, id := range replicas {
		if c.isAlive(id) {
			alive |= 1 << i
		}
	}
	switch {
	case !n.Met(alive) && n.level.Sited():
		return fmt.Errorf("%w: of the replicas %v %d are alive: %v", topology.ErrUnavailable, replicas, bits.OnesCount64(alive), n)
	case !n.Met(alive):
		least, _ := n.Least()
		return fmt.Errorf("%w: %d of the replicas %v are alive, %d are needed", topology.ErrUnavailable, bits.OnesCount64(alive), replicas, least)
	case c.Busy() >= c.cfg.Limits.Requests:
		return fmt.Errorf("%w: %d requests are under way", topology.ErrOverloaded, c.Busy())
	}
	return nil
}

// fanOut: the record is durable here, and may leave (C2). It goes to all other
// replicas, alive or not: who can be reached is a guess.
func (p *put) fanOut(c *Core) {
	p.sent = true
	for _, n := range p.replicas {
		if n != c.Self {
			c.send(n, Message{Kind: MsgRecord, Op: p.op, Entry: p.entry})
		}
	}
	p.answer(c, c.Self, nil)
}

func (p *put) answer(c *Core, node topology.NodeID, err error) {
	p.answers = append(p.answers, answered{node, err})
	p.judge(c)
}

// judge ends the put once enough have it, or can not have it any more.
func (p *put) judge(c *Core) {
	tally := count(p.needed, p.answers)
	switch tally.Verdict() {
	case quorum.Reached:
		p.end(c, nil)
	case quorum.Unreachable:
		p.end(c, p.why("too many replicas refused"))
	}
}

// void takes back what a node has acknowledged in an earlier life (C1).
func (p *put) void(c *Core, node topology.NodeID) {
	n := len(p.answers)
	p.answers = slices.DeleteFunc(p.answers, func(a answered) bool { return a.node == node && a.err == nil })
	c.Counts.Void += uint64(n - len(p.answers))
}

// why tells how far a put has come. The record is in at least one log, so nobody
// can say that it will not happen (C9).
func (p *put) why(what string) error {
	tally := count(p.needed, p.answers)
	var agreed, silent []topology.NodeID
	for n := range tally.Agreed() {
		agreed = append(agreed, n)
	}
	for n := range tally.Silent() {
		silent = append(silent, n)
	}
	err := fmt.Errorf("%w: %s: %v, %v have it, %v have not answered", topology.ErrTimeout, what, p.needed, agreed, silent)
	for n, reason := range tally.Reasons() {
		err = fmt.Errorf("%w; %s: %w", err, n, reason)
	}
	return err
}

func (p *put) end(c *Core, why error) {
	c.puts = slices.DeleteFunc(c.puts, func(q *put) bool { return q == p })
	tally := count(p.needed, p.answers)
	a := Answer{Dot: p.dot, Time: p.time}
	for n := range tally.Agreed() {
		a.Stands++
		a.Have = append(a.Have, n)
	}
	if why != nil {
		e := &topology.Error{Op: "put", Node: c.Self, Key: p.key, Outcome: topology.Unknown, Err: why}
		if p.sent {
			e.Dot, e.Term = p.dot, uint64(c.Life) // of one that is not durable yet a crash may leave the dot to another
		}
		a.Err = e
	}
	c.do(Effect{Kind: DoAnswer, Op: p.op, Answer: a})
}
