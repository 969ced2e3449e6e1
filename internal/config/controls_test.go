package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/config/strict"
	"github.com/triad-kv/triad/topology"
)

// club is a control that this package does not know.
type club struct {
	Doors    []string `yaml:"doors"`
	Wait     Duration `yaml:"wait" default:"2s"`
	KeyFile  string   `yaml:"key_file"`
	Key      string   `yaml:"key,secret"`
	opened   *string
	returned topology.ControlBuilder
}

func (c *club) Check(at *ControlPlace) {
	if len(c.Doors) == 0 && !at.Faulty("doors") {
		at.Fault("doors", "there is no door")
	}
	for i, d := range c.Doors {
		if d == "shut" {
			at.FaultAt("doors", i, "this one is shut")
		}
	}
}

func (c *club) Open(at *ControlPlace) topology.ControlBuilder {
	key := c.Key
	if key == "" {
		key = at.Secret("key_file", c.KeyFile)
	}
	if c.opened != nil {
		*c.opened = fmt.Sprintf("%s %s %v %s", at.Cluster, at.Site, c.Doors, key)
	}
	return c.returned
}

func (c *club) Describe(at *ControlPlace) string { return fmt.Sprint("behind ", c.Doors) }

func (c *club) build(topology.ControlEnv) (topology.Control, error) { return nil, errors.New("shut") }

// withClub reads files that may name it. What it is opened with goes to opened.
func withClub(opened *string) Reader {
	return Reader{Controls: []ControlKind{{Name: "club", New: func() ControlOptions {
		c := &club{opened: opened}
		c.returned = c.build
		return c
	}}}}
}

const trioOfClub = `
cluster: shop
node: {id: a, dir: data/a}
members: {a: 127.0.0.1:7400, b: 127.0.0.1:7401, c: 127.0.0.1:7402}
topology: {sync: any 1}
`

func TestAnotherControlReadsItsOwnKeysBesideTheOthers(t *testing.T) {
	var opened string
	r := withClub(&opened)
	n, err := r.ReadNode("node.yaml", []byte(trioOfClub+"control: {kind: club, doors: [north, south], wait: 5s}\n"),
		strict.Override{Path: "control.key", Text: "hunter2", Origin: strict.Origin{From: strict.Env, Name: "TRIAD_CONTROL_KEY"}})
	require.NoError(t, err)
	require.True(t, n.Control.Elects())
	c, err := n.Open()
	require.NoError(t, err)
	_, err = c.Control(topology.ControlEnv{})
	require.EqualError(t, err, "shut", "the builder is the control's")
	require.Equal(t, "shop  [north south] hunter2", opened)
	require.Contains(t, n.Describe(), Line{"control", "club, behind [north south]"})

	shown := map[string]string{}
	for _, v := range n.Values() {
		shown[v.Path] = v.Text + " from " + v.Origin.String()
	}
	require.Equal(t, "[north, south] from node.yaml:6:30", shown["control.doors"])
	require.Equal(t, "5s from node.yaml:6:52", shown["control.wait"])
	require.Equal(t, strict.Hidden+" from TRIAD_CONTROL_KEY", shown["control.key"])

	var keys []string
	for _, k := range r.Keys() {
		keys = append(keys, k.Path)
	}
	require.Subset(t, keys, []string{"control.kind", "control.doors", "control.wait", "control.key"})
	require.NotSubset(t, keys, []string{"control.Options"})
}

func TestWhatIsWrongWithAnotherControlHasItsPlace(t *testing.T) {
	open := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(open, []byte("hunter2\n"), 0o644))
	for text, want := range map[string]string{
		"control: {kind: club}":                                     "node.yaml:6:1: control.doors: there is no door\n     6 | control: {kind: club}\n       | ^\n",
		"control: {kind: club, doors: [a, shut]}":                   "node.yaml:6:34: control.doors[1]: this one is shut\n",
		"control: {kind: club, doors: [a], wait: 5}":                "node.yaml:6:41: control.wait: 5 has no unit; write 5s, 5ms or 5m\n",
		"control: {kind: club, doors: [a], dors: 5}":                `unknown key "dors"; did you mean doors?`,
		"control: {kind: club, doors: [a], leader: a}":              "control.leader: with control club the members elect who leads",
		"control: {kind: club, doors: [a], voters: [a]}":            "control.voters: it belongs to another control than club; drop it",
		"control: {kind: raft, doors: [a]}":                         `unknown key "doors"; known here are heartbeat, kind, leader, voters`,
		"control: {kind: clubb, doors: [a]}":                        `control.kind: "clubb" is none of static, raft, club; did you mean club?`,
		"control: {kind: club, doors: [a], key: hunter2}":           "a secret does not stand in a file",
		"control: {kind: club, doors: [a], key_file: " + open + "}": "control.key_file: " + open + " can be read by everybody on this machine; chmod 600 it\n",
	} {
		t.Run(text, func(t *testing.T) {
			n, err := withClub(nil).ReadNode("node.yaml", []byte(trioOfClub[1:]+"\n"+text))
			if err == nil {
				_, err = n.Open()
			}
			var refused *strict.Refused
			require.ErrorAs(t, err, &refused)
			require.Contains(t, refused.Report(), want)
			require.NotContains(t, refused.Report(), "hunter2")
			require.Contains(t, refused.Report(), "^")
		})
	}
}

func TestTheNodesOfASiteUseAControlOfTheirOwn(t *testing.T) {
	var opened string
	r := withClub(&opened)
	c, err := r.ReadCluster("cluster.yaml", []byte(`
sites: {us: {nodes: [us1, us2]}, eu: {nodes: [eu1, eu2], delay: {us: 1ms}}}
topology: {kind: multi-leader, sync: first 1}
control: {kind: club, doors: [a]}
`))
	require.NoError(t, err)
	for _, n := range c.Nodes() {
		_, err := n.Open()
		require.NoError(t, err)
		require.Equal(t, "triad "+n.Self.Site+" [a] ", opened)
	}
}

func TestAWitnessHasNothingToVoteOnWithAnotherControl(t *testing.T) {
	_, err := withClub(nil).Read("f", []byte("node: {id: a, dir: d}\nmembers: {a: 127.0.0.1:1, b: 127.0.0.1:2, w: {addr: 127.0.0.1:3, role: witness}}\ncontrol: {kind: club, doors: [a]}\n"))
	require.ErrorContains(t, err, "control.kind: w is a witness")
}
