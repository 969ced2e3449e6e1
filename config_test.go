package triad

import (
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

func noTopology(topology.Env) (topology.Engine, error) { panic("not built") }

func noControl(topology.ControlEnv) (topology.Control, error) { panic("not built") }

func TestTheZeroConfigNeedsADirectoryAndATopology(t *testing.T) {
	c := Config{Dir: "d", Topology: noTopology}
	require.NoError(t, c.complete())
	require.Equal(t, topology.NodeID("a"), c.ID)
	require.Equal(t, "triad", c.Cluster)
	require.Equal(t, []Member{{ID: "a"}}, c.Members)
	require.Equal(t, topology.NodeID("a"), c.Leader)
	require.Empty(t, c.Listen, "a node that is alone listens to nobody")
	require.NotNil(t, c.Control)
	require.NotZero(t, c.Limits.BootstrapWait)
}

func TestOpenNamesEveryFaultWithItsField(t *testing.T) {
	three := []Member{{ID: "a", Addr: "h:1"}, {ID: "b", Addr: "h:2", Site: "eu"}, {ID: "c", Addr: "h:3"}}
	for name, tc := range map[string]struct {
		config Config
		want   []string
	}{
		"nothing at all": {Config{}, []string{"dir: none", "topology: none"}},
		"names": {Config{ID: "A", Cluster: "x y", Site: "é"}, []string{
			`id: "A" is not`, `cluster: "x y" is not`, `site: "é" is not`}},
		"several members and no leader": {Config{Members: three}, []string{"leader: several members and no control"}},
		"a leader who is no member":     {Config{Members: three, Leader: "d"}, []string{`leader: "d" is not among the members`}},
		"a leader and a control":        {Config{Members: three, Leader: "a", Control: noControl}, []string{"leader: it belongs to control/static"}},
		"members without this node":     {Config{ID: "x", Members: three, Leader: "a"}, []string{`this node, "x", is not among them`}},
		"two sites of one node":         {Config{ID: "b", Site: "us", Members: three, Leader: "a"}, []string{`members[1].site: "eu", and site is "us"`}},
		"tables": {Config{Tables: []Table{{Name: "ok"}, {Name: "No"}, {Name: "ok"}, {Name: "c", Kind: record.KindText}, {Name: "default", Kind: record.KindRow}}}, []string{
			`tables[1]: name: "No"`, `tables[2].name: "ok" is that of tables[0]`, "tables[3]: kind of c", "tables[4]: kind of default"}},
		"too many tables": {Config{Tables: make([]Table, configTablesMax+1)}, []string{"tables: 1025 are more"}},
		"limits": {Config{Limits: Limits{ValueBytesMax: -1, LogSegmentBytes: -1, BootstrapWait: -1}}, []string{
			"limits.value_bytes_max: -1", "limits.log_segment_bytes: -1", "limits.bootstrap_wait: -1"}},
		"a value larger than a record": {Config{Limits: Limits{ValueBytesMax: record.ValueBytesMax + 1}}, []string{"limits.value_bytes_max: 16777217 is more"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(tc.config)
			require.Error(t, err)
			for _, w := range tc.want {
				require.Contains(t, err.Error(), w)
			}
		})
	}
}

func TestTheConfigOfTheCallerIsNotChanged(t *testing.T) {
	members := []Member{{ID: "b", Addr: "h:2"}, {ID: "a", Addr: "h:1"}}
	c := Config{Dir: "d", Topology: noTopology, Site: "us", Members: members, Leader: "b"}
	require.NoError(t, c.complete())
	require.Equal(t, "us", c.Members[1].Site)
	require.Empty(t, members[1].Site)
	require.Equal(t, "h:1", c.Listen)
}

func TestAControlOfAnotherKindIsTaken(t *testing.T) {
	c := Config{Dir: "d", Topology: noTopology, Control: noControl, Members: []Member{{ID: "a", Addr: "h:1"}, {ID: "b", Addr: "h:2"}}}
	require.NoError(t, c.complete())
	require.Empty(t, c.Leader)
}

func TestOpenThatFailsClosesTheListenerItWasGiven(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, err = Open(Config{Dir: t.TempDir() + "/a", Listener: l, Topology: func(topology.Env) (topology.Engine, error) {
		return nil, topology.ErrUnsupported
	}})
	require.ErrorIs(t, err, topology.ErrUnsupported)
	_, err = l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestKindsAreSpelledAsTheyAreRead(t *testing.T) {
	for k, name := range map[record.Kind]string{
		record.KindAny: "any", record.KindBytes: "bytes", record.KindRow: "row",
		record.KindCounter: "counter", record.KindSet: "set", record.KindMap: "map",
		record.KindFlag: "flag", record.KindMax: "max", record.KindMin: "min", record.KindHLL: "hll",
	} {
		got, err := ParseKind(name)
		require.NoError(t, err)
		require.Equal(t, k, got)
		require.Equal(t, name, KindName(k))
	}
	_, err := ParseKind("text")
	require.Error(t, err)
	require.Equal(t, "kind 200", KindName(200))
}

func TestTableNames(t *testing.T) {
	for _, name := range []string{"a", "users", "a.b-c_d9", strings.Repeat("a", tableNameBytesMax)} {
		require.True(t, validTable(name), name)
	}
	for _, name := range []string{"", "A", "9a", ".a", "a b", "a/b", "é", strings.Repeat("a", tableNameBytesMax+1)} {
		require.False(t, validTable(name), name)
	}
}
