package cli

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A site is added to two that work, by its own file; it takes writes, and retires.
func TestASiteIsAddedAndRetires(t *testing.T) {
	ids := []string{"us1", "eu1", "za1"}
	n := newInside(t, ids...)
	addrs := n.addrs
	var members []string
	for _, id := range ids {
		members = append(members, fmt.Sprintf("%s: {addr: %q, site: %s}", id, addrs[id], id[:2]))
	}
	start := func(id, sites string) {
		n.start(id, fmt.Sprintf("cluster: triad\nnode: {id: %s, site: %s, dir: %s}\nlisten: {peers: %s}\nmembers: {%s}\ntopology: {kind: multi-leader, cut_every: 50ms, tick_every: 5ms, %s}\n",
			id, id[:2], n.place(id), addrs[id], strings.Join(members, ", "), sites))
	}
	t.Setenv("TRIAD_ENDPOINTS", addrs["us1"]+","+addrs["eu1"])
	start("us1", "sites: {us: 1, eu: 2}, expects: [za]")
	start("eu1", "sites: {us: 1, eu: 2}, expects: [za]")
	for _, id := range ids[:2] {
		require.Eventually(t, func() bool { return command(t, "put", "default", id, "v", "-e", addrs[id]).code == exitDone }, 20*time.Second, 10*time.Millisecond)
	}
	start("za1", "joins: true")
	require.Eventually(t, func() bool {
		return strings.Contains(command(t, "put", "default", "k", "v", "-e", addrs["za1"]).errs, "not applied")
	}, 20*time.Second, 10*time.Millisecond)
	require.Contains(t, succeed(t, "site", "add", "za"), "joins")
	standing := func(want string) func() bool {
		return func() bool { return strings.Contains(command(t, "site", "list").out, want) }
	}
	active := regexp.MustCompile(`(?m)^za +3 +active`)
	require.Eventually(t, func() bool { return active.MatchString(command(t, "site", "list").out) }, 20*time.Second, 10*time.Millisecond)
	require.Regexp(t, active, succeed(t, "site", "list"))
	succeed(t, "put", "default", "za1", "v", "-e", addrs["za1"])
	require.Regexp(t, `(?m)^za +active +\d+ records +\S+ +\w`, succeed(t, "gc", "explain"))
	require.Contains(t, failing(t, exitFailed, "site", "add", "us"), "it takes part already")
	require.Contains(t, failing(t, exitFailed, "site", "retire", "sa"), "`triad site list`")
	require.Contains(t, failing(t, exitUsage, "site", "add", "A P"), "is not a site's name")
	require.Contains(t, succeed(t, "site", "retire", "za"), "retires")
	require.Eventually(t, standing("retired"), 20*time.Second, 10*time.Millisecond)
	require.Contains(t, succeed(t, "get", "default", "za1"), "v", "what it wrote is here")
}
