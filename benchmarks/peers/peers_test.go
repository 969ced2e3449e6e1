package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/benchmarks/compare"
)

// The test binary starts itself as hosts and children, as the command does.
func TestMain(m *testing.M) {
	if compare.IsChild(os.Args[1:]) {
		os.Exit(compare.Main(os.Args[1:], all()...))
	}
	os.Exit(m.Run())
}

// here are the subjects of others that are on this machine.
func here(t *testing.T) (names []string) {
	for _, s := range all() {
		if i, ok := s.(compare.Installer); ok && i.Installed() != nil {
			t.Log("not measured: ", i.Installed())
			continue
		}
		if !strings.HasPrefix(s.Name(), "triad") && s.Name() != "ideal" {
			names = append(names, s.Name())
		}
	}
	return names
}

func measured(t *testing.T, op string, names []string) compare.Report {
	t.Helper()
	dir := t.TempDir()
	out := filepath.Join(dir, "out.json")
	args := []string{"-op", op, "-subjects", strings.Join(names, ","), "-keys", "20", "-writers", "2", "-rounds", "1", "-warm", "0s", "-time", "100ms", "-quiet", "0", "-json", out}
	require.Zero(t, compare.Main(args, all()...))
	b, err := os.ReadFile(out)
	require.NoError(t, err)
	var r compare.Report
	require.NoError(t, json.Unmarshal(b, &r))
	return r
}

func TestEveryPeerTakesWritesAndSaysWhatItPromises(t *testing.T) {
	names := here(t)
	r := measured(t, compare.OpPut, names)
	require.Len(t, r.Cells, len(names))
	for _, c := range r.Cells {
		require.NotZero(t, c.Writes, c.Subject)
		require.NotEmpty(t, r.Promises[c.Subject], c.Subject)
	}
}

func TestPeersShowWhatWasPut(t *testing.T) {
	var names []string
	for _, name := range here(t) {
		if name != (hraft{}).Name() { // it reads nothing
			names = append(names, name)
		}
	}
	for _, c := range measured(t, compare.OpGet, names).Cells {
		require.NotZero(t, c.Writes, c.Subject)
	}
}

func TestAChildWithoutItsArgumentsSaysWhatItNeeds(t *testing.T) {
	for _, s := range []compare.Subject{etcd{}, jetStream{}, postgres{}} {
		require.ErrorContains(t, s.Child(t.Context(), nil, nil), "needs")
	}
}

func TestWhereThereIsNoPostgresItSaysWhatToInstall(t *testing.T) {
	t.Setenv("PATH", "")
	_, err := program("no-such-program-of-postgres")
	require.ErrorIs(t, err, errNoPostgres)
}

// sink is a snapshot's file in memory.
type sink struct{ bytes.Buffer }

func (*sink) ID() string    { return "1" }
func (*sink) Cancel() error { return nil }
func (*sink) Close() error  { return nil }

func filled(t *testing.T) *table {
	t.Helper()
	tb := &table{cells: map[string][]byte{}}
	require.Nil(t, tb.Apply(&raft.Log{Data: encode([]byte("k1"), []byte("one"))}))
	require.Nil(t, tb.Apply(&raft.Log{Data: encode([]byte("k2"), nil)}))
	return tb
}

func TestASnapshotRestoresTheTable(t *testing.T) {
	tb := filled(t)
	s, err := tb.Snapshot()
	require.NoError(t, err)
	var out sink
	require.NoError(t, s.Persist(&out))
	other := &table{}
	require.NoError(t, other.Restore(io.NopCloser(&out.Buffer)))
	require.Len(t, other.cells, 2)
	require.Equal(t, "one", string(other.cells["k1"]))
}

func TestASnapshotThatEndsEarlyIsRefused(t *testing.T) {
	s, err := filled(t).Snapshot()
	require.NoError(t, err)
	var out sink
	require.NoError(t, s.Persist(&out))
	require.ErrorIs(t, (&table{}).Restore(io.NopCloser(bytes.NewReader(out.Bytes()[:out.Len()-1]))), io.ErrUnexpectedEOF)
}

func TestACommandThatIsNoneIsRefused(t *testing.T) {
	for _, b := range [][]byte{nil, {5, 'k'}} {
		require.ErrorIs(t, (&table{}).Apply(&raft.Log{Data: b}).(error), errCommand)
	}
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0x0f}
	require.ErrorIs(t, (&table{}).Restore(io.NopCloser(bytes.NewReader(huge))), errCommand)
}

func TestAWriteIsAnsweredOnceAMajorityHasIt(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	wrote := make(chan error, 1)
	err := hraft{}.Run(ctx, t.TempDir(), nil, func(open func() (compare.Client, error)) {
		c, err := open()
		wrote <- errors.Join(err, c.Put([]byte("key"), []byte("value")))
		cancel()
	})
	require.NoError(t, err)
	require.NoError(t, <-wrote)
}
