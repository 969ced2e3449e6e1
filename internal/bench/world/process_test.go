package world_test

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/internal/bench/scenario"
	"github.com/triad-kv/triad/internal/bench/world"
	"github.com/triad-kv/triad/internal/cli"
	"github.com/triad-kv/triad/record"
)

// asTriad makes this test's binary be the command, for nodes that are processes.
const asTriad = "RUN_TEST_AS_TRIAD"

func init() {
	if os.Getenv(asTriad) != "" {
		cli.Main()
	}
}

const apart = `
sites: [a, b]
timeout: 5s
links: {a/b: 1ms}
subjects:
  one: {topology: single-leader, via: [client, resp]}
  sites: {topology: multi-leader, conflicts: [siblings], via: [client]}
  quorum: {topology: leaderless, conflicts: [crdt], w: [2], r: [1], via: [client, resp]}
workloads: {w: {kind: counter}}
faults:
  kill: {do: kill, who: [leader], at: 1s, for: 1s}
  pause: {do: pause, who: [leader], at: 1s, for: 1s}
`

func TestProcessesAreAskedByTheirProtocols(t *testing.T) {
	t.Setenv(asTriad, "1")
	s, err := scenario.Read("s.yaml", []byte(apart))
	require.NoError(t, err)
	for _, v := range s.Variants() {
		t.Run(v.Name, func(t *testing.T) {
			counters := triad.Table{Name: "n", Kind: record.KindCounter}
			w, err := world.Start(t.Context(), world.Options{Scenario: s, Variant: v, Dir: t.TempDir(), Tables: []triad.Table{{Name: "t", Kind: record.KindBytes}, counters}, Seed: 1})
			require.NoError(t, err)
			stopped := false
			t.Cleanup(func() {
				if !stopped {
					require.NoError(t, w.Stop())
				}
			})
			client := w.Visitor("b")
			value := world.Cell{Table: "t", Kind: record.KindBytes, Key: []byte("k")}
			count := world.Cell{Table: "n", Kind: record.KindCounter, Key: []byte("k")}
			require.NoError(t, world.Until(t.Context(), func(ctx context.Context) error {
				return client.Writer().Do(ctx, "put", func(ctx context.Context, d world.Door) error {
					_, err := d.Write(ctx, world.Change{Cell: value, Value: []byte("v")})
					return err
				})
			}))
			require.NoError(t, client.Writer().Do(t.Context(), "add", func(ctx context.Context, d world.Door) error {
				_, err := d.Write(ctx, world.Change{Cell: count, By: 3})
				return err
			}))
			_, err = w.Converge(t.Context(), "end")
			require.NoError(t, err)
			for _, level := range []scenario.Level{scenario.LevelAny, scenario.LevelSession} {
				require.NoError(t, client.Reader().Do(t.Context(), "get", func(ctx context.Context, d world.Door) error {
					h, err := d.Read(ctx, value, world.Want{Level: level})
					require.NoError(t, err)
					require.Equal(t, [][]byte{[]byte("v")}, h.Values)
					h, err = d.Read(ctx, count, world.Want{Level: level})
					require.NoError(t, err)
					require.EqualValues(t, 3, h.Number)
					return nil
				}))
			}
			used := w.Usage(t.Context())
			require.Positive(t, used.CPU)
			require.Positive(t, used.Syncs)
			require.Positive(t, used.WireBytes, "links lie between")
			stopped = true
			require.NoError(t, w.Stop())
		})
	}
}

func TestALeaderThatIsAProcessIsKilledAndPaused(t *testing.T) {
	t.Setenv(asTriad, "1")
	s, err := scenario.Read("s.yaml", []byte("sites: [a, b, c]\nsubjects: {one: {topology: single-leader, via: [client]}}\nworkloads: {w: {kind: counter}}\ntimeout: 2s\n"+
		"faults: {kill: {do: kill, who: [leader], at: 1s, for: 1s}, pause: {do: pause, who: [leader], at: 1s, for: 1s}}\n"))
	require.NoError(t, err)
	w, err := world.Start(t.Context(), world.Options{Scenario: s, Variant: s.Variants()[0], Dir: t.TempDir(), Seed: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Stop()) })
	require.Equal(t, "a-1", w.Leader().ID, "where everybody begins")
	put := func(ctx context.Context) error {
		return w.Writer("c").Do(ctx, "put", func(ctx context.Context, d world.Door) error {
			_, err := d.Write(ctx, world.Change{Cell: world.Cell{Table: triad.DefaultTable, Kind: record.KindBytes, Key: []byte("k")}, Value: []byte("v")})
			return err
		})
	}
	for _, f := range s.Faults {
		before := w.Leader()
		mend, err := w.Break(t.Context(), f, w.Who(f.Who))
		require.NoError(t, err, f.Name)
		require.NoError(t, world.Until(t.Context(), func(ctx context.Context) error {
			if err := put(ctx); err != nil {
				return err
			}
			if w.Leader() == before {
				return context.DeadlineExceeded
			}
			return nil
		}), f.Name)
		require.NoError(t, mend(t.Context()), f.Name)
		_, err = w.Converge(t.Context(), f.Name)
		require.NoError(t, err, f.Name)
	}
}
