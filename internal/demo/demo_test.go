package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestATourPlaysEightPhasesAndEveryCheckHolds(t *testing.T) {
	t.Parallel()
	d, out := playing(t, Options{})
	require.NoError(t, d.run(t.Context()), "%s", out)
	for n := 1; n <= 8; n++ {
		require.Regexp(t, regexp.MustCompile(fmt.Sprintf(`(?m)^phase %d  \S`, n)), out.String())
	}
	require.NotContains(t, out.String(), "FAILED")
	require.Contains(t, out.String(), "ok: 8 checks held, every node ended in order")
	for _, said := range []string{
		`(?m)^ +\d+  1\.1:\d+ +insert +users/1001 +Alice +leader, standby-1$`,
		`(?m)^ +\d+  1\.1:\d+ +insert +users/1002 +Bob +leader, standby-1$`,
		`(?m)^ +\d+  1\.1:\d+ +insert +orders/5001 +user 1001, 299\.99 +leader, standby-1$`,
		`(?m)^ +\d+  1\.1:\d+ +update +users/1001 +Alice Chen +leader, standby-1$`,
		`(?m)^ +\d+  1\.1:\d+ +insert +orders/5002 +user 1002, 149\.50 +leader, standby-1$`,
		`(?m)^  standby-3 +15ms +\d+ +\d+ +0 +after `,
		`(?m)^ +6  users/1002 +name Bob +1\.1:\d+ +standby-3$`,
		`standby-1 leads term \d+, \S+ after leader was lost to the others; no operator was asked`,
		`3 nodes have applied all \d+ records and hold the same bytes`,
	} {
		require.Regexp(t, regexp.MustCompile(said), out.String())
	}
	require.NoDirExists(t, d.dir)
}

func TestANamedDirectoryIsKept(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "kept")
	d, out := playing(t, Options{Dir: dir})
	require.NoError(t, d.run(t.Context()), "%s", out)
	for _, name := range []string{"leader/log", "standby-1/store", "standby-2/identity", "standby-3.log"} {
		_, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
	}
	_, err := newDemo(Options{Dir: dir})
	require.ErrorIs(t, err, ErrInput)
	require.ErrorContains(t, err, "is not empty")
}

func TestADemoFailsWhereAFollowerDoes(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(*demo, *node) error{
		"its directory is made read-only": func(_ *demo, n *node) error { return os.Chmod(n.Dir, 0o500) },
		"a part of it is made read-only":  func(_ *demo, n *node) error { return os.Chmod(filepath.Join(n.Dir, "log"), 0o500) },
		"its directory is removed":        func(_ *demo, n *node) error { return os.RemoveAll(n.Dir) },
		"its log is removed":              func(_ *demo, n *node) error { return os.RemoveAll(filepath.Join(n.Dir, "log")) },
		"its disk takes no more writes":   func(_ *demo, n *node) error { n.life.(*inside).plug.Pull(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, out := playing(t, Options{})
			out.when("phase 5", func() { require.NoError(t, harm(d, d.c.node("standby-2"))) })
			require.ErrorIs(t, d.run(t.Context()), ErrCheck)
			require.Contains(t, out.String(), "FAILED: ")
			require.Regexp(t, regexp.MustCompile(`FAILED: .*standby-2`), out.String())
			require.NotContains(t, out.String(), "phase 8")
			require.Regexp(t, regexp.MustCompile(`(?m)^FAILED: \d checks held, then one did not`), out.String())
			require.NoDirExists(t, d.dir)
		})
	}
}

func TestADemoFailsWhereTheSyncFollowerCannotWrite(t *testing.T) {
	t.Parallel()
	d, out := playing(t, Options{})
	out.when("phase 2", func() { d.c.node("standby-1").life.(*inside).plug.Pull() })
	require.ErrorIs(t, d.run(t.Context()), ErrCheck)
	require.Regexp(t, regexp.MustCompile(`FAILED: .*standby-1 ended by itself`), out.String())
}

func TestADemoFailsWhereAFailoverIsRefused(t *testing.T) {
	t.Parallel()
	d, out := playing(t, Options{})
	out.when("phase 7", func() { require.NoError(t, d.c.kill(t.Context(), d.c.node("standby-1"))) })
	require.ErrorIs(t, d.run(t.Context()), ErrCheck, "who has what a commit waited for is gone with the leader")
	require.Contains(t, out.String(), "FAILED: ")
	require.Contains(t, out.String(), "1 phase was not played")
}

