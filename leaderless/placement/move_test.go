package placement_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

// changes draws a layout and another one, with nodes that come, go and change.
func changes() *rapid.Generator[[2]placement.Layout] {
	return rapid.Custom(func(t *rapid.T) [2]placement.Layout {
		for {
			from := layouts().Draw(t, "from")
			to := placement.Layout{Copies: from.Copies, PerSite: from.PerSite, Nodes: slices.Clone(from.Nodes)}
			for range rapid.IntRange(0, 3).Draw(t, "leave") {
				if len(to.Nodes) > 1 {
					to.Nodes = slices.Delete(to.Nodes, 0, 1)
				}
			}
			for i := range rapid.IntRange(0, 3).Draw(t, "join") {
				of := from.Nodes[i%len(from.Nodes)]
				to.Nodes = append(to.Nodes, member(20+i, of.Site, of.Rack, of.Weight))
			}
			if to.Copies > 0 {
				to.Copies = rapid.IntRange(1, len(to.Nodes)).Draw(t, "copies")
			}
			if _, err := placement.Found(1, to, 8); err == nil {
				return [2]placement.Layout{from, to}
			}
		}
	})
}

func begin(t require.TestingT, from, to placement.Layout, partitions int) *placement.Map {
	p, err := found(t, from, partitions).Plan(to)
	require.NoError(t, err)
	return p.Begin()
}

// sets yields every set of a need's members that is enough, as names.
func enough(n quorum.Need[topology.NodeID]) (out [][]topology.NodeID) {
	for set := range uint64(1) << n.Len() {
		if !n.Met(set) {
			continue
		}
		var names []topology.NodeID
		for i, m := range n.Members() {
			if set&(1<<i) != 0 {
				names = append(names, m)
			}
		}
		out = append(out, names)
	}
	return out
}

func disjoint(a, b []topology.NodeID) bool {
	return !slices.ContainsFunc(a, func(n topology.NodeID) bool { return slices.Contains(b, n) })
}

// At every stage what is enough for a write meets what is enough for a read at this
// stage, the one before and the one after: all ways to replace one, two or three
// of three, by counting (counter-examples 15 and 16 of the model).
func TestWritesMeetReadsOverEveryStepOfAMove(t *testing.T) {
	majority := quorum.Expr{}
	for old := uint64(0); old < 1<<6; old++ {
		for next := uint64(0); next < 1<<6; next++ {
			a, b := layoutOf(old), layoutOf(next)
			if len(a.Nodes) != 3 || len(b.Nodes) != 3 || old == next {
				continue
			}
			m := begin(t, a, b, 1)
			var reads, writes []quorum.Need[topology.NodeID]
			for {
				r, err := m.Part(0).ReadNeed(majority, "")
				require.NoError(t, err)
				w, err := m.Part(0).WriteNeed(majority, "")
				require.NoError(t, err)
				reads, writes = append(reads, r), append(writes, w)
				if _, moving := m.Target(); !moving {
					break
				}
				m, err = m.Step(0)
				require.NoError(t, err)
			}
			require.Len(t, reads, 4)
			for i, w := range writes {
				for j := max(0, i-1); j <= min(3, i+1); j++ {
					for _, ws := range enough(w) {
						for _, rs := range enough(reads[j]) {
							require.False(t, disjoint(ws, rs), "written to %v at step %d, read from %v at step %d: %v to %v", ws, i, rs, j, a.Nodes, b.Nodes)
						}
					}
				}
			}
		}
	}
}

// layoutOf is the layout of the nodes of a set, all of which hold everything.
func layoutOf(set uint64) (l placement.Layout) {
	for i := range 6 {
		if set&(1<<i) != 0 {
			l.Nodes = append(l.Nodes, member(i, "", "", 1))
		}
	}
	l.Copies = len(l.Nodes)
	return l
}

