package load

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/history"
)

func draw(s *Source, seed uint64, n int) (ops []history.Op) {
	rng := rand.New(rand.NewPCG(seed, 1))
	for range n {
		op := s.Next(rng)
		op.Outcome = history.Applied
		s.Observe(op)
		ops = append(ops, op)
	}
	return ops
}

func TestASeedDrawsTheSameAgain(t *testing.T) {
	o := Options{Skew: 1, Nodes: []string{"a", "b"}, Reads: []history.Request{{}, {Guarantee: history.Session}}}
	require.Equal(t, draw(NewSource(o, 1, 1), 7, 500), draw(NewSource(o, 1, 1), 7, 500))
	require.NotEqual(t, draw(NewSource(o, 1, 1), 7, 500), draw(NewSource(o, 1, 1), 8, 500))
}

func TestAValueIsDrawnOnceOverAllSessionsAndClients(t *testing.T) {
	seen := map[string]bool{}
	for session := range uint64(3) {
		s := NewSource(Options{}, session, session+1)
		for range 2 {
			for _, op := range draw(s, 1, 200) {
				if op.Value != "" {
					require.False(t, seen[op.Value], op.Value)
					seen[op.Value] = true
				}
			}
			s.Retire(session + 10)
			require.Equal(t, session+10, s.Client())
		}
	}
}

func TestEveryKindAndKeyIsDrawnAsOftenAsItWeighs(t *testing.T) {
	kinds, keys := map[history.Kind]int{}, map[string]int{}
	for _, op := range draw(NewSource(Options{Registers: 8, Skew: 1}, 1, 1), 3, 4000) {
		kinds[op.Kind]++
		if strings.HasPrefix(op.Key, Registers) {
			keys[op.Key]++
		}
		switch op.Kind {
		case history.Transfer:
			require.NotEqual(t, op.Key, op.To)
			require.Positive(t, op.Amount)
		case history.Increment:
			require.True(t, strings.HasPrefix(op.Key, Counters))
		case history.Scan:
			require.Equal(t, Accounts, op.Key)
		}
	}
	require.Len(t, kinds, 7)
	require.Greater(t, kinds[history.Put], 2*kinds[history.Increment])
	require.Len(t, keys, 8)
	require.Greater(t, keys["r/0"], 2*keys["r/3"])
	require.Greater(t, keys["r/1"], keys["r/7"])
}

func TestWhatIsNotWeighedIsNotDrawn(t *testing.T) {
	for _, op := range draw(NewSource(Options{Mix: Mix{Put: 1, Scan: 1}}, 1, 1), 3, 200) {
		require.Contains(t, []history.Kind{history.Put, history.Scan}, op.Kind)
		require.True(t, strings.HasPrefix(op.Key, Registers))
	}
}

func TestACompareAndSetExpectsWhatWasLastHeard(t *testing.T) {
	s := NewSource(Options{Mix: Mix{CompareAndSet: 1}, Registers: 1}, 1, 1)
	rng := rand.New(rand.NewPCG(1, 1))
	require.Empty(t, s.Next(rng).Expect)
	heard := func(op history.Op) string { s.Observe(op); return s.Next(rng).Expect }
	get := history.Op{Kind: history.Get, Key: "r/0", Outcome: history.Applied, Got: []string{"v"}}
	require.Equal(t, "v", heard(get))
	require.Equal(t, "v", heard(history.Op{Kind: history.Put, Key: "r/0", Value: "w", Outcome: history.Unknown}))
	require.Empty(t, heard(history.Op{Kind: history.CompareAndSet, Key: "r/0", Value: "w", Outcome: history.NotApplied, Refused: true}))
	require.Equal(t, "w", heard(history.Op{Kind: history.CompareAndSet, Key: "r/0", Value: "w", Outcome: history.Applied}))
	require.Empty(t, heard(history.Op{Kind: history.Delete, Key: "r/0", Outcome: history.Applied}))
	heard(get)
	get.Got = nil
	require.Empty(t, heard(get))
}
