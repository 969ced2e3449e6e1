package cli

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAWatchPrintsWhatIsThereAndWhatComes(t *testing.T) {
	serve(t)
	succeed(t, "put", "users", "1", `{"name":"Zoë"}`, "--durability", "applied")
	r := fields(t, succeed(t, "put", "users", "2", `{"name":"Bo"}`, "-o", "json", "--durability", "applied"))
	lines := strings.Split(strings.TrimSpace(succeed(t, "watch", "users", "--state", "--limit", "2", "-o", "json")), "\n")
	require.Len(t, lines, 2)
	first := fields(t, lines[0])
	require.Equal(t, "state", first["change"])
	require.NotContains(t, first, "token")

	succeed(t, "del", "users", "1")
	table := succeed(t, "watch", "users", "--from", r["token"].(string), "--limit", "1")
	require.Regexp(t, `^write +\d+  1  \(removed\)\n$`, table)
	require.Regexp(t, `(?m)^position  t1\.`, succeed(t, "watch", "users", "--timeout", "200ms"))
}

func TestASlotIsListedAndDropped(t *testing.T) {
	serve(t)
	succeed(t, "put", "files", "k", "v", "--durability", "applied")
	succeed(t, "watch", "files", "--state", "--slot", "mirror", "--timeout", "500ms")
	require.Eventually(t, func() bool { // the node notes the last of it once the watch is gone
		return regexp.MustCompile(`(?m)^mirror +files +stands +\d+ +268435456 `).MatchString(succeed(t, "slot", "list"))
	}, 10*time.Second, time.Millisecond)
	require.Contains(t, failing(t, exitUsage, "slot", "drop", "mirror"), "must begin anew")
	require.Equal(t, "slot mirror is dropped\n", succeed(t, "slot", "drop", "mirror", "--yes"))
	require.Equal(t, "[]\n", succeed(t, "slot", "list", "-o", "json"))
	require.Contains(t, failing(t, exitFailed, "slot", "drop", "mirror", "--yes"), "not found")
}
