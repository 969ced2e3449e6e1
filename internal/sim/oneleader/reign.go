package oneleader

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/triad-kv/triad/internal/sim"
	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// reign is the leader's side: one ship for every other member.
type reign struct {
	ships  []*ship
	heard  map[*node]uint64 // the directory that a member last acknowledged from, in this term
	round  uint64
	waking bool
}

// ship is the log on its way to one member.
type ship struct {
	p    *process
	to   *node
	term uint64
	over bool

	conn *sim.Conn
	life uint64
	heardOf
	pr   *stream.Progress
	told stream.Append // what the member was told last
	need record.LSN
	beat bool // a heartbeat is due
	snap *parcel

	*relayed // nil: the log of a term that this node leads
}

// parcel is a snapshot half sent.
type parcel struct {
	id      string
	snap    topology.Snapshot
	history topology.History
	until   time.Duration
	mark    stream.Mark
	number  int // of the connection that sends it
}

// start ships to every other member as long as this node leads the present term.
func (r *reign) start(p *process) {
	if p.dead || p.core.Role != core.Leader {
		return
	}
	r.stop()
	r.heard = map[*node]uint64{}
	r.muster(p)
}

func (r *reign) stop() {
	for _, h := range r.ships {
		h.stop()
	}
	r.ships, r.heard = nil, nil
}

// wake tells the ships that there is something to ship or to say.
func (r *reign) wake(p *process) {
	if r.waking {
		return
	}
	r.waking = true
	p.after(0, func() {
		r.waking = false
		for _, h := range r.ships {
			h.ship()
		}
	})
}

// needs returns the first LSN a member within the budget of bytes still needs.
func (r *reign) needs(p *process) record.LSN {
	end := p.log.Bounds().End
	need, at := end+1, p.log.Offset(end)
	for _, h := range slices.Concat(r.ships, p.feeding.ships) {
		if n := h.need; n > 0 && n < need && at-p.log.Offset(n-1) <= p.w.c.retainBytesMax {
			need = n
		}
	}
	return need
}

func (h *ship) dial() {
	if h.over || h.p.dead {
		return
	}
	from := topology.Peer{ID: h.p.n.id, Life: h.p.n.life()}
	var life uint64
	h.p.s.Net.Dial(h.p.n.m, h.to.m, func(far *sim.Conn) {
		if q := h.to.live(); q != nil {
			life = h.to.life()
			q.serve(far, from)
			return
		}
		far.Close()
	}, func(near *sim.Conn) {
		if near == nil || h.over {
			if near != nil {
				near.Close()
			}
			h.again()
			return
		}
		h.life = life
		h.begin(near)
	})
}

func (h *ship) again() {
	if h.relayed != nil {
		h.p.feeding.drop(h)
		return
	}
	if !h.over {
		h.p.after(h.p.s.Lasting(h.p.w.c.retry, 5*h.p.w.c.retry), h.dial)
	}
}

func (h *ship) begin(conn *sim.Conn) {
	h.conn, h.pr = conn, stream.NewProgress(h.p.w.c.windowBytesMax)
	h.told, h.beat = stream.Append{}, true
	h.acks, h.movedAt = stream.Ack{}, h.p.s.Now()
	if h.relayed == nil {
		h.p.step(core.Event{Kind: core.EvMeet, Node: h.to.id, Term: h.term, Life: h.life}, nil)
	} else if h.stale() || h.p.group.Term != h.term {
		h.again()
		return
	}
	conn.Take = h.take
	conn.Closed = func() {
		h.conn = nil
		h.again()
	}
	h.send(h.opening())
}

func (h *ship) send(m stream.Message) { h.conn.Send(stream.Encode(m)) }

// quit gives the connection up and tries again.
func (h *ship) quit(why string) {
	h.p.s.Note(string(h.p.n.id), "stops shipping: "+why)
	h.conn.Close()
	h.conn = nil
	h.again()
}

func (h *ship) take(b []byte) {
	if h.over || h.p.dead {
		return
	}
	m, err := stream.Decode(b)
	if err != nil {
		h.p.s.Fail("floor", "%s does not understand %s: %v", h.p.n.id, h.to.id, err)
		return
	}
	switch m := m.(type) {
	case *stream.Tail:
		h.probed(m)
	case *stream.Resume:
		if h.snap != nil {
			h.snap.mark = stream.Mark(*m)
			h.snap.number++
			h.chunks(h.snap, h.conn, h.snap.number)
		}
	case *stream.Ack:
		h.acked(*m)
	case *stream.Refusal:
		h.obeys = m.Term
		h.quit("refused")
	default:
		h.quit("it talks nonsense")
	}
}

func (h *ship) probed(t *stream.Tail) {
	p := h.p
	if h.stale() {
		h.quit("fed otherwise")
		return
	}
	if h.awaits(t) {
		return
	}
	b := p.log.Bounds()
	b.End = h.end()
	cut := h.pr.Probed(h.term, *t, b, p.log.History())
	if h.pr.State == stream.Snapshot {
		h.offer()
		return
	}
	h.need = cut.To.LSN + 1
	h.send(&cut)
	if h.pr.State == stream.Replicate {
		conn := h.conn
		h.beats(conn)
		h.ship()
	} else {
		p.s.Reach("logs met after more than one question")
	}
}

// beats sends a heartbeat now and then, as long as the connection lasts.
func (h *ship) beats(conn *sim.Conn) {
	h.p.after(h.p.w.c.heartbeat, func() {
		if h.conn == conn && !h.over && !h.p.dead {
			h.beat = true
			h.ship()
			h.beats(conn)
		}
	})
}

