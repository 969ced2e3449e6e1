package quorums

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/triad-kv/triad/internal/sim"
	"github.com/triad-kv/triad/internal/wal"
	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// node is a machine, and what is on its disk.
type node struct {
	w  *cluster
	id topology.NodeID
	m  *sim.Machine
	p  *process // nil while it does not run

	op      uint64               // of the last request, over restarts
	durable map[version.Dot]bool // the writes that are on its disk
	records record.LSN           // how much of its log is
	time    version.Timestamp    // the highest in it

	place   *placement.Map // that it remembers; nil: it is of none yet
	filled  map[int]uint64 // the sessions in which it was filled, by partition; it remembers them
	filling map[int]uint64 // and those that were begun
}

func (w *cluster) addNode(id topology.NodeID, m *placement.Map) {
	n := &node{w: w, id: id, durable: map[version.Dot]bool{}, place: m, filled: map[int]uint64{}, filling: map[int]uint64{}}
	n.m = w.s.Machine(string(id), n.boot, n.halt)
	w.nodes = append(w.nodes, n)
}

// live returns the process, if it runs and has not failed.
func (n *node) live() *process {
	if n.p == nil || n.p.dead {
		return nil
	}
	return n.p
}

// wall is the node's clock; an operator sets it right in the end.
func (n *node) wall() time.Time {
	if at := n.w.righted; !at.wall.IsZero() {
		return at.wall.Add(n.w.s.Now() - at.now)
	}
	return n.m.Clock.Now()
}

// boot starts a process over what the disk holds.
func (n *node) boot() {
	if n.place == nil {
		n.seek()
		return
	}
	p := &process{n: n, w: n.w, s: n.w.s, store: map[string]record.State{}, index: map[version.Dot]record.LSN{}, requests: map[uint64]*request{}, forgot: map[string][]record.LSN{}, installs: map[uint64]func(core.Answer){}}
	p.mover, p.filler = &mover{p: p}, &filler{p: p}
	if err := p.open(); err != nil {
		n.w.s.Note(string(n.id), "does not start")
		n.w.s.Say(string(n.id), "%v", err)
		var corrupt *wal.CorruptError
		if errors.As(err, &corrupt) {
			n.w.s.Fail("PW3", "%s refuses a log that nobody damaged: %v", n.id, err)
		}
		n.m.Exit()
		return
	}
	n.p = p
	n.w.s.Note(string(n.id), "is up", uint64(p.core.End))
	n.w.ledger.booted(p)
	p.look()
	p.tick()
	p.poll()
	p.mover.tick()
	p.filler.next()
}

// halt is told that the process is gone, and with it all requests.
func (n *node) halt() {
	if n.p != nil {
		n.p.dead = true
		n.p = nil
	}
	n.w.s.After(n.w.s.Lasting(50*time.Millisecond, 3*time.Second), n.m.Start)
}

// process is one run of a node: the real core and log, a store in memory that is
// made anew from the log, and the shell's part played by events.
type process struct {
	n    *node
	w    *cluster
	s    *sim.Sim
	dead bool

	log      *wal.Driven
	core     *core.Core
	store    map[string]record.State
	applied  core.Position
	index    map[version.Dot]record.LSN // where the writes stand
	lost     []record.Version
	requests map[uint64]*request
	forgot   map[string][]record.LSN // where in the log a delete was forgotten, by key
	flushing bool
	alive    []topology.NodeID // whom it guesses to reach
	mover    *mover
	filler   *filler
	installs map[uint64]func(core.Answer) // parts of streams, by the number of each
	waits    []waits                      // who waits for the log
}

