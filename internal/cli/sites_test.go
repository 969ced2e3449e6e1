package cli

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/admin"
)

const siteNode = `
cluster: triad
node: {id: %s, site: %s, dir: %s}
listen: {peers: %s}
members:
  us1: {addr: %s, site: us}
  us2: {addr: %s, site: us}
  eu1: {addr: %s, site: eu}
topology:
  kind: multi-leader
  sites: {us: 1, eu: 2}
tables: {users: {kind: bytes, resolver: lww}}
`

// serveSites runs three nodes in two sites as their files say, and has commands find
// those of us.
func serveSites(t *testing.T) (addrs map[string]string) {
	t.Helper()
	ids := []string{"us1", "us2", "eu1"}
	n := newInside(t, ids...)
	addrs = n.addrs
	for _, id := range ids {
		n.start(id, fmt.Sprintf(siteNode, id, id[:2], n.place(id), addrs[id], addrs["us1"], addrs["us2"], addrs["eu1"]))
	}
	t.Setenv("TRIAD_ENDPOINTS", addrs["us1"]+","+addrs["us2"])
	require.Eventually(t, func() bool {
		for _, id := range ids {
			if command(t, "scan", "users", "--any", "-e", addrs[id]).code != exitDone {
				return false
			}
		}
		return command(t, "status").code == exitDone
	}, 20*time.Second, 10*time.Millisecond)
	return addrs
}

func TestSitesAreShownAndWhatTheirWritesCost(t *testing.T) {
	addrs := serveSites(t)
	require.Contains(t, succeed(t, "conflicts", "list"), "us1 has met no conflict")
	text := succeed(t, "status")
	for _, want := range []string{
		`^cluster triad: multi-leader, 2 sites\nsite us: us1 leads term 1, commits wait for async\nsite eu: eu1 leads term 1, `,
		`(?m)^us +us1 +leader +leads +`, `(?m)^us +us2 +follower +replicate +async +`, `(?m)^eu +eu1 +leader +leads +`,
		`(?m)^us +eu +up +eu1 +\d+ +\d+$`, `(?m)^eu +us +up +us1 +\d+ +\d+$`,
	} {
		require.Regexp(t, want, text)
	}
	var met []meeting
	key := 1000
	require.Eventually(t, func() bool { // until two writes did not know of one another, of a key that nobody writes again
		key++
		var wait sync.WaitGroup
		for _, id := range []string{"us1", "eu1"} {
			wait.Go(func() { command(t, "put", "users", fmt.Sprint(key), "of "+id, "-e", addrs[id]) })
		}
		wait.Wait()
		require.NoError(t, json.Unmarshal([]byte(succeed(t, "conflicts", "list", "-o", "json")), &met))
		return len(met) > 0
	}, 20*time.Second, time.Millisecond)
	require.Regexp(t, `(?m)^ *\d+ +users/\d+ +(update/update|insert/insert) +lww@1 +(us|eu) [0-9:.]+: of (us|eu)1 +(us|eu) [0-9:.]+: of (us|eu)1$`, succeed(t, "conflicts", "list"))
	lsn := fmt.Sprint(met[0].LSN)
	shown := succeed(t, "conflicts", "show", lsn)
	require.Contains(t, shown, "LSN "+lsn+", as us1 has met it")
	require.Regexp(t, `(?m)^users/\d+ +won +(us|eu) .* 6 +of (us|eu)1$`, shown)
	require.Regexp(t, `(?m)^users/\d+ +lost +(us|eu) .* 6 +of (us|eu)1$`, shown)
	require.Contains(t, succeed(t, "conflicts", "show", lsn, "-o", "yaml"), "resolver: lww@1")
	require.Contains(t, failing(t, exitFailed, "conflicts", "show", "1"), "us1 has met no conflict at LSN 1; `triad conflicts list`")
	require.Regexp(t, `(?m)^ *1 +us1 +first start`, succeed(t, "history"))

	require.Contains(t, succeed(t, "conflicts", "replay", lsn), "the key shows just that already")
	require.Contains(t, succeed(t, "conflicts", "revert", lsn, "-e", addrs["us2"]), "written at us1 as 1.", "a follower names the leader")
	require.Contains(t, failing(t, exitFailed, "conflicts", "revert", lsn), "holds a write that the conflict has not seen")
	require.Contains(t, succeed(t, "conflicts", "replay", lsn), "not written: --write")
	require.Contains(t, failing(t, exitFailed, "conflicts", "replay", lsn, "--write"), "holds a write that the conflict has not seen")
	require.Contains(t, failing(t, exitFailed, "conflicts", "revert", lsn, "--transaction", "9.9:9"), "is not among those that lost")
	require.Contains(t, failing(t, exitFailed, "conflicts", "release", "users"), "not quarantined")
	require.Contains(t, succeed(t, "table", "create", "stock", "--kind", "bytes", "--resolver", "first-writer"), "table stock is defined")
	require.Regexp(t, `(?m)^stock +bytes +- +first-writer@1$`, succeed(t, "table", "list"))
	require.Contains(t, failing(t, exitFailed, "table", "create", "stock", "--kind", "bytes", "--resolver", "siblings"), "a definition never changes")
	require.Contains(t, failing(t, exitFailed, "table", "create", "more", "--kind", "bytes", "--resolver", "stock"), "is not known here")
	compares := succeed(t, "verify")
	require.Contains(t, compares, "what us1 holds, compared with")
	require.Regexp(t, `(?m)^us +us2 +\d+ +0 +0 +-$`, compares)
	require.Regexp(t, `(?m)^eu +eu1 +\d+ +0 +0 +-$`, compares)
	require.Contains(t, succeed(t, "verify", "--table", "users", "-o", "json"), `"differ": 0`)
	require.Contains(t, failing(t, exitFailed, "verify", "--table", "nothing"), "`triad table list`")
	require.Contains(t, failing(t, exitFailed, "verify", "--repair-from", "us"), `"us" is not another site`)
	require.Contains(t, failing(t, exitUsage, "verify", "--repair-from", "U S"), "is not a site's name")
}

