package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/control/etcd/internal/etcdtest"
	"github.com/triad-kv/triad/internal/config"
	"github.com/triad-kv/triad/internal/config/strict"
	"github.com/triad-kv/triad/topology"
)

var files = config.Reader{Controls: []config.ControlKind{kind}}

const trio = `cluster: shop
node: {id: a, dir: data/a}
members: {a: 127.0.0.1:7400, b: 127.0.0.1:7401, c: 127.0.0.1:7402}
topology: {sync: first 1}
`

// refusal is what is said of a control, once a node would open by it.
func refusal(t *testing.T, control string) string {
	t.Helper()
	n, err := files.ReadNode("node.yaml", []byte(trio+"control: "+control+"\n"))
	if err == nil {
		_, err = n.Open()
	}
	var refused *strict.Refused
	require.ErrorAs(t, err, &refused)
	return refused.Report()
}

func TestWhatIsWrongIsSaidAtItsPlace(t *testing.T) {
	dir := t.TempDir()
	junk := filepath.Join(dir, "junk.pem")
	require.NoError(t, os.WriteFile(junk, []byte("junk"), 0o600))
	for control, want := range map[string]string{
		"{kind: etcd}": "node.yaml:5:1: control.endpoints: the members of etcd are missing; name all of them, as in control: {kind: etcd, endpoints: [127.0.0.1:2379]}\n     5 | control: {kind: etcd}\n       | ^\n",
		"{kind: etcd, endpoints: [h:1], endpoint: h:2}":                                `node.yaml:5:41: control: unknown key "endpoint"; did you mean endpoints?`,
		"{kind: etcd, endpoints: [h:1], prefx: /x}":                                    `unknown key "prefx"; did you mean prefix?`,
		"{kind: etcd, endpoints: [h:1, \"h:2 h:3\"]}":                                  "node.yaml:5:40: control.endpoints[1]: endpoint \"h:2 h:3\": want one host:port",
		"{kind: etcd, endpoints: [h:1, h:1]}":                                          "node.yaml:5:40: control.endpoints[1]: h:1 stands here twice",
		"{kind: etcd, endpoints: [http://h:1], tls: {ca: x}}":                          "control.endpoints[0]: endpoint http://h:1: TLS is set, and http does not use it: write https",
		"{kind: etcd, endpoints: [h:1], prefix: triad}":                                "node.yaml:5:49: control.prefix: prefix \"triad\": want /…",
		"{kind: etcd, endpoints: [h:1], lease: 1500ms}":                                "node.yaml:5:48: control.lease: a lease of 1.5s: want whole seconds, from 1s to 1h0m0s",
		"{kind: etcd, endpoints: [h:1], lease: 0s}":                                    "control.lease: 0 is no limit; drop the key for the default, 10s",
		"{kind: etcd, endpoints: [h:1], review: 5}":                                    "control.review: 5 has no unit",
		"{kind: etcd, endpoints: [h:1], cluster_id: xyz}":                              "control.cluster_id: \"xyz\" is no id of a cluster of etcd",
		"{kind: etcd, endpoints: [h:1], username: u}":                                  "control.username: the password of \"u\" is missing",
		"{kind: etcd, endpoints: [h:1], password_file: p}":                             "control.password_file: whose password it is is missing",
		"{kind: etcd, endpoints: [h:1], password: hunter2}":                            "control.password: a secret does not stand in a file",
		"{kind: etcd, endpoints: [h:1], username: u, password_file: " + dir + "}":      "control.password_file: " + dir + " is a directory",
		"{kind: etcd, endpoints: [h:1], tls: {cert: c}}":                               "control.tls: a certificate and its key come together",
		"{kind: etcd, endpoints: [h:1], tls: {ca: " + dir + "/none}}":                  "node.yaml:5:51: control.tls.ca: open " + dir + "/none: no such file",
		"{kind: etcd, endpoints: [h:1], tls: {ca: " + junk + "}}":                      "control.tls.ca: " + junk + " holds no certificate in PEM",
		"{kind: etcd, endpoints: [h:1], tls: {cert: " + junk + ", key: " + junk + "}}": "control.tls.cert: tls: failed to find any PEM data",
		"{kind: etcd, endpoints: [h:1], voters: [a, b, c]}":                            "control.voters: it belongs to another control than etcd; drop it",
		"{kind: etcd, endpoints: [h:1], leader: a}":                                    "control.leader: with control etcd the members elect who leads",
	} {
		t.Run(control, func(t *testing.T) {
			got := refusal(t, control)
			require.Contains(t, got, want)
			require.Contains(t, got, "^", "the place is shown")
			require.NotContains(t, got, "hunter2")
		})
	}
}

