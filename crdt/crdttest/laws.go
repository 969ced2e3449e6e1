package crdttest

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/crdt"
)

const (
	steps     = 14 // of a world
	stepsMany = 60 // of one that is held to its bound
)

// Laws holds s to all laws, each a subtest.
func Laws[T crdt.Lattice[T]](t *testing.T, s Subject[T]) {
	t.Helper()
	for _, law := range []struct {
		name string
		hold func(*rapid.T, Subject[T])
	}{
		{"1_joining_is_commutative", commutative[T]},
		{"2_joining_is_associative", associative[T]},
		{"3_joining_is_idempotent", idempotent[T]},
		{"4_changes_and_joins_are_inflation", inflation[T]},
		{"5_one_state_has_one_encoding", canonical[T]},
		{"6_a_delta_says_all_of_a_change", delta[T]},
		{"7_deltas_may_be_joined_to_each_other_first", groups[T]},
		{"8_a_delta_hides_none_that_comes_after_it", gaps[T]},
		{"9_deltas_may_be_doubled_overtaken_and_lost", faults[T]},
		{"10_the_value_is_the_specifications", specified[T]},
		{"11_concurrent_changes_commute", concurrent[T]},
		{"12_what_is_encoded_is_decoded", encoded[T]},
		{"13_compaction_changes_no_value", compacted[T]},
		{"14_retiring_an_origin_changes_no_value", retired[T]},
		{"15_the_encoding_is_within_its_bound", bounded[T]},
	} {
		t.Run(law.name, func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { law.hold(t, s) }) })
	}
}

// Bytes is the encoding of a state.
func Bytes[T crdt.Lattice[T]](t require.TestingT, s T) []byte {
	b, err := s.AppendBinary(nil)
	require.NoError(t, err)
	return b
}

// equal compares states by their bytes, and shows their values if they differ.
func equal[T crdt.Lattice[T]](t *rapid.T, s Subject[T], want, got T, why string) {
	if !crdt.Equal(want, got) {
		require.Equal(t, s.Show(want), s.Show(got), why)
		require.Equal(t, Bytes(t, want), Bytes(t, got), why)
	}
}

func pick[T crdt.Lattice[T]](t *rapid.T, w *world[T]) T {
	return Pick(t, "state", w.states()...)
}

func commutative[T crdt.Lattice[T]](t *rapid.T, s Subject[T]) {
	w := run(t, s, steps)
	a, b := pick(t, w), pick(t, w)
	equal(t, s, joined(a, b), joined(b, a), "a ⊔ b = b ⊔ a")
}

func associative[T crdt.Lattice[T]](t *rapid.T, s Subject[T]) {
	w := run(t, s, steps)
	a, b, c := pick(t, w), pick(t, w), pick(t, w)
	equal(t, s, joined(a, b, c), joined(a, joined(b, c)), "(a ⊔ b) ⊔ c = a ⊔ (b ⊔ c)")
}

func idempotent[T crdt.Lattice[T]](t *rapid.T, s Subject[T]) {
	w := run(t, s, steps)
	a, b := pick(t, w), pick(t, w)
	equal(t, s, a, joined(a, a), "a ⊔ a = a")
	equal(t, s, joined(a, b), joined(a, b, b, a), "what was taken in is taken in once")
}

func inflation[T crdt.Lattice[T]](t *rapid.T, s Subject[T]) {
	w := run(t, s, steps)
	for i := range w.events {
		require.True(t, crdt.Below(w.before[i], w.after[i]), "a ⊑ m(a): %v", w.events[i])
	}
	a, b := pick(t, w), pick(t, w)
	require.True(t, crdt.Below(a, joined(a, b)), "a ⊑ a ⊔ b")
}

func canonical[T crdt.Lattice[T]](t *rapid.T, s Subject[T]) {
	w := run(t, s, steps)
	a := joined(s.New(), shuffled(t, w.states())...)
	b := joined(s.New(), shuffled(t, w.states())...)
	require.True(t, crdt.Below(a, b) && crdt.Below(b, a))
	require.Equal(t, Bytes(t, a), Bytes(t, b))
	require.Equal(t, Bytes(t, a), Bytes(t, a.Clone()))
}

func delta[T crdt.Lattice[T]](t *rapid.T, s Subject[T]) {
	w := run(t, s, steps)
	for i, e := range w.events {
		equal(t, s, w.after[i], joined(w.before[i], w.deltas[i]), "m(a) = a ⊔ δ: "+e.String())
	}
}

func groups[T crdt.Lattice[T]](t *rapid.T, s Subject[T]) {
	w := run(t, s, steps)
	a := pick(t, w)
	equal(t, s, joined(a, w.deltas...), joined(a, joined(s.New(), w.deltas...)), "one by one, or as a group")
}

// gaps takes the deltas in the opposite order, so that each comes without all it
// was made upon.
func gaps[T crdt.Lattice[T]](t *rapid.T, s Subject[T]) {
	w := run(t, s, steps)
	backwards := s.New()
	for i := len(w.deltas) - 1; i >= 0; i-- {
		backwards.Join(w.deltas[i])
	}
	w.sync()
	equal(t, s, w.holders[0].state, backwards, "nothing is hidden by what was made upon it")
}

