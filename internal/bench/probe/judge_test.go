package probe

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/triad-kv/triad/internal/bench/result"
	"github.com/triad-kv/triad/internal/bench/scenario"
	"github.com/triad-kv/triad/internal/sim/check"
	"github.com/triad-kv/triad/internal/sim/history"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func variant(t *testing.T, text string) scenario.Variant {
	t.Helper()
	s, err := scenario.Read("s.yaml", []byte("subjects: {x: "+text+"}\nworkloads: {w: {kind: counter}}\n"))
	require.NoError(t, err)
	return s.Variants()[0]
}

// told makes a history of one session, an operation each 10 ms that takes 5.
type told []history.Op

func (h *told) add(op history.Op) {
	n := len(*h)
	op.ID, op.Client, op.Session, op.Outcome = uint64(n+1), 1, 1, history.Applied
	op.Invoke = time.Duration(10*n) * time.Millisecond
	op.Return = op.Invoke + 5*time.Millisecond
	*h = append(*h, op)
}

func (h *told) put(value string) { h.add(history.Op{Kind: history.Put, Key: "r/0", Value: value}) }

func (h *told) get(g history.Guarantee, value string) {
	h.add(history.Op{Kind: history.Get, Key: "r/0", Got: []string{value}, Want: history.Request{Guarantee: g}})
}

func found(v *Verdict, what scenario.Anomaly, level scenario.Level) result.Anomaly {
	for _, a := range v.Anomalies {
		if a.What == what && a.Level == level {
			return a
		}
	}
	return result.Anomaly{}
}

func TestReadersOfEachLevelAreJudgedAlone(t *testing.T) {
	var h told
	h.put("a")
	h.put("b")
	h.get(history.Any, "b")
	h.get(history.Any, "a") // back in time, and not its own last write
	h.get(history.Session, "b")
	h.get(history.Linearizable, "b")
	final := check.Final{Node: "a-1", Cells: map[string]check.Cell{"r/0": {Values: []string{"b"}}}}
	v, err := Judge(variant(t, "{topology: single-leader}"), h, []check.Final{final, final})
	require.NoError(t, err)
	for _, what := range []scenario.Anomaly{scenario.StaleReads, scenario.OwnWrites, scenario.BackInTime} {
		a := found(v, what, scenario.LevelAny)
		require.Equal(t, 1, a.Found, what)
		require.False(t, a.Forbidden, what)
		require.Contains(t, a.Example, "#4", what)
		for _, level := range []scenario.Level{scenario.LevelSession, scenario.LevelLinearizable} {
			require.Zero(t, found(v, what, level).Found, "%s, %s", what, level)
			require.Positive(t, found(v, what, level).Judged, "%s, %s", what, level)
		}
	}
	require.True(t, found(v, scenario.OwnWrites, scenario.LevelSession).Forbidden)
	require.Equal(t, 2, v.Staleness["any"].Reads)
	require.Equal(t, 1, v.Staleness["any"].Stale)
	require.Equal(t, 1, v.Staleness["any"].Versions)
	require.InDelta(t, 15, v.Staleness["any"].Max, 1e-9)
	require.Zero(t, v.Staleness["linearizable"].Stale)
	require.Equal(t, 2, v.Acked)
	require.Zero(t, v.Lost)
}

func TestALostWriteIsCountedOnceHoweverManyNodesLackIt(t *testing.T) {
	var h told
	h.add(history.Op{Kind: history.Put, Key: "w/1", Value: "1.once.1"})
	h.put("a")
	empty := check.Final{Node: "a-1", Cells: map[string]check.Cell{"r/0": {Values: []string{"a"}}}}
	other := check.Final{Node: "b-1", Cells: map[string]check.Cell{"r/0": {Values: []string{"z"}}}}
	v, err := Judge(variant(t, "{topology: single-leader, sync: [async]}"), h, []check.Final{empty, empty, other})
	require.NoError(t, err)
	require.Equal(t, 2, v.Acked)
	require.Equal(t, 1, v.Lost)
	lost := found(v, scenario.LostWrites, "")
	require.Equal(t, 1, lost.Found)
	require.False(t, lost.Forbidden, "an election of an asynchronous group may")
	require.Positive(t, found(v, scenario.OutOfNowhere, "").Found)
	never := found(v, scenario.NeverTheSame, "")
	require.Positive(t, never.Found)
	require.True(t, never.Forbidden)
}

func TestWhereNobodyLeadsStalenessStandsBesideWhatPBSPredicts(t *testing.T) {
	var h told
	h.put("a")
	h.get(history.Any, "a")
	h.get(history.Session, "a")
	v, err := Judge(variant(t, "{topology: leaderless, w: [1], r: [1]}"), h, nil)
	require.NoError(t, err)
	require.InDelta(t, 2.0/3, *v.Staleness["any"].Predicted, 1e-9)
	require.Nil(t, v.Staleness["session"].Predicted, "a token waits")
	v, err = Judge(variant(t, "{topology: leaderless}"), h, nil)
	require.NoError(t, err)
	require.Zero(t, *v.Staleness["any"].Predicted, "two and two of three meet")
	v, err = Judge(variant(t, "{topology: single-leader}"), h, nil)
	require.NoError(t, err)
	require.Nil(t, v.Staleness["any"].Predicted)
}

func TestASearchForAnOrderIsMadeOnlyWhereNothingElseRulesOneOut(t *testing.T) {
	var h told
	h.put("a")
	h.put("b")
	h.get(history.Linearizable, "a")
	v, err := Judge(variant(t, "{topology: multi-leader}"), h, nil)
	require.NoError(t, err)
	require.Zero(t, found(v, scenario.StaleReads, scenario.LevelLinearizable).Found, "where sites write, what nobody placed has no order")
	require.Equal(t, 1, found(v, scenario.NotLinearizable, scenario.LevelLinearizable).Found, "the search finds it all the same")
	v, err = Judge(variant(t, "{topology: single-leader}"), h, nil)
	require.NoError(t, err)
	require.Equal(t, 1, found(v, scenario.StaleReads, scenario.LevelLinearizable).Found)
	require.Equal(t, 1, found(v, scenario.NotLinearizable, scenario.LevelLinearizable).Found)
}
