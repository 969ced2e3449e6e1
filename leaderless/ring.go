package leaderless

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// rings is an engine as those see it who look after who holds what.
type rings struct{ e *engine }

var _ topology.Ringer = (*engine)(nil)

func ringNode(n placement.Node) topology.RingNode {
	return topology.RingNode{ID: n.ID, Addr: n.Addr, Site: n.Site, Rack: n.Rack, Weight: n.Weight}
}

// Ring implements topology.Ringer.
func (r rings) Ring(ctx context.Context) (topology.Ring, error) {
	e := r.e
	if why := e.chart.problem(); why != "" {
		return topology.Ring{}, e.errorOf("ring", topology.NotApplied, fmt.Errorf("%w: %s", topology.ErrUnavailable, why))
	}
	m := e.place.Current()
	stands := e.mover.ask(ctx, m)
	_, moving := m.Target()
	out := topology.Ring{Epoch: m.Epoch(), Partitions: keysIn(m), Copies: m.N(), Moving: moving, Problem: e.mover.trouble()}
	for _, n := range m.Ring() {
		s := stands[n.ID]
		p := topology.RingPart{
			RingNode: ringNode(n.Node), First: n.First, Holds: n.Holds, Share: n.Share, Even: n.Even, Joins: n.Joins, Leaves: n.Leaves,
			Reached: s.reached, Epoch: s.epoch, Filling: s.filling,
		}
		out.Nodes = append(out.Nodes, p)
	}
	for _, w := range e.mover.waits(m, stands) {
		out.Moves = append(out.Moves, topology.RingMove{Partition: w.Partition, Stage: w.part.Stage.String(), Old: w.Old, New: w.New, Waits: w.why})
	}
	return out, nil
}

// keysIn is into how many partitions keys are cut.
func keysIn(m *placement.Map) int {
	if _, shared := placement.Shared(m); shared {
		return m.Partitions() - 1
	}
	return m.Partitions()
}

// Locate implements topology.Ringer.
func (r rings) Locate(table record.TableID, key []byte) (topology.RingPlace, error) {
	m := r.e.place.Current()
	part := m.Part(placement.Of(m, table, key))
	out := topology.RingPlace{Epoch: m.Epoch(), Partition: part.ID, Stage: part.Stage.String()}
	for i, id := range part.Writers() {
		n, _ := m.Node(id)
		out.Writers = append(out.Writers, ringNode(n))
		if i < len(part.Replicas()) {
			out.Replicas = append(out.Replicas, ringNode(n))
		}
	}
	return out, nil
}

// layoutOf is the layout that a change makes of a map's.
func (r rings) layoutOf(m *placement.Map, c *topology.RingChange) (placement.Layout, error) {
	l := m.Layout()
	l.Nodes = slices.Clone(l.Nodes)
	wrong := func(format string, args ...any) (placement.Layout, error) {
		return l, fmt.Errorf("%w: %w", topology.ErrMalformed, fmt.Errorf(format, args...))
	}
	at := func(id topology.NodeID) int {
		return slices.IndexFunc(l.Nodes, func(n placement.Node) bool { return n.ID == id })
	}
	for _, id := range c.Remove {
		i := at(id)
		switch {
		case i < 0:
			return wrong("%s is no node of the ring", id)
		case r.e.chart.byHand() && id == keeperOf(m):
			return wrong("%s keeps the map, as each node has documents of its own: it stays; a control that nodes share (raft) has no such node", id)
		}
		l.Nodes = slices.Delete(l.Nodes, i, i+1)
	}
	for _, n := range c.Weigh {
		i := at(n.ID)
		if i < 0 {
			return wrong("%s is no node of the ring", n.ID)
		}
		l.Nodes[i].Weight = n.Weight
	}
	free := placement.Free(m)
	for _, n := range c.Add {
		_, before := m.Node(n.ID)
		switch {
		case !n.ID.Valid():
			return wrong("%q is not a node's name ([a-z][a-z0-9-]{0,62})", n.ID)
		case at(n.ID) >= 0 || before:
			return wrong("%s is a node of the ring already; a node that takes its place has a name of its own", n.ID)
		case uint64(free)+uint64(m.Partitions()) > math.MaxUint32:
			return wrong("all numbers of origins were given out")
		}
		l.Nodes = append(l.Nodes, placement.Node{ID: n.ID, Addr: n.Addr, Site: n.Site, Rack: n.Rack, Weight: max(1, n.Weight), Numbers: free})
		free += uint32(m.Partitions()) //nolint:gosec // it is at most PartitionsMax
	}
	if c.Copies > 0 {
		l.Copies, l.PerSite = c.Copies, nil
	}
	if n := len(m.Nodes()) + len(c.Add); n > quorum.MembersMax {
		return wrong("%d nodes, those that leave included, are more than %d", n, quorum.MembersMax)
	}
	return l, nil
}

// plan is what a change makes of a map.
func (r rings) plan(m *placement.Map, c *topology.RingChange) (*placement.Plan, error) {
	l, err := r.layoutOf(m, c)
	if err != nil {
		return nil, err
	}
	return m.Plan(l)
}

// PlanRing implements topology.Ringer.
func (r rings) PlanRing(ctx context.Context, c topology.RingChange) (topology.RingPlan, error) {
	m := r.e.place.Current()
	if c.Cancel {
		return r.e.mover.cancels(m), nil
	}
	p, err := r.plan(m, &c)
	if err == nil {
		var sizes map[int]uint64
		if sizes, err = r.sizes(ctx, m); err == nil {
			return planned(p, sizes), nil
		}
	}
	return topology.RingPlan{}, r.e.errorOf("ring plan", topology.NotApplied, err)
}

