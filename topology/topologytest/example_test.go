package topologytest_test

import (
	"testing"

	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/topology/topologytest"
)

// open stands for the backend under test: what it keeps in dir outlives it.
func open(dir string) topology.Control { return nil }

// The tests of a backend hand the suite a way to make one, and to open it again.
func ExampleTestControl() {
	_ = func(t *testing.T) { // TestMineIsAControl, in the backend's package
		topologytest.TestControl(t, func(t *testing.T) func() topology.Control {
			dir := t.TempDir()
			return func() topology.Control { return open(dir) }
		})
	}
}