func TestTheExampleIsTaken(t *testing.T) {
	text, err := os.ReadFile("../../../../examples/nodes/etcd.yaml")
	require.NoError(t, err)
	n, err := files.ReadNode("etcd.yaml", text)
	require.NoError(t, err)
	require.Empty(t, n.Warnings())
	c, err := n.Open()
	require.NoError(t, err)
	require.NotNil(t, c.Control)
}

// section is the part of docs/configuration.md that the plain binary's test leaves out.
func section(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../../../docs/configuration.md")
	require.NoError(t, err)
	_, rest, began := strings.Cut(string(text), "<!-- keys of triad-etcd")
	part, _, ended := strings.Cut(rest, "<!-- end of the keys of triad-etcd -->")
	require.True(t, began && ended)
	return part
}

func TestEveryKeyIsInTheDocsAndNoOther(t *testing.T) {
	found := map[string][2]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_.<>]+)` \\| ([^|]*) \\| ([^|]*) \\|").FindAllStringSubmatch(section(t), -1) {
		found[m[1]] = [2]string{m[2], strings.Trim(m[3], "` ")}
	}
	want := map[string][2]string{}
	for _, k := range strict.Keys(control{}) {
		if k.Secret {
			k.Type = "secret"
		}
		want["control."+k.Path] = [2]string{k.Type, k.Default}
	}
	require.Equal(t, want, found)
	for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(section(t), -1) {
		_, err := files.Read("docs", []byte(m[1]))
		require.NoError(t, err)
	}
}

// document is what a control that was opened from a file finds.
func document(t *testing.T, control string) (topology.Document, error) {
	t.Helper()
	n, err := files.ReadNode("node.yaml", []byte(trio+"control: "+control+"\n"))
	require.NoError(t, err)
	c, err := n.Open()
	require.NoError(t, err)
	made, err := c.Control(topology.ControlEnv{Self: "a", Stable: memory{}})
	require.NoError(t, err)
	return made.Swap(t.Context(), topology.Document{Name: "group", Body: []byte("x")})
}

// memory keeps what a control has seen, for as long as a test.
type memory map[string][]byte

func (m memory) Save(name string, value []byte) error { m[name] = value; return nil }

func (m memory) Load(name string) ([]byte, error) { return m[name], nil }

func TestAnEtcdBehindTLSIsReachedByTheFilesThatAreNamed(t *testing.T) {
	m := etcdtest.New(t, etcdtest.Shape{Name: "m0", Dir: t.TempDir(), Client: etcdtest.Address(t), Peer: etcdtest.Address(t), TLS: true})
	m.Cluster = "m0=http://" + m.Peer
	t.Cleanup(m.Kill)
	etcdtest.Ready(m)
	own := filepath.Join(m.Dir, "fixtures", "client")
	d, err := document(t, fmt.Sprintf("{kind: etcd, endpoints: [https://%s], tls: {ca: %s/cert.pem, cert: %[2]s/cert.pem, key: %[2]s/key.pem}}", m.Client, own))
	require.NoError(t, err)
	require.Equal(t, uint64(1), d.Version)
	_, err = document(t, fmt.Sprintf("{kind: etcd, endpoints: [https://%s], request_timeout: 300ms, dial_timeout: 300ms}", m.Client))
	require.ErrorIs(t, err, topology.ErrUnavailable, "the system's authorities have not signed it")
}
