package compare

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// The test binary starts itself as hosts and children, as a benchmark does.
func TestMain(m *testing.M) {
	if IsChild(os.Args[1:]) {
		os.Exit(Main(os.Args[1:], echo{name: "quick"}, echo{name: "other"}, echo{name: "broken", fails: true}))
	}
	goleak.VerifyTestMain(m)
}

// echo is a subject whose child says a word and whose writes cost nothing.
type echo struct {
	name  string
	fails bool
}

var errBroken = errors.New("broken on purpose")

func (e echo) Name() string { return e.name }

func (e echo) Run(ctx context.Context, dir string, spawn Spawn, ready func(func() (Client, error))) error {
	word, err := spawn("a word")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "word"), []byte(word), 0o600); err != nil {
		return err
	}
	var mu sync.Mutex
	here := map[string]bool{}
	ready(func() (Client, error) {
		c := Client{Put: func(key, value []byte) error {
			if e.fails {
				return errBroken
			}
			mu.Lock()
			defer mu.Unlock()
			here[string(key)] = true
			return nil
		}}
		if e.name == "quick" {
			c.Get = func(key []byte) error {
				mu.Lock()
				defer mu.Unlock()
				if !here[string(key)] {
					return fmt.Errorf("%s is not there", key)
				}
				return nil
			}
		}
		return c, nil
	})
	<-ctx.Done()
	return nil
}

func (e echo) Child(ctx context.Context, args []string, up func(string)) error {
	up("heard " + strings.Join(args, " "))
	<-ctx.Done()
	return nil
}

func options(t *testing.T, args ...string) Options {
	t.Helper()
	o, err := parse(append(args, "-dir", t.TempDir(), "-warm", "0s", "-time", "1ms", "-quiet", "0"), []string{"quick", "other", "broken"}, io.Discard)
	require.NoError(t, err)
	return o
}

func TestARunMeasuresEverySubjectInEveryRound(t *testing.T) {
	o := options(t, "-subjects", "quick,other", "-writers", "1,3", "-rounds", "2")
	o.JSON = filepath.Join(o.Dir, "out.json")
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), o, &out, io.Discard))
	b, err := os.ReadFile(o.JSON)
	require.NoError(t, err)
	var r Report
	require.NoError(t, json.Unmarshal(b, &r))
	require.Len(t, r.Rows, 4)
	var turns []string
	for _, c := range r.Cells {
		turns = append(turns, c.Subject)
	}
	require.Equal(t, strings.Fields("quick other quick other other quick other quick"), turns)
	require.Contains(t, out.String(), "writes/s")
	word, err := os.ReadFile(filepath.Join(o.Dir, "quick", "word"))
	require.NoError(t, err)
	require.Equal(t, "heard a word", string(word))
}

func TestEveryCellHasAProfileWhereOneIsAskedFor(t *testing.T) {
	o := options(t, "-subjects", "quick", "-writers", "1,2", "-rounds", "1")
	o.Profile = filepath.Join(o.Dir, "profiles")
	require.NoError(t, run(t.Context(), o, io.Discard, io.Discard))
	for _, name := range []string{"quick-1-1.pprof", "quick-1-1-child1.pprof", "quick-2-1.pprof", "quick-2-1-child1.pprof"} {
		st, err := os.Stat(filepath.Join(o.Profile, name))
		require.NoError(t, err)
		require.NotZero(t, st.Size())
	}
}

func TestAnErrorOfAWriteEndsTheRun(t *testing.T) {
	err := run(t.Context(), options(t, "-subjects", "broken", "-writers", "2"), io.Discard, io.Discard)
	require.ErrorContains(t, err, errBroken.Error())
}

func TestKeysThatAreReadWerePutBefore(t *testing.T) {
	o := options(t, "-op", "get", "-subjects", "quick", "-writers", "3", "-rounds", "2", "-keys", "100")
	o.JSON = filepath.Join(o.Dir, "out.json")
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), o, &out, io.Discard))
	require.Contains(t, out.String(), "reads/s")
	b, err := os.ReadFile(o.JSON)
	require.NoError(t, err)
	var r Report
	require.NoError(t, json.Unmarshal(b, &r))
	require.Equal(t, OpGet, r.Op)
}

func TestASubjectThatReadsNothingSaysSo(t *testing.T) {
	err := run(t.Context(), options(t, "-op", "get", "-subjects", "other", "-writers", "1"), io.Discard, io.Discard)
	require.ErrorContains(t, err, errReads.Error())
}

func TestARunThatIsInterruptedEndsWithItsReason(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, run(ctx, options(t, "-subjects", "quick"), io.Discard, io.Discard), context.Canceled)
}

