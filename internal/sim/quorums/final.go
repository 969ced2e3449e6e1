package quorums

import (
	"maps"
	"slices"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// final: everything has healed, and nobody asks any more.
func (l *ledger) final() {
	winners, alone := map[string]stamp{}, map[string]bool{}
	acked := map[version.Dot]bool{}
	for _, d := range l.acks {
		if acked[d] = true; l.writes[d] == nil {
			l.s.Fail("PL4", "write %v was acknowledged, and is nowhere", d)
		}
	}
	for _, d := range l.order {
		w := l.writes[d]
		key := string(w.record.Mutations[0].Key)
		kept, some := l.kept(d, acked[d])
		if some {
			alone[key] = true
		}
		if !kept {
			continue
		}
		if winners[key].before(w.stamp()) {
			winners[key] = w.stamp()
		}
	}
	for _, n := range l.w.nodes {
		if n.p == nil {
			continue // it has never come
		}
		maps.DeleteFunc(winners, func(key string, _ stamp) bool { return alone[key] })
		l.holds(n.p, winners)
		if k := recount(n.p); k != len(n.p.lost) {
			l.s.Fail("PL4", "%s counts %d writes as lost to a later one, its log says %d", n.id, len(n.p.lost), k)
		}
	}
}

// kept reports whether a write is among those that stay, and holds that all replicas have
// it. What was not acknowledged goes with who alone has it, when that leaves; and what a
// newcomer was given as a state, by one that left and alone had its record, some have.
func (l *ledger) kept(d version.Dot, acked bool) (kept, some bool) {
	var has, lacks []topology.NodeID
	for _, id := range l.w.chart.now.Replicas(l.partition(d)) {
		if n := l.w.node(id); n.durable[d] && n.p.core.Applied(l.partition(d)).Has(d) {
			has = append(has, id)
		} else {
			lacks = append(lacks, id)
		}
	}
	switch {
	case len(lacks) == 0:
		return true, false
	case len(has) > 0 && l.w.c.moving.on && !l.w.recorded(d, l.partition(d)):
		l.s.Reach("a write came to a newcomer as a state, and to others not")
		return false, true
	case len(has) > 0 || acked || !l.w.c.moving.on:
		l.s.Fail("PL4", "write %v, acknowledged: %v, is on the disks of %v, and not of %v", d, acked, has, lacks)
	default:
		l.s.Reach("a write that nobody was told of went with who had it")
	}
	return false, false
}

// holds: a node's store is the greatest of all writes, by key, and nothing beside
// it, in equal bytes on every replica.
func (l *ledger) holds(p *process, winners map[string]stamp) {
	for _, key := range slices.Sorted(maps.Keys(winners)) {
		at := winners[key]
		if !l.w.chart.now.Holds(p.n.id, l.w.chart.now.Partition([]byte(key))) {
			continue
		}
		w := l.writes[at.dot]
		want := record.State{Siblings: []record.Version{conflict.VersionOf(&w.record, &w.record.Mutations[0])}}
		got := p.store[key]
		if want.Siblings[0].Absent && len(got.Siblings) == 0 && l.forgotten[key] == at {
			continue
		}
		if l.w.c.moving.on {
			got.Context = nil // what a stream brings is known by its key until it is by the set
		}
		enc := record.NewEncoder()
		if !slices.Equal(enc.AppendState(nil, &want), enc.AppendState(nil, &got)) {
			l.s.Fail("PL5", "%s holds %+v of %s, the greatest write is %v", p.n.id, got, key, at.dot)
		}
	}
}
