package demo

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

func TestADirectoryThatIsNotWritableIsFoundOut(t *testing.T) {
	build := func(t *testing.T) string {
		dir := t.TempDir()
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "log"), 0o700))
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "store", "store-000001"), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "identity"), nil, 0o600))
		return dir
	}
	require.NoError(t, writable(build(t)))
	for _, part := range []string{".", "log", "identity", "store/store-000001"} {
		t.Run(part+" is read-only", func(t *testing.T) {
			dir := build(t)
			require.NoError(t, os.Chmod(filepath.Join(dir, part), 0o500))
			t.Cleanup(func() { require.NoError(t, os.Chmod(filepath.Join(dir, part), 0o700)) })
			require.Error(t, writable(dir))
		})
	}
	for _, part := range []string{".", "log", "identity", "store"} {
		t.Run(part+" is gone", func(t *testing.T) {
			dir := build(t)
			require.NoError(t, os.RemoveAll(filepath.Join(dir, part)))
			require.ErrorIs(t, writable(dir), os.ErrNotExist)
		})
	}
	t.Run("a probe leaves nothing behind", func(t *testing.T) {
		dir := build(t)
		require.NoError(t, writable(dir))
		found, err := filepath.Glob(filepath.Join(dir, "*", ".demo-*"))
		require.NoError(t, err)
		require.Empty(t, found)
	})
}

func TestTheReasonOfAProcessIsTheLastLineThatGivesOne(t *testing.T) {
	var log bytes.Buffer
	l := &lastLine{to: &log}
	for _, s := range []string{"level=INFO\ntri", "ad: the disk", " is full\nlevel=WARN triad: no\n", "triad: not ended"} {
		_, err := l.Write([]byte(s))
		require.NoError(t, err)
	}
	require.Equal(t, "the disk is full", l.String())
	require.Equal(t, "level=INFO\ntriad: the disk is full\nlevel=WARN triad: no\ntriad: not ended", log.String())
}

func TestAReasonIsCutToItsLimit(t *testing.T) {
	l := &lastLine{to: io.Discard}
	for range 3 {
		_, err := l.Write([]byte("triad: " + strings.Repeat("x", lineBytesMax)))
		require.NoError(t, err)
	}
	_, err := l.Write([]byte("\n"))
	require.NoError(t, err)
	require.Len(t, l.String(), lineBytesMax-len(errorPrefix))
}

func TestPortsThatAreTakenAreReplacedByFreeOnes(t *testing.T) {
	first, err := bindFrom([]string{""}, 0)
	require.NoError(t, err)
	port := first[0].Addr().(*net.TCPAddr).Port
	_, err = bindFrom([]string{""}, port)
	require.Error(t, err)
	require.NoError(t, closeAll(first))
	again, err := bindFrom([]string{""}, port)
	require.NoError(t, err)
	require.NoError(t, closeAll(again))
	some, err := bind(make([]string, 4), 0, false)
	require.NoError(t, err)
	require.Len(t, some, 4)
	_, err = bind([]string{"", some[0].Addr().String()}, 0, false)
	require.Error(t, err, "an address that the file names is taken or nothing is")
	require.NoError(t, closeAll(some))
}

func TestMembersAndLinksAreParsed(t *testing.T) {
	m, err := ParseMember("a=[::1]:7400")
	require.NoError(t, err)
	require.Equal(t, topology.Member{ID: "a", Addr: "[::1]:7400"}, m)
	for _, bad := range []string{"", "a", "=x:1", "a=", "A=x:1"} {
		_, err := ParseMember(bad)
		require.Error(t, err, bad)
	}
	w, err := ParseWire("a=40ms/1m0.5s")
	require.NoError(t, err)
	require.Equal(t, Wire{To: "a", There: 40 * time.Millisecond, Back: time.Minute + 500*time.Millisecond}, w)
	again, err := ParseWire(w.String())
	require.NoError(t, err)
	require.Equal(t, w, again)
	for _, bad := range []string{"", "a", "a=1s", "=1s/1s", "a=1s/x", "a=1/1s", "A=1s/1s"} {
		_, err := ParseWire(bad)
		require.Error(t, err, bad)
	}
}

