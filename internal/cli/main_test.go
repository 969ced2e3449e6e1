package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader"
)

// asTriad makes this test's binary be the command, for demos whose nodes are
// processes.
const asTriad = "RUN_TEST_AS_TRIAD"

func TestMain(m *testing.M) {
	if os.Getenv(asTriad) != "" {
		Main()
	}
	goleak.VerifyTestMain(m)
}

// ran is what a command did.
type ran struct {
	code      int
	out, errs string
}

// command runs the command in this process.
func command(t *testing.T, args ...string) ran {
	t.Helper()
	return commandWith(t, strings.NewReader(""), args...)
}

func commandWith(t *testing.T, in io.Reader, args ...string) ran {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(t.Context(), args, in, &out, &errs)
	return ran{code: code, out: out.String(), errs: errs.String()}
}

// succeed runs a command that must.
func succeed(t *testing.T, args ...string) string {
	t.Helper()
	r := command(t, args...)
	require.Equal(t, exitDone, r.code, "%s", r.errs)
	require.Empty(t, r.errs)
	return r.out
}

// failing runs a command that must fail with a code, in one line.
func failing(t *testing.T, code int, args ...string) string {
	t.Helper()
	r := command(t, args...)
	require.Equal(t, code, r.code, "%v: %s", args, r.errs)
	require.True(t, strings.HasPrefix(r.errs, "triad: "), "%q", r.errs)
	require.Equal(t, 1, strings.Count(r.errs, "\n"), "%q", r.errs)
	return r.errs
}

// host is a node that is alone in its cluster, and its data directory.
type host struct {
	addr string
	dir  string
	stop func()
}

// serve runs a node until the test ends, or stop is called, and has commands find
// it.
func serve(t *testing.T) host {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	h := host{addr: l.Addr().String(), dir: filepath.Join(t.TempDir(), "a")}
	n, err := triad.Open(triad.Config{
		ID: "a", Dir: h.dir, Listener: l, Topology: singleleader.New(singleleader.Options{}),
		Tables: []triad.Table{{Name: "users", Kind: record.KindRow}, {Name: "files", Kind: record.KindBytes}},
		Limits: triad.Limits{RetainEvery: time.Second},
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- errors.Join(n.Run(ctx), n.Close()) }()
	stopped := false
	h.stop = func() {
		if !stopped {
			stopped = true
			cancel()
			require.NoError(t, <-ended)
		}
	}
	t.Cleanup(h.stop)
	t.Setenv("TRIAD_ENDPOINTS", h.addr)
	require.Eventually(t, func() bool {
		r := command(t, "table", "list")
		return r.code == exitDone && strings.Contains(r.out, "users") && strings.Contains(r.out, "files")
	}, 20*time.Second, 10*time.Millisecond)
	return h
}
