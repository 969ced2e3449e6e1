// Package quiet counts.
package quiet

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStart(*testing.T) { go func() {}() }
