package core

import (
	"context"
	"sync"
	"testing"

	_ "example.com/house/internal/wal"
	_ "github.com/stretchr/testify/require"
)

// TestTODO may be named so, and a test may say "for now".
func TestTODO(t *testing.T) {
	// TODO is tolerated in tests only.
	var wg sync.WaitGroup
	wg.Wait()
	_ = context.Background()
}
