package config

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/internal/config/strict"
	"github.com/triad-kv/triad/internal/members"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

func TestALibraryNodesWorthOfFileIsEnough(t *testing.T) {
	n := readNode(t, "node: {dir: data/a}")
	c, err := n.Open()
	require.NoError(t, err)
	require.EqualValues(t, "a", c.ID)
	require.Empty(t, c.Leader)
	require.Empty(t, n.Warnings())
}

func TestWhatMembersSayOfANodeNeedNotBeSaidAgain(t *testing.T) {
	n := readNode(t, `
node: {id: b, dir: data/b}
control: {leader: a}
members:
  a: 127.0.0.1:7400
  b: {addr: 127.0.0.1:7401, resp: 127.0.0.1:6401, site: eu, role: read-replica}
`)
	require.Equal(t, "eu", n.Self.Site)
	require.Equal(t, RoleReadReplica, n.Self.Role)
	require.Equal(t, Listen{Peers: "127.0.0.1:7401", RESP: "127.0.0.1:6401"}, n.Listen)
	for _, v := range n.Values() {
		if v.Path == "listen.peers" {
			require.Equal(t, "node.yaml:6:13", v.Origin.String())
		}
	}
}

func TestWhatANodeSaysOfItselfCompletesItsMember(t *testing.T) {
	n := readNode(t, "{node: {id: a, dir: d, site: us, role: delayed, apply_delay: 5m}, control: {leader: b}, members: {a: 127.0.0.1:1, b: 127.0.0.1:2}}")
	require.Equal(t, Member{ID: "a", Addr: "127.0.0.1:1", Site: "us", Role: RoleDelayed}, n.Members[0])
	require.Empty(t, warningsWithout(n.Warnings(), "topology.sync"))
}

func TestMembersNeedNoAddressWhereThereIsGossip(t *testing.T) {
	n := readNode(t, `
node: {id: a, dir: data/a}
listen: {peers: 127.0.0.1:7400, gossip: 127.0.0.1:7946}
join: [127.0.0.1:7947, 127.0.0.1:7948]
control: {leader: a}
members: {a: {}, b: {}, c: {}}
topology: {sync: any 1}
`)
	require.Equal(t, []string{"127.0.0.1:7947", "127.0.0.1:7948"}, n.Join)
	_, err := ReadNode("f", []byte("{node: {id: a, dir: d}, listen: {gossip: 127.0.0.1:1}, control: {leader: a}, members: {a: {}, b: {}}}"))
	require.ErrorContains(t, err, "listen.peers: the others reach this node by it")
}

// warningsWithout are the warnings about other keys.
func warningsWithout(ws []strict.Finding, path string) (rest []string) {
	for _, w := range ws {
		if w.Path != path {
			rest = append(rest, w.Path)
		}
	}
	return rest
}

func TestWarnings(t *testing.T) {
	const trio = "control: {leader: a}\nmembers: {a: 127.0.0.1:1, b: 127.0.0.1:2, c: 127.0.0.1:3}\n"
	for text, want := range map[string]string{
		trio:                               "topology.sync",
		"topology: {durability: received}": "topology.durability",
		"tls: {insecure: true}":            "tls.insecure",
		"{listen: {resp: \"0.0.0.0:6379\"}, tls: {ca: c, cert: c, key: k}}": "listen.resp",
		"admin: {token_file: t}":              "admin.token_file",
		"resp: {password_file: t}":            "resp.password_file",
		"resp: {prefixes: {\"d:\": default}}": "resp.prefixes",
		"gossip: {key_file: t}":               "gossip.key_file",
		"sites: {us: {nodes: [a]}, eu: {nodes: [b]}}\ntopology: {sync: any 1}":                        "sites.us",
		"nodes: {a: leader, b: standby}":                                                              "topology.sync",
		trio + "topology: {sync: any 1}":                                                              "",
		"{listen: {resp: \"0.0.0.0:6379\"}, resp: {password_file: p}, tls: {ca: c, cert: c, key: k}}": "",
	} {
		f, err := Read("f", []byte(text), dirOf(text)...)
		require.NoError(t, err, text)
		var paths []string
		for _, w := range f.Warnings() {
			paths = append(paths, w.Path)
			require.NotZero(t, w.At.Line+len(w.At.Name), text)
		}
		require.Equal(t, want, strings.Join(paths, " "), text)
	}
	for path, text := range map[string]string{"node.memory": "memory: true", "node.role": "role: delayed", "node.apply_delay": "apply_delay: 1s"} {
		n := "{node: {dir: d, " + text + "}}"
		if path == "node.role" {
			n = "{node: {dir: d, " + text + "}, control: {leader: b}, members: {a: 127.0.0.1:1, b: 127.0.0.1:2}}"
		}
		require.Contains(t, warningsWithout(readNode(t, n).Warnings(), "topology.sync"), path)
	}
}

// dirOf gives a node a directory from elsewhere.
func dirOf(text string) []strict.Override {
	if strings.Contains(text, "nodes:") {
		return nil
	}
	return []strict.Override{{Path: "node.dir", Text: "d", Origin: strict.Origin{From: strict.Flag, Name: "--node-dir"}}}
}

