package leaderless

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/leaderless/merkle"
	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// looksMax is how often what differs is looked at again, with a pause between, before the
// rest is looked into: writes that are on their way have arrived by then.
const looksMax = 3

// exam is one comparison of some partitions.
type exam struct {
	*entropy
	o     topology.RepairOptions
	pacer *pacing
	enc   *record.Encoder
	sums  merkle.Summer
	peers []topology.VerifiedPeer // by the order of the engine's
	out   *topology.Repaired
}

// Repair implements topology.Repairer.
func (x *entropy) Repair(ctx context.Context, o topology.RepairOptions) (out topology.Repaired, err error) {
	e := x.e
	fail := func(err error) error { return e.errorOf("repair", topology.NotApplied, err) }
	if o.From != "" && !slices.Contains(e.place.Nodes(), o.From) {
		return out, fail(fmt.Errorf("%w: %q is no node of this cluster: nothing can be taken from it", topology.ErrMalformed, o.From))
	}
	if err := e.loop.started(ctx); err != nil {
		return out, fail(err)
	}
	if votes, why := e.life.voting(); !votes {
		return out, fail(fmt.Errorf("%w: this node compares nothing before it has caught up: %s", topology.ErrUnavailable, why))
	}
	parts := x.parts()
	out.Parts = len(parts)
	if o.Part > len(parts) {
		return out, fail(fmt.Errorf("%w: part %d of %d", topology.ErrMalformed, o.Part, len(parts)))
	}
	if err := x.exams.Acquire(ctx, 1); err != nil {
		return out, fail(fmt.Errorf("%w: a comparison is under way: %w", topology.ErrOverloaded, err))
	}
	defer x.exams.Release(1)
	if o.Reread {
		r, err := x.reread(ctx)
		if err != nil {
			return out, fail(err)
		}
		out.Reread, out.Corrected = r.cells, r.corrected
		x.told.rereads.Add(1)
		x.told.corrected.Add(uint64(r.corrected)) //nolint:gosec // a count
		if r.corrected > 0 {
			e.log.Error("what is held is not what was written: a disk or a program had a fault", "sums", r.corrected)
		}
	}
	if o.Part < 0 {
		return out, nil
	}
	m := &exam{entropy: x, o: o, pacer: x.pace(o.BytesPerSec), enc: record.NewEncoder(), out: &out}
	for _, p := range e.others() {
		m.peers = append(m.peers, topology.VerifiedPeer{Node: p.id})
	}
	for i, part := range parts {
		if o.Part != 0 && i+1 != o.Part {
			continue
		}
		if err := m.part(ctx, part); err != nil {
			return out, fail(err)
		}
		x.told.rounds.Add(1)
	}
	x.told.differ.Add(uint64(out.Differ)) //nolint:gosec // a count
	x.told.mended.Add(uint64(out.Mended)) //nolint:gosec // a count
	for _, p := range m.peers {
		if p.Cells > 0 || p.Problem != "" {
			out.Peers = append(out.Peers, p)
		}
	}
	return out, nil
}

// parts are the partitions that this node is to compare, as the first of their replicas
// that it can reach, some to a part.
func (x *entropy) parts() (parts [][]int) {
	e := x.e
	up := append(e.alive(), e.env.Self)
	var mine []int
	for p := range e.place.Partitions() {
		replicas := e.place.Replicas(p)
		if e.place.Part(p).Moving() {
			continue // what is being filled differs
		}
		if i := slices.IndexFunc(replicas, func(n topology.NodeID) bool { return slices.Contains(up, n) }); i >= 0 && replicas[i] == e.env.Self {
			mine = append(mine, p)
		}
	}
	return slices.Collect(slices.Chunk(mine, partPartitions))
}

