package topologytest_test

import (
	"testing"

	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/topology/topologytest"
)

func TestAgreedIsAControl(t *testing.T) {
	topologytest.TestControl(t, func(*testing.T) func() topology.Control {
		a := topologytest.NewAgreed()
		return func() topology.Control { return a.Open("a") }
	})
}
