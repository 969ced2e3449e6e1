package cli

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
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

func TestAClusterWhoseNodesAreProcessesIsCutAndHealed(t *testing.T) {
	t.Setenv(asTriad, "1")
	out := succeed(t, "demo", "semi-sync-trio", "--once", "--procs")
	require.Contains(t, out, "replica-1 is cut off from primary, replica-2")
	require.Contains(t, out, "ok: 5 checks held, every node ended in order")
}

func TestADemoThatIsUpEndsWithASignal(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	for name, args := range map[string][]string{"in one process": nil, "in several": {"--procs"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := exec.Command(self, append([]string{"demo", "geo-readers"}, args...)...)
			c.Env = append(os.Environ(), asTriad+"=1")
			out := &story{text: "failover --to eu2"}
			out.f = func() { require.NoError(t, c.Process.Signal(syscall.SIGTERM)) }
			c.Stdout = struct{ io.Writer }{out} // not its ReadFrom, which hears nothing
			require.NoError(t, c.Run(), "%s", out)
			require.Contains(t, out.String(), "the cluster is up until Ctrl-C")
			require.Contains(t, out.String(), "ok: 5 checks held, every node ended in order")
		})
	}
}

func TestADemoThatDoesNotExistIsCode2(t *testing.T) {
	file := filepath.Join(t.TempDir(), "other.yaml")
	require.NoError(t, os.WriteFile(file, []byte("topology: {kind: leadership}\nnodes: {a: leader}\n"), 0o600))
	for want, args := range map[string][]string{
		`there is no demo "paymets"; did you mean payments?`: {"paymets"},
		"demo takes one cluster, and 2 were given":           {"payments", "geo-readers"},
		file + ":1:18: topology.kind: ":                      {file},
		"scenario readers can not be played on payments":     {"payments", "--scenario", "readers"},
	} {
		var out, errs bytes.Buffer
		require.Equal(t, exitUsage, run(t.Context(), append([]string{"demo", "--once"}, args...), nil, &out, &errs), args)
		require.Contains(t, errs.String(), want)
		require.Empty(t, out.String())
	}
}

func TestASpecSurvivesItsFlags(t *testing.T) {
	leader, err := demo.ParseMember("leader=127.0.0.1:7400")
	require.NoError(t, err)
	follower, err := demo.ParseMember("b=127.0.0.1:7401")
	require.NoError(t, err)
	want := demo.Spec{ID: "b", File: "cluster.yaml", Cluster: "shop", Dir: "x", ApplyDelay: 5e6}
	want.Members = append(want.Members, leader, follower)
	want.Links = append(want.Links, demo.Wire{To: "leader", There: 40e6, Back: 1e9})
	root := newRoot()
	c, rest, err := root.Find(want.Args())
	require.NoError(t, err)
	require.Equal(t, "node", c.Name())
	require.NoError(t, c.ParseFlags(rest))
	for flag, value := range map[string]string{
		"id": "b", "file": "cluster.yaml", "cluster": "shop", "dir": "x",
		"apply-delay": "5ms", "member": "[leader=127.0.0.1:7400,b=127.0.0.1:7401]", "link": "[leader=40ms/1s]",
	} {
		require.Equal(t, value, c.Flags().Lookup(flag).Value.String(), flag)
	}
}
