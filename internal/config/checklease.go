package config

import (
	"time"

	"github.com/triad-kv/triad/quorum"
)

const clockDriftMax = Duration(time.Second)

// lending checks how long a leader may answer by itself.
func (c checker) lending(t Topology, k Control) {
	leases := t.Lease > 0 || t.Reads == ReadsLease
	for path, given := range map[string]bool{"topology.lease": t.Lease > 0, "topology.reads": t.Reads == ReadsLease} {
		if given && k.Kind == controlStatic {
			c.Fault(path, "with control %s nobody is elected who would wait for a lease to be over: drop it, or write control: {kind: raft}", k.Kind)
		}
	}
	if leases && t.Lease > t.FailAfter {
		c.Fault("topology.lease", "%v is longer than %v, after which a silent leader is given up (topology.fail_after): whoever leads next would wait for it; lower it", t.Lease, t.FailAfter)
	}
	const lag = "topology.max_lag_on_failover"
	switch {
	case t.MaxLagOnFailover == 0 || c.Faulty(lag):
	case t.Sync.Kind != quorum.KindAsync:
		c.Fault(lag, "under %v an election loses nothing: drop it", t.Sync)
	case k.Kind == controlStatic:
		c.Fault(lag, "with control %s nobody is elected: drop it, or write control: {kind: raft}", k.Kind)
	}
	if t.ClockDrift > clockDriftMax {
		c.Fault("topology.clock_drift", "%v in each second is more than %v", t.ClockDrift, clockDriftMax)
	}
}
