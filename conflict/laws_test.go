package conflict_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// wrote is one write to the one cell of these laws, and what its writer had seen.
type wrote struct {
	record.Version
	covers version.Seen
}

// place is one holder of the cell. took is what it has truly taken in, beside
// what it keeps of it: the laws compare the two.
type place struct {
	all     []record.Version // siblings: Merge alone
	last    []record.Version // the last writer's: Merge and SettleLWW at every step
	applied version.Set
	context version.Set // of the key
	clock   version.Timestamp
	took    map[version.Dot]wrote
	minted  uint64
	vector  version.Vector
}

func newPlaces(n int) []*place {
	out := make([]*place, n)
	for i := range out {
		out[i] = &place{took: map[version.Dot]wrote{}}
	}
	return out
}

// maximal is the definition: what was taken and no taken write covers.
func (p *place) maximal() []record.Version {
	var out []record.Version
	for _, w := range p.took {
		covered := false
		for _, x := range p.took {
			covered = covered || x.Dot != w.Dot && x.covers.Has(w.Dot)
		}
		if !covered {
			out = append(out, w.Version)
		}
	}
	slices.SortFunc(out, func(v, w record.Version) int { return v.Dot.Compare(w.Dot) })
	return out
}

// holds checks that the place keeps exactly the maximal writes, and of these the
// greatest where the last writer wins.
func (p *place) holds(t *rapid.T) {
	most := p.maximal()
	require.Equal(t, text(most), text(p.all))
	stays, _ := conflict.SettleLWW(most)
	require.Equal(t, text(stays), text(p.last))
}

func (p *place) merge(t *rapid.T, seen version.Seen, in []record.Version, covers version.Seen) {
	var err error
	p.all, _, err = conflict.Merge(p.all, seen, in, covers)
	require.NoError(t, err)
	c, err := conflict.JoinLWW(p.last, seen, in, covers)
	require.NoError(t, err)
	p.last = c.State.Siblings
}

// mint stamps a write of p after everything it has raised its clock to (C3).
func (p *place) mint(t *rapid.T, id int) record.Version {
	p.minted++
	p.clock = max(p.clock+1, version.Timestamp(rapid.IntRange(0, 20).Draw(t, "wall")))
	return write(uint32(id+1), p.minted, p.clock)
}

// Sites take records in causal order, and cover what stood before them: the
// stored versions are the maximal ones at every step, whatever the order.
func TestSitesKeepTheMaximalWritesInEveryCausalOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sites := newPlaces(3)
		logs := make([][]wrote, len(sites))
		take := func(s *place, w wrote) {
			s.clock = max(s.clock, w.Time)
			s.merge(t, s.vector, []record.Version{w.Version}, w.covers)
			s.vector = s.vector.With(w.Origin, w.Seq)
			s.took[w.Dot] = w
		}
		deliver := func(s *place, from int) bool {
			at := int(s.vector.Get(dot(uint32(from+1), 1).Origin))
			if at >= len(logs[from]) {
				return false
			}
			w := logs[from][at]
			if !s.vector.With(w.Origin, w.Seq-1).Descends(w.covers.(version.Vector)) {
				return false
			}
			take(s, w)
			s.holds(t)
			return true
		}
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			i := rapid.IntRange(0, len(sites)-1).Draw(t, "site")
			from := rapid.IntRange(0, len(sites)-1).Draw(t, "origin")
			if from != i {
				deliver(sites[i], from)
				continue
			}
			w := wrote{Version: sites[i].mint(t, i), covers: sites[i].vector}
			logs[i] = append(logs[i], w)
			take(sites[i], w)
			sites[i].holds(t)
		}
		for progress := true; progress; {
			progress = false
			for _, s := range sites {
				for from := range logs {
					progress = deliver(s, from) || progress
				}
			}
		}
		for _, s := range sites[1:] {
			require.Equal(t, sites[0].vector, s.vector)
			require.Equal(t, text(sites[0].all), text(s.all))
			require.Equal(t, text(sites[0].last), text(s.last))
		}
	})
}

