package placement

import (
	"cmp"
	"slices"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

// Part is one partition under one map.
type Part struct {
	ID       int
	Stage    Stage
	Epoch    uint64            // of its last change; while it copies, the name of its session
	Old, New []topology.NodeID // by the layout, and by the target, nil if there is none; in order of preference, read only

	layout, target *Layout
}

// Replicas returns who is asked for what the partition holds, in order of
// preference: the old replicas while it moves, the new ones once those have
// everything; read only.
func (p Part) Replicas() []topology.NodeID {
	if p.Stage >= StageReading {
		return p.New
	}
	return p.Old
}

// Moving reports whether both the old and the new replicas are written.
func (p Part) Moving() bool { return p.Stage == StageCopying || p.Stage == StageReading }

// Writers returns who is sent what is written to the partition: its replicas, and
// while it moves those it moves to, or from, behind them. The slice is the
// caller's.
func (p Part) Writers() []topology.NodeID {
	out := slices.Clone(p.Replicas())
	if !p.Moving() {
		return out
	}
	for _, n := range slices.Concat(p.Old, p.New) {
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// Holds reports whether a node holds the partition, or is being given it.
func (p Part) Holds(node topology.NodeID) bool {
	return slices.Contains(p.Replicas(), node) ||
		p.Moving() && (slices.Contains(p.Old, node) || slices.Contains(p.New, node))
}

// Session reports whether a chunk of a stream still counts: whether the partition
// copies, and began to in the epoch that the stream is named by.
func (p Part) Session(session uint64) bool { return p.Stage == StageCopying && p.Epoch == session }

// WriteNeed returns whom a write to the partition needs: what the expression says of
// its replicas, and while it moves of the old ones and of the new ones both (rule
// L8). One more acknowledgement instead, as if the newcomer were one more replica,
// would do where one node replaces one other, and would not where two do. local
// is the site of who asks. Errors wrap [quorum.ErrExpr].
func (p Part) WriteNeed(e quorum.Expr, local string) (quorum.Need[topology.NodeID], error) {
	if !p.Moving() {
		return p.ReadNeed(e, local)
	}
	old, err := bind(p.Old, p.layout, e, local)
	if err != nil {
		return old, err
	}
	fresh, err := bind(p.New, p.target, e, local)
	if err != nil {
		return fresh, err
	}
	return quorum.Joint(old, fresh)
}

// ReadNeed returns whom a read of the partition needs: of [Part.Replicas], what the
// expression says. Errors wrap [quorum.ErrExpr].
func (p Part) ReadNeed(e quorum.Expr, local string) (quorum.Need[topology.NodeID], error) {
	if p.Stage >= StageReading {
		return bind(p.New, p.target, e, local)
	}
	return bind(p.Old, p.layout, e, local)
}

// SourceNeed returns how many of the old replicas one must be filled from that is
// to hold everything which was acknowledged by the expression before the partition
// began to copy: enough to meet every write, N−W+1 of them for a number. Whoever is
// streamed from must have heard that the partition copies. Errors wrap
// [quorum.ErrExpr].
func (p Part) SourceNeed(write quorum.Expr, local string) (quorum.Need[topology.NodeID], error) {
	n, err := bind(p.Old, p.layout, write, local)
	if err != nil {
		return n, err
	}
	return n.Dual(), nil
}

// Fill says who of the new replicas is to be filled before they are read, so that
// whatever was acknowledged by the expression stands on enough of them by that same
// expression, from whatever site it was written: who comes, and those who stay too
// where they may lack too much, as when there are to be fewer copies. alone says that
// nobody need be filled as [Part.SourceNeed] demands: it is enough that who comes
// gets all that he has whose place it takes ([Move.Replaces]). Errors wrap
// [quorum.ErrExpr].
func (p Part) Fill(write quorum.Expr) (nodes []topology.NodeID, alone bool, err error) {
	if p.New == nil {
		return nil, false, nil
	}
	pairs, whole, err := p.pairs(write)
	if err != nil || !whole {
		return p.New, false, err
	}
	m := Move{Partition: p.ID, Old: p.Old, New: p.New}
	nodes, places := m.Joins(), map[topology.NodeID]topology.NodeID{}
	alone = true
	for _, n := range nodes {
		from, ok := m.Replaces(n)
		places[n], alone = from, alone && ok
	}
	stay := true
	for _, pair := range pairs {
		// What was written stands on enough of the new ones if it meets every set
		// that all that is enough of them meets.
		meets := pair[1].Dual()
		kept, err := quorum.Meets(pair[0], meets.Without(nodes...))
		if err != nil {
			return nil, false, err
		}
		stay = stay && kept
		if !alone {
			continue
		}
		if alone, err = quorum.Meets(pair[0], meets.Renamed(func(id topology.NodeID) topology.NodeID { return cmp.Or(places[id], id) })); err != nil {
			return nil, false, err
		}
	}
	if !alone && !stay {
		nodes = p.New
	}
	return nodes, alone, nil
}

// pairs binds an expression to the old and to the new replicas for every site from
// which it may be asked. whole is false where a site can not ask the new ones.
func (p Part) pairs(e quorum.Expr) (out [][2]quorum.Need[topology.NodeID], whole bool, err error) {
	whole = true
	var fault, newFault error
	for _, s := range p.layout.sites() {
		old, err := bind(p.Old, p.layout, e, s)
		if err != nil {
			fault = err // nobody asks from there
			continue
		}
		fresh, err := bind(p.New, p.target, e, s)
		if err != nil {
			whole, newFault = false, err
			continue
		}
		out = append(out, [2]quorum.Need[topology.NodeID]{old, fresh})
	}
	if len(out) == 0 {
		return nil, false, cmp.Or(newFault, fault)
	}
	return out, whole, nil
}

func bind(ids []topology.NodeID, l *Layout, e quorum.Expr, local string) (quorum.Need[topology.NodeID], error) {
	rs := make([]quorum.Replica[topology.NodeID], len(ids))
	for i, id := range ids {
		n, _ := l.node(id)
		rs[i] = quorum.Replica[topology.NodeID]{Node: id, Site: n.Site, Rack: n.Rack}
	}
	return quorum.Bind(e, rs, local)
}

// ReadNeeds returns what the expression says of the old replicas and of the new ones,
// while the partition moves. Errors wrap [quorum.ErrExpr].
func (p Part) ReadNeeds(e quorum.Expr, local string) (both [2]quorum.Need[topology.NodeID], err error) {
	if both[0], err = bind(p.Old, p.layout, e, local); err == nil {
		both[1], err = bind(p.New, p.target, e, local)
	}
	return both, err
}
