package server

import (
	"testing"

	"github.com/triad-kv/triad/topology/topologytest"
)

// The double that this package's tests run over decides as an engine does.
func TestTheFakeIsAnUpdater(t *testing.T) {
	topologytest.TestUpdater(t, func(*testing.T) topologytest.Updater { return newFake() })
}