func TestWithoutAFileTheOverridesSayEverything(t *testing.T) {
	n, err := ReadNode("", nil, dirOf("")...)
	require.NoError(t, err)
	require.Equal(t, "d", n.Self.Dir)
	_, err = ReadNode("", nil)
	require.ErrorContains(t, err, "node.dir: the directory is missing")
}

func TestLimitsOfMembersTablesAndPrefixes(t *testing.T) {
	var ms, ts strings.Builder
	for i := range members.MembersMax + 1 {
		fmt.Fprintf(&ms, "  n%d: {addr: 127.0.0.1:%d, role: read-replica}\n", i, i+1)
	}
	for i := range tablesMax + 1 {
		fmt.Fprintf(&ts, "  t%d: row\n", i)
	}
	_, err := ReadNode("f", []byte("node: {id: n0, dir: d}\nmembers:\n"+ms.String()))
	require.ErrorContains(t, err, "1025 are more than 1024")
	_, err = ReadNode("f", []byte("node: {dir: d}\ntables:\n"+ts.String()))
	require.ErrorContains(t, err, "1025 are more than 1024")
	_, err = ReadNode("f", []byte("node: {dir: d}\nresp: {prefixes: {"+strings.Repeat("p", prefixBytesMax+1)+": default}}"))
	require.ErrorContains(t, err, "a prefix of 256 bytes; at most 255")
	ms.Reset()
	for i := range sitesMax + 1 {
		fmt.Fprintf(&ms, "  s%d: {nodes: [n%[1]d]}\n", i)
	}
	_, err = ReadCluster("f", []byte("sites:\n"+ms.String()))
	require.ErrorContains(t, err, "sites: 65 are more than 64")
	ms.Reset()
	for i := range quorum.MembersMax + 1 {
		fmt.Fprintf(&ms, "  n%d: standby\n", i)
	}
	_, err = ReadCluster("f", []byte("nodes:\n"+ms.String()))
	require.ErrorContains(t, err, "nodes: 65 are more than 64")
	ms.Reset()
	for i := range quorum.MembersMax + 1 {
		fmt.Fprintf(&ms, "  n%d: 127.0.0.1:%d\n", i, i+1)
	}
	_, err = ReadNode("f", []byte("node: {id: n0, dir: d}\ncontrol: {leader: n0}\nmembers:\n"+ms.String()))
	require.ErrorContains(t, err, "65 voters are more than 64")
}

func TestChangedNamesTheKeysThatDiffer(t *testing.T) {
	over := func(text string) []strict.Override {
		return []strict.Override{{Path: "resp.password", Text: text, Origin: strict.Origin{From: strict.Env, Name: "TRIAD_RESP_PASSWORD"}}}
	}
	a, err := ReadNode("f", []byte("node: {dir: d}\ntables: {x: row, y: row}"), over("hunter2")...)
	require.NoError(t, err)
	b, err := ReadNode("f", []byte("node: {dir: d}\nlog: {level: debug}\ntables: {x: bytes, z: row}"), over("hunter3")...)
	require.NoError(t, err)
	require.Empty(t, Changed(a, a))
	require.Equal(t, []string{
		"log.level", "resp.password", "tables.x.kind", "tables.y.kind", "tables.y.resolver", "tables.y.sites", "tables.y.ttl", "tables.z.kind", "tables.z.resolver", "tables.z.sites", "tables.z.ttl",
	}, Changed(a, b))
}

