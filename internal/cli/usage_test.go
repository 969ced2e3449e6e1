package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/triad-kv/triad/internal/demo"
	"github.com/triad-kv/triad/topology"
)

func TestAWrongCommandLineIsCode2AndOneLine(t *testing.T) {
	full := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(full, "file"), nil, 0o600))
	for line, want := range map[string]string{
		"scna":                                   "did you mean scan?",
		"frobnicate":                             `there is no command "frobnicate"; see`,
		"wal verfy x":                            "did you mean verify?",
		"get users":                              "wants TABLE KEY, and 1 of 2 were given",
		"get users 1 2":                          "wants TABLE KEY, and 3 of 2 were given",
		"status now":                             `takes no argument, and "now" was given`,
		"get users 1 --output xml":               `"xml" is none of table, json, yaml`,
		"get users 1 --nope":                     "unknown flag: --nope; see `triad get --help`",
		"get users 1 --any --linearizable":       "--any: another flag asks for more",
		"get users 1 --max-stale 0s":             "--max-stale: 0s is no bound",
		"get users 1 --max-lag 0":                "--max-lag: 0 is no bound",
		"get users 1 --after nonsense":           "--after: token: malformed",
		"get users 1 --timeout 5":                "missing unit in duration",
		"get users 1 --timeout -5s":              "--timeout: -5s is no time",
		"get users 1 --endpoints here":           `"here" is not host:port`,
		"get users 1 --endpoints=":               "--endpoints: none was given",
		"get users 1 --cluster=":                 "--cluster: the name is empty",
		"put users 1 2 --if-absent --if-value x": "one condition a write",
		"put users 1 2 --if-version 7":           `"7" is not a transaction such as 1.1:42`,
		"put users 1 2 --if-version 0.1:7":       "is not a transaction",
		"put users 1 2 --durability eventually":  `"eventually" is none of received, flushed, applied`,
		"scan users --prefix a --from b":         "--prefix and --from or --to: one of the two",
		"watch users --from x":                   "--from: token: malformed",
		"watch users --state --from t1.lAEBAQE":  "--from and --state or --slot: one of the two",
		"watch users --slot-bytes 1":             "--slot-bytes: without --slot",
		"scan users --limit 0":                   "--limit: 0 is no number of keys",
		"resolve nonsense":                       `"nonsense" is neither a token nor a write such as 1.1:42@3`,
		"resolve 1.1:4@x":                        `"x" is no term`,
		"failover":                               `--to: "" is not a node's name`,
		"failover --to Bad":                      `--to: "Bad" is not a node's name`,
		"wal dump . --from 5 --to 4":             "--to: 4 is less than --from, 5",
		"wal dump . --limit 0":                   "--limit: 0 is no number of records",
		"wal verify .":                           ". is neither a node's data directory nor the folder of a log",
		"wal verify nowhere":                     "no such file or directory",
		"rewound list .":                         "is neither a node's data directory",
		"demo nowhere":                           `there is no demo "nowhere" (there are: active-active,`,
		"demo --scenario detour":                 `"detour" is none of tour, load`,
		"demo --scenario load":                   "go together",
		"demo --load nowhere":                    "nowhere: no such file or directory",
		"demo --dir " + full:                     "is not empty",
		"node":                                   `--id: "" is not a node's name`,
		"node --id a":                            "--dir: none was given",
		"node --id a --dir x --member b":         "want id=host:port",
		"node --id a --dir x --link b=1s":        "want id=delay/delay",
		"node --id a --dir x":                    "--inherit: a node of a demo has its listener from the demo",
	} {
		t.Run(line, func(t *testing.T) {
			require.Contains(t, failing(t, exitUsage, strings.Fields(line)...), want)
		})
	}
}

func TestTheEnvironmentSetsFlagsAndFlagsWin(t *testing.T) {
	t.Setenv("TRIAD_OUTPUT", "json")
	require.True(t, json.Valid([]byte(succeed(t, "version"))))
	require.Contains(t, succeed(t, "version", "--output", "table"), "PLATFORM")
	t.Setenv("TRIAD_OUTPUT", "xml")
	require.Contains(t, failing(t, exitUsage, "version"), `environment: TRIAD_OUTPUT="xml": `)
	require.Contains(t, succeed(t, "version", "-o", "yaml"), "platform: ")
}