func TestASiteWithoutALeaderIsSaid(t *testing.T) {
	o := overview{Cluster: "shop", Topology: "multi-leader"}
	require.Error(t, o.unled())
	o.Sites = append(o.Sites, admin.Group{Site: "us", Leader: "us1"})
	require.NoError(t, o.unled())
	o.Sites = append(o.Sites, admin.Group{Site: "eu"})
	require.ErrorContains(t, o.unled(), "no node that answers leads site eu")
}

func TestConflictsAreOfSitesThatAllWrite(t *testing.T) {
	serve(t)
	require.Contains(t, failing(t, exitFailed, "conflicts", "list"), "one leader orders all writes of this topology")
	require.Contains(t, failing(t, exitUsage, "conflicts", "list", "--limit", "0"), "--limit: 0 is no number of conflicts")
	require.Contains(t, failing(t, exitUsage, "conflicts", "show", "x"), `"x" is no LSN`)
	for _, order := range []string{"replay", "revert"} {
		require.Contains(t, failing(t, exitUsage, "conflicts", order, "7/x"), `"7/x" is no place of a conflict`)
		require.Contains(t, failing(t, exitFailed, "conflicts", order, "7"), "one leader orders all writes of this topology")
	}
	require.Contains(t, failing(t, exitUsage, "conflicts", "revert", "7", "--transaction", "x"), "--transaction: ")
	require.Contains(t, failing(t, exitUsage, "conflicts", "watch", "--every", "0s"), "--every: 0s is less than 1ms")
	require.Contains(t, failing(t, exitFailed, "table", "create", "stock", "--kind", "bytes", "--resolver", "lww"), "there is nothing to resolve")
	require.Contains(t, failing(t, exitFailed, "verify"), "one log orders all writes of this topology")
}