func TestSecretsComeFromFilesThatNotEverybodyCanRead(t *testing.T) {
	dir := t.TempDir()
	file := func(text string, mode os.FileMode) string {
		f, err := os.CreateTemp(dir, "secret")
		require.NoError(t, err)
		_, err = f.WriteString(text)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		require.NoError(t, os.Chmod(f.Name(), mode))
		return f.Name()
	}
	key := base64.StdEncoding.EncodeToString(make([]byte, 32))
	n := readNode(t, fmt.Sprintf("node: {dir: d}\nresp: {password_file: %s}\ngossip: {key_file: %s}\nadmin: {token_file: %s}\n",
		file("hunter2\n", 0o600), file(key+"\n"+key+"\r\n", 0o640), file("tok en", 0o400)))
	s, err := n.Secrets()
	require.NoError(t, err)
	require.Equal(t, Secrets{RESPPassword: "hunter2", GossipKeys: []string{key, key}, AdminToken: "tok en"}, s)

	for name, want := range map[string]string{
		filepath.Join(dir, "none"): "no such file",
		dir:                        "is a directory",
		file("hunter2", 0o644):     "can be read by everybody",
		file("", 0o600):            "is empty",
		file("\n", 0o600):          "is empty",
		file("a\nb\n", 0o600):      "holds 2 lines; at most 1",
		file("a\x00b", 0o600):      "holds what is no text",
		file(strings.Repeat("x", secretBytesMax+1), 0o600): "is longer than 4KiB",
	} {
		_, err := readNode(t, "node: {dir: d}\nresp: {password_file: "+name+"}\n").Secrets()
		require.ErrorContains(t, err, "node.yaml:2:23: resp.password_file: ")
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestASecretFromOnePlaceOnly(t *testing.T) {
	text := []byte("node: {dir: d}\nresp: {password_file: p}\n")
	_, err := ReadNode("f", text, strict.Override{Path: "resp.password", Text: "hunter2", Origin: strict.Origin{From: strict.Env, Name: "TRIAD_RESP_PASSWORD"}})
	require.EqualError(t, err, "TRIAD_RESP_PASSWORD: resp.password: it is given twice: by resp.password_file and by TRIAD_RESP_PASSWORD")
}

func TestDescribeSaysWhatAWriteSurvives(t *testing.T) {
	for policy, want := range map[string][2]string{
		"async":          {"a crash of a, if its disk is kept", ""},
		"all":            {"the loss of any 2 of a, b, c", "while any of these is away: b, c"},
		"first 1 (b, c)": {"the loss of any 1 of a, b", "while any of these is away: b"},
		"any 1 (b, c)":   {"the loss of any 1 of a, b, c", "while more than 1 of these are away: b, c"},
	} {
		n := readNode(t, "node: {id: a, dir: d}\ncontrol: {leader: a}\nmembers: {a: 127.0.0.1:1, b: 127.0.0.1:2, c: 127.0.0.1:3}\ntopology: {sync: \""+policy+"\"}\n")
		says := map[string]string{}
		for _, l := range n.Describe() {
			says[l.What] = l.Says
		}
		require.Equal(t, want, [2]string{says["a write survives"], says["writes stop"]}, policy)
	}
}

func TestATableKeepsItsTTL(t *testing.T) {
	n, err := ReadNode("f", []byte("node: {dir: d}\ntables: {carts: {kind: set, ttl: 24h}}"))
	require.NoError(t, err)
	c, err := n.Open()
	require.NoError(t, err)
	require.Equal(t, []triad.Table{{Name: "carts", Kind: record.KindSet, TTL: 24 * time.Hour}}, c.Tables)
}

func TestATablesResolverReachesANodeThatNobodyLeads(t *testing.T) {
	n, err := ReadNode("f", []byte("node: {id: a, dir: d}\nmembers: {a: 127.0.0.1:1}\ntopology: {kind: leaderless, replicas: 1}\ntables: {carts: {kind: bytes, resolver: siblings}}"))
	require.NoError(t, err)
	c, err := n.Open()
	require.NoError(t, err)
	require.Equal(t, []triad.Table{{Name: "carts", Kind: record.KindBytes, Resolver: "siblings"}}, c.Tables)
}

// What a file names is run, by a node of its own that begins to lead and ends.
func TestTheHooksOfAFileAreRun(t *testing.T) {
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("there is no shell")
	}
	dir := t.TempDir()
	said := filepath.Join(dir, "said")
	say := `["/bin/sh", "-c", "echo $TRIAD_CLUSTER $TRIAD_NODE $TRIAD_ROLE >> ` + said + `"]`
	n := readNode(t, "node: {id: a, dir: "+filepath.Join(dir, "a")+"}\ncluster: shop\ntopology: {hooks: {promoted: "+say+", demoted: "+say+", fence: [/bin/false]}}\n")
	c, err := n.Open()
	require.NoError(t, err)
	node, err := triad.Open(c)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- node.Run(context.Background()) }()
	heard := func(want string) func() bool {
		return func() bool { b, _ := os.ReadFile(said); return string(b) == want }
	}
	require.Eventually(t, heard("shop a leader\n"), time.Minute, 5*time.Millisecond)
	require.NoError(t, node.Close())
	require.NoError(t, <-done)
	require.True(t, heard("shop a leader\nshop a follower\n")(), "before Close returns")
}

func TestAReadReplicaIsFedByItsUpstreams(t *testing.T) {
	n := readNode(t, `
node: {id: d, dir: data/d, role: read-replica, upstream: [c, b]}
members: {a: "127.0.0.1:7400", b: "127.0.0.1:7401", c: {addr: "127.0.0.1:7402", role: delayed}, d: "127.0.0.1:7403"}
control: {leader: a}
topology: {sync: "first 1 (b)"}
`)
	require.Equal(t, []topology.NodeID{"c", "b"}, n.Options().Upstreams)
	require.Contains(t, n.Describe()[0].Says, "read-replica, fed by c, else b, else by its leader")
}

func TestNodesOfAClusterAreFedByTheirUpstreams(t *testing.T) {
	c, err := ReadCluster("cluster.yaml", []byte(`
nodes:
  a: leader
  b: standby
  c: {role: read-replica, upstream: [b]}
  d: {role: delayed, apply_delay: 30s, upstream: [c, b]}
`))
	require.NoError(t, err)
	ns := c.Nodes()
	require.Equal(t, []topology.NodeID{"b"}, ns[2].Options().Upstreams)
	require.Equal(t, []topology.NodeID{"c", "b"}, ns[3].Options().Upstreams)
}
