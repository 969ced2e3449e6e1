package core

import (
	"fmt"
	"github.com/triad-kv/triad/leaderless/placement"
	"slices"

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
	needed   int
	answers  []answered
	sent     bool // to the other replicas

	partition int
	level     quorum.Consistency
	bound     uint64                        // the epoch of the partition's last change by the map that says whom it waits for
	both      *quorum.Need[topology.NodeID] // what it waits for while the partition moves; nil: needed of replicas
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
	s := c.route(ev, at.Table, at.Key, replicas)
	if s == nil {
		return
	}
	needed := ev.Level.Needed(len(part.Replicas()))
	both, err := joint(part, ev.Level)
	if err == nil {
		err = jointAlive(c, both)
	}
	if err == nil {
		err = s.refusal(c, ev, replicas, needed)
	}
	if err != nil {
		c.refuse(ev, "put", at.Key, err)
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
		entry: record.Entry{Sum: record.Sum(b), Bytes: b}, partition: part.ID, level: ev.Level, bound: part.Epoch, both: both,
	}
	c.puts = append(c.puts, p)
	c.append(s, r.Dot, p.entry, waiting{node: c.Self, op: p.op})
}

// route returns this node's share of a key's partition, or passes the request
// on, once, to a replica that is alive (L1).
func (c *Core) route(ev *Event, table record.TableID, key []byte, replicas []topology.NodeID) *share {
	if s := c.share(placement.Of(c.cfg.Map, table, key)); s != nil {
		return s
	}
	op := "put"
	if ev.Kind == EvGet {
		op = "get"
	}
	i := slices.IndexFunc(replicas, c.isAlive)
	switch {
	case ev.Forwarded:
		c.refuse(ev, op, key, fmt.Errorf("%w: %s holds no copy of the key under map %d, and the request was passed on already", topology.ErrStale, c.Self, c.cfg.Map.Epoch()))
	case i < 0:
		c.refuse(ev, op, key, fmt.Errorf("%w: none of %v is alive", topology.ErrUnavailable, replicas))
	default:
		c.do(Effect{Kind: DoForward, Op: ev.Op, Node: replicas[i]})
	}
	return nil
}

func (c *Core) refuse(ev *Event, op string, key []byte, err error) {
	c.do(Effect{Kind: DoAnswer, Op: ev.Op, Answer: Answer{Err: &topology.Error{Op: op, Node: c.Self, Key: key, Outcome: topology.NotApplied, Err: err}}})
}

func (s *share) refusal(c *Core, ev *Event, replicas []topology.NodeID, needed int) error {
	if err := writes(ev.Mutations); err != nil {
		return fmt.Errorf("%w: %w", topology.ErrUnsupported, err)
	}
	if err := c.able(replicas, needed); err != nil {
		return err
	}
	if d, ok := s.unknown(ev.Context.Seen); ok {
		return fmt.Errorf("%w: the context names write %v of this node, which it has not made", topology.ErrConflict, d)
	}
	return c.room(ev.Context.Time)
}

// able says whether this node can coordinate a request that needs so many
// replicas: the only error that means that nothing happened (L2).
func (c *Core) able(replicas []topology.NodeID, needed int) error {
	if !c.votes() {
		return errMute(c)
	}
	alive := 0
	for _, n := range replicas {
		if c.isAlive(n) {
			alive++
		}
	}
	switch {
	case alive < needed:
		return fmt.Errorf("%w: %d of the replicas %v are alive, %d are needed", topology.ErrUnavailable, alive, replicas, needed)
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
	tally := p.tally()
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
	tally := p.tally()
	var agreed, silent []topology.NodeID
	for n := range tally.Agreed() {
		agreed = append(agreed, n)
	}
	for n := range tally.Silent() {
		silent = append(silent, n)
	}
	err := fmt.Errorf("%w: %s: %d replicas are needed, %v have it, %v have not answered", topology.ErrTimeout, what, p.needed, agreed, silent)
	for n, reason := range tally.Reasons() {
		err = fmt.Errorf("%w; %s: %w", err, n, reason)
	}
	return err
}

func (p *put) end(c *Core, why error) {
	c.puts = slices.DeleteFunc(c.puts, func(q *put) bool { return q == p })
	tally := p.tally()
	a := Answer{Dot: p.dot, Time: p.time}
	for n := range tally.Agreed() {
		a.Stands++
		a.Have = append(a.Have, n)
	}
	if why != nil {
		a.Err = &topology.Error{Op: "put", Node: c.Self, Key: p.key, Outcome: topology.Unknown, Dot: p.dot, Err: why}
	}
	c.do(Effect{Kind: DoAnswer, Op: p.op, Answer: a})
}