func faults[T crdt.Lattice[T]](t *rapid.T, s Subject[T]) {
	w := run(t, s, steps)
	some := s.New()
	for _, d := range shuffled(t, append(w.deltas, w.deltas...)) {
		if Pick(t, "arrives", true, false) {
			some.Join(d)
		}
	}
	w.sync()
	some.Join(w.holders[0].state)
	equal(t, s, w.holders[0].state, some, "the whole state makes up for what was lost")
	for _, d := range w.deltas {
		some.Join(d)
	}
	equal(t, s, w.holders[0].state, some, "and what comes late is known")
}

func specified[T crdt.Lattice[T]](t *rapid.T, s Subject[T]) {
	w := run(t, s, steps)
	for i, h := range w.holders {
		require.Equal(t, s.Spec(w.doneAt(i)), s.Show(h.state), "holder %d after %v", i, w.doneAt(i))
	}
	w.sync()
	for _, h := range w.holders {
		require.Equal(t, s.Spec(w.events), s.Show(h.state), "all after %v", w.events)
	}
}

func concurrent[T crdt.Lattice[T]](t *rapid.T, s Subject[T]) {
	w := run(t, s, steps)
	w.sync()
	n := len(w.deltas)
	a := w.holders[0].state.Clone()
	w.change(t, 0)
	w.change(t, 1)
	one, two := w.deltas[n], w.deltas[n+1]
	equal(t, s, joined(a, one, two), joined(a, two, one), "the order of arrival")
	require.Equal(t, s.Spec(w.events), s.Show(joined(a, one, two)))
}

func encoded[T crdt.Lattice[T]](t *rapid.T, s Subject[T]) {
	w := run(t, s, steps)
	a := pick(t, w)
	b := Bytes(t, a)
	c := s.New()
	require.NoError(t, c.UnmarshalBinary(b))
	equal(t, s, a, c, "decoded")
	require.Equal(t, s.Show(a), s.Show(c))
	require.Equal(t, append([]byte("before"), b...), func() []byte { b, _ := a.AppendBinary([]byte("before")); return b }())

	require.Error(t, c.UnmarshalBinary(b[:rapid.IntRange(0, len(b)-1).Draw(t, "cut")]))
	require.Error(t, c.UnmarshalBinary(append(b[:len(b):len(b)], 0xc0)))
	flipped := append([]byte{}, b...)
	flipped[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
	if d := s.New(); d.UnmarshalBinary(flipped) == nil {
		require.Equal(t, flipped, Bytes(t, d))
		equal(t, s, joined(a, d), joined(d, a), "what somebody forged still converges")
	}
	equal(t, s, a, c, "a refused decoding leaves the receiver")
}

// compacted lets holders go on after a cut, and compact at it when they like. The
// specification knows nothing of it.
func compacted[T crdt.Lattice[T]](t *rapid.T, s Subject[T]) {
	if s.Compact == nil {
		return
	}
	w := run(t, s, steps)
	w.sync()
	stable := s.Stable(w.holders[0].state, w.events)
	for range Pick(t, "later", 1, 2, 5, steps, steps) {
		i, j := Pick(t, "holder", 0, 1, 2), Pick(t, "from", 0, 1, 2)
		switch h := w.holders[i]; Pick(t, "step", "change", "change", "pull", "pull", "compact") {
		case "change":
			w.change(t, i)
		case "pull":
			w.pull(i, j)
		case "compact":
			before := s.Show(h.state)
			s.Compact(h.state, stable)
			require.Equal(t, before, s.Show(h.state), "compacted")
		}
		require.Equal(t, s.Spec(w.doneAt(i)), s.Show(w.holders[i].state), "holder %d after %v", i, w.doneAt(i))
	}
	w.sync()
	for _, h := range w.holders {
		require.Equal(t, s.Spec(w.events), s.Show(h.state), "all after %v", w.events)
		s.Compact(h.state, stable)
		equal(t, s, w.holders[0].state, h.state, "once all have compacted")
	}
}

func retired[T crdt.Lattice[T]](t *rapid.T, s Subject[T]) {
	if s.Retire == nil {
		return
	}
	w := run(t, s, steps)
	w.sync()
	gone := Pick(t, "retired", 0, 1, 2)
	for range Pick(t, "later", 0, 1, 2, 3, 4, 5, 6) {
		if i := Pick(t, "by", 0, 1, 2); i != gone {
			w.change(t, i)
		}
	}
	var want, got []T
	for _, h := range w.holders {
		c := h.state.Clone()
		require.NoError(t, s.Retire(c, origin(gone)))
		require.Equal(t, s.Show(h.state), s.Show(c))
		want, got = append(want, h.state), append(got, c)
	}
	require.Equal(t, s.Show(joined(want[0], want[1:]...)), s.Show(joined(got[0], got[1:]...)))
	all := joined(want[0], want[1:]...)
	require.NoError(t, s.Retire(all, origin(gone)))
	equal(t, s, all, joined(got[0], got[1:]...), "retired before or after they are joined")
}

func bounded[T crdt.Lattice[T]](t *rapid.T, s Subject[T]) {
	w := run(t, s, stepsMany)
	w.sync()
	a := w.holders[0].state
	require.LessOrEqual(t, len(Bytes(t, a)), s.Bound(a, w.events))
}