func (h *ship) acked(a stream.Ack) {
	if a.Term != h.term {
		h.quit("ack of another term")
		return
	}
	if err := h.pr.Received(a); err != nil {
		h.p.s.Fail("B32", "%s to %s: %v", h.p.n.id, h.to.id, err)
		return
	}
	h.need = a.Flushed + 1
	h.acks, h.contact = a, h.p.s.Now()
	if h.relayed != nil {
		h.ship()
		return
	}
	h.p.reign.heard[h.to] = h.life
	h.p.step(core.Event{Kind: core.EvAck, Node: h.to.id, Life: h.life, Ack: a}, nil)
	h.counted()
	h.ship()
}

// counted holds what the leader counts of a member that obeys it to what is in
// the member's present directory (C1).
func (h *ship) counted() {
	lead, q := &h.p.core.Lead, h.to.live()
	i := lead.Rule.Index(h.to.id)
	if i <= 0 || q == nil || h.life != h.to.life() || q.core.Term != h.p.core.Term {
		return
	}
	if lead.Flushed[i] > uint64(h.to.durable.Flushed) {
		h.p.s.Fail("C1", "%s counts %s for entry %d, durable there is %d", h.p.n.id, h.to.id, lead.Flushed[i], h.to.durable.Flushed)
	}
}

// ship sends batches as there are entries and the window is open.
func (h *ship) ship() {
	if h.conn != nil && !h.p.dead && h.stale() {
		h.quit("fed otherwise")
	}
	for h.conn != nil && !h.over && !h.p.dead && h.pr.State == stream.Replicate {
		sent := h.batch()
		if h.conn == nil || !sent {
			return
		}
	}
}

// batch sends what the log holds from the next entry on, up to the limits.
func (h *ship) batch() bool {
	p, next := h.p, h.pr.Next
	a := stream.Append{Term: h.term, Prev: stream.Place{LSN: next - 1}}
	a.Prev.Term, _ = p.log.History().TermAt(next - 1)
	end, last, size := h.end(), next-1, 0
	if h.pr.Open() && end >= next {
		for e, err := range p.log.Read(context.Background(), next) {
			if err != nil {
				p.s.Reach("an entry was gone before it was sent")
				h.quit("the log was cut")
				return false
			}
			if e.LSN > end || len(a.Entries) > 0 && size+record.EntryHeaderBytes+len(e.Bytes) > p.w.c.batchBytesMax {
				break
			}
			size += record.EntryHeaderBytes + len(e.Bytes)
			a.Entries = append(a.Entries, e)
			last = e.LSN
		}
	}
	a.Commit, a.Time = p.core.Commit, p.clock.Last()
	if h.relayed == nil {
		a.Round = p.reign.round
	} else {
		a.Age = max(p.s.Now()-p.feeding.heard, 1)
	}
	if len(a.Entries) == 0 && !h.beat && a.Round <= h.told.Round {
		if a.Commit > h.told.Commit {
			h.tellSoon()
		}
		return false
	}
	h.beat = false
	a.End = max(end, last)
	a.Behind = p.log.Offset(a.End) - p.log.Offset(last)
	if len(a.Entries) > 0 {
		h.pr.Sent(last, size)
	}
	h.told.Commit, h.told.Round = a.Commit, a.Round
	h.send(&a)
	return true
}

// tellSoon lets a commit LSN wait for entries to ride with, for a while.
func (h *ship) tellSoon() {
	conn := h.conn
	h.p.after(h.p.w.c.commitDelay, func() {
		if h.conn == conn && !h.over && h.p.core.Commit > h.told.Commit {
			h.beat = true
			h.ship()
		}
	})
}

// offer begins a snapshot, or goes on with the one that is held.
func (h *ship) offer() {
	p := h.p
	if h.snap != nil && p.s.Now() > h.snap.until {
		h.snap = nil
	}
	if h.snap == nil {
		snap, err := p.store.Snapshot()
		if err != nil {
			p.fail(err)
			return
		}
		h.snap = &parcel{
			id:   fmt.Sprintf("t%d-l%d-%d", h.term, snap.Applied(), p.s.Now()),
			snap: snap, history: p.log.History().Until(snap.Applied()),
		}
	}
	h.snap.until = p.s.Now() + p.w.c.hold
	h.need = h.snap.snap.Applied() + 1
	h.send(&stream.Offer{Term: h.term, ID: h.snap.id, LSN: h.snap.snap.Applied(), History: h.snap.history})
}

// chunks sends the next chunk of a snapshot, and the others after it.
func (h *ship) chunks(o *parcel, conn *sim.Conn, number int) {
	if h.over || h.p.dead || h.conn != conn || o.number != number || h.snap != o {
		return
	}
	if !h.p.w.whole() {
		h.p.s.Reach("a snapshot was sent during a partition")
	}
	c := stream.Chunk{Mark: o.mark}
	size := 0
	for e, err := range o.snap.Scan(o.mark.Next(), record.Cell{Table: ^record.TableID(0)}) {
		if err != nil {
			h.p.fail(err)
			return
		}
		if size >= h.p.w.c.chunkBytesMax {
			break
		}
		c.Edits = append(c.Edits, e)
		c.Mark = c.Mark.With(e)
		c.Mark.Last = e.Cell
		size += len(e.Key) + len(e.Field) + len(e.State)
	}
	if len(c.Edits) == 0 {
		c.Done = true
		h.snap = nil
		h.send(&c)
		return
	}
	o.mark, o.until = c.Mark, h.p.s.Now()+h.p.w.c.hold
	h.send(&c)
	h.p.after(h.p.s.Lasting(0, 5*time.Millisecond), func() { h.chunks(o, conn, number) })
}