func TestAVersionComesInEveryForm(t *testing.T) {
	var fromJSON, fromYAML map[string]any
	require.NoError(t, json.Unmarshal([]byte(succeed(t, "version", "-o", "json")), &fromJSON))
	require.NoError(t, yaml.Unmarshal([]byte(succeed(t, "version", "-o", "yaml")), &fromYAML))
	require.Equal(t, fromJSON, fromYAML)
	require.Equal(t, runtime.GOOS+"/"+runtime.GOARCH, fromJSON["platform"])
	require.Contains(t, succeed(t, "version"), runtime.Version())
}

func TestHelpIsNoError(t *testing.T) {
	for _, args := range [][]string{{}, {"--help"}, {"wal"}, {"get", "--help"}, {"help", "scan"}} {
		require.Contains(t, succeed(t, args...), "Usage:")
	}
	require.NotContains(t, succeed(t), "\n  node ", "it is the demo's own")
}

func TestTheShellCompletesCommandsAndWords(t *testing.T) {
	for line, want := range map[string]string{
		"__complete sta":                   "status\t",
		"__complete demo s":                "single-leader\n",
		"__complete demo --scenario ":      "tour\nload\n",
		"__complete get --output ":         "table\njson\nyaml\n",
		"__complete put k v --durability ": "received\nflushed\napplied\n",
		"__complete wal ":                  "verify\t",
	} {
		t.Run(line, func(t *testing.T) {
			r := command(t, append(strings.Fields(line), map[bool][]string{true: {""}}[strings.HasSuffix(line, " ")]...)...)
			require.Equal(t, exitDone, r.code)
			require.Contains(t, r.out, want)
		})
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		require.Contains(t, succeed(t, "completion", shell), "triad")
	}
}

func TestAnExitCodeSaysWhoseFaultItIs(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
	}{
		{nil, 0},
		{errors.New("whatever"), 1},
		{topology.ErrNotFound, 1},
		{topology.ErrConditionFailed, 1},
		{usagef("no"), 2},
		{demo.ErrInput, 2},
		{&topology.Error{Err: topology.ErrUnavailable}, 3},
		{topology.ErrTimeout, 3},
		{topology.ErrNotLeader, 3},
		{topology.ErrOverloaded, 3},
		{topology.ErrStale, 3},
		{demo.ErrCheck, 4},
		{errors.Join(demo.ErrCheck, topology.ErrTimeout), 4},
		{errDamaged, 4},
	} {
		require.Equal(t, c.code, codeOf(c.err), "%v", c.err)
		if c.err != nil {
			require.Equal(t, c.code, codeOf(fmt.Errorf("around: %w", advise(c.err))), "%v", c.err)
		}
	}
}

func TestAnErrorIsOneLineThatATerminalDoesNotObey(t *testing.T) {
	require.Equal(t, `first; key "\x1b[31m"`, explain(errors.New("first\n\nkey \"\x1b[31m\"")))
}

// closed is an output whose reader has gone.
type closed struct{}

func (closed) Write([]byte) (int, error) {
	return 0, &os.PathError{Op: "write", Path: "stdout", Err: syscall.EPIPE}
}

func TestAReaderThatHasGoneIsNoNews(t *testing.T) {
	for _, form := range []string{"table", "json", "yaml"} {
		var errs strings.Builder
		require.Equal(t, exitFailed, run(t.Context(), []string{"version", "-o", form}, nil, closed{}, &errs))
		require.Empty(t, errs.String())
	}
}

func TestTheReaderIsToldACommandThatWorks(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "triad")
	require.NoError(t, os.WriteFile(binary, []byte("#!/bin/sh\n"), 0o700))
	t.Setenv("PATH", "")
	require.Equal(t, binary, spell(binary))
	t.Setenv("PATH", dir)
	require.Equal(t, "triad", spell(binary))
	t.Setenv("PATH", "")
	t.Chdir(dir)
	require.Equal(t, "./triad", spell(binary))
	require.NoError(t, os.MkdirAll(filepath.Join("cmd", "triad"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join("cmd", "triad", "main.go"), nil, 0o600))
	require.Equal(t, "go run ./cmd/triad", spell("/tmp/go-build123/b001/exe/triad"))
	require.Equal(t, "./triad", spell(binary))
}
