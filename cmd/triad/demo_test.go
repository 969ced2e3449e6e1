package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/demo"
)

// story is an output that calls f once a text was written to it.
type story struct {
	bytes.Buffer
	text string
	f    func()
}

func (s *story) Write(b []byte) (int, error) {
	n, err := s.Buffer.Write(b)
	if s.f != nil && strings.Contains(s.String(), s.text) {
		f := s.f
		s.f = nil
		f()
	}
	return n, err
}

func TestADemoWhoseNodesAreProcessesHolds(t *testing.T) {
	t.Setenv(asTriad, "1")
	t.Setenv("TRIAD_APPLY_DELAY", "1h") // not for the nodes
	var out, errs bytes.Buffer
	dir := filepath.Join(t.TempDir(), "demo")
	require.Equal(t, exitDone, run(t.Context(), []string{"demo", "single-leader", "--once", "--procs", "--dir", dir}, nil, &out, &errs), "%s%s", out.String(), errs.String())
	require.Contains(t, out.String(), "each in a process of its own")
	require.Contains(t, out.String(), "was killed with SIGKILL")
	require.Contains(t, out.String(), "ok: 8 checks held")
	require.Empty(t, errs.String())
	for _, id := range []string{"leader", "standby-1", "standby-2", "standby-3"} {
		require.Contains(t, succeed(t, "wal", "verify", filepath.Join(dir, id)), "ok: the log of node "+id)
	}
	log, err := os.ReadFile(filepath.Join(dir, "standby-1.log"))
	require.NoError(t, err)
	require.Contains(t, string(log), "node=standby-1")
}

func TestADemoWithAFollowerThatCannotWriteIsCode4(t *testing.T) {
	for _, mode := range []string{"--procs", "--once"} {
		t.Run(mode, func(t *testing.T) {
			t.Setenv(asTriad, "1")
			dir := filepath.Join(t.TempDir(), "demo")
			follower := filepath.Join(dir, "standby-2")
			out := &story{text: "phase 4"}
			out.f = func() { require.NoError(t, os.Chmod(follower, 0o500)) }
			t.Cleanup(func() { require.NoError(t, os.Chmod(follower, 0o700)) })
			var errs bytes.Buffer
			require.Equal(t, exitCheck, run(t.Context(), []string{"demo", "--once", mode, "--dir", dir}, nil, out, &errs))
			require.Regexp(t, `FAILED: .*standby-2`, out.String())
			require.Equal(t, "triad: a check did not hold\n", errs.String())
		})
	}
}

func TestALoadIsPlayedByItsFlag(t *testing.T) {
	out := succeed(t, "demo", "--once", "--load", ".")
	require.Contains(t, out, "ok: the disk, the leader and 3 followers hold the same bytes")
	require.NotContains(t, out, "phase 1")
}

func TestANodeWithoutTheListenerItShouldInheritIsRefused(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	c := exec.Command(self, "node", "--id", "a", "--dir", t.TempDir(), "--inherit")
	c.Env = append(os.Environ(), asTriad+"=1")
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	require.True(t, errors.As(err, &exit), "%s", out)
	require.Equal(t, exitUsage, exit.ExitCode())
	require.Contains(t, string(out), "triad: --inherit: file descriptor 3 ")
}

func TestASpecSurvivesItsFlags(t *testing.T) {
	users, err := demo.ParseTable("users:row")
	require.NoError(t, err)
	leader, err := demo.ParseMember("leader=127.0.0.1:7400")
	require.NoError(t, err)
	follower, err := demo.ParseMember("b=127.0.0.1:7401")
	require.NoError(t, err)
	want := demo.Spec{
		ID: "b", Cluster: "shop", Dir: "x", Listen: "127.0.0.1:9", Leader: "leader", Sync: "first 1 (b)", ApplyDelay: 5e6,
	}
	want.Members = append(want.Members, leader, follower)
	want.Tables = append(want.Tables, users)
	root := newRoot()
	c, rest, err := root.Find(want.Args())
	require.NoError(t, err)
	require.Equal(t, "node", c.Name())
	require.NoError(t, c.ParseFlags(rest))
	for flag, value := range map[string]string{
		"id": "b", "cluster": "shop", "dir": "x", "listen": "127.0.0.1:9", "leader": "leader", "sync": "first 1 (b)",
		"apply-delay": "5ms", "member": "[leader=127.0.0.1:7400,b=127.0.0.1:7401]", "table": "[users:row]",
	} {
		require.Equal(t, value, c.Flags().Lookup(flag).Value.String(), flag)
	}
}
