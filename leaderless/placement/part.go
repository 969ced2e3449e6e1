package placement

import (
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

// SourceNeed returns how many of the old replicas a new one must be filled from so
// that it misses nothing that was acknowledged by the expression before the
// partition began to copy: enough to meet every write, N−W+1 of them for a number.
// The replica whose place it takes does alone, as the two then have the same.
// Whoever is streamed from must have heard that the partition copies. Errors wrap
// [quorum.ErrExpr].
func (p Part) SourceNeed(write quorum.Expr, local string) (quorum.Need[topology.NodeID], error) {
	n, err := bind(p.Old, p.layout, write, local)
	if err != nil {
		return n, err
	}
	return n.Dual(), nil
}

func bind(ids []topology.NodeID, l *Layout, e quorum.Expr, local string) (quorum.Need[topology.NodeID], error) {
	rs := make([]quorum.Replica[topology.NodeID], len(ids))
	for i, id := range ids {
		n, _ := l.node(id)
		rs[i] = quorum.Replica[topology.NodeID]{Node: id, Site: n.Site, Rack: n.Rack}
	}
	return quorum.Bind(e, rs, local)
}
