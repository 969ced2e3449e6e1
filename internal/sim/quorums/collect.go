package quorums

import (
	"maps"
	"slices"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// collect forgets the deletes that can go (L9).
func (p *process) collect() {
	if p.dead {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(p.store)) {
		s := p.store[key]
		stable := core.Stable(p.core, p.n.place.Partition([]byte(key)))
		if len(s.Siblings) == 0 || core.FateOf(&s, stable) != core.Goes {
			continue
		}
		p.s.Reach("a delete was forgotten")
		p.w.ledger.forgets(p, key, s.Siblings[0])
		delete(p.store, key)
		p.forgot[key] = append(p.forgot[key], p.applied.LSN)
	}
}

// forgets: a replica forgets a delete. All replicas have it, on their disks, and so they
// have every write that sorts before it.
func (l *ledger) forgets(p *process, key string, v record.Version) {
	at := stampOf(v)
	replicas := p.n.place.Replicas(p.n.place.Partition([]byte(key)))
	for _, id := range replicas {
		n := l.w.node(id)
		if !n.durable[v.Dot] {
			l.s.Fail("L9", "%s forgets the delete %v of %s, which %s does not have", p.n.id, v.Dot, key, id)
		}
		for _, d := range l.order {
			w := l.writes[d]
			if string(w.record.Mutations[0].Key) == key && w.stamp().before(at) && !n.durable[d] && l.lives(d, replicas) {
				l.s.Fail("L9", "%s forgets the delete %v of %s, and %s does not have write %v, which sorts before it", p.n.id, v.Dot, key, id, d)
			}
		}
	}
	if l.forgotten[key].before(at) {
		l.forgotten[key] = at
	}
}

// lives reports whether one of these has a write. One that was not acknowledged goes with
// who alone had it, when that leaves.
func (l *ledger) lives(d version.Dot, of []topology.NodeID) bool {
	return slices.ContainsFunc(of, func(id topology.NodeID) bool { return l.w.node(id).durable[d] })
}
