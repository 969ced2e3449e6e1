package gossip

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/serf/serf"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// heard is a member as serf tells of it.
func heard(name string, t tags, s serf.MemberStatus) *serf.Member {
	return &serf.Member{
		Name: name, Addr: net.IPv4(127, 0, 0, 1), Port: 7500, Tags: t.encode(), Status: s,
		ProtocolMin: 1, ProtocolMax: 5, ProtocolCur: 4, DelegateMin: 2, DelegateMax: 5, DelegateCur: serfProtocol,
	}
}

func TestTagsAreReadAsTheyWereWritten(t *testing.T) {
	full := tags{cluster: clusterID{1, 15: 2}, life: 1<<63 + 1, peers: "h.example:7400", site: "eu", protocolMin: 1, protocolMax: 2}
	require.Equal(t, map[string]string{
		"cluster": "01000000000000000000000000000002", "life": "8000000000000001", "peers": "h.example:7400", "site": "eu", "protocol": "1-2",
	}, full.encode())
	for _, one := range []tags{full, {peers: "[::1]:1"}} {
		got, err := decodeTags(one.encode())
		require.NoError(t, err)
		require.Equal(t, one, got)
	}
	m := full.encode()
	m["later"] = "x"
	_, err := decodeTags(m)
	require.NoError(t, err, "a tag of a later version is ignored")
}

func TestTagsThatAreWrongAreRefused(t *testing.T) {
	for name, value := range map[string]string{
		"cluster": "12", "life": "7", "peers": "nowhere", "site": "E U", "protocol": "2-1",
	} {
		m := tags{peers: "h:1"}.encode()
		m[name] = value
		_, err := decodeTags(m)
		require.ErrorContains(t, err, "tag "+name)
	}
	_, err := decodeTags(nil)
	require.Error(t, err)
}

func TestAddresses(t *testing.T) {
	for _, tc := range []struct {
		addr         string
		dialled, own bool
	}{
		{"h:1", true, true}, {"127.0.0.1:65535", true, true}, {"[::1]:7400", true, true},
		{":7400", false, true}, {"0.0.0.0:7400", false, true}, {"h:0", false, true},
		{"h", false, false}, {"h:65536", false, false}, {"h:http", false, false}, {"h h:1", false, false},
		{"h\n:1", false, false}, {"\x1b[31m:1", false, false}, {strings.Repeat("h", addrBytesMax) + ":1", false, false},
	} {
		require.Equal(t, tc.dialled, checkAddr(tc.addr, false) == nil, "%q to be dialled", tc.addr)
		require.Equal(t, tc.own, checkAddr(tc.addr, true) == nil, "%q to be bound", tc.addr)
	}
}

func TestOptionsNameEveryFault(t *testing.T) {
	many := make([]string, SeedsMax+1)
	for i := range many {
		many[i] = fmt.Sprintf("h%d:1", i)
	}
	for name, tc := range map[string]struct {
		o     Options
		seeds []string
		want  []string
	}{
		"nothing":     {},
		"listen":      {Options{Listen: "h"}, nil, []string{`gossip.listen: "h" is not host:port`}},
		"advertise":   {Options{Listen: "h:1", Advertise: "0.0.0.0:1"}, nil, []string{"gossip.advertise"}},
		"peers":       {Options{Listen: "h:1", Peers: ":1"}, nil, []string{"gossip.peers"}},
		"keys":        {Options{Listen: "h:1", Keys: make([]Key, KeysMax+1)}, nil, []string{"gossip.keys: 9 are more than 8", "gossip.keys[0]: it is of zeros", "gossip.keys[8]: it is there twice"}},
		"probe":       {Options{Listen: "h:1", ProbeEvery: 1}, nil, []string{"gossip.probe_every: 1ns is less than 10ms"}},
		"seeds":       {Options{Listen: "h:1"}, []string{"h:1", "h"}, []string{`join[1]: "h" is not host:port`}},
		"many seeds":  {Options{Listen: "h:1"}, many, []string{"join: 65 seeds are more than 64"}},
		"seeds alone": {Options{}, []string{"h:1"}, []string{"gossip.listen names no address"}},
	} {
		t.Run(name, func(t *testing.T) {
			tc.o.Join = tc.seeds
			err := tc.o.Check()
			if tc.want == nil {
				require.NoError(t, err)
			}
			for _, w := range tc.want {
				require.ErrorContains(t, err, w)
			}
		})
	}
}

