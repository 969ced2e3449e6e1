package etcd_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/triad-kv/triad/control/etcd"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/topology/topologytest"
)

func TestEtcdIsAControl(t *testing.T) {
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprintf("members %d", n), func(t *testing.T) {
			at := endpoints(servers(t, n))
			var clusters atomic.Int64
			topologytest.TestControl(t, func(t *testing.T) func() topology.Control {
				stable, cluster := newMemory(), fmt.Sprintf("c%d", clusters.Add(1))
				return func() topology.Control {
					return on(t, stable, etcd.Options{Endpoints: at, Cluster: cluster})
				}
			})
		})
	}
}
