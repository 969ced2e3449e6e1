package raft

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/topology/topologytest"
)

func TestRaftIsAControl(t *testing.T) {
	topologytest.TestControl(t, func(t *testing.T) func() topology.Control {
		r := newRig(t, Options{Voters: []topology.NodeID{"a"}}, "a")
		return func() topology.Control {
			p, err := r.try("a")
			require.NoError(t, err)
			return p
		}
	})
}