// A newcomer that was filled from so many old replicas has met every write that was
// acknowledged before, and from one fewer it may not have.
func TestANewReplicaIsFilledFromEnoughOldOnes(t *testing.T) {
	m := begin(t, layoutOf(0b000111), layoutOf(0b110001), 1)
	m, err := m.Step(0)
	require.NoError(t, err)
	for _, e := range []string{"one", "2", "all"} {
		w := quorum.MustParseExpr(e)
		source, err := m.Part(0).SourceNeed(w, "")
		require.NoError(t, err)
		least, err := source.Least()
		require.NoError(t, err)
		require.Equal(t, map[string]int{"one": 3, "2": 2, "all": 1}[e], least, "N−W+1")
	}
	mv := m.Moves()[0]
	require.Equal(t, []topology.NodeID{"n04", "n05"}, slices.Sorted(slices.Values(mv.Joins())))
	require.Equal(t, []topology.NodeID{"n01", "n02"}, slices.Sorted(slices.Values(mv.Leaves())))
	var replaced []topology.NodeID
	for _, n := range mv.Joins() {
		r, ok := mv.Replaces(n)
		require.True(t, ok)
		replaced = append(replaced, r)
	}
	require.Equal(t, mv.Leaves(), replaced, "each takes another's place")
	_, ok := mv.Replaces("n00")
	require.False(t, ok)
	_, err = m.Part(0).SourceNeed(quorum.Count(9), "")
	require.ErrorIs(t, err, quorum.ErrExpr)
	_, err = m.Part(0).WriteNeed(quorum.Count(9), "")
	require.ErrorIs(t, err, quorum.ErrExpr)
}

func TestAMapMovesAsPlannedAndEndsAsTheTarget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := changes().Draw(t, "layouts")
		m := found(t, c[0], 8)
		p, err := m.Plan(c[1])
		require.NoError(t, err)
		want, err := placement.Found(1, c[1], 8)
		require.NoError(t, err)
		checkLoads(t, p, m, want)

		m = p.Begin()
		require.EqualValues(t, 2, m.Epoch())
		for {
			moves := m.Moves()
			if _, moving := m.Target(); !moving {
				require.Empty(t, moves)
				break
			}
			_, err := m.Plan(c[0])
			require.ErrorIs(t, err, topology.ErrConflict, "one change at a time")
			at := rapid.SampledFrom(moves).Draw(t, "move").Partition
			was := m.Part(at)
			next, err := m.Step(at)
			require.NoError(t, err)
			require.Equal(t, m.Epoch()+1, next.Epoch())
			if is := next.Part(at); is.Stage != placement.StageWaiting {
				require.Equal(t, was.Stage+1, is.Stage)
				require.Equal(t, next.Epoch(), is.Epoch)
			}
			checkHolders(t, m)
			m = next
		}
		require.True(t, want.Layout().Equal(m.Layout()))
		require.Equal(t, want.Nodes(), m.Nodes())
		for i := range m.Partitions() {
			require.Equal(t, want.Replicas(i), m.Replicas(i))
		}
		_, err = m.Step(0)
		require.ErrorIs(t, err, topology.ErrConflict)
		_, err = m.Cancel()
		require.ErrorIs(t, err, topology.ErrConflict)
	})
}

// checkHolders holds that a map's answers about one partition agree.
func checkHolders(t *rapid.T, m *placement.Map) {
	for i := range m.Partitions() {
		p := m.Part(i)
		want := p.Old
		switch p.Stage {
		case placement.StageCopying, placement.StageReading:
			want = slices.Concat(p.Old, p.New)
		case placement.StageMoved:
			want = p.New
		}
		for _, n := range m.Nodes() {
			require.Equal(t, slices.Contains(want, n), m.Holds(n, i))
			require.Equal(t, slices.Contains(want, n), slices.Contains(p.Writers(), n))
		}
		require.Equal(t, p.Replicas(), p.Writers()[:len(p.Replicas())])
	}
}

func checkLoads(t *rapid.T, p *placement.Plan, from, to *placement.Map) {
	var gains, sheds int
	var in, out uint64
	for _, l := range p.Loads(func(i int) uint64 { return 10 }) {
		before, after := 0, 0
		for i := range from.Partitions() {
			if from.Holds(l.ID, i) {
				before++
			}
			if to.Holds(l.ID, i) {
				after++
			}
		}
		require.Equal(t, [2]int{before, after}, [2]int{l.Before, l.After})
		require.Equal(t, after-before, l.Gains-l.Sheds)
		require.EqualValues(t, 10*l.Gains, l.Receives)
		gains, sheds, in, out = gains+l.Gains, sheds+l.Sheds, in+l.Receives, out+l.Sends
	}
	require.Equal(t, in, out)
	require.Equal(t, (to.N()-from.N())*8, gains-sheds)
}