// ask asks another replica, or this node itself.
func (m *exam) ask(ctx context.Context, id topology.NodeID, q *question) (a answer, err error) {
	e := m.e
	if id == e.env.Self {
		return examined{e}.answer(ctx, q)
	}
	req := q.encode(m.enc)
	call, cancel := context.WithTimeout(ctx, e.o.CallTimeout)
	defer cancel()
	b, err := e.env.Transport.Call(call, id, methodRepair, req)
	if err == nil {
		a, err = decodeAnswerOf(b)
	}
	if err == nil && !a.votes {
		err = fmt.Errorf("%w: %s may have forgotten writes, and has not caught up", topology.ErrUnavailable, id)
	}
	if err != nil {
		return a, err
	}
	m.out.Bytes += uint64(len(req) + len(b))
	return a, m.pacer.spend(ctx, len(req)+len(b)+int(a.count)) //nolint:gosec // what was read for it
}

// part compares some partitions with every other replica, and mends what differs.
func (m *exam) part(ctx context.Context, partitions []int) error {
	e := m.e
	suspects := map[string]record.Cell{}
	for i, p := range e.others() {
		var shared []int
		for _, q := range partitions {
			if slices.Contains(e.place.Replicas(q), p.id) {
				shared = append(shared, q)
			}
		}
		if len(shared) == 0 {
			continue
		}
		if err := m.compare(ctx, p.id, shared, &m.peers[i], suspects); err != nil {
			if ctx.Err() != nil {
				return err
			}
			m.peers[i].Problem = err.Error()
		}
	}
	var cells []record.Cell
	for _, k := range slices.Sorted(maps.Keys(suspects)) {
		cells = append(cells, suspects[k])
	}
	for some := range slices.Chunk(cells, copiesMax) {
		if err := m.judge(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

// compare finds the cells in which this node and another differ.
func (m *exam) compare(ctx context.Context, id topology.NodeID, partitions []int, peer *topology.VerifiedPeer, suspects map[string]record.Cell) error {
	leaves, err := m.walk(ctx, id, partitions)
	for look := 1; err == nil && len(leaves) > 0 && look < looksMax; look++ {
		if !rest(ctx, m.pause()) {
			return fmt.Errorf("%w: %w", topology.ErrTimeout, ctx.Err())
		}
		leaves, err = m.differing(ctx, id, leaves)
	}
	if err != nil || len(leaves) == 0 {
		return err
	}
	m.out.Leaves += len(leaves)
	q := question{form: formNames, nodes: leaves}
	for len(suspects) < suspectsMax {
		theirs, err := m.ask(ctx, id, &q)
		if err != nil {
			return err
		}
		more := theirs.next
		mine, err := m.mine(ctx, q, more)
		if err != nil {
			return err
		}
		peer.Cells += uint64(max(len(mine), len(theirs.names))) //nolint:gosec // a count
		for _, c := range apart(mine, theirs.names) {
			if len(m.o.Tables) == 0 || slices.Contains(m.o.Tables, c.Table) {
				suspects[cellName(c)] = c
			}
		}
		if more == nil {
			break
		}
		q.from = *more
	}
	return nil
}

// mine lists this node's cells of what was asked for, before a cell.
func (m *exam) mine(ctx context.Context, q question, before *record.Cell) (names []named, err error) {
	for {
		a, err := m.ask(ctx, m.e.env.Self, &q)
		if err != nil {
			return nil, err
		}
		for _, n := range a.names {
			if before != nil && compareCells(n.cell, *before) >= 0 {
				return names, nil
			}
			names = append(names, n)
		}
		if a.next == nil || before != nil && compareCells(*a.next, *before) >= 0 {
			return names, nil
		}
		q.from = *a.next
	}
}

// pause is how long writes are given to arrive everywhere: every replica has told every
// other by then what it has applied, twice.
func (m *exam) pause() time.Duration {
	return 2 * time.Duration(max(2, m.e.o.Replicas)) * m.e.o.TickEvery
}

// walk finds the leaves that differ.
func (m *exam) walk(ctx context.Context, id topology.NodeID, partitions []int) ([]merkle.Node, error) {
	w := merkle.NewWalk(merkle.DepthOf(m.e.place.Partitions()), partitions)
	for {
		nodes := w.Next(nodesAskedMax)
		if len(nodes) == 0 {
			return w.Leaves(), nil
		}
		mine, theirs, err := m.both(ctx, id, nodes)
		if err != nil {
			return nil, err
		}
		w.Compare(mine, theirs, leavesSuspectMax)
	}
}

// differing returns the leaves of some that still differ.
func (m *exam) differing(ctx context.Context, id topology.NodeID, leaves []merkle.Node) (out []merkle.Node, err error) {
	for some := range slices.Chunk(leaves, nodesAskedMax) {
		mine, theirs, err := m.both(ctx, id, some)
		if err != nil {
			return nil, err
		}
		for i := range some {
			if mine[i] != theirs[i] {
				out = append(out, some[i])
			}
		}
	}
	return out, nil
}

// both returns the sums of nodes here and there.
func (m *exam) both(ctx context.Context, id topology.NodeID, nodes []merkle.Node) (mine, theirs []uint64, err error) {
	q := question{form: formSums, nodes: nodes}
	a, err := m.ask(ctx, id, &q)
	if err != nil {
		return nil, nil, err
	}
	own, err := m.ask(ctx, m.e.env.Self, &q)
	switch {
	case err != nil:
		return nil, nil, err
	case !a.whole:
		return nil, nil, fmt.Errorf("%w: %s is still making the sums of what it holds", topology.ErrUnavailable, id)
	case !own.whole:
		return nil, nil, fmt.Errorf("%w: this node is still making the sums of what it holds", topology.ErrUnavailable)
	case len(a.sums) != len(nodes):
		return nil, nil, fmt.Errorf("%w: %d sums of %d nodes", topology.ErrMalformed, len(a.sums), len(nodes))
	}
	return own.sums, a.sums, nil
}

// apart returns the cells whose sums differ in two lists, which are in order.
func apart(a, b []named) (out []record.Cell) {
	for len(a) > 0 || len(b) > 0 {
		c := 0
		switch {
		case len(a) == 0:
			c = +1
		case len(b) == 0:
			c = -1
		default:
			c = compareCells(a[0].cell, b[0].cell)
		}
		switch {
		case c < 0:
			out, a = append(out, a[0].cell), a[1:]
		case c > 0:
			out, b = append(out, b[0].cell), b[1:]
		default:
			if a[0].sum != b[0].sum {
				out = append(out, a[0].cell)
			}
			a, b = a[1:], b[1:]
		}
	}
	return out
}

// judged is what was found of a cell at one look.
type judged struct {
	core.Judgement
	copies []core.Copy
}

// judge looks at cells twice, with a pause between, and mends those that both times were
// found to be damaged in the same way.
func (m *exam) judge(ctx context.Context, cells []record.Cell) error {
	first, err := m.look(ctx, cells)
	if err != nil {
		return err
	}
	var again []record.Cell
	was := map[string]judged{}
	for i, j := range first {
		if j.Finding != core.Alike {
			again = append(again, cells[i])
			was[cellName(cells[i])] = j
		}
	}
	if len(again) == 0 {
		return nil
	}
	if !rest(ctx, m.pause()) {
		return fmt.Errorf("%w: %w", topology.ErrTimeout, ctx.Err())
	}
	second, err := m.look(ctx, again)
	if err != nil {
		return err
	}
	for i, j := range second {
		c := again[i]
		before := was[cellName(c)]
		switch {
		case j.Finding == core.Alike:
		case j.Finding == core.Coming || j.Finding != before.Finding || m.sums.All(&c, j.Good.Siblings) != m.sums.All(&c, before.Good.Siblings):
			for k := range m.peers {
				if slices.Contains(m.e.place.Replicas(placement.Of(m.e.place, c.Table, c.Key)), m.peers[k].Node) {
					m.peers[k].Undecided++
					break
				}
			}
		default:
			if err := m.settle(ctx, c, &j); err != nil {
				return err
			}
		}
	}
	return nil
}

// look asks all replicas of some cells what they hold. Who does not answer is left out.
func (m *exam) look(ctx context.Context, cells []record.Cell) ([]judged, error) {
	e := m.e
	out := make([]judged, len(cells))
	for _, id := range append([]topology.NodeID{e.env.Self}, ground{e}.reachable(e.place.Nodes(), quorum.AtOne)...) {
		var asked []int
		q := question{form: formCopies}
		for i := range cells {
			if slices.Contains(e.place.Replicas(placement.Of(e.place, cells[i].Table, cells[i].Key)), id) {
				asked = append(asked, i)
				q.cells = append(q.cells, cells[i])
			}
		}
		for len(asked) > 0 {
			a, err := m.ask(ctx, id, &q)
			if err == nil && (len(a.copies) == 0 || len(a.copies) > len(asked)) {
				err = fmt.Errorf("%w: %d copies of %d cells", topology.ErrMalformed, len(a.copies), len(asked))
			}
			if err != nil {
				if ctx.Err() != nil {
					return nil, err
				}
				break
			}
			for k := range a.copies {
				c := a.copies[k]
				c.Node = id
				p := placement.Of(e.place, cells[asked[k]].Table, cells[asked[k]].Key)
				for s := range a.sets {
					if a.sets[s].partition == p {
						c.Applied, c.Collected = &a.sets[s].set, a.sets[s].collected
					}
				}
				out[asked[k]].copies = append(out[asked[k]].copies, c)
			}
			asked, q.cells = asked[len(a.copies):], q.cells[len(a.copies):]
		}
	}
	for i := range out {
		if len(out[i].copies) > 0 {
			n := len(e.place.Replicas(placement.Of(e.place, cells[i].Table, cells[i].Key)))
			out[i].Judgement = core.Judge(out[i].copies, n, m.o.From)
		}
	}
	return out, nil
}

// settle reports a cell that differs, and mends it if it is known how.
func (m *exam) settle(ctx context.Context, c record.Cell, j *judged) error {
	e := m.e
	m.out.Differ++
	mended := j.Finding == core.Damaged && !m.o.Check
	if j.Finding == core.Unclear {
		m.out.Unclear++
		e.log.Error("replicas hold a cell differently, and it is not known which of them is right", "table", c.Table, "key", string(c.Key), "field", string(c.Field), "why", j.Why)
	}
	if mended {
		for i := range j.copies {
			k := &j.copies[i]
			if !slices.Contains(j.Behind, k.Node) {
				continue
			}
			q := question{form: formMend, mends: []core.Mending{{Cell: c, Expect: m.sums.All(&c, k.Held.Siblings), Collected: k.Collected, State: j.Good}}}
			a, err := m.ask(ctx, k.Node, &q)
			if err != nil && ctx.Err() != nil {
				return err
			}
			if err != nil {
				m.problem(k.Node, err)
			}
			mended = mended && err == nil && a.count == 1
			e.log.Warn("a damaged cell is mended", "table", c.Table, "key", string(c.Key), "field", string(c.Field), "at", k.Node, "why", j.Why, "done", err == nil && a.count == 1)
		}
	}
	if mended {
		m.out.Mended++
	}
	m.report(c, j, mended)
	return nil
}

func (m *exam) problem(id topology.NodeID, err error) {
	for i := range m.peers {
		if m.peers[i].Node == id {
			m.peers[i].Problem = err.Error()
		}
	}
}

// report tells of a cell that differs: of the first other replica that shows something
// else than this node.
func (m *exam) report(c record.Cell, j *judged, mended bool) {
	d := topology.Difference{Cell: c, Repaired: mended}
	for i := range j.copies {
		k := &j.copies[i]
		if k.Node == m.e.env.Self {
			d.Mine = k.Held.Siblings
			continue
		}
		alike := m.sums.All(&c, k.Held.Siblings) == m.sums.All(&c, d.Mine)
		if d.Peer == "" || !alike && m.sums.All(&c, d.Theirs) == m.sums.All(&c, d.Mine) {
			d.Peer, d.Theirs = k.Node, k.Held.Siblings
		}
	}
	for i := range m.peers {
		if m.peers[i].Node == d.Peer {
			m.peers[i].Differ++
		}
	}
	if len(m.out.Differences) < topology.DifferencesMax {
		m.out.Differences = append(m.out.Differences, d)
	}
}