func TestKeysAreRead(t *testing.T) {
	_, err := ParseKey("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	require.NoError(t, err)
	for s, want := range map[string]string{"": "this is 0", "c2VjcmV0": "this is 6", "secret!": "not base64", strings.Repeat("A", 43) + "=": "zeros only"} {
		_, err := ParseKey(s)
		require.ErrorContains(t, err, want)
		if s != "" {
			require.NotContains(t, err.Error(), s)
		}
	}
	b, err := key(7).MarshalText()
	require.NoError(t, err)
	require.Equal(t, keyShown, string(b))
}

func TestPeersAddress(t *testing.T) {
	for _, tc := range []struct{ configured, bound, wanted, want string }{
		{"", "127.0.0.1:7400", "", "127.0.0.1:7400"},
		{"h1:7400", "10.0.0.1:7400", "", "h1:7400"},
		{"h1:7400", "10.0.0.1:7401", "", "10.0.0.1:7401"},
		{"", "[::]:7400", "", "10.0.0.9:7400"},
		{"", "0.0.0.0:7400", "", "10.0.0.9:7400"},
		{"h1:7400", "0.0.0.0:7400", "h2:1", "h2:1"},
		{"", "", "h2:1", "h2:1"},
	} {
		s, err := tell(&net.TCPAddr{IP: net.IPv4(10, 0, 0, 9), Port: 7500}, "")
		require.NoError(t, err)
		got, err := peersAddr(tc.configured, tc.bound, tc.wanted, s.Addr())
		require.NoError(t, err)
		require.Equal(t, tc.want, got)
	}
}

func TestAViewIsTheConfigurationWithWhatIsHeard(t *testing.T) {
	at := func(addr, site string) tags { return tags{cluster: clusterID{1}, peers: addr, site: site} }
	self := topology.Member{ID: "a", Addr: "h1:1", Liveness: topology.LivenessAlive}
	last := topology.View{Members: []topology.Member{{ID: "a"}, {ID: "b", Addr: "old:2", Site: "us"}, {ID: "c", Addr: "h3:3"}}}
	foreign := at("evil:1", "")
	foreign.cluster = clusterID{9}
	v := viewOf(last, self, clusterID{1}, []serf.Member{
		*heard("z", at("h9:9", "eu"), serf.StatusLeft), *heard("y", at("h8:8", ""), serf.StatusAlive),
		*heard("b", at("new:2", "eu"), serf.StatusLeaving), *heard("a", at("elsewhere:1", ""), serf.StatusFailed), *heard("c", foreign, serf.StatusAlive),
		{Name: "c", Tags: map[string]string{"peers": "nowhere"}, Status: serf.StatusAlive},
	})
	require.Equal(t, topology.View{
		Members: []topology.Member{self, {ID: "b", Addr: "new:2", Site: "us", Liveness: topology.LivenessAlive}, {ID: "c", Addr: "h3:3"}},
		Strangers: []topology.Member{
			{ID: "y", Addr: "h8:8", Liveness: topology.LivenessAlive}, {ID: "z", Addr: "h9:9", Site: "eu", Liveness: topology.LivenessLeft}},
	}, v)
	gone := viewOf(v, self, clusterID{1}, nil)
	require.Equal(t, v.Members, gone.Members, "who is not heard of any more is as it was")
	require.Empty(t, gone.Strangers)
}

func TestAStateIsRefusedOnlyIfNobodyInItBelongsHere(t *testing.T) {
	j := newJudge(&Env{Self: "a", Members: three, Logger: discard()}, time.Second)
	j.setCluster(clusterID{1})
	ours, fresh := tags{cluster: clusterID{1}, peers: "h:1"}, tags{peers: "h:1"}
	foreign := tags{cluster: clusterID{2}, peers: "h:1"}
	alive := func(name string, t tags) *serf.Member { return heard(name, t, serf.StatusAlive) }
	bad := alive("B b", ours)
	require.ErrorIs(t, j.NotifyMerge([]*serf.Member{alive("b", foreign)}), errForeign)
	require.ErrorIs(t, j.NotifyMerge([]*serf.Member{alive("b", foreign), alive("c", foreign)}), errForeign)
	require.NoError(t, j.NotifyMerge([]*serf.Member{alive("b", foreign), bad, alive("c", ours)}))
	require.NoError(t, j.NotifyMerge([]*serf.Member{alive("b", fresh)}))
	require.ErrorContains(t, j.NotifyMerge([]*serf.Member{bad}), `"B b" is not a node's name`)
	old := alive("b", ours)
	old.DelegateMax = serfProtocol - 1
	require.ErrorContains(t, j.NotifyMerge([]*serf.Member{old}), "upgrade the older one")
}

func TestConflictsHaveALimitAndAreForgotten(t *testing.T) {
	now := time.Unix(0, 0)
	j := newJudge(&Env{Self: "a", Members: three, Logger: discard()}, 30*time.Second)
	j.now = func() time.Time { return now }
	j.learn([]serf.Member{*heard("b", tags{life: 1, peers: "h:1"}, serf.StatusAlive), *heard("a", tags{peers: "h:2"}, serf.StatusAlive)})
	other := func(life uint64, port uint16) {
		m := heard("b", tags{life: life, peers: "h:1"}, serf.StatusAlive)
		m.Port = port
		require.NoError(t, j.NotifyMerge([]*serf.Member{m}))
	}
	other(1, 1)
	require.Empty(t, j.warnings(), "the same life, just now: it was started elsewhere")
	now = now.Add(31 * time.Second)
	other(1, 1)
	require.Len(t, j.warnings(), 1, "the same life, for too long: a copy of the directory")
	for port := range uint16(2 * conflictsMax) {
		other(2, port)
	}
	require.Len(t, j.warnings(), conflictsMax)
	require.False(t, j.takeDispute())
	now = now.Add(conflictShown + 1)
	require.Empty(t, j.warnings())
	self := heard("a", tags{peers: "h:2"}, serf.StatusAlive)
	self.Port = 1
	require.NoError(t, j.NotifyMerge([]*serf.Member{self}))
	require.True(t, j.takeDispute())
	require.False(t, j.takeDispute())
}

func TestHowLongOneIsSought(t *testing.T) {
	j := newJudge(&Env{Self: "a", Members: three, Logger: discard()}, 0)
	require.Equal(t, reconnectFor, j.ReconnectTimeout(&serf.Member{Name: "b"}, 0))
	require.Equal(t, strangerFor, j.ReconnectTimeout(&serf.Member{Name: "x"}, 0))
}

func TestLinesBecomeRecords(t *testing.T) {
	for line, want := range map[string]struct {
		level      slog.Level
		part, text string
	}{
		"[ERR] memberlist: it failed\n":       {slog.LevelError, "memberlist", "it failed"},
		"[ERROR] serf: x":                     {slog.LevelError, "serf", "x"},
		"[WARN] serf: y":                      {slog.LevelWarn, "serf", "y"},
		"[INFO] serf: EventMemberJoin: a":     {slog.LevelInfo, "serf", "EventMemberJoin: a"},
		"[DEBUG] memberlist: Stream":          {slog.LevelDebug, "memberlist", "Stream"},
		"Err: no level":                       {slog.LevelWarn, "gossip", "Err: no level"},
		"[NEWS] serf: z":                      {slog.LevelWarn, "gossip", "[NEWS] serf: z"},
		"[WARN] serf: a\nb\x1b[31m\xff\u2028": {slog.LevelWarn, "serf", `a\x0ab\x1b[31m\xff\u2028`},
		"":                                    {slog.LevelWarn, "gossip", ""},
	} {
		level, part, text := parseLine([]byte(line))
		require.Equal(t, want.level, level, line)
		require.Equal(t, want.part, part, line)
		require.Equal(t, want.text, text, line)
	}
	_, _, text := parseLine(bytes.Repeat([]byte("x"), 2*lineBytesMax))
	require.Equal(t, strings.Repeat("x", lineBytesMax)+"…", text)
}

func TestLinesHaveALimit(t *testing.T) {
	var out lines
	now := time.Unix(1, 0)
	j := &journal{log: slog.New(slog.NewTextHandler(&out, nil)), now: func() time.Time { return now }}
	l := j.logger()
	for range 10 * linesPerSecondMax {
		l.Print("[WARN] serf: again")
		l.Print("[DEBUG] serf: nobody hears this, nor is it counted")
	}
	require.Equal(t, linesPerSecondMax, strings.Count(out.String(), "again"))
	now = now.Add(time.Second)
	l.Print("[WARN] serf: later")
	require.Contains(t, out.String(), fmt.Sprintf("lines=%d most=%d", 9*linesPerSecondMax, linesPerSecondMax))
	require.Contains(t, out.String(), "later")
	j.end()
	l.Print("[WARN] serf: too late")
	require.NotContains(t, out.String(), "too late")
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("[ERR] memberlist: x\n"))
	f.Add([]byte("[WARN] \xff\x00\n[INFO] serf: forged"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _, text := parseLine(b)
		for _, c := range text {
			require.True(t, c >= ' ' && c != 0x7f, "%q", text)
		}
		require.LessOrEqual(t, len(text), 6*lineBytesMax+len("…"))
	})
}

func FuzzTags(f *testing.F) {
	f.Add("", "0000000000000007", "h:1", "eu", "1-1")
	f.Add("01000000000000000000000000000002", "7", "[::1]:65535", "", "-")
	f.Fuzz(func(t *testing.T, cluster, life, peers, site, protocol string) {
		m := map[string]string{tagLife: life, tagPeers: peers, tagProtocol: protocol}
		if cluster != "" {
			m[tagCluster] = cluster
		}
		if site != "" {
			m[tagSite] = site
		}
		one, err := decodeTags(m)
		if err != nil {
			require.False(t, errors.Is(err, errForeign))
			return
		}
		again, err := decodeTags(one.encode())
		require.NoError(t, err)
		require.Equal(t, one, again)
	})
}
