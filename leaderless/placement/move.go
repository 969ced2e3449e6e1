package placement

import (
	"fmt"
	"slices"

	"github.com/triad-kv/triad/topology"
)

// Stage says how far a partition has moved.
type Stage uint8

// The stages, in order.
const (
	StageWaiting Stage = iota // its replicas are those of the layout
	StageCopying              // both are written, the old ones read; the new ones are being filled
	StageReading              // both are written, the new ones read: they have everything
	StageMoved                // its replicas are those of the target
)

func (s Stage) String() string {
	return [...]string{"waiting", "copying", "reading", "moved", "?"}[min(s, StageMoved+1)]
}

// Move is what one partition has before it.
type Move struct {
	Partition int
	Old, New  []topology.NodeID // who holds it, in order of preference; read only
}

// Joins returns who comes to hold the partition.
func (m Move) Joins() []topology.NodeID { return without(m.New, m.Old) }

// Leaves returns who ceases to.
func (m Move) Leaves() []topology.NodeID { return without(m.Old, m.New) }

// Replaces returns whose place a node takes. Whether it is enough to fill it from
// that one is said by [Part.Fill]. false if it takes nobody's place, or does not
// join.
func (m Move) Replaces(joiner topology.NodeID) (topology.NodeID, bool) {
	i, leaves := slices.Index(m.Joins(), joiner), m.Leaves()
	if i < 0 || i >= len(leaves) {
		return "", false
	}
	return leaves[i], true
}

func conflict(format string, args ...any) error {
	return fmt.Errorf("placement: %w: %w", topology.ErrConflict, fmt.Errorf(format, args...))
}

func without(a, b []topology.NodeID) (out []topology.NodeID) {
	for _, n := range a {
		if !slices.Contains(b, n) {
			out = append(out, n)
		}
	}
	return out
}

// Plan is what a change of the layout would do, before it is begun.
type Plan struct {
	From  *Map
	To    Layout
	Moves []Move // the partitions whose replicas change, in order

	places [][]topology.NodeID // by the new layout
}

// Plan returns what a new layout would move. Errors wrap [topology.ErrMalformed]
// for a layout that means nothing or gives a member other numbers, and
// [topology.ErrConflict] where partitions are moving already: there is one change
// at a time.
func (m *Map) Plan(to Layout) (*Plan, error) {
	if m.target != nil {
		return nil, conflict("partitions are moving, since epoch %d: that ends first, or is cancelled", m.shaped)
	}
	to = to.sorted()
	if err := to.check(len(m.parts)); err != nil {
		return nil, err
	}
	if err := m.layout.keeps(&to, len(m.parts)); err != nil {
		return nil, err
	}
	p := &Plan{From: m, To: to, places: make([][]topology.NodeID, len(m.parts))}
	r := newRanker(&to)
	for i := range p.places {
		p.places[i] = chosen(m, r, i)
		if old := m.parts[i].old; !sameSet(old, p.places[i]) {
			p.Moves = append(p.Moves, Move{Partition: i, Old: old, New: p.places[i]})
		}
	}
	return p, nil
}

// keeps holds that nobody's numbers change, or become another's: dots are minted
// under both layouts while partitions move.
func (l *Layout) keeps(to *Layout, partitions int) error {
	both := Layout{Nodes: slices.Clone(l.Nodes)}
	for _, n := range to.Nodes {
		was, ok := l.node(n.ID)
		if !ok {
			both.Nodes = append(both.Nodes, n)
		} else if was.Numbers != n.Numbers {
			return malformed("node %s has numbers from %d on, not from %d", n.ID, was.Numbers, n.Numbers)
		}
	}
	return both.checkNumbers(partitions)
}

func sameSet(a, b []topology.NodeID) bool {
	return len(a) == len(b) && len(without(a, b)) == 0
}

// Load is what a plan does to one node.
type Load struct {
	Node
	Before, After int    // partitions
	Gains, Sheds  int    // of those
	Receives      uint64 // bytes
	Sends         uint64 // bytes, if the replaced replica is the source of each stream
}

// Loads returns what the plan does to each node of either layout, in order of
// their names, where bytes says how much a partition holds.
func (p *Plan) Loads(bytes func(partition int) uint64) []Load {
	var out []Load
	at := func(id topology.NodeID) *Load {
		return &out[slices.IndexFunc(out, func(l Load) bool { return l.ID == id })]
	}
	all := slices.Clone(p.To.Nodes)
	for _, n := range p.From.layout.Nodes {
		if _, ok := p.To.node(n.ID); !ok {
			all = append(all, n)
		}
	}
	for _, n := range (Layout{Nodes: all}).sorted().Nodes {
		out = append(out, Load{Node: n})
	}
	for i, places := range p.places[:keyed(p.From)] {
		for _, n := range p.From.parts[i].old {
			at(n).Before++
		}
		for _, n := range places {
			at(n).After++
		}
	}
	for _, m := range p.Moves {
		if m.Partition >= keyed(p.From) {
			continue // what tables are
		}
		size := bytes(m.Partition)
		for _, n := range m.Leaves() {
			at(n).Sheds++
		}
		for _, n := range m.Joins() {
			at(n).Gains++
			at(n).Receives += size
			from, ok := m.Replaces(n)
			if !ok {
				from = m.Old[0]
			}
			at(from).Sends += size
		}
	}
	return out
}

