package quorums

import (
	"context"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// recount finds, without Merge, how many writes each key of a node has lost to a
// later one, in the order of its log: a write that is new to the key either had
// seen what was there, or one of the two is lost.
func recount(p *process) (lost int) {
	keys, learnt := map[string]*counted{}, map[int]*version.Set{}
	for e, err := range p.log.Read(context.Background(), 1) {
		if err != nil {
			p.s.Fail("PS12", "%s can not read its log: %v", p.n.id, err)
			return 0
		}
		r, err := e.Record()
		if err != nil {
			p.s.Fail("C5", "entry %d of %s is no record: %v", e.LSN, p.n.id, err)
			return 0
		}
		m := &r.Mutations[0]
		if r.IsNote() && m.Op == record.OpMark {
			counts(&r, keys, learnt)
			continue
		}
		k := keys[string(m.Key)]
		if k == nil {
			q := p.n.place.Partition(m.Key)
			if learnt[q] == nil {
				learnt[q] = &version.Set{}
			}
			k = &counted{forgot: p.forgot[string(m.Key)], learnt: learnt[q]}
			keys[string(m.Key)] = k
		}
		for ; len(k.forgot) > 0 && k.forgot[0] < e.LSN; k.forgot = k.forgot[1:] {
			k.held = record.Version{}
		}
		if r.IsNote() {
			k.state(m.Value)
		} else if k.record(&r, m) {
			lost++
		}
	}
	if lost > 0 {
		p.s.Reach("a write was lost to a later one")
	}
	return lost
}

// counts takes a note of what was learnt, or of a cell that holds nothing from then on.
func counts(r *record.Record, keys map[string]*counted, learnt map[int]*version.Set) {
	if q, set, err := core.Learnt(r); err == nil && set != nil {
		if learnt[q] == nil {
			learnt[q] = &version.Set{}
		}
		learnt[q].Union(set)
	}
	if m, err := core.MendingOf(r); err == nil && m != nil && keys[string(m.Cell.Key)] != nil {
		keys[string(m.Cell.Key)].held = record.Version{}
	}
}

// counted is a key of a recount: what it holds, and all it has seen.
type counted struct {
	held   record.Version
	seen   version.Set
	learnt *version.Set // of its partition, from others
	forgot []record.LSN // where in the log a delete of it was forgotten
}

func (k *counted) record(r *record.Record, m *record.Mutation) (lost bool) {
	v := conflict.VersionOf(r, m)
	fresh := !k.seen.Has(v.Dot) && !k.learnt.Has(v.Dot)
	k.seen.Union(r.Context)
	k.seen.Add(v.Dot)
	if !fresh {
		return false
	}
	lost = !k.held.Dot.IsZero() && !r.Context.Has(k.held.Dot)
	if k.held.Dot.IsZero() || conflict.Compare(v, k.held) > 0 {
		k.held = v
	}
	return lost
}

func (k *counted) state(b []byte) {
	var s record.State
	if record.DecodeState(b, &s) != nil {
		return
	}
	was := k.seen.Clone()
	k.seen.Union(s.Context)
	for _, v := range s.Siblings {
		k.seen.Add(v.Dot)
		if was.Has(v.Dot) || k.learnt.Has(v.Dot) {
			continue // it is here, or gone
		}
		if k.held.Dot.IsZero() || conflict.Compare(v, k.held) > 0 {
			k.held = v
		}
	}
}
