package oneleader

import (
	"slices"
	"time"

	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// feeding is a process's part in cascades (S13): whom it feeds, and by whom it is fed.
type feeding struct {
	ships     []*ship
	waking    bool
	choice    core.Upstreams
	restoring bool          // an operator brings it back: it follows nobody
	heard     time.Duration // when the leader said what was last heard of it
}

// relayed is where a ship has from what it passes on, which is not of a term that its own
// node leads.
type relayed struct {
	session uint64
	path    []topology.NodeID
}

// begin looks again and again by whom this node is fed, where it has upstreams.
func (f *feeding) begin(p *process) {
	up := p.w.c.upstreams[p.n.id]
	if len(up) == 0 {
		return
	}
	f.choice = core.Upstreams{List: up, Patience: 3 * p.w.c.heartbeat, Rest: 20 * p.w.c.heartbeat}
	f.look(p)
}

func (f *feeding) look(p *process) {
	by, agreed := core.Fed(&p.core)
	if !agreed {
		by = ""
	}
	var to topology.NodeID
	if p.core.Role != core.Leader && !slices.Contains(p.group.Voters, p.n.id) {
		to = f.choice.Next(p.s.Now()-p.booted, core.Intake{From: by, Silent: p.s.Now()-f.heard > 3*p.w.c.heartbeat})
	}
	if to == p.core.Leader {
		to = ""
	}
	p.step(core.Event{Kind: core.EvFeeder, Node: to}, nil)
	if to != "" && to != by {
		w := core.Wish{Node: p.n.id, Term: p.core.Term, Last: stream.Place{Term: p.core.LastTerm, LSN: p.core.End}}
		far := p.w.node(to)
		p.s.Net.Send(p.n.m, far.m, func() {
			if q := far.live(); q != nil {
				q.feeding.feed(q, p.n, w)
			}
		})
	}
	p.after(p.s.Lasting(p.w.c.retry, 2*p.w.c.retry), func() { f.look(p) })
}

// feed begins to feed another node that wishes it.
func (f *feeding) feed(p *process, to *node, w core.Wish) {
	path, err := core.Feeds(&p.core, &p.group, w)
	if err != nil || p.core.Role == core.Leader || p.group.Term != p.core.Term {
		return
	}
	for _, h := range f.ships {
		if h.to == to && !h.stale() {
			return
		}
	}
	h := &ship{p: p, to: to, term: p.core.Term, relayed: &relayed{core.Session(&p.core), path}}
	f.ships = append(f.ships, h)
	h.dial()
}

// stale reports whether this node passes on by another stream now, or by none.
func (h *ship) stale() bool {
	c := &h.p.core
	return h.relayed != nil && (c.Role != core.Follower || c.Term != h.term || core.Session(c) != h.relayed.session || core.Path(c) == nil)
}

// drop ends a ship to a node that is fed by this one: it asks again if it wants more.
func (f *feeding) drop(h *ship) {
	h.over = true
	if h.conn != nil {
		h.conn.Close()
		h.conn = nil
	}
	f.ships = slices.DeleteFunc(f.ships, func(o *ship) bool { return o == h })
}

// wake tells the nodes that are fed that there is something to pass on.
func (f *feeding) wake(p *process) {
	if f.waking || len(f.ships) == 0 {
		return
	}
	f.waking = true
	p.after(0, func() {
		f.waking = false
		for _, h := range slices.Clone(f.ships) {
			h.ship()
		}
	})
}

// opening is what a stream begins with.
func (h *ship) opening() *stream.Begin {
	b := &stream.Begin{Group: core.GroupName, Term: h.term, Body: h.p.group.Encode()}
	if h.relayed != nil {
		b.Path, b.Last.LSN = h.relayed.path, h.end()
		b.Last.Term, _ = h.p.log.History().TermAt(b.Last.LSN)
		h.p.s.Reach("a follower fed another")
	}
	return b
}

// end is up to where the log is sent: as far as it is durable, where it is another's.
func (h *ship) end() record.LSN {
	b := h.p.log.Bounds()
	if h.relayed != nil {
		return b.Flushed
	}
	return b.End
}

// awaits reports whether the log is not far enough yet to say where it parts from one
// that ends as t does; then it is looked again.
func (h *ship) awaits(t *stream.Tail) bool {
	if h.relayed == nil {
		return false
	}
	end := h.end()
	term, _ := h.p.log.History().TermAt(end)
	if core.Ahead(t.Last, end, term) == 0 {
		return false
	}
	conn := h.conn
	h.p.after(h.p.s.Lasting(time.Millisecond, 10*time.Millisecond), func() {
		if h.conn == conn && !h.over {
			h.probed(t)
		}
	})
	return true
}
