package hooks

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

// script is a program that a shell runs.
func script(t *testing.T, text string) []string {
	t.Helper()
	sh := "/bin/sh"
	if _, err := os.Stat(sh); err != nil {
		t.Skip("there is no shell")
	}
	return []string{sh, "-c", text, "hook"}
}

func commands(timeout time.Duration) (*Commands, *bytes.Buffer) {
	var logs bytes.Buffer
	return &Commands{Cluster: "shop", Timeout: timeout, Logger: slog.New(slog.NewTextHandler(&logs, nil))}, &logs
}

func TestACommandIsToldWhatHappenedAndItsOutputIsLogged(t *testing.T) {
	c, logs := commands(time.Minute)
	at := filepath.Join(t.TempDir(), "said")
	say := script(t, `echo "$TRIAD_CLUSTER $TRIAD_NODE $TRIAD_ROLE $TRIAD_TERM $TRIAD_LEADER" >> `+at+`; echo hello`)
	c.Promoted, c.Demoted = say, say
	c.Role(t.Context(), topology.RoleChange{Node: "a", Role: topology.RoleLeader, Term: 7, Leader: "a"})
	c.Role(t.Context(), topology.RoleChange{Node: "a", Role: topology.RoleFollower, Term: 7, Leader: "b"})
	b, err := os.ReadFile(at)
	require.NoError(t, err)
	require.Equal(t, "shop a leader 7 a\nshop a follower 7 b\n", string(b))
	require.Equal(t, 2, strings.Count(logs.String(), "output=hello"))

	c.Fence = script(t, `echo "$TRIAD_OLD_LEADER at $TRIAD_OLD_ADDR"`)
	require.NoError(t, c.FenceOld(t.Context(), topology.Fencing{Node: "a", Old: "b", Addr: "h:1", Term: 8}))
	require.Contains(t, logs.String(), `output="b at h:1"`)
}

func TestWithoutACommandNothingIsRun(t *testing.T) {
	c, logs := commands(time.Minute)
	c.Role(t.Context(), topology.RoleChange{Node: "a", Role: topology.RoleLeader})
	c.Role(t.Context(), topology.RoleChange{Node: "a", Role: topology.RoleFollower})
	require.Empty(t, logs.String())
}

func TestACommandThatFailsSaysSo(t *testing.T) {
	for name, tc := range map[string]struct {
		argv    []string
		timeout time.Duration
		says    string
	}{
		"an exit code":      {script(t, "echo no power >&2; exit 3"), time.Minute, "exit status 3"},
		"none of that name": {[]string{"/nowhere/at/all"}, time.Minute, "/nowhere/at/all"},
		"it hangs":          {script(t, "exec sleep 3600"), 50 * time.Millisecond, "it was ended after 50ms: timed out"},
		"its child hangs":   {script(t, "sleep 5 & exit 4"), time.Minute, "exit status 4"},
		"killed":            {script(t, "kill -9 $$"), time.Minute, "signal: killed"},
	} {
		t.Run(name, func(t *testing.T) {
			c, logs := commands(tc.timeout)
			c.Fence, c.Promoted = tc.argv, tc.argv
			err := c.FenceOld(t.Context(), topology.Fencing{Node: "a", Old: "b"})
			require.ErrorContains(t, err, tc.says)
			require.Contains(t, logs.String(), "a hook failed")
			c.Role(t.Context(), topology.RoleChange{Node: "a", Role: topology.RoleLeader}) // returns
		})
	}
}

func TestACommandMayLeaveAChild(t *testing.T) {
	c, _ := commands(time.Minute)
	c.Fence = script(t, "sleep 3 &")
	require.NoError(t, c.FenceOld(t.Context(), topology.Fencing{Node: "a", Old: "b"}))
}

func TestACommandEndsWithItsNode(t *testing.T) {
	c, _ := commands(time.Hour)
	c.Fence = script(t, "exec sleep 3600")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, c.FenceOld(ctx, topology.Fencing{Node: "a", Old: "b"}))
}

func TestOfALongOutputTheEndIsKept(t *testing.T) {
	c, logs := commands(time.Minute)
	c.Fence = script(t, `i=0; while [ $i -lt 2000 ]; do echo line$i; i=$((i+1)); done`)
	require.NoError(t, c.FenceOld(t.Context(), topology.Fencing{Node: "a", Old: "b"}))
	require.Contains(t, logs.String(), "line1999")
	require.NotContains(t, logs.String(), `line1\n`)
	require.Less(t, logs.Len(), 3*outputBytesMax)
}
