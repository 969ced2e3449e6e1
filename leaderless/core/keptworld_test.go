package core_test

import (
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// superseded reports whether the client of some write had seen this one.
func superseded(all map[version.Dot]record.Record, key string, d version.Dot) bool {
	for _, r := range all {
		if string(r.Mutations[0].Key) == key && r.Context.Has(d) {
			return true
		}
	}
	return false
}

// judgeKept holds what a read of a table that keeps siblings promises: a write that was
// acknowledged, or read, before is shown unless a client that had seen it has written;
// and of two that are shown neither had seen the other.
func (w *world) judgeKept(k *call) {
	all := w.written()
	shown := k.answer.State().Siblings
	has := func(d version.Dot) bool {
		return slices.ContainsFunc(shown, func(v record.Version) bool { return v.Dot == d })
	}
	for _, v := range shown {
		r := all[v.Dot]
		require.False(w.t, r.Dot.IsZero(), "read %s shows %v, which nobody wrote", k.name, v.Dot)
		for _, u := range shown {
			require.False(w.t, r.Context.Has(u.Dot), "read %s shows %v beside %v, which had seen it", k.name, u.Dot, v.Dot)
		}
	}
	if len(shown) > 1 {
		w.hits["reads of siblings"]++
	}
	for _, p := range w.puts {
		if w.strict() && p.key() == k.key() && p.answer != nil && p.answer.Err == nil && p.ended < k.asked {
			require.True(w.t, has(p.answer.Dot) || superseded(all, k.key(), p.answer.Dot), "read %s of %s shows %v, and lacks %v, which was acknowledged before", k.name, k.key(), shown, p.answer.Dot)
		}
	}
	for _, g := range w.gets {
		if w.repair.String() != "blocking" && w.repair.String() != "write-back" || g.key() != k.key() || g.answer == nil || g.answer.Err != nil || g.ended >= k.asked {
			continue
		}
		for _, v := range g.answer.State().Siblings {
			require.True(w.t, has(v.Dot) || superseded(all, k.key(), v.Dot), "read %s of %s lacks %v, which read %s had shown", k.name, k.key(), v.Dot, g.name)
		}
	}
}

// convergedKept holds that every replica has all writes that no later one had seen, and
// nothing beside them: not a context either.
func (w *world) convergedKept(all map[version.Dot]record.Record) {
	live := map[string][]record.Version{}
	for _, r := range all {
		if key := string(r.Mutations[0].Key); !superseded(all, key, r.Dot) {
			live[key] = append(live[key], conflict.VersionOf(&r, &r.Mutations[0]))
		}
	}
	for key, vs := range live {
		slices.SortFunc(vs, func(a, b record.Version) int { return a.Compare(b.Dot) })
		if len(vs) > 1 {
			w.hits["keys that end with siblings"]++
		}
		for _, n := range w.net.place.Replicas(w.net.place.Partition([]byte(key))) {
			require.Equal(w.t, record.State{Siblings: vs}, w.net.host(n).store[key], "%s at %s", key, n)
		}
	}
}
