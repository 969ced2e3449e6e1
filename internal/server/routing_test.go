package server

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

// The slots that Redis Cluster's own documentation and its CLUSTER KEYSLOT give.
func TestSlotsAreThoseOfRedisCluster(t *testing.T) {
	require.EqualValues(t, 0x31c3, crc16([]byte("123456789")))
	for key, slot := range map[string]int{
		"foo": 12182, "bar": 5061, "hello": 866, "somekey": 11058, "foo{hash_tag}": 2515, "bar{hash_tag}": 2515, "hash_tag": 2515, "": 0,
	} {
		require.Equal(t, slot, slotOf([]byte(key)), key)
	}
	require.Equal(t, slotOf([]byte("{user1000}.following")), slotOf([]byte("user1000")))
	require.Equal(t, slotOf([]byte("foo{{bar}}zap")), slotOf([]byte("{bar")))
	require.Equal(t, slotOf([]byte("foo{bar}{zap}")), slotOf([]byte("bar")))
	require.Equal(t, int(crc16([]byte("foo{}{bar}")))%slotsAll, slotOf([]byte("foo{}{bar}")), "an empty tag is none")
	require.Equal(t, int(crc16([]byte("foo{bar")))%slotsAll, slotOf([]byte("foo{bar")))
}

func redirector(t *testing.T, addr string) (started, *fakeNode) {
	node := newFake()
	node.leader = "b"
	return start(t, node, Options{
		Routing: RoutingRedirect, Nodes: []topology.NodeID{"a", "b", "w"},
		Addr: func(id topology.NodeID) string {
			return map[topology.NodeID]string{"a": "h:1", "b": addr}[id]
		},
	}), node
}

func TestWhatOnlyTheLeaderMayDoIsRedirected(t *testing.T) {
	s, node := redirector(t, "h:2")
	cl := s.dial(t)
	require.Equal(t, "(error) MOVED 12182 h:2", cl.do("SET", "foo", "v"))
	require.Equal(t, "(error) MOVED 5061 h:2", cl.do("DEL", "bar", "foo"))
	require.Equal(t, "(error) MOVED 0 h:2", cl.do("FLUSHALL"))
	require.Equal(t, "(nil)", cl.do("GET", "foo"), "what can be read here is")
	cl.send(array("MULTI") + array("PING") + array("SET", "{foo}x", "v") + array("EXEC"))
	for range 3 {
		cl.answer()
	}
	require.Equal(t, "(error) MOVED 12182 h:2", cl.answer())
	// A node that holds nothing serves no reads.
	node.fault = &topology.Error{Op: "get", Err: topology.ErrNotLeader, Leader: "b"}
	require.Equal(t, "(error) MOVED 12182 h:2", cl.do("GET", "foo"))
	require.Equal(t, "(error) MOVED 5061 h:2", cl.do("WATCH", "bar"))
	require.Equal(t, "(error) MOVED 0 h:2", cl.do("DBSIZE"))
}

func TestNobodyIsRedirectedToWhereNothingIsKnown(t *testing.T) {
	s, node := redirector(t, "")
	cl := s.dial(t)
	require.Equal(t, "(error) READONLY You can't write against a read only replica. The leader is b; the address of its port for Redis clients is not known here.", cl.do("SET", "foo", "v"))
	require.Contains(t, cl.do("CLUSTER", "SLOTS"), "(error) CLUSTERDOWN")
	node.mu.Lock()
	node.leader = ""
	node.mu.Unlock()
	require.Equal(t, "(error) READONLY You can't write against a read only replica. No leader is known.", cl.do("SET", "foo", "v"))
	require.Contains(t, cl.do("CLUSTER", "INFO"), "cluster_state:fail")
}

func TestAClusterIsShownToWhoeverIsRedirected(t *testing.T) {
	s, _ := redirector(t, "h:2")
	cl := s.dial(t)
	a, b := clusterID("a"), clusterID("b")
	require.Equal(t, `[[(integer) 0, (integer) 16383, ["h", (integer) 2, "`+b+`", []], ["h", (integer) 1, "`+a+`", []]]]`, cl.do("CLUSTER", "SLOTS"))
	require.Equal(t, `"`+b+` h:2@0 master - 0 0 1 connected 0-16383\n`+a+` h:1@0 myself,slave `+b+` 0 0 1 connected\n"`, cl.do("CLUSTER", "NODES"))
	require.Contains(t, cl.do("CLUSTER", "INFO"), `cluster_enabled:1\r\ncluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_slots_ok:16384\r\n`)
	require.Contains(t, cl.do("CLUSTER", "INFO"), `cluster_known_nodes:2\r\ncluster_size:1\r\ncluster_current_epoch:1\r\n`)
	require.Equal(t, `"`+a+`"`, cl.do("CLUSTER", "MYID"))
	require.Equal(t, "(integer) 12182", cl.do("CLUSTER", "KEYSLOT", "foo"))
	require.Equal(t, "OK", cl.do("READONLY"))
	require.Contains(t, cl.do("INFO", "cluster"), "cluster_enabled:1")
	require.Contains(t, cl.do("HELLO"), `"mode", "cluster"`)
}

func TestWithoutRedirectionThereIsNoCluster(t *testing.T) {
	cl := start(t, newFake(), Options{}).dial(t)
	for _, c := range [][]string{{"CLUSTER", "SLOTS"}, {"CLUSTER", "NODES"}, {"CLUSTER", "INFO"}, {"CLUSTER", "MYID"}, {"READONLY"}, {"READWRITE"}} {
		require.Equal(t, "(error) "+string(errNoCluster), cl.do(c...))
	}
	require.Contains(t, cl.do("INFO", "cluster"), "cluster_enabled:0")
}
