package quorums

import (
	"slices"
	"time"

	"github.com/triad-kv/triad/internal/sim"
	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// spares are machines that come when partitions move.
var spares = []topology.NodeID{"f", "g"}

// moving is how partitions move under a seed.
type moving struct {
	on       bool
	back     bool          // nodes come back to what they held: they leave, are weighed, and changes are taken back
	every    time.Duration // between two changes of the layout
	look     time.Duration // between two looks whether a step is due
	poll     time.Duration // between two questions for a newer map
	patience time.Duration // of who asks another node
	lost     float64       // of what is sent to and from the document's control
	most     int           // partitions at a time
	page     int           // keys of a page
}

func drawMoving(s *sim.Sim) moving {
	ms := func(from, to int) time.Duration { return time.Duration(s.Between(from, to)) * time.Millisecond }
	return moving{
		on: s.Chance(0.5), every: ms(200, 2000), look: ms(20, 200), poll: ms(200, 1500), patience: ms(100, 800),
		lost: float64(s.Between(0, 20)) / 100, most: sim.Pick(s, 1, 2, 8), page: s.Between(1, 3),
	}
}

// chart is the document that says who holds what: a control that is always there, and
// whose answers may be lost. It gives numbers once.
type chart struct {
	now     *placement.Map
	origins map[topology.NodeID]uint32 // the first of each node's numbers
}

func newChart(m *placement.Map) *chart {
	c := &chart{now: m, origins: map[topology.NodeID]uint32{}}
	c.numbers()
	return c
}

func (c *chart) numbers() {
	for _, id := range c.now.Nodes() {
		n, _ := c.now.Node(id)
		c.origins[id] = n.Numbers
	}
}

// origin is under whom a node writes to a partition, be it of the map or not any more.
func (c *chart) origin(id topology.NodeID, partition int) version.Origin {
	return version.Origin{ID: c.origins[id] + uint32(partition), Incarnation: 1} //nolint:gosec // there are few
}

// moves reports whether partitions move.
func moves(m *placement.Map) bool {
	_, ok := m.Target()
	return ok
}

// operate changes the layout, now and then, until the faults are over.
func (w *cluster) operate() {
	w.s.After(w.s.Lasting(w.c.moving.every/2, 2*w.c.moving.every), func() {
		if w.righted.wall.IsZero() {
			w.change()
			w.operate()
		}
	})
}

// change is what an operator does: at a node that runs, and of the newest map.
func (w *cluster) change() {
	at := w.nodes[w.s.Rand.IntN(len(w.nodes))].live()
	m := w.chart.now
	switch {
	case at == nil:
		return
	case moves(m):
		if w.c.moving.back && w.s.Chance(0.2) {
			at.mover.cancel()
		}
		return
	}
	l := m.Layout()
	l.Nodes = slices.Clone(l.Nodes)
	i := w.s.Rand.IntN(len(l.Nodes))
	what := w.s.Rand.IntN(3)
	if !w.c.moving.back {
		what = 0
	}
	switch what {
	case 0:
		j := slices.IndexFunc(spares, func(id topology.NodeID) bool { return w.chart.origins[id] == 0 })
		if j < 0 {
			return // who has left does not come again
		}
		l.Nodes = append(l.Nodes, placement.Node{ID: spares[j], Weight: uint32(w.s.Between(1, 3)), Numbers: placement.Free(m)})
	case 1:
		if len(l.Nodes) <= copies+1 {
			return
		}
		l.Nodes = slices.Delete(l.Nodes, i, i+1)
	default:
		l.Nodes[i].Weight = uint32(w.s.Between(1, 5))
	}
	p, err := m.Plan(l)
	if err != nil {
		w.s.Fail("floor", "a change that means something is refused: %v", err)
		return
	}
	at.mover.swap(m, func(m *placement.Map) (*placement.Map, error) { return p.Begin(), nil })
}

// swap replaces the document, if it is still of that epoch, and tells everybody.
func (v *mover) swap(was *placement.Map, change func(*placement.Map) (*placement.Map, error)) {
	p := v.p
	p.reach(func(c *chart) {
		if c.now.Epoch() != was.Epoch() {
			return
		}
		next, err := change(c.now)
		if err != nil {
			p.s.Fail("L8", "%s may not step map %d: %v", p.n.id, was.Epoch(), err)
			return
		}
		c.now = next
		c.numbers()
		p.s.Note(string(p.n.id), "map", next.Epoch())
		p.s.Say(string(p.n.id), "%v", next.Since(was.Epoch()))
		if moves(was) && !moves(next) {
			p.s.Reach("a move finished")
		}
	}, func(now *placement.Map) { p.spread(was, now) })
}

// reach does something at the control and hears what the document is then; what is asked
// and what is answered may be lost.
func (p *process) reach(do func(*chart), answer func(*placement.Map)) {
	s, lost := p.s, p.w.c.moving.lost
	s.After(s.Net.Delay(), func() {
		if s.Chance(lost) {
			return
		}
		do(p.w.chart)
		now := p.w.chart.now
		s.After(s.Net.Delay(), func() {
			if !s.Chance(lost) {
				p.n.m.Do(func() { answer(now) })
			}
		})
	})
}

// spread tells all others what is newer in a map, and then takes it.
func (p *process) spread(was, m *placement.Map) {
	if p.dead {
		return
	}
	news := core.Message{Kind: core.MsgMap, Epoch: m.Epoch(), Life: 1, Delta: m.Since(was.Epoch()).Encode()}
	for _, n := range p.w.nodes {
		if n != p.n && (slices.Contains(m.Nodes(), n.id) || slices.Contains(was.Nodes(), n.id)) {
			p.send(n.id, news)
		}
	}
	p.learn(m)
}

// learn makes a newer map durable, and the core go by it.
func (p *process) learn(m *placement.Map) {
	if p.dead || m.Epoch() <= p.n.place.Epoch() {
		return
	}
	p.n.place = m
	p.s.Note(string(p.n.id), "has heard of map", m.Epoch())
	p.step(core.Event{Kind: core.EvMap, Part: core.Part{Place: &core.Place{Map: m, Applied: p.applied.Applied}}})
	p.filler.next()
}

// poll asks somebody for a newer map, now and then: one that was removed is told nothing.
// Some ask the control: nobody may have heard how a swap has ended.
func (p *process) poll() {
	if !p.w.c.moving.on {
		return
	}
	p.n.m.After(p.s.Lasting(p.w.c.moving.poll/2, 2*p.w.c.moving.poll), func() {
		if p.dead {
			return
		}
		if p.s.Chance(0.2) {
			p.reach(func(*chart) {}, p.learn)
		}
		of := p.w.nodes[p.s.Rand.IntN(len(p.w.nodes))]
		call(p, of, func(q *process, reply func(*placement.Map)) { reply(q.n.place) }, func(m **placement.Map) {
			if m != nil {
				p.learn(*m)
			}
		})
		p.poll()
	})
}

// seek looks for a map that this node is of: before, it serves nothing.
func (n *node) seek() {
	s := n.w.s
	n.m.After(s.Lasting(50*time.Millisecond, 500*time.Millisecond), func() {
		if n.place != nil {
			return
		}
		of := n.w.nodes[s.Rand.IntN(len(n.w.nodes))]
		s.Net.Send(n.m, of.m, func() {
			q := of.live()
			if q == nil {
				return
			}
			m := q.n.place
			s.Net.Send(of.m, n.m, func() {
				if _, in := m.Node(n.id); in && n.place == nil {
					n.place = m
					n.boot()
				}
			})
		})
		n.seek()
	})
}

// call asks another node, which may be asked twice; answer hears once, nil if none came in
// time.
func call[T any](p *process, to *node, ask func(*process, func(T)), answer func(*T)) {
	over := false
	end := func(t *T) {
		if !over && !p.dead {
			over = true
			answer(t)
		}
	}
	p.s.Net.Send(p.n.m, to.m, func() {
		if q := to.live(); q != nil {
			ask(q, func(t T) { p.s.Net.Send(to.m, p.n.m, func() { end(&t) }) })
		}
	})
	p.n.m.After(p.w.c.moving.patience, func() { end(nil) })
}

// serving is a node that a client meets: one that is, or was, of the map.
func (w *cluster) serving() *node {
	return sim.Pick(w.s, slices.DeleteFunc(slices.Clone(w.nodes), func(n *node) bool { return n.place == nil })...)
}
