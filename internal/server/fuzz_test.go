package server

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/record"
)

// pipeListener hands out the far ends of pipes.
type pipeListener struct{ conns chan net.Conn }

func (l *pipeListener) Accept() (net.Conn, error) {
	c, ok := <-l.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (l *pipeListener) Close() error   { return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// Whatever a client sends, the server answers or leaves, and does not panic. The
// seeds are the stories.
func FuzzServer(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.txt")
	require.NoError(f, err)
	for _, p := range paths {
		b, err := os.ReadFile(p)
		require.NoError(f, err)
		for _, block := range strings.Split(string(b), "----\n") {
			f.Add([]byte(block))
		}
	}
	f.Add([]byte(array("MULTI") + array("SET", "k", "v") + array("HGETALL", "k") + array("EXEC")))
	f.Fuzz(func(t *testing.T, in []byte) {
		node := newFake()
		node.tables["rows"] = triad.CellTable{ID: record.TableFirst, Kind: record.KindRow}
		s, err := New(node, Options{Prefixes: map[string]string{"row:": "rows"}, Limits: Limits{CallTimeout: time.Millisecond, AuthDelay: time.Nanosecond}})
		require.NoError(t, err)
		l := &pipeListener{conns: make(chan net.Conn, 1)}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(ctx, l) }()
		near, far := net.Pipe()
		l.conns <- far
		read := make(chan struct{})
		go func() { _, _ = io.Copy(io.Discard, near); close(read) }()
		_, _ = near.Write(in)
		_ = near.Close()
		<-read
		cancel()
		close(l.conns)
		require.NoError(t, <-ended)
		require.Zero(t, s.counts.panics.Load())
		require.Zero(t, s.buffers.used.Load())
	})
}
