package placement

import (
	"slices"

	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// A map is the control document "placement" (K1), in msgpack; integers have their
// smallest form, so that a map has one encoding:
//
//	[ format 2, epoch, shaped, shared, free, layout, target or nil, [ [ count, stage, touched ] … ] ]
//	layout: [ copies, [ [ site, copies ] … ], [ [ id, site, rack, weight, numbers, addr ] … ] ]
//
// Who holds what is not in it: it is computed from the layouts. The last part gives
// stage and last change of every partition in runs as long as can be; their counts
// come to the number of partitions. Sites and nodes stand in order of their names.
// A reader refuses another format.
const (
	mapFormat  = 2
	mapFields  = 8
	nodeFields = 6
)

// Encode returns the map as it is stored and sent.
func (m *Map) Encode() []byte {
	w := pack.NewWriter(nil)
	w.Array(mapFields)
	w.Uint(mapFormat)
	w.Uint(m.epoch)
	w.Uint(m.shaped)
	w.Bool(m.shared)
	w.Uint(uint64(m.free))
	m.layout.encode(w)
	if m.target == nil {
		w.Nil()
	} else {
		m.target.encode(w)
	}
	var runs [][3]uint64
	for _, p := range m.parts {
		if n := len(runs); n > 0 && runs[n-1][1] == uint64(p.stage) && runs[n-1][2] == p.touched {
			runs[n-1][0]++
		} else {
			runs = append(runs, [3]uint64{1, uint64(p.stage), p.touched})
		}
	}
	w.Array(len(runs))
	for _, r := range runs {
		w.Array(3)
		for _, v := range r {
			w.Uint(v)
		}
	}
	return w.Bytes()
}

func (l *Layout) encode(w *pack.Writer) {
	w.Array(3)
	w.Uint(uint64(l.Copies))
	w.Array(len(l.PerSite))
	for _, s := range l.PerSite {
		w.Array(2)
		w.Str(s.Site)
		w.Uint(uint64(s.Copies))
	}
	w.Array(len(l.Nodes))
	for _, n := range l.Nodes {
		w.Array(nodeFields)
		w.Str(string(n.ID))
		w.Str(n.Site)
		w.Str(n.Rack)
		w.Uint(uint64(n.Weight))
		w.Uint(uint64(n.Numbers))
		w.Str(n.Addr)
	}
}

// Decode reads what [Map.Encode] returned, and computes who holds what. Errors
// wrap [topology.ErrMalformed].
func Decode(b []byte) (*Map, error) {
	r := pack.NewReader(b)
	r.ArrayOf(mapFields)
	if f := r.Uint(); r.Err() == nil && f != mapFormat {
		return nil, malformed("a map of format %d, this version knows %d", f, mapFormat)
	}
	m := &Map{epoch: r.Uint(), shaped: r.Uint(), shared: r.Bool(), free: uint32(r.UintMax(1<<32 - 1)), layout: decodeLayout(&r)}
	if !r.Nil() {
		target := decodeLayout(&r)
		m.target = &target
	}
	for runs := r.ArrayMax(PartitionsMax); runs > 0; runs-- {
		r.ArrayOf(3)
		count := int(r.UintMax(PartitionsMax))
		p := kept{stage: Stage(r.UintMax(uint64(StageMoved))), touched: r.Uint()}
		n := len(m.parts)
		switch {
		case r.Err() != nil:
		case count == 0, n+count > PartitionsMax:
			r.Fail("a run of nothing, or of more than all partitions")
		case n > 0 && m.parts[n-1].stage == p.stage && m.parts[n-1].touched == p.touched:
			r.Fail("two runs that are one")
		default:
			m.parts = append(m.parts, slices.Repeat([]kept{p}, count)...)
		}
	}
	if err := r.Done(); err != nil {
		return nil, malformed("a map: %w", err)
	}
	if err := complete(m); err != nil {
		return nil, err
	}
	return m, nil
}

func decodeLayout(r *pack.Reader) (l Layout) {
	r.ArrayOf(3)
	l.Copies = int(r.UintMax(CopiesMax))
	for n := r.ArrayMax(SitesMax); n > 0; n-- {
		r.ArrayOf(2)
		l.PerSite = append(l.PerSite, SiteCopies{r.StrMax(NameBytes), int(r.UintMax(CopiesMax))})
	}
	for n := r.ArrayMax(NodesMax); n > 0; n-- {
		r.ArrayOf(nodeFields)
		l.Nodes = append(l.Nodes, Node{
			ID: topology.NodeID(r.StrMax(NameBytes)), Site: r.StrMax(NameBytes), Rack: r.StrMax(NameBytes),
			Weight: uint32(r.UintMax(WeightMax)), Numbers: uint32(r.UintMax(1<<32 - 1)),
			Addr: r.StrMax(NameBytes),
		})
	}
	if r.Err() == nil && !l.inOrder() {
		r.Fail("nodes or sites out of order")
	}
	return l
}

// inOrder reports whether a layout stands as it is encoded.
func (l *Layout) inOrder() bool {
	s := l.sorted()
	return slices.Equal(s.Nodes, l.Nodes) && slices.Equal(s.PerSite, l.PerSite)
}

// complete checks a decoded map, and computes the rest of it.
func complete(m *Map) error {
	if len(m.parts) == 0 || keyed(m) == 0 || m.shaped > m.epoch {
		return malformed("%d partitions, of epoch %d, shaped in epoch %d", len(m.parts), m.epoch, m.shaped)
	}
	if err := m.layout.check(len(m.parts)); err != nil {
		return err
	}
	old := newRanker(&m.layout)
	next := old
	if m.target != nil {
		if err := m.target.check(len(m.parts)); err != nil {
			return err
		}
		if err := m.layout.keeps(m.target, len(m.parts)); err != nil {
			return err
		}
		next = newRanker(m.target)
	}
	moving := false
	for i := range m.parts {
		p := &m.parts[i]
		p.old = chosen(m, old, i)
		if m.target != nil {
			p.new = chosen(m, next, i)
			moving = moving || p.stage != StageMoved
		}
		if p.touched > m.epoch || m.target == nil && p.stage != StageWaiting || p.new != nil && p.stage != StageMoved && sameSet(p.old, p.new) {
			return malformed("partition %d is %v, changed in epoch %d of %d", i, p.stage, p.touched, m.epoch)
		}
	}
	if m.target != nil && !moving {
		return malformed("everything has moved, and the target is not the layout")
	}
	if least := m.layout.behind(len(m.parts)); m.free < least || m.target != nil && m.free < m.target.behind(len(m.parts)) {
		return malformed("numbers from %d on were given to nobody, and a node has some of them", m.free)
	}
	collect(m)
	return nil
}
