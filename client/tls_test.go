package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/client"
	"github.com/triad-kv/triad/internal/secure"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/singleleader"
	"github.com/triad-kv/triad/topology"
)

// certify writes a certificate of a, and returns where.
func certify(t *testing.T, a *secure.Authority, ca []byte, role topology.PeerRole, id topology.NodeID) secure.Source {
	t.Helper()
	p, err := a.Issue(secure.Name{Cluster: "triad", Role: role, ID: id}, nil, secure.For(time.Hour))
	require.NoError(t, err)
	dir := t.TempDir()
	s := secure.Source{CA: filepath.Join(dir, "ca"), Cert: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key")}
	for path, b := range map[string][]byte{s.CA: ca, s.Cert: p.Cert, s.Key: p.Key} {
		require.NoError(t, os.WriteFile(path, b, 0o600))
	}
	return s
}

func TestAClusterWithTLSServesWhoCanProveWhoHeIs(t *testing.T) {
	a, ca, err := secure.NewAuthority("triad", secure.For(time.Hour))
	require.NoError(t, err)
	ids := []topology.NodeID{"a", "b", "c"}
	var members []triad.Member
	var listeners []net.Listener
	for _, id := range ids {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		listeners, members = append(listeners, l), append(members, triad.Member{ID: id, Addr: l.Addr().String()})
	}
	start := func(i int) *triad.Node {
		c := triad.Config{
			ID: ids[i], Dir: "data", FS: vfs.NewMem(), Members: members, Leader: "a",
			TLS: certify(t, a, ca.Cert, topology.PeerNode, ids[i]),
			Limits: triad.Limits{
				CompressAbove: 1 << 10, LogSegmentBytes: 32 << 10, LogFirstSegmentBytes: 32 << 10, RetainEvery: time.Millisecond,
				BootstrapWait: 100 * time.Millisecond,
			},
			Topology: singleleader.New(singleleader.Options{Sync: quorum.Any(1, "b", "c"), RetainBytesMax: 1}),
		}
		if l := listeners[i]; l != nil {
			c.Listener = l
		}
		n, err := triad.Open(c)
		require.NoError(t, err)
		done := make(chan error, 1)
		go func() { done <- n.Run(context.Background()) }()
		t.Cleanup(func() { require.NoError(t, errors.Join(n.Close(), <-done)) })
		return n
	}
	require.NoError(t, listeners[2].Close()) // it comes later, and binds it again: nobody is to wait for it
	listeners[2] = nil
	leader := start(0)
	start(1)
	dialled := func(o client.Options) *client.Client {
		c, err := client.Dial([]string{members[1].Addr}, o)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, c.Close()) })
		return c
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	shop := dialled(client.Options{TLS: certify(t, a, ca.Cert, topology.PeerClient, "shop"), AttemptsMax: 100})
	_, err = shop.Put(ctx, "default", []byte("k"), make([]byte, 64<<10))
	require.NoError(t, err)
	_, err = shop.Get(ctx, "default", []byte("k"))
	require.NoError(t, err)

	// A node that comes when the log no longer begins at its beginning needs a snapshot.
	for i := 0; leader.Status().First == 1; i++ {
		_, err = shop.Put(ctx, "default", fmt.Append(nil, i), bytes.Repeat([]byte{byte(i)}, 16<<10))
		require.NoError(t, err)
	}
	late := start(2)
	require.Eventually(t, func() bool {
		r, err := late.Get(ctx, "default", []byte("k"), triad.Any())
		return err == nil && len(r.Value) == 64<<10 && late.Status().First > 1
	}, patience, time.Millisecond, "its log begins behind the snapshot")

	b, strange, err := secure.NewAuthority("triad", secure.For(time.Hour))
	require.NoError(t, err)
	_, err = dialled(client.Options{AttemptsMax: 1}).Get(ctx, "default", []byte("k"))
	require.ErrorIs(t, err, topology.ErrUnsupported, "without TLS")
	_, err = dialled(client.Options{AttemptsMax: 1, TLS: certify(t, b, strange.Cert, topology.PeerClient, "shop")}).Get(ctx, "default", []byte("k"))
	require.ErrorIs(t, err, topology.ErrDenied, "of another authority")
	_, err = client.Dial([]string{members[1].Addr}, client.Options{TLS: certify(t, a, ca.Cert, topology.PeerNode, "b")})
	require.ErrorContains(t, err, "not for triad://triad/client/NAME")
}