// open reads where the node stands, and applies its log.
func (p *process) open() error {
	c := &p.w.c
	log, err := wal.Open(wal.Options{
		FS: p.n.m.Disk.FS(), Dir: "log", Cluster: [16]byte{1}, Node: p.n.id, SegmentBytes: c.segmentBytes, FirstSegmentBytes: c.segmentBytes,
		UnflushedBytesMax: 1 << 30, TailBytes: c.tailBytes,
	})
	if err != nil {
		return err
	}
	if p.log, err = log.Drive(); err != nil {
		return err
	}
	p.log.Notify(p.flushed)
	if err := p.apply(p.log.Bounds().End); err != nil {
		return err
	}
	at := core.Position{LSN: p.applied.LSN, Time: p.applied.Time}
	for _, a := range p.applied.Applied {
		*at.At(a.Partition) = *a.Set.Clone()
	}
	p.core = core.New(core.Config{Self: p.n.id, Map: p.n.place, Incarnation: 1, MaxSkew: c.skew, Limits: c.limits}, at)
	return nil
}

// apply makes visible what is durable up to lsn (C6: record and applied set
// together).
func (p *process) apply(lsn record.LSN) error {
	if p.applied.LSN >= lsn {
		return nil
	}
	for e, err := range p.log.Read(context.Background(), p.applied.LSN+1) {
		if err != nil {
			return err
		}
		if e.LSN > lsn {
			break
		}
		r, err := e.Record()
		if err != nil {
			return err
		}
		if r.IsNote() && r.Mutations[0].Op == record.OpMark {
			if err := p.mark(&r); err != nil {
				return err
			}
			if err := p.applied.Add(e, p.n.place); err != nil {
				return err
			}
			continue
		}
		set := p.applied.At(p.n.place.Partition(r.Mutations[0].Key))
		changes, err := core.Apply(&r, set, func(c record.Cell) (record.State, error) { return p.store[string(c.Key)], nil })
		if err != nil {
			return err
		}
		for _, c := range changes {
			p.store[string(c.Cell.Key)] = c.State
			p.lost = append(p.lost, c.Lost...)
		}
		p.index[r.Dot] = e.LSN
		if err := p.applied.Add(e, p.n.place); err != nil {
			return err
		}
	}
	return nil
}

// step lets the core judge an event, and carries out what it says.
func (p *process) step(ev core.Event) {
	if p.dead {
		return
	}
	ev.Now = p.n.wall()
	for _, e := range slices.Clone(p.core.Step(ev)) {
		p.perform(e)
	}
}

func (p *process) perform(e core.Effect) {
	if p.dead {
		return
	}
	switch e.Kind {
	case core.DoAppend:
		p.append(e)
	case core.DoApply:
		if err := p.apply(e.LSN); err != nil {
			p.fail(err)
		}
	case core.DoSend:
		p.w.ledger.sends(p, &e.Message)
		p.send(e.Node, e.Message)
	case core.DoForward:
		p.s.Reach("a request was passed on")
		p.pass(e)
	case core.DoLook:
		cells := []core.Held{{Cell: e.Range.Cell, State: p.store[string(e.Range.Key)]}}
		p.step(core.Event{Kind: core.EvLooked, Node: e.Node, Op: e.Op, Range: e.Range, Full: e.Full, Cells: cells})
	case core.DoFill:
		p.fill(e)
	case core.DoAnswer:
		if f := p.installs[e.Op]; f != nil {
			delete(p.installs, e.Op)
			f(e.Answer)
		}
		if r := p.requests[e.Op]; r != nil {
			delete(p.requests, e.Op)
			p.w.ledger.answers(p, r, &e.Answer)
			r.answer(e.Answer)
		}
	case core.DoPut:
		if r := p.requests[e.Op]; r != nil {
			p.s.Reach("a put heard first how late its key was")
			ev := r.event
			ev.Repair, ev.Context.Time = core.RepairNone, e.Time
			p.step(ev)
		}
	case core.DoAlarm:
		p.s.Say(string(p.n.id), "%v", e.Err)
		p.s.Reach("a clock was too far ahead")
	case core.DoPlace:
		p.learn(e.Map)
	case core.DoIncarnate:
		p.s.Fail("C1", "%s is told that it has forgotten writes, and has not", p.n.id)
	}
}

