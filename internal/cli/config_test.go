package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/internal/config/strict"
)

// write puts a file into a folder of the test.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// elsewhere is the example of another command.
const elsewhere = "../../examples/nodes/etcd.yaml"

// examples are the configuration files that come with the program.
func examples(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../examples/*/*.yaml")
	require.NoError(t, err)
	require.Contains(t, files, elsewhere)
	files = slices.DeleteFunc(files, func(f string) bool { return f == elsewhere })
	require.GreaterOrEqual(t, len(files), 7)
	return files
}

func TestAFileOfAnotherCommandNamesIt(t *testing.T) {
	r := command(t, "config", "check", elsewhere)
	require.Equal(t, exitUsage, r.code)
	require.Contains(t, r.errs, "etcd.yaml:19:9: control.kind: control etcd is in the command triad-etcd and not in this one")
	require.Equal(t, 3, strings.Count(r.errs, "\n"), "one finding, and its place: %s", r.errs)
}

func TestEveryExampleChecks(t *testing.T) {
	for _, file := range examples(t) {
		out := succeed(t, "config", "check", file)
		require.True(t, strings.HasPrefix(out, file+"\n"), out)
		require.Regexp(t, `a write (in us )?survives`, out)
		require.NotContains(t, out, "warning")
	}
}

func TestCheckSaysWhatWouldRunAndWhatIsUnsafe(t *testing.T) {
	file := write(t, "node.yaml", `node: {id: a, dir: data/a}
control: {leader: a}
members: {a: 127.0.0.1:7400, b: 127.0.0.1:7401}
topology: {durability: received}
`)
	out := succeed(t, "config", "check", file)
	require.Contains(t, out, "single-leader, led by a first, sync async, answered once received")
	require.Contains(t, out, "warning: "+file+":4:1: topology.sync: no other node has a write when it is acknowledged")
	require.Contains(t, out, "warning: "+file+":4:24: topology.durability: ")
	require.Contains(t, out, "     4 | topology: {durability: received}\n       |                        ^\n")

	var all []checked
	require.NoError(t, json.Unmarshal([]byte(succeed(t, "config", "check", file, "-o", "json")), &all))
	require.Equal(t, "topology.sync", all[0].Warnings[0].Key)
	require.Contains(t, succeed(t, "config", "check", file, "-o", "yaml"), "- what: directory")
}

func TestAFileThatIsRefusedIsCode2AndTheOthersAreShown(t *testing.T) {
	bad := write(t, "bad.yaml", "node: {id: a, dir: d}\nlimits:\n  start_wait: 5\n")
	r := command(t, "config", "check", bad, examples(t)[0])
	require.Equal(t, exitUsage, r.code)
	require.Equal(t, "triad: "+bad+":3:15: limits.start_wait: 5 has no unit; write 5s, 5ms or 5m\n     3 |   start_wait: 5\n       |               ^\n", r.errs)
	require.Contains(t, r.out, examples(t)[0])
}

func TestEveryBrokenFileIsCode2(t *testing.T) {
	files, err := filepath.Glob("../../internal/config/testdata/broken/*.yaml")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 40)
	for _, file := range files {
		r := command(t, "config", "check", file)
		require.Equal(t, exitUsage, r.code, file)
		require.Empty(t, r.out)
		require.NotContains(t, r.errs, "\x1b")
		require.NotContains(t, r.errs, "hunter2")
	}
}

func TestAFileThatCannotBeReadIsCode2(t *testing.T) {
	require.Contains(t, failing(t, exitUsage, "config", "check", filepath.Join(t.TempDir(), "none.yaml")), "no such file")
	require.Contains(t, failing(t, exitUsage, "config", "check", t.TempDir()), "is a directory")
	require.Contains(t, failing(t, exitUsage, "config", "check"), "wants a file")
	require.Contains(t, failing(t, exitUsage, "config", "check", write(t, "huge.yaml", strings.Repeat("# x\n", strict.FileBytesMax/4+1))), "longer than 256 KiB")
	require.Contains(t, failing(t, exitUsage, "config", "show", "-c", write(t, "empty.yaml", "")), "the file is empty")
}

func TestCheckReadsStandardInput(t *testing.T) {
	r := commandWith(t, strings.NewReader("nodes: {a: leader}"), "config", "check", "-")
	require.Equal(t, exitDone, r.code, r.errs)
	require.Contains(t, r.out, "1 nodes")
}

// show is what config show says, by key.
func show(t *testing.T, args ...string) map[string]shownValue {
	t.Helper()
	var all []shownValue
	require.NoError(t, json.Unmarshal([]byte(succeed(t, append([]string{"config", "show", "-o", "json"}, args...)...)), &all))
	by := map[string]shownValue{}
	for _, v := range all {
		by[v.Key] = v
	}
	return by
}

func TestShowSaysWhereEveryValueComesFrom(t *testing.T) {
	file := write(t, "node.yaml", "cluster: shop\nnode: {id: a, dir: data/a}\nlisten: {peers: 127.0.0.1:7400}\ntables: {users: row}\n")
	t.Setenv("TRIAD_LISTEN_PEERS", "127.0.0.1:7500")
	t.Setenv("TRIAD_LOG_LEVEL", "debug")
	t.Setenv("TRIAD_CONFIG", file)
	got := show(t, "--log-level", "warn", "--node-memory")
	require.Equal(t, shownValue{"cluster", "shop", file + ":1:10"}, got["cluster"])
	require.Equal(t, shownValue{"tables.users.kind", "row", file + ":4:17"}, got["tables.users.kind"])
	require.Equal(t, shownValue{"listen.peers", "127.0.0.1:7500", "TRIAD_LISTEN_PEERS"}, got["listen.peers"])
	require.Equal(t, shownValue{"log.level", "warn", "--log-level"}, got["log.level"])
	require.Equal(t, shownValue{"node.memory", "true", "--node-memory"}, got["node.memory"])
	require.Equal(t, shownValue{"limits.log_tail_bytes", "8MiB", "default"}, got["limits.log_tail_bytes"])
	given := show(t, "--given")
	require.NotContains(t, given, "limits.log_tail_bytes")
	require.Contains(t, given, "node.id")
}

func TestShowHidesSecrets(t *testing.T) {
	t.Setenv("TRIAD_RESP_PASSWORD", "hunter2")
	t.Setenv("TRIAD_NODE_DIR", "d")
	for _, form := range []string{"table", "json", "yaml"} {
		out := succeed(t, "config", "show", "-o", form)
		require.NotContains(t, out, "hunter2")
		require.Contains(t, out, "TRIAD_RESP_PASSWORD")
		require.Contains(t, out, strict.Hidden)
	}
	require.Contains(t, failing(t, exitUsage, "config", "show", "--resp-password", "hunter2"), "unknown flag: --resp-password")
}

func TestAFileOfAClusterIsShownToo(t *testing.T) {
	t.Setenv("TRIAD_LISTEN_PEERS", "127.0.0.1:7500") // for nodes
	require.Contains(t, failing(t, exitUsage, "config", "show", "-c", "../../examples/clusters/payments.yaml", "--node-id", "a"), `--node-id: there is no key "node.id"`)
	require.Equal(t, "first 1 (standby-1, standby-2, standby-3)", show(t, "-c", "../../examples/clusters/single-leader.yaml")["topology.sync"].Value)
}

func TestAWrongOverrideIsCode2(t *testing.T) {
	require.Contains(t, failing(t, exitUsage, "config", "show", "--node-dir", "d", "--limits-start-wait", "5"), "--limits-start-wait: limits.start_wait: 5 has no unit")
	require.Contains(t, failing(t, exitUsage, "config", "show", "--node-dir", "d", "--topology-snyc", "all"), "unknown flag")
	t.Setenv("TRIAD_LIMITS_START_WAIT", "soon")
	require.Contains(t, failing(t, exitUsage, "config", "show", "--node-dir", "d"), "TRIAD_LIMITS_START_WAIT: limits.start_wait: a duration is wanted here")
}

func TestAMisspeltVariableIsRefusedAndAForeignOneIsNot(t *testing.T) {
	t.Setenv("TRIAD_NODE_DIR", "d")
	t.Setenv("TRIAD_SERVICE_HOST", "10.0.0.1") // as a cluster's own environment may hold
	t.Setenv("TRIAD_ENDPOINTS", "127.0.0.1:1") // a flag of other commands
	require.Contains(t, show(t), "node.dir")
	t.Setenv("TRIAD_TOPOLOGY_SNYC", "all")
	require.Contains(t, failing(t, exitUsage, "config", "show"), "no variable TRIAD_TOPOLOGY_SNYC; did you mean TRIAD_TOPOLOGY_SYNC?")
}

func TestNoFlagOfAKeyIsAlsoAFlagOfTheCommand(t *testing.T) {
	seen := map[string]string{}
	for _, k := range (settingFlags(newVersion(), config.Reader{})).keys {
		name := strict.FlagName(k.Path, "-")
		require.NotContains(t, []string{"output", "config", "given", "help"}, name)
		require.Empty(t, seen[name], "%s and %s are one flag", k.Path, seen[name])
		seen[name] = k.Path
	}
}
