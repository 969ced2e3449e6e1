package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// written is the directory of a node that has ended after some writes.
func written(t *testing.T) string {
	t.Helper()
	h := serve(t)
	succeed(t, "put", "files", "k", "the value")
	succeed(t, "put", "users", "1001", `{"name":"Alice"}`)
	succeed(t, "del", "files", "k")
	h.stop()
	return h.dir
}

func TestALogThatIsWholeIsVerified(t *testing.T) {
	dir := written(t)
	for _, at := range []string{dir, filepath.Join(dir, "log")} {
		require.Regexp(t, `(?m)^ok: the log of node a is whole: LSN 1 to 6, 1 terms$`, succeed(t, "wal", "verify", at))
	}
	v := fields(t, succeed(t, "wal", "verify", dir, "-o", "json"))
	require.Equal(t, "a", v["node"])
	require.Equal(t, 6.0, v["last_lsn"])
	require.Len(t, v["segments"], 1)
	require.Regexp(t, `(?m)^0+1\.seg +1 +6 +6 +`, succeed(t, "wal", "verify", dir))
}

func TestACopyOfALogAloneIsVerified(t *testing.T) {
	to := filepath.Join(t.TempDir(), "copy")
	require.NoError(t, os.CopyFS(to, os.DirFS(filepath.Join(written(t), "log"))))
	require.Contains(t, succeed(t, "wal", "verify", to), "ok: the log of node a is whole")
}

func TestALogThatIsDamagedIsCode4(t *testing.T) {
	dir := written(t)
	segments, err := filepath.Glob(filepath.Join(dir, "log", "*.seg"))
	require.NoError(t, err)
	require.Len(t, segments, 1)
	manifest := filepath.Join(dir, "log", "manifest")
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[at] ^= 1; return b }
	}
	for name, c := range map[string]struct {
		file string
		do   func([]byte) []byte // nil removes it
		says string
	}{
		"a value":             {segments[0], func(b []byte) []byte { return flip(bytes.Index(b, []byte("the value")))(b) }, `log file 0+1\.seg, offset \d+, LSN 4: .*; keep this directory for inspection`},
		"a frame":             {segments[0], flip(4096), `log file 0+1\.seg, offset 4096, LSN 1: .*; keep this directory`},
		"a header":            {segments[0], flip(40), `log file 0+1\.seg, offset 0: the header is damaged: .*; keep this directory`},
		"a format":            {segments[0], flip(9), `log file 0+1\.seg has format 257, this version knows 1; start the version`},
		"a segment too short": {segments[0], func(b []byte) []byte { return b[:5000] }, `log file 0+1\.seg, offset 5000: the file is \d+ bytes short; keep this directory`},
		"a segment lost":      {segments[0], nil, `log file 0+1\.seg, offset 0, LSN 1: the segment is missing: .*; keep this directory`},
		"a manifest":          {manifest, flip(20), `log file manifest, offset 0: the manifest is damaged: .*; keep this directory`},
		"a manifest lost":     {manifest, nil, `log file manifest, offset 0: the manifest of segment 0+1\.seg is missing: .*; keep this directory`},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile(c.file)
			require.NoError(t, err)
			defer func() { require.NoError(t, os.WriteFile(c.file, b, 0o600)) }()
			if c.do == nil {
				require.NoError(t, os.Remove(c.file))
			} else {
				require.NoError(t, os.WriteFile(c.file, c.do(bytes.Clone(b)), 0o600))
			}
			r := command(t, "wal", "verify", dir)
			require.Equal(t, exitCheck, r.code)
			require.Contains(t, r.out, "damaged: ")
			require.Regexp(t, "^triad: damaged: "+c.says, r.errs)
			require.Equal(t, exitCheck, command(t, "wal", "dump", dir).code)
		})
	}
}

func TestALogThatIsOpenIsNotLookedInto(t *testing.T) {
	h := serve(t)
	for _, args := range [][]string{{"wal", "verify", h.dir}, {"wal", "verify", filepath.Join(h.dir, "log")}, {"wal", "dump", h.dir}} {
		require.Contains(t, failing(t, exitNotReady, args...), "stop that node, or give a copy")
	}
}

func TestRecordsAreDumped(t *testing.T) {
	dir := written(t)
	table := succeed(t, "wal", "dump", dir)
	require.Regexp(t, `(?m)^ +1 +1 +1\.1:1 +\S+ \S+ +mark 0/term; mark 0/cause$`, table)
	require.Regexp(t, `(?m)^ +6 +1 +1\.1:6 +\S+ \S+ +delete \d+/k$`, table)
	var entries []struct {
		LSN       uint64
		Mutations []struct {
			Op         string
			Key, Field struct{ Text string }
			Value      struct{ Text, Base64 string }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(succeed(t, "wal", "dump", dir, "--from", "4", "--to", "5", "-o", "json")), &entries))
	require.Len(t, entries, 2)
	require.Equal(t, uint64(4), entries[0].LSN)
	require.Equal(t, "put", entries[0].Mutations[0].Op)
	require.Equal(t, "the value", entries[0].Mutations[0].Value.Text)
	require.Equal(t, "name", entries[1].Mutations[2].Field.Text)
	require.Contains(t, succeed(t, "wal", "dump", dir, "--limit", "2"), "… and more: the first 2")
}

func TestANodeThatLostNothingHasNoSideFiles(t *testing.T) {
	dir := written(t)
	require.Equal(t, "nothing was ever taken out of this node's log\n", succeed(t, "rewound", "list", dir))
	require.JSONEq(t, "[]", succeed(t, "rewound", "list", dir, "-o", "json"))
}