// append puts an entry in the log, if it takes it.
func (p *process) append(e core.Effect) {
	p.w.ledger.minted(&e.Entry)
	end := p.log.Bounds().End
	if e.LSN != end+1 {
		return // behind what was not appended
	}
	if err := p.log.Copy(e.Entry); err != nil {
		p.s.Reach("a log took nothing")
		if !errors.Is(err, topology.ErrDiskFull) && !errors.Is(err, topology.ErrUnavailable) || errors.Is(err, topology.ErrFailed) {
			p.fail(err)
			return
		}
		p.step(core.Event{Kind: core.EvNotAppended, LSN: end, Err: err})
	}
	p.flushLater()
}

// flushLater sees to it that what was appended is written.
func (p *process) flushLater() {
	if p.flushing {
		return
	}
	p.flushing = true
	p.n.m.After(p.n.m.Disk.SyncTime(), func() {
		p.flushing = false
		if p.dead {
			return
		}
		if _, err := p.log.Write(); err != nil || p.dead {
			return // the log has told
		}
		if b := p.log.Bounds(); b.Flushed < b.End {
			p.flushLater()
		}
	})
}

// flushed is called by the log after each flush, and once when it fails.
func (p *process) flushed(b topology.Bounds, err error) {
	if err != nil {
		p.fail(err)
		return
	}
	p.s.Note(string(p.n.id), "flushed", uint64(b.Flushed))
	p.w.ledger.flushed(p, b.Flushed)
	p.step(core.Event{Kind: core.EvFlushed, LSN: b.Flushed})
	p.released()
}

// fail ends the process: nothing more is acknowledged.
func (p *process) fail(err error) {
	if p.dead {
		return
	}
	p.dead = true
	p.s.Note(string(p.n.id), "fails")
	p.s.Say(string(p.n.id), "%v", err)
	p.n.m.After(0, p.n.m.Exit)
}

// send puts a message on its way. It may come twice, late, or not at all.
func (p *process) send(to topology.NodeID, m core.Message) {
	from, peer := p.n, p.w.node(to)
	p.s.Net.Send(from.m, peer.m, func() {
		if q := peer.live(); q != nil {
			m := m
			q.step(core.Event{Kind: core.EvMessage, Node: from.id, Message: &m})
		}
	})
}

// fill reads records for another node.
func (p *process) fill(e core.Effect) {
	var found []record.Entry
	for _, d := range e.Dots {
		if p.index[d] == 0 || len(found) >= e.Most {
			continue // learnt with the state of its key; or for the next time
		}
		for entry, err := range p.log.Read(context.Background(), p.index[d]) {
			if err != nil {
				p.fail(err)
				return
			}
			found = append(found, entry)
			break
		}
	}
	if len(found) == 0 {
		return
	}
	p.s.Reach("a record came by an exchange")
	p.step(core.Event{Kind: core.EvFound, Node: e.Node, Op: e.Op, Entries: found})
}

// tick exchanges applied sets, now and then.
func (p *process) tick() {
	p.n.m.After(p.s.Lasting(p.w.c.tick/2, 2*p.w.c.tick), func() {
		if !p.dead {
			p.step(core.Event{Kind: core.EvTick})
			p.collect()
			p.tick()
		}
	})
}

// look guesses who is alive, now and then, and is wrong sometimes.
func (p *process) look() {
	var alive []topology.NodeID
	for _, n := range p.w.nodes {
		reached := n.m.Up() && p.s.Net.Open(p.n.m, n.m) && p.s.Net.Open(n.m, p.n.m)
		if reached != p.s.Chance(p.w.c.wrong) {
			alive = append(alive, n.id)
		}
	}
	p.alive = alive
	p.step(core.Event{Kind: core.EvAlive, Nodes: alive})
	p.n.m.After(p.s.Lasting(p.w.c.look/2, 2*p.w.c.look), func() {
		if !p.dead {
			p.look()
		}
	})
}