// Replicas take records and states in any order, twice, and from contexts that
// are old or empty: exact sets are enough.
func TestReplicasKeepTheMaximalWritesInEveryOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		replicas := newPlaces(3)
		var written []wrote
		contexts := []*version.Set{{}}
		latest := version.Timestamp(0)
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			i := rapid.IntRange(0, len(replicas)-1).Draw(t, "replica")
			p := replicas[i]
			switch rapid.SampledFrom([]string{"read", "write", "record", "record", "state"}).Draw(t, "step") {
			case "read":
				contexts = append(contexts, p.context.Clone())
			case "write":
				p.clock = max(p.clock, latest) // a context carries the highest time it covers
				w := wrote{p.mint(t, i), rapid.SampledFrom(contexts).Draw(t, "context")}
				latest = max(latest, w.Time)
				written = append(written, w)
				p.takeRecord(t, w)
			case "record":
				if len(written) > 0 {
					p.takeRecord(t, rapid.SampledFrom(written).Draw(t, "write"))
				}
			case "state":
				p.takeState(t, replicas[rapid.IntRange(0, len(replicas)-1).Draw(t, "sender")])
			}
			p.holds(t)
		}
		for _, p := range replicas {
			for _, w := range written {
				p.takeRecord(t, w)
			}
			p.holds(t)
			require.Equal(t, text(replicas[0].all), text(p.all))
			require.True(t, replicas[0].applied.Equal(&p.applied))
			require.True(t, replicas[0].context.Equal(&p.context))
		}
	})
}

// either is what two sets have together.
type either [2]*version.Set

func (e either) Has(d version.Dot) bool { return e[0].Has(d) || e[1].Has(d) }

func (p *place) takeRecord(t *rapid.T, w wrote) {
	covers := w.covers.(*version.Set)
	p.merge(t, either{&p.context, &p.applied}, []record.Version{w.Version}, covers)
	p.applied.Add(w.Dot)
	p.context.Union(covers)
	p.context.Add(w.Dot)
	p.took[w.Dot] = w
}

func (p *place) takeState(t *rapid.T, from *place) {
	seen, covers := either{p.context.Clone(), &p.applied}, from.context.Clone()
	var err error
	p.all, _, err = conflict.Merge(p.all, seen, from.all, covers)
	require.NoError(t, err)
	c, err := conflict.JoinLWW(p.last, seen, from.last, covers)
	require.NoError(t, err)
	p.last = c.State.Siblings
	p.context.Union(covers)
	for d, w := range from.took {
		p.took[d] = w
	}
}

// versions draws one canonical list of versions, and knowledge of some dots.
func versions(t *rapid.T, label string) []record.Version {
	var out []record.Version
	for id := uint32(1); id <= 3; id++ {
		for seq := uint64(1); seq <= 3; seq++ {
			if rapid.Bool().Draw(t, label) {
				out = append(out, write(id, seq))
			}
		}
	}
	return out
}

func known(t *rapid.T, label string) *version.Set {
	s := &version.Set{}
	for _, v := range versions(t, label) {
		s.Add(v.Dot)
	}
	return s
}

func TestMergeIsItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		local, in := versions(t, "local"), versions(t, "in")
		seen, covers := known(t, "seen"), known(t, "covers")
		kept, gone, err := conflict.Merge(local, seen, in, covers)
		require.NoError(t, err)
		holds := func(vs []record.Version, d version.Dot) bool {
			return slices.ContainsFunc(vs, func(v record.Version) bool { return v.Dot == d })
		}
		for id := uint32(1); id <= 3; id++ {
			for seq := uint64(1); seq <= 3; seq++ {
				d := dot(id, seq)
				l, i := holds(local, d), holds(in, d)
				require.Equal(t, l && (i || !covers.Has(d)) || i && (l || !seen.Has(d)), holds(kept, d), d)
				require.Equal(t, l && !holds(kept, d), holds(gone, d), d)
			}
		}
		require.True(t, slices.IsSortedFunc(kept, func(v, w record.Version) int { return v.Dot.Compare(w.Dot) }))
		again, more, err := conflict.Merge(kept, either{seen, covers}, in, covers)
		require.NoError(t, err)
		require.Equal(t, text(kept), text(again), "idempotent")
		require.Empty(t, more)
	})
}

func TestTheWinnerOfPartsIsTheWinnerOfAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := versions(t, "all")
		for i := range all {
			all[i].Time = version.Timestamp(rapid.IntRange(1, 3).Draw(t, "time"))
		}
		want, lost := conflict.SettleLWW(all)
		require.Len(t, lost, max(0, len(all)-1))
		cut := rapid.IntRange(0, len(all)).Draw(t, "cut")
		a, _ := conflict.SettleLWW(slices.Clone(all[:cut]))
		b, _ := conflict.SettleLWW(slices.Clone(all[cut:]))
		got, _ := conflict.SettleLWW(slices.Concat(a, b))
		require.Equal(t, text(want), text(got))
	})
}
