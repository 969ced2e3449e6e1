//go:build linux

package nemesis

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/server/resp"
	"github.com/triad-kv/triad/internal/sim/check"
	"github.com/triad-kv/triad/internal/sim/history"
	source "github.com/triad-kv/triad/internal/sim/load"
)

// The whole of a run, without what needs root: its faults, its clients, its
// judge, and that nothing is left.
func TestARunBreaksAndJudgesAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	binary, err := Build(t.Context(), dir)
	require.NoError(t, err)
	var out bytes.Buffer
	runs := filepath.Join(dir, "runs")
	report, err := Run(t.Context(), Options{Binary: binary, Dir: runs, Seed: 7, Faults: []string{"kill", "ring"}, Plain: true, Out: &out, brief: true})
	require.NoError(t, err, "%s", &out)
	require.Equal(t, map[string]int{"kill": 2, "ring": 2}, report.Struck)
	require.Positive(t, report.Operations[history.Put][history.Applied])
	require.NoDirExists(t, filepath.Join(runs, runName(os.Getpid())))
	report.Print(&out)
	t.Log(out.String())
	require.Contains(t, out.String(), "faults: kill 2, ring 2")
}

func TestAPlanIsDrawnFromTheSeedAlone(t *testing.T) {
	text := func(o Options) string {
		plan, err := newPlan(o)
		require.NoError(t, err)
		return fmt.Sprint(plan)
	}
	require.Equal(t, text(Options{Seed: 3}), text(Options{Seed: 3}))
	require.NotEqual(t, text(Options{Seed: 3}), text(Options{Seed: 4}))
	require.Equal(t, text(Options{Seed: 3, Duration: time.Minute}), text(Options{Seed: 3, Duration: time.Minute}))
	_, err := newPlan(Options{Faults: []string{"kill", "earthquake"}})
	require.ErrorContains(t, err, `there is no fault "earthquake"; there are: kill,`)
}

func TestTheShortFormHasEveryFaultOnce(t *testing.T) {
	plan, err := newPlan(Options{Seed: 1})
	require.NoError(t, err)
	var names []string
	for _, s := range plan {
		names = append(names, s.fault.name)
		require.True(t, s.hold >= holdMin && s.hold <= holdMax, "%v", s)
	}
	n := len(names) - pairsShort
	require.ElementsMatch(t, Faults(), names[:n])
	for _, s := range plan[n:] {
		require.Equal(t, []cuts{cutsNothing, cutsOnly}, []cuts{s.fault.cuts, s.with.fault.cuts})
	}
}

func TestAFailedRunSaysHowToRepeatIt(t *testing.T) {
	o := Options{Command: "soak", Seed: 5, Duration: time.Minute, Faults: []string{"kill", "wipe"}, Plain: true}
	require.Equal(t, "soak -seed 5 -duration 1m0s -faults kill,wipe -plain", o.repeat())
	require.Equal(t, "soak -seed 5", Options{Command: "soak", Seed: 5}.repeat())
}

func TestLongValuesAreWholeOrFoundOut(t *testing.T) {
	key := ofEra(source.Registers+"1", 4)
	require.Equal(t, "r/4/1", key)
	longest := 0
	for i := range 200 {
		value := fmt.Sprint("1.", i)
		text := padded(key, value)
		longest = max(longest, len(text))
		got, whole := unpadded(key, text)
		require.True(t, whole)
		require.Equal(t, value, got)
		_, whole = unpadded(key, text+"x")
		require.False(t, whole)
	}
	require.Greater(t, longest, paddingMax/2)
	require.Equal(t, "7", padded(source.Counters+"1", "7"), "numbers are numbers")
}

func TestClientsFollowWhoIsSaidToLead(t *testing.T) {
	l := newLoad(nil, 1, 1)
	write := history.Op{Kind: history.Put, Node: "a"}
	l.follow(write, fmt.Errorf("READONLY You can't. The leader is c at 10.0.0.3:6400."))
	require.Equal(t, "c", ids[l.lead.Load()])
	l.follow(write, fmt.Errorf("TRYAGAIN"))
	require.Equal(t, "c", ids[l.lead.Load()], "what was asked of another node says nothing of this one")
	write.Node = "c"
	l.follow(write, fmt.Errorf("TRYAGAIN"))
	require.Equal(t, "a", ids[l.lead.Load()])
}

func TestOutcomesAreThoseThatThePortPromises(t *testing.T) {
	c := &client{load: newLoad(nil, 1, 1)}
	for text, want := range map[string]history.Outcome{
		"UNKNOWN it may have happened": history.Unknown, "READONLY no": history.NotApplied, "TRYAGAIN": history.NotApplied,
		"MISCONF the disk is full": history.NotApplied, "EXECABORT no": history.NotApplied,
	} {
		op := history.Op{Kind: history.Put, Outcome: history.NotApplied}
		require.EqualError(t, c.refused(&op, resp.Answer{Fault: text}), text)
		require.Equal(t, want, op.Outcome, text)
	}
	require.NoError(t, c.load.oddities())
	_ = c.refused(&history.Op{Kind: history.Put}, resp.Answer{Fault: "ERR what is this"})
	require.ErrorContains(t, c.load.oddities(), "1 times: put: ERR what is this")
}

func TestTheJudgeFindsWhatIsMissing(t *testing.T) {
	ops := []history.Op{{ID: 1, Client: 1, Kind: history.Put, Key: "w/1", Value: "1", Invoke: 1, Return: 2, Outcome: history.Applied}}
	held := func(value string) []check.Final {
		f := check.Final{Node: "a", Cells: map[string]check.Cell{}}
		for i := range accounts {
			f.Cells[source.Account(i)] = check.Cell{Values: []string{fmt.Sprint(accountFunds)}}
		}
		if value != "" {
			f.Cells["w/1"] = check.Cell{Values: []string{value}}
		}
		return []check.Final{f}
	}
	require.ErrorContains(t, judged(ops, held("")), "it was acknowledged; a holds nothing")
	require.NoError(t, judged(ops, held("1")))
}