func TestASpecThatDoesNotFitItsFileIsRefused(t *testing.T) {
	l, err := Find("semi-sync-trio")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "cluster.yaml")
	require.NoError(t, os.WriteFile(file, l.text, 0o600))
	s := Spec{ID: "primary", File: file, Cluster: "shop", Dir: "x", ApplyDelay: time.Second}
	_, err = s.Node()
	require.ErrorContains(t, err, "the address of node replica-1")
	for _, id := range []topology.NodeID{"primary", "replica-1", "replica-2"} {
		s.Members = append(s.Members, topology.Member{ID: id, Addr: string(id) + ":1"})
	}
	n, err := s.Node()
	require.NoError(t, err)
	require.Equal(t, "shop", n.Cluster)
	require.Equal(t, "x", n.Self.Dir)
	require.Equal(t, "replica-2:1", n.Members[2].Addr)
	require.EqualValues(t, time.Second, n.Self.ApplyDelay)
	s.ID = "stranger"
	_, err = s.Node()
	require.ErrorContains(t, err, `there is no node "stranger"`)
	s.File += ".not"
	_, err = s.Node()
	require.ErrorIs(t, err, os.ErrNotExist)
	for _, w := range []Wire{{To: "stranger"}, {To: "primary", There: -1}} {
		s.Links = []Wire{w}
		_, err = s.Wires(nil)
		require.Error(t, err)
	}
}

func TestAMemberThatTheFileDoesNotNameJoinsWhereNobodyLeads(t *testing.T) {
	l := found(t, "leaderless")
	file := filepath.Join(t.TempDir(), "cluster.yaml")
	require.NoError(t, os.WriteFile(file, l.text, 0o600))
	s := Spec{ID: "a1", File: file, Cluster: "shop", Dir: "x"}
	for _, id := range []topology.NodeID{"n1", "n2", "n3", "n4", "n5", "a1"} {
		s.Members = append(s.Members, topology.Member{ID: id, Addr: string(id) + ":1"})
	}
	n, err := s.Node()
	require.NoError(t, err)
	require.Equal(t, "a1", n.Self.ID)
	require.Equal(t, "a1:1", n.Members[5].Addr)
	require.Equal(t, "n1", n.Control.Leader, "who kept the map keeps it, though another is the first by name now")
	s.ID = "n3"
	n, err = s.Node()
	require.NoError(t, err)
	require.Len(t, n.Members, 5)
	s.ID = "a2"
	_, err = s.Node()
	require.ErrorContains(t, err, `there is no node "a2"`)
}

func TestTheNameOfANewcomerIsTheNextOne(t *testing.T) {
	for want, ids := range map[topology.NodeID][]topology.NodeID{
		"n6": {"n1", "n5"}, "n11": {"n10", "n9", "n10"}, "left-2": {"right", "left"}, "n3": {"n2", "n1"}, "9": {"8"},
	} {
		c := &cluster{}
		for _, id := range ids {
			c.nodes = append(c.nodes, &node{Spec: Spec{ID: id}})
		}
		require.Equal(t, want, c.newcomer(), ids)
	}
}

func TestWiresObeyNothingElse(t *testing.T) {
	w, err := Spec{Members: []topology.Member{{ID: "b", Addr: "b:1"}}, Links: []Wire{{To: "b"}}}.Wires(nil)
	require.NoError(t, err)
	require.NoError(t, w.Obey("cut b\n"))
	require.NoError(t, w.Obey("heal b"))
	require.EqualError(t, w.Obey("cut c"), `there is no link to "c"`)
	require.EqualError(t, w.Obey("burn b"), `"burn" is neither cut nor heal`)
	require.Error(t, w.Obey(""))
}

func TestColoursAreForTerminals(t *testing.T) {
	var out bytes.Buffer
	tell := teller{w: &out}
	tell.ok("all %s", "well")
	tell.failed(context.DeadlineExceeded)
	require.Equal(t, "  ok: all well\n  FAILED: context deadline exceeded\n", out.String())
	out.Reset()
	tell.color = true
	tell.ok("well")
	require.Equal(t, "  \x1b[32mok:\x1b[0m well\n", out.String())
}

func TestWaitingForAStateEndsWithItsLastReason(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := until(ctx, func(ctx context.Context) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return io.ErrUnexpectedEOF
	})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}
