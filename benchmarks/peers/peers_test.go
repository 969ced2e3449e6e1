package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/benchmarks/compare"
)

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