// Begin returns the map with which the plan begins: of the next epoch, and with
// every partition that moves still waiting. If none moves it is the layout at once.
func (p *Plan) Begin() *Map {
	m := succeed(p.From)
	m.shaped, m.target = m.epoch, &p.To
	m.free = max(m.free, p.To.behind(len(m.parts)))
	for i := range m.parts {
		m.parts[i].new, m.parts[i].stage = p.places[i], StageMoved
	}
	for _, mv := range p.Moves {
		m.parts[mv.Partition].stage = StageWaiting
	}
	return settled(m)
}

// succeed returns a copy of a map with the next epoch.
func succeed(m *Map) *Map {
	n := *m
	n.epoch++
	n.parts = slices.Clone(m.parts)
	collect(&n)
	return &n
}

// collect finds the nodes of layout and target.
func collect(m *Map) {
	m.nodes = m.layout.ids()
	if m.target != nil {
		m.nodes = append(m.nodes, m.target.ids()...)
		slices.Sort(m.nodes)
		m.nodes = slices.Compact(m.nodes)
	}
}

// settled returns the map without a target, once everything has moved there.
func settled(m *Map) *Map {
	defer collect(m)
	if m.target == nil || slices.ContainsFunc(m.parts, func(p kept) bool { return p.stage != StageMoved }) {
		return m
	}
	m.shaped, m.layout, m.target = m.epoch, *m.target, nil
	for i := range m.parts {
		p := &m.parts[i]
		p.old, p.new, p.stage = p.new, nil, StageWaiting
	}
	return m
}

// Moves returns the partitions that have not moved yet, in order.
func (m *Map) Moves() (out []Move) {
	if m.target == nil {
		return nil
	}
	for i, p := range m.parts {
		if p.stage != StageMoved {
			out = append(out, Move{Partition: i, Old: p.old, New: p.new})
		}
	}
	return out
}

// Step returns the map with each of the partitions one stage further. The last
// step of the last partition makes the target the layout. Errors wrap
// [topology.ErrConflict]: nothing moves, or one of them has moved.
func (m *Map) Step(partitions ...int) (*Map, error) {
	n, err := m.changed(partitions, func(p *kept) bool {
		p.stage++
		return p.stage <= StageMoved
	})
	if err != nil {
		return nil, err
	}
	return settled(n), nil
}

// Undo returns the map with each of the partitions waiting again: a copy that can
// not be ended is given up, and its session with it. Errors wrap
// [topology.ErrConflict]: one of them does not copy. Once the new replicas are read
// only [Map.Cancel] leads back.
func (m *Map) Undo(partitions ...int) (*Map, error) {
	return m.changed(partitions, func(p *kept) bool {
		copying := p.stage == StageCopying
		p.stage = StageWaiting
		return copying
	})
}

func (m *Map) changed(partitions []int, change func(*kept) bool) (*Map, error) {
	if m.target == nil {
		return nil, conflict("nothing moves")
	}
	n := succeed(m)
	for i, at := range partitions {
		if at < 0 || at >= len(n.parts) || slices.Contains(partitions[:i], at) {
			return nil, malformed("partition %d is none of %d, or is named twice", at, len(n.parts))
		}
		p := &n.parts[at]
		if was := p.stage; !change(p) {
			return nil, conflict("partition %d is %v", at, was)
		}
		p.touched = n.epoch
	}
	return n, nil
}

// Cancel returns the map that goes back: layout and target change places, and each
// partition goes on from where it is. What has not begun is where it was; what
// copies is written to both and read at the old replicas until the last step; what
// had moved, or was read at the new replicas, is copied back. Errors wrap
// [topology.ErrConflict]: nothing moves.
func (m *Map) Cancel() (*Map, error) {
	if m.target == nil {
		return nil, conflict("nothing moves")
	}
	n := succeed(m)
	n.shaped = n.epoch
	layout := n.layout
	n.layout, n.target = *n.target, &layout
	for i := range n.parts {
		p := &n.parts[i]
		p.old, p.new, p.stage = p.new, p.old, StageMoved-p.stage
		if same := sameSet(p.old, p.new); same {
			p.stage = StageMoved
		}
		if p.stage == StageCopying || p.stage == StageReading {
			p.touched = n.epoch
		}
	}
	return settled(n), nil
}
