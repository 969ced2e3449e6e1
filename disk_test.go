package triad

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/singleleader"
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