func TestAnInterruptedTourEndsItsNodes(t *testing.T) {
	t.Parallel()
	d, out := playing(t, Options{})
	ctx, interrupt := context.WithCancel(t.Context())
	out.when("phase 3", interrupt)
	err := d.run(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, ErrCheck)
	require.NoDirExists(t, d.dir)
	for _, n := range d.c.nodes {
		<-n.life.ended()
	}
}

func TestATourThatSomebodyWatchesMayBeInterrupted(t *testing.T) {
	t.Parallel()
	d, out := playing(t, Options{})
	d.o.Once = false
	ctx, interrupt := context.WithCancel(t.Context())
	out.when("phase 3", interrupt)
	require.NoError(t, d.run(ctx), "%s", out)
	require.NotContains(t, out.String(), "phase 4")
	require.Contains(t, out.String(), "ok: 2 checks held, every node ended in order")
}

func TestAClusterThatStaysUpEndsWithItsContext(t *testing.T) {
	t.Parallel()
	d, out := playing(t, Options{Command: "./triad"})
	d.o.Once = false
	ctx, interrupt := context.WithCancel(t.Context())
	out.when("failover --to standby-2 --endpoints", interrupt)
	require.NoError(t, d.run(ctx), "%s", out)
	var addrs []string
	for _, n := range d.c.living() {
		addrs = append(addrs, n.addr)
		require.Regexp(t, regexp.MustCompile(`(?m)^  `+string(n.ID)+` +(leader|follower) +`+n.addr+`$`), out.String())
	}
	require.Contains(t, out.String(), "  ./triad status --endpoints "+strings.Join(addrs, ",")+"\n")
}

func TestANodeThatEndsWhileTheClusterStaysUpIsAFailure(t *testing.T) {
	t.Parallel()
	d, out := playing(t, Options{})
	d.o.Once = false
	out.when("failover --to standby-2 --endpoints", func() { d.c.node("standby-3").life.(*inside).plug.Pull() })
	require.ErrorIs(t, d.run(t.Context()), ErrCheck)
	require.Contains(t, out.String(), "FAILED: standby-3 ended by itself")
}

// fullWriter takes some bytes and then no more.
type fullWriter struct{ room int }

var errFull = errors.New("no room for output")

func (w *fullWriter) Write(b []byte) (int, error) {
	if w.room -= len(b); w.room < 0 {
		return 0, errFull
	}
	return len(b), nil
}

func TestADemoNobodyCanReadFails(t *testing.T) {
	t.Parallel()
	d, _ := playing(t, Options{})
	d.teller.w = &fullWriter{room: 1000}
	require.ErrorIs(t, d.run(t.Context()), errFull)
}

func TestOptionsThatMeanNothingAreRefused(t *testing.T) {
	for want, o := range map[string]Options{
		`scenario "detour"`:            {Scenario: "detour"},
		"did you mean tour?":           {Scenario: "tuor"},
		"go together":                  {Scenario: ScenarioLoad},
		"scenario load and a folder":   {Scenario: ScenarioTour, Load: "."},
		"no such file or directory":    {Load: "nowhere"},
		"holds no regular file":        {Load: t.TempDir()},
		"demo_test.go is not a folder": {Load: "demo_test.go"},
		"not a directory":              {Dir: "demo_test.go"},
		"scenario semi-sync can not be played on single-leader: it needs one synchronous replica": {Scenario: ScenarioSemiSync},
		"scenario conflict can not be played on single-leader: one node of it leads":              {Scenario: ScenarioConflict},
		"scenario tour can not be played on multi-leader: it is of one leader":                    {Layout: found(t, "multi-leader"), Scenario: ScenarioTour},
		"it needs a read replica in a site that has a delay":                                      {Scenario: ScenarioReaders},
		"it needs a ": {Scenario: ScenarioPayments},
	} {
		_, err := newDemo(o)
		require.ErrorIs(t, err, ErrInput)
		require.ErrorContains(t, err, want)
	}
}