func TestACellCountsWritesOfItsMeasuredTimeOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		put := func(key, value []byte) error { time.Sleep(time.Millisecond); return nil }
		o := order{Writers: 2, Keys: 10, Value: 4, Warm: 3500 * time.Microsecond, Time: time.Second}
		c, err := measureOnce(o, []Client{{Put: put}, {Put: put}}, instruments{meter: func() reading { return reading{} }})
		require.NoError(t, err)
		require.InDelta(t, 2000, c.Writes, 4)
		require.InDelta(t, 1000, c.P50, 1)
		require.InDelta(t, 1000, c.P99, 1)
	})
}

func TestAWriterSendsKeysOfTheirSizeAndRange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		put := func(key, value []byte) error {
			require.Len(t, key, 16)
			require.Less(t, string(key), "k000000000000010")
			require.Len(t, value, 128)
			time.Sleep(time.Millisecond)
			return nil
		}
		_, err := measureOnce(order{Writers: 1, Keys: 10, Value: 128, Time: 50 * time.Millisecond}, []Client{{Put: put}}, instruments{meter: func() reading { return reading{} }})
		require.NoError(t, err)
	})
}

// disturbed returns a meter that shows so many foreign cores in each
// measurement of one second.
func disturbed(cores ...float64) meter {
	var total float64
	reads := 0
	return func() reading {
		if reads%2 == 1 {
			total += cores[reads/2]
		}
		reads++
		return reading{machine: total}
	}
}

func TestADisturbedCellIsMeasuredAgainAndTheCalmestKept(t *testing.T) {
	for _, c := range []struct {
		name  string
		cores []float64
		kept  float64
		took  int
	}{
		{"calm at once", []float64{0.1}, 0.1, 1},
		{"calm the second time", []float64{0.9, 0.2}, 0.2, 2},
		{"never calm", []float64{0.9, 0.7, 0.8}, 0.7, 1 + RetriesMax},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				put := func(key, value []byte) error { time.Sleep(time.Millisecond); return nil }
				cell, err := measure(order{Writers: 1, Keys: 1, Time: time.Second, Quiet: 0.4}, []Client{{Put: put}}, instruments{meter: disturbed(c.cores...)})
				require.NoError(t, err)
				require.InDelta(t, c.kept, cell.Foreign, 1e-9)
				require.Equal(t, c.took, cell.Measurements)
			})
		})
	}
}

func TestARatioIsTakenWithinARound(t *testing.T) {
	first := []Cell{{Subject: "a", PerSecond: 100, CPU: 10}, {Subject: "a", PerSecond: 200, CPU: 10}, {Subject: "a", PerSecond: 400, CPU: 10}}
	other := []Cell{{Subject: "b", PerSecond: 50, CPU: 20}, {Subject: "b", PerSecond: 100, CPU: 20}, {Subject: "b", PerSecond: 40, CPU: 20}}
	r := row(other, first)
	require.InDelta(t, 0.5, r.Ratio, 1e-9)
	require.InDelta(t, 2, r.CPURatio, 1e-9)
	require.InDelta(t, 50, r.PerSecond, 1e-9)
	require.Equal(t, []float64{40, 100}, []float64{r.Least, r.Most})
}

func TestMainReturnsTheExitCodeOfItsFault(t *testing.T) {
	require.Equal(t, exitUsage, Main([]string{"-rounds", "0"}, echo{name: "quick"}))
	require.Equal(t, exitUsage, Main([]string{"-nonsense"}, echo{name: "quick"}))
	require.Equal(t, exitFailed, Main([]string{verbHost, "nobody"}, echo{name: "quick"}))
	require.Equal(t, exitFailed, Main([]string{verbHost, "quick"}, echo{name: "quick"}))
	require.Zero(t, Main([]string{"-h"}, echo{name: "quick"}))
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{3}, 3},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 2, 9}, 3},
	} {
		require.InDelta(t, c.want, median(c.values), 1e-9)
	}
}

func TestAFigureThatIsNotCountedIsADash(t *testing.T) {
	require.Equal(t, "–", known("%.1f", 0))
	require.Equal(t, "2.5", known("%.1f", 2.5))
}

func TestWhatCannotBeMeasuredIsRefused(t *testing.T) {
	for _, args := range []string{
		"-writers 0", "-writers x", "-writers 5000", "-subjects nobody", "-subjects quick,quick",
		"-keys 0", "-value -1", "-value 1048577", "-time 0s", "-rounds 0", "-quiet -1", "-op scan", "stray",
	} {
		_, err := parse(strings.Fields(args), []string{"quick"}, io.Discard)
		require.Error(t, err, args)
	}
}