// planned is a plan as it is shown. A partition that this node does not hold is taken to
// be as large as those are in the mean that it does.
func planned(p *placement.Plan, sizes map[int]uint64) topology.RingPlan {
	out := topology.RingPlan{Epoch: p.From.Epoch()}
	var sum, mean uint64
	for _, n := range sizes {
		sum += n
	}
	if len(sizes) > 0 {
		mean = sum / uint64(len(sizes))
	}
	for _, mv := range p.Moves {
		out.Moves = append(out.Moves, topology.RingMove{Partition: mv.Partition, Stage: placement.StageWaiting.String(), Old: mv.Old, New: mv.New})
	}
	for _, l := range p.Loads(func(q int) uint64 {
		if n, ok := sizes[q]; ok {
			return n
		}
		return mean
	}) {
		out.Loads = append(out.Loads, topology.RingLoad{RingNode: ringNode(l.Node), Before: l.Before, After: l.After, Gains: l.Gains, Sheds: l.Sheds, Receives: l.Receives, Sends: l.Sends})
	}
	return out
}

// sizedMax bounds the cells that are looked at to reckon how large partitions are.
const sizedMax = 1 << 18

// sizes reckons how much this node holds of each partition.
func (r rings) sizes(ctx context.Context, m *placement.Map) (sizes map[int]uint64, err error) {
	view, err := r.e.env.Store.Snapshot()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, view.Close()) }()
	sizes = map[int]uint64{}
	for q := range keysIn(m) {
		if r.e.place.Full(r.e.env.Self, q) {
			sizes[q] = 0
		}
	}
	n := 0
	for ed, err := range view.Scan(record.Cell{}, record.Cell{Table: math.MaxUint32}) {
		if err == nil {
			err = ctx.Err()
		}
		if n++; err != nil || n > sizedMax {
			return sizes, err
		}
		if q := placement.Of(m, ed.Table, ed.Key); !local(ed.Table) && q < keysIn(m) {
			if _, holds := sizes[q]; holds {
				sizes[q] += uint64(len(ed.Key) + len(ed.Field) + len(ed.State))
			}
		}
	}
	return sizes, nil
}

// ChangeRing implements topology.Ringer.
func (r rings) ChangeRing(ctx context.Context, c topology.RingChange, epoch uint64) (topology.RingPlan, error) {
	e := r.e
	if c.Cancel {
		return e.mover.cancel(ctx, epoch)
	}
	if err := e.failure(); err != nil {
		return topology.RingPlan{}, e.errorOf("ring apply", topology.NotApplied, err)
	}
	var out topology.RingPlan
	_, err := e.chart.swap(ctx, func(m *placement.Map) (*placement.Map, error) {
		if epoch != 0 && m.Epoch() != epoch {
			return nil, fmt.Errorf("%w: the plan was of map %d, and there is map %d by now; look at it again", topology.ErrConflict, epoch, m.Epoch())
		}
		p, err := r.plan(m, &c)
		if err != nil {
			return nil, err
		}
		out = planned(p, nil)
		return p.Begin(), nil
	})
	if err != nil {
		return topology.RingPlan{}, e.errorOf("ring apply", topology.NotApplied, err)
	}
	return out, nil
}

// handoffMax bounds how many entries of the log are looked at for what waits for others.
const handoffMax = 1 << 17

// Handoff implements topology.Ringer.
func (r rings) Handoff(ctx context.Context) ([]topology.Handoff, error) {
	e := r.e
	if err := e.loop.started(ctx); err != nil {
		return nil, e.errorOf("handoff", topology.NotApplied, err)
	}
	told := map[topology.NodeID]map[int]*version.Set{}
	var at, end record.LSN
	err := e.loop.call(func() {
		for id, t := range e.loop.keeper.told {
			told[id] = maps.Clone(t.sets) // a set is replaced, never changed
		}
		at, end = record.LSN(e.loop.keeper.kept.Load()), e.machine.at.LSN
	})
	if err != nil {
		return nil, e.errorOf("handoff", topology.NotApplied, err)
	}
	by := map[topology.NodeID]*topology.Handoff{}
	for _, p := range e.others() {
		by[p.id] = &topology.Handoff{From: e.env.Self, To: p.id, Reached: p.isUp()}
	}
	m, n := e.place.Current(), 0
	for x, err := range e.env.Log.Read(ctx, max(at, e.env.Log.Bounds().First)) {
		if err != nil {
			return nil, e.errorOf("handoff", topology.NotApplied, err)
		}
		if n++; n > handoffMax || x.LSN > end {
			for _, h := range by {
				h.More = x.LSN <= end
			}
			break
		}
		if err := r.wait(m, &x, told, by); err != nil {
			return nil, e.errorOf("handoff", topology.NotApplied, err)
		}
	}
	out := []topology.Handoff{}
	for _, id := range slices.Sorted(maps.Keys(by)) {
		out = append(out, *by[id])
	}
	return out, nil
}

// wait counts an entry for each replica that has not said that it has it.
func (r rings) wait(m *placement.Map, x *record.Entry, told map[topology.NodeID]map[int]*version.Set, by map[topology.NodeID]*topology.Handoff) error {
	rec, err := x.Record()
	if err != nil || rec.IsNote() || len(rec.Mutations) == 0 {
		return err
	}
	q := placement.Of(m, rec.Mutations[0].Table, rec.Mutations[0].Key)
	for _, id := range m.Part(q).Writers() {
		h := by[id]
		if h == nil || told[id][q].Has(rec.Dot) {
			continue
		}
		h.Records++
		h.Bytes += uint64(len(x.Bytes))
		if h.Records == 1 {
			h.Age = max(0, r.e.env.Clock.Wall().Sub(rec.Time.Time()))
		}
	}
	return nil
}
