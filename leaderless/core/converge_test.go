package core_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// heal brings up everything and exchanges until all replicas have applied the same.
func (w *world) heal() {
	var latest time.Time
	for _, h := range w.net.hosts {
		h.full = false
		if h.core == nil {
			h.start()
		}
		if h.wall.After(latest) {
			latest = h.wall
		}
	}
	for _, h := range w.net.hosts {
		h.wall = latest.Add(time.Second)
		h.step(core.Event{Kind: core.EvAlive, Nodes: w.net.place.Nodes()})
	}
	w.net.run()
	for _, c := range w.clients {
		for c.call != nil {
			w.hurry(c)
		}
	}
	const ticksMax = 300
	for range ticksMax {
		for _, h := range w.net.hosts {
			h.step(core.Event{Kind: core.EvTick})
		}
		w.net.run()
		if w.atRest() {
			return
		}
	}
	require.Fail(w.t, "the replicas do not come to rest")
}

func (w *world) atRest() bool {
	for p := range w.net.place.Partitions() {
		first := w.net.host(w.net.place.Replicas(p)[0]).core.Applied(p)
		for _, n := range w.net.place.Replicas(p) {
			if !first.Equal(w.net.host(n).core.Applied(p)) {
				return false
			}
		}
	}
	return true
}

// written returns the records of all logs by dot, each with one content.
func (w *world) written() map[version.Dot]record.Record {
	all, sums := map[version.Dot]record.Record{}, map[version.Dot]uint32{}
	for _, h := range w.net.hosts {
		for _, e := range h.log {
			r, err := e.Record()
			require.NoError(w.t, err)
			if r.IsNote() {
				continue
			}
			if was, ok := sums[r.Dot]; ok {
				require.Equal(w.t, was, e.Sum, "one dot, one content")
			}
			all[r.Dot], sums[r.Dot] = r, e.Sum
		}
	}
	return all
}

// converged holds what must be true once everything has healed.
func (w *world) converged() {
	all := w.written()
	if w.keeps {
		w.convergedKept(all)
		w.outcomes(all)
		return
	}
	winners := map[string]record.Version{}
	for _, r := range all {
		key, v := string(r.Mutations[0].Key), conflict.VersionOf(&r, &r.Mutations[0])
		if was, ok := winners[key]; !ok || conflict.Compare(v, was) > 0 {
			winners[key] = v
		}
		for _, s := range all {
			if r.Context.Has(s.Dot) && s.Dot != r.Dot {
				require.Greater(w.t, r.Time, s.Time, "%v covers %v (C3)", r.Dot, s.Dot)
			}
		}
	}
	for key, v := range winners {
		p := w.net.place.Partition([]byte(key))
		for _, n := range w.net.place.Replicas(p) {
			h := w.net.host(n)
			require.Equal(w.t, record.State{Siblings: []record.Version{v}}, h.store[key], "%s at %s: the greatest write of all, and nothing beside it", key, n)
		}
	}
	w.outcomes(all)
}

// outcomes holds what clients were told of their requests.
func (w *world) outcomes(all map[version.Dot]record.Record) {
	values := map[string]bool{}
	for _, r := range all {
		values[string(r.Mutations[0].Value)] = true
	}
	for _, h := range w.net.hosts {
		w.check(h)
		w.count(h)
	}
	for _, p := range w.puts {
		partition := w.net.place.Partition(p.event.Mutations[0].Key)
		switch {
		case p.answer == nil:
		case p.answer.Err == nil:
			require.True(w.t, w.net.host(w.net.place.Replicas(partition)[0]).core.Applied(partition).Has(p.answer.Dot), "acknowledged and gone: %v", p.answer.Dot)
		case topology.OutcomeOf(p.answer.Err) == topology.NotApplied && len(p.event.Mutations[0].Value) > 0:
			require.False(w.t, values[string(p.event.Mutations[0].Value)], "%s was not applied, and is there", p.name)
		}
	}
	for _, g := range w.gets {
		if g.answer != nil && g.answer.Err == nil && len(wins(g.answer.State()).Value) > 0 {
			require.True(w.t, values[string(wins(g.answer.State()).Value)], "read %s found what nobody wrote", g.name)
		}
	}
}

// Replicas converge, whatever the network and the disks do; reads keep what their
// levels and their repair promise; what was acknowledged is there, or lost to a
// later writer, which is counted; what was not applied is nowhere.
func TestReplicasConverge(t *testing.T) {
	hits := reached{}
	one := func(s uint64) {
		t.Run(fmt.Sprint(s), func(t *testing.T) {
			w := newWorld(t, s, hits)
			for range 600 {
				w.step()
			}
			w.heal()
			w.converged()
		})
	}
	if *seed != 0 {
		one(*seed)
		return
	}
	for s := range uint64(*seeds) {
		one(s + 1)
	}
	wanted := []string{
		"acknowledged writes", "answered reads", "reads behind a write", "reads behind a read", "writes behind a write", "reads of siblings", "keys that end with siblings", "taken", "duplicates", "repairs",
		"repaired", "filled", "second rounds", "refused for their time", "lost to a later writer", "lost messages",
		"crashes that lost a tail", "requests that died with their node", "not applied", "outcome unknown",
	}
	slices.Sort(wanted)
	for _, name := range wanted {
		require.NotZero(t, hits[name], "no schedule reached: %s", name)
		t.Logf("%s: %d", name, hits[name])
	}
}