func TestAMoveIsUndoneAndBegunAgainUnderAnotherSession(t *testing.T) {
	m := begin(t, layoutOf(0b0111), layoutOf(0b1011), 1)
	_, err := m.Undo(0)
	require.ErrorIs(t, err, topology.ErrConflict, "it has not begun")
	m, err = m.Step(0)
	require.NoError(t, err)
	session := m.Part(0).Epoch
	require.True(t, m.Part(0).Session(session))
	m, err = m.Undo(0)
	require.NoError(t, err)
	require.False(t, m.Part(0).Session(session), "what comes late counts for nothing")
	require.Equal(t, m.Part(0).Old, m.Part(0).Writers())
	m, err = m.Step(0)
	require.NoError(t, err)
	require.False(t, m.Part(0).Session(session), "nor under the next")
	require.True(t, m.Part(0).Session(m.Part(0).Epoch))
	m, err = m.Step(0)
	require.NoError(t, err)
	require.False(t, m.Part(0).Session(m.Part(0).Epoch), "it has everything")
	_, err = m.Undo(0)
	require.ErrorContains(t, err, "partition 0 is reading")
	for _, bad := range [][]int{{-1}, {1}, {0, 0}} {
		_, err = m.Step(bad...)
		require.ErrorIs(t, err, topology.ErrMalformed)
	}
}

func TestACancelledMoveEndsWhereItBegan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := changes().Draw(t, "layouts")
		was := found(t, c[0], 8)
		m := begin(t, c[0], c[1], 8)
		step := func() {
			moves := m.Moves()
			if len(moves) == 0 {
				return
			}
			next, err := m.Step(rapid.SampledFrom(moves).Draw(t, "move").Partition)
			require.NoError(t, err)
			m = next
		}
		for range rapid.IntRange(0, 12).Draw(t, "steps") {
			step()
		}
		if _, moving := m.Target(); !moving {
			return
		}
		before := m
		m, err := m.Cancel()
		require.NoError(t, err)
		for i := range m.Partitions() {
			if before.Part(i).Moving() {
				require.ElementsMatch(t, before.Part(i).Writers(), m.Part(i).Writers(), "who was written is")
				require.ElementsMatch(t, before.Replicas(i), m.Replicas(i), "who was read is")
			}
		}
		for len(m.Moves()) > 0 {
			next, err := m.Step(m.Moves()[0].Partition)
			require.NoError(t, err)
			m = next
		}
		require.True(t, m.Layout().Equal(c[0]))
		for i := range m.Partitions() {
			require.Equal(t, was.Replicas(i), m.Replicas(i))
		}
	})
}

func TestNumbersAreAMembersOwn(t *testing.T) {
	m := found(t, layoutOf(0b0111), 4)
	to := layoutOf(0b1110)
	to.Nodes[0].Numbers++
	_, err := m.Plan(to)
	require.ErrorIs(t, err, topology.ErrMalformed)
	require.ErrorContains(t, err, "node n01 has numbers from 1025 on, not from 1026")
	to = layoutOf(0b1110)
	to.Nodes[2].Numbers = m.Layout().Nodes[0].Numbers + 3
	_, err = m.Plan(to)
	require.ErrorContains(t, err, "nodes n00 and n03 have numbers from 1 and 4 on, and need 4 each", "of one that leaves")
	to.Nodes[2].Numbers = 0
	_, err = m.Plan(to)
	require.ErrorIs(t, err, topology.ErrMalformed)

	next := begin(t, layoutOf(0b0111), layoutOf(0b1110), 4)
	for _, n := range next.Nodes() {
		require.Equal(t, member(int(n[2]-'0'), "", "", 1).Numbers+2, next.Origin(n, 2, 5).ID)
	}
	require.Zero(t, next.Origin("stranger", 2, 5))
}

func TestAPlanThatMovesNothingIsDoneAtOnce(t *testing.T) {
	m := found(t, layoutOf(0b0111), 4)
	l := layoutOf(0b0111)
	l.Nodes[0].Weight = 9
	next := begin(t, m.Layout(), l, 4)
	_, moving := next.Target()
	require.False(t, moving)
	require.EqualValues(t, 2, next.Epoch())
	require.True(t, next.Layout().Equal(l))
	require.Empty(t, next.Moves())
}

func TestStagesPrintAsWords(t *testing.T) {
	var s string
	for i := range placement.Stage(5) {
		s += i.String() + " "
	}
	require.Equal(t, "waiting copying reading moved ? ", s)
}
