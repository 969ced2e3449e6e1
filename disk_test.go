package triad

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/internal/sim/crashfs"
	"github.com/triad-kv/triad/singleleader"
	"github.com/triad-kv/triad/topology"
)

// What was acknowledged is there after a restart, on the operating system's own
// file system and with a real engine.
func TestANodeKeepsItsDataOnDisk(t *testing.T) {
	c := Config{
		Dir: filepath.Join(t.TempDir(), "a"), Topology: singleleader.New(singleleader.Options{}), Tables: []Table{users},
		Limits: Limits{LogSegmentBytes: 64 << 10},
	}
	for round := range 3 {
		n, err := Open(c)
		require.NoError(t, err)
		done := make(chan error, 1)
		go func() { done <- n.Run(context.Background()) }()
		table := TableOf[user](n, "users")
		for before := range round {
			got, err := table.Get(t.Context(), "user")
			require.NoError(t, err, "round %d, %d", round, before)
			require.Equal(t, round-1, got.Age)
		}
		_, err = table.Put(t.Context(), "user", user{Name: "Alice", Age: round})
		require.NoError(t, err)
		require.NoError(t, errors.Join(n.Close(), <-done))
	}
}

// The store of a node has no room for a table: nothing of it ends. Writes are refused
// with where space lacks and how much, reads go on, and so do writes when there is
// space again.
func TestANodeOnAFullDiskRefusesWritesAndGoesOnWhenThereIsSpace(t *testing.T) {
	fs := crashfs.New()
	var full atomic.Bool
	fs.Before(func(c crashfs.Call) error {
		if full.Load() && strings.HasPrefix(c.Path, "data/store/") && (&crashfs.Fault{Cause: syscall.ENOSPC}).Hits(c) {
			return syscall.ENOSPC
		}
		return nil
	})
	n, err := Open(Config{
		Dir: "data", FS: fs, Topology: singleleader.New(singleleader.Options{}),
		Limits: Limits{LogSegmentBytes: 64 << 10, RetainEvery: time.Millisecond},
	})
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- n.Run(context.Background()) }()
	written := 0
	write := func() error {
		_, err := n.Put(t.Context(), DefaultTable, fmt.Append(nil, written), []byte(strings.Repeat("x", 4<<10)))
		if err == nil {
			written++
		}
		return err
	}
	require.NoError(t, write())
	full.Store(true)
	var refused error
	require.Eventually(t, func() bool { refused = write(); return refused != nil }, patience, time.Microsecond)
	require.ErrorIs(t, refused, topology.ErrDiskFull)
	require.Equal(t, topology.NotApplied, topology.OutcomeOf(refused))
	require.ErrorContains(t, refused, "data/store needs ")
	require.Contains(t, strings.Join(n.Status().Warnings, "\n"), "data/store needs ")
	for i := range written {
		got, err := n.Get(t.Context(), DefaultTable, fmt.Append(nil, i))
		require.NoError(t, err)
		require.Len(t, got.Value, 4<<10)
	}
	full.Store(false)
	require.Eventually(t, func() bool { return write() == nil }, patience, time.Millisecond)
	require.Empty(t, n.Status().Warnings)
	require.NoError(t, errors.Join(n.Close(), <-done))
}
