package quorums

import (
	"errors"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/merkle"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// filler fills a node with the partitions that it is to hold, one after another, page by
// page, each in a session.
type filler struct {
	p    *process
	busy bool
}

const fillRetry = 100 * time.Millisecond

// next fills the next partition, if there is one.
func (f *filler) next() {
	n := f.p.n
	mvs := n.place.Moves()
	if f.busy || f.p.dead || len(mvs) == 0 {
		return
	}
	from := f.p.s.Rand.IntN(len(mvs)) // none holds up all others
	for _, mv := range slices.Concat(mvs[from:], mvs[:from]) {
		part := n.place.Part(mv.Partition)
		if part.Stage != placement.StageCopying || n.filled[part.ID] == part.Epoch {
			continue
		}
		nodes, alone, err := part.Fill(f.p.w.c.write.Expr())
		if err != nil {
			f.p.s.Fail("floor", "%v", err)
			return
		}
		if !slices.Contains(nodes, n.id) {
			continue
		}
		if n.filling[part.ID] == part.Epoch {
			f.p.s.Reach("a fill was cut and begun anew")
		}
		n.filling[part.ID], f.busy = part.Epoch, true
		f.fill(mv, part, alone, func(ok bool) {
			f.busy = false
			if ok {
				n.filled[part.ID] = part.Epoch
				f.next()
				return
			}
			n.m.After(fillRetry, f.next)
		})
		return
	}
}

// fill takes a partition from whose place this node takes, where that is enough; else from
// so many that they meet every write.
func (f *filler) fill(mv placement.Move, part placement.Part, alone bool, done func(bool)) {
	self := f.p.n.id
	if from, ok := mv.Replaces(self); ok && alone && slices.Contains(f.p.alive, from) {
		f.take(part, from, done)
		return
	}
	need, err := part.SourceNeed(f.p.w.c.write.Expr(), "")
	if err != nil {
		f.p.s.Fail("floor", "%v", err)
		return
	}
	var have []topology.NodeID
	if slices.Contains(part.Old, self) {
		have = append(have, self)
	}
	f.rest(need, have, part, part.Old, done)
}

func (f *filler) rest(need quorum.Need[topology.NodeID], have []topology.NodeID, part placement.Part, of []topology.NodeID, done func(bool)) {
	switch {
	case need.MetBy(have...):
		done(true)
	case len(of) == 0:
		done(false)
	case of[0] == f.p.n.id:
		f.rest(need, have, part, of[1:], done)
	default:
		f.take(part, of[0], func(ok bool) {
			if ok {
				have = append(have, of[0])
			}
			f.rest(need, have, part, of[1:], done)
		})
	}
}

func (f *filler) take(part placement.Part, from topology.NodeID, done func(bool)) {
	t := &stream{p: f.p, part: part, from: from, done: done}
	t.ask()
}

// stream is what one node is given of a partition by one other.
type stream struct {
	p    *process
	part placement.Part
	from topology.NodeID
	at   string       // the last key that was taken
	set  *version.Set // what all comes to, as its source had it before the first page
	done func(bool)
}

// page is some of what a node holds, and all that was applied then.
type page struct {
	refused bool
	set     *version.Set
	cells   []core.Held
	more    bool
	time    version.Timestamp // no less than that of anything its source had
}

func (t *stream) ask() {
	at := t.at
	call(t.p, t.p.w.node(t.from), func(q *process, reply func(page)) { q.page(t.part, at, reply) }, func(g *page) {
		if g == nil || g.refused {
			t.done(false)
			return
		}
		t.took(g)
	})
}

// page gives a page of a stream, in its session alone, once all is shown that was taken
// before this node heard of it.
func (p *process) page(of placement.Part, at string, reply func(page)) {
	if part := p.n.place.Part(of.ID); !part.Session(of.Epoch) || !slices.Contains(part.Old, p.n.id) {
		p.s.Reach("a source gave nothing in a session that it does not know")
		reply(page{refused: true})
		return
	}
	latest := core.Latest(p.core)
	p.once(p.core.End, func() {
		g := page{time: latest, set: p.applied.At(of.ID).Clone()}
		for _, key := range slices.Sorted(maps.Keys(p.store)) {
			if key <= at || p.n.place.Partition([]byte(key)) != of.ID {
				continue
			}
			if g.more = len(g.cells) == p.w.c.moving.page; g.more {
				break
			}
			g.cells = append(g.cells, core.Held{Cell: cellOf(key), State: p.store[key]})
		}
		reply(g)
	})
}

func cellOf(key string) record.Cell { return record.Cell{Table: record.TableDefault, Key: []byte(key)} }

// took places a page in the log, drops what its source has seen deleted and forgotten, and
// asks for the next.
func (t *stream) took(g *page) {
	if t.set == nil {
		t.set = g.set
	}
	ps := []core.Part{{Partition: t.part.ID, Session: t.part.Epoch, Cells: g.cells}}
	if len(g.cells) == 0 {
		ps = nil
	}
	to := ""
	if g.more {
		to = string(g.cells[len(g.cells)-1].Key)
	}
	for _, key := range slices.Sorted(maps.Keys(t.p.store)) {
		h := core.Held{Cell: cellOf(key), State: t.p.store[key]}
		listed := slices.ContainsFunc(g.cells, func(c core.Held) bool { return string(c.Key) == key })
		if key <= t.at || to != "" && key > to || listed || t.p.n.place.Partition(h.Key) != t.part.ID || !core.Overtaken(&h.State, g.set, math.MaxUint64) {
			continue
		}
		var sums merkle.Summer
		t.p.s.Reach("who came again dropped what had been forgotten")
		ps = append(ps, core.Part{Partition: t.part.ID, Mends: []core.Mending{{Cell: h.Cell, Expect: sums.All(&h.Cell, h.State.Siblings)}}})
	}
	if !g.more {
		ps = append(ps, core.Part{Partition: t.part.ID, Session: t.part.Epoch, Applied: t.set, Time: g.time})
	}
	t.place(ps, func() {
		if t.at = to; g.more {
			t.ask()
		} else {
			t.done(true)
		}
	})
}

// place has parts placed in the log, one after another, each once the one before is
// durable.
func (t *stream) place(ps []core.Part, then func()) {
	p := t.p
	if p.dead {
		return
	}
	if len(ps) == 0 {
		then()
		return
	}
	part := ps[0]
	end := p.core.End + record.LSN(len(part.Cells)+len(part.Mends))
	if part.Applied != nil {
		end++
	}
	p.n.op++
	var err error
	p.installs[p.n.op] = func(a core.Answer) { err = a.Err }
	p.step(core.Event{Kind: core.EvInstall, Node: t.from, Op: p.n.op, Part: part})
	switch {
	case errors.Is(err, topology.ErrStale):
		p.s.Reach("a late page of an ended session was refused")
		t.done(false)
	case err != nil || p.core.End < end: // there is no room, here or on the disk
		p.n.m.After(fillRetry, func() { t.place(ps, then) })
	default:
		p.once(end, func() { t.place(ps[1:], then) })
	}
}

// mark applies a note of what was learnt, which its position takes, or of a cell that holds
// something else from then on.
func (p *process) mark(r *record.Record) error {
	m, err := core.MendingOf(r)
	if m == nil {
		return err
	}
	var sums merkle.Summer
	key := string(m.Cell.Key)
	if s, ok := p.store[key]; ok && sums.All(&m.Cell, s.Siblings) == m.Expect {
		delete(p.store, key)
	}
	return nil
}

// once runs f when the log is durable up to lsn.
func (p *process) once(lsn record.LSN, f func()) {
	if lsn <= p.core.Flushed {
		f()
		return
	}
	p.waits = append(p.waits, waits{lsn, f})
}

// waits is who waits for the log.
type waits struct {
	lsn record.LSN
	f   func()
}

// released tells those who wait for what is durable by now.
func (p *process) released() {
	all := p.waits
	p.waits = nil
	for _, w := range all {
		if !p.dead {
			p.once(w.lsn, w.f)
		}
	}
}
