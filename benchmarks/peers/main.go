// Command peers measures what people would otherwise take beside the yardstick and
// Triad, in one run, under the same load, with the same flags and output as
// benchmarks/commit:
//
//	cd benchmarks/peers && go run .
//	cd benchmarks/peers && go run . -op get -subjects etcd,triad-resp,triad-quorum -writers 64
//
// It is a module of its own, so that what it compares enters no other graph.
//
// Each is configured as its own documentation advises for a write that outlives the loss
// of one node, and what it promises stands below the figures, as do their ratios to the
// first subject with the least and the greatest of all rounds. All are on loopback, a
// process each but where it says otherwise, on one disk:
//
//   - triad-resp, triad-quorum, triad-sites: one leader, no leader, and three sites, each
//     behind its port for Redis clients, a connection a client.
//   - etcd: three members, a gRPC client a client.
//   - hraft: hashicorp/raft with raft-boltdb and a map, as most programs use it: three
//     nodes in the writers' process (the bolt files' free list not synced, so that age does
//     not slow them down).
//   - postgres-sync, postgres-async: a primary and two standbys that stream; left out,
//     with the reason, where PostgreSQL is not installed.
//   - redis: a primary and two replicas, appendfsync always and WAIT 1; likewise.
//   - nats: a JetStream key-value bucket with three replicas, sync_interval always.
//   - dragonboat and olric are not run: they stand there by what they reached elsewhere,
//     scaled by the ideal log of the same run, and marked so (-scaled=false leaves them out).
package main

import (
	"os"

	"github.com/triad-kv/triad/benchmarks/compare"
	"github.com/triad-kv/triad/benchmarks/subjects"
)

// all are the subjects; ratios are to the first that is measured.
func all() []compare.Subject {
	return []compare.Subject{
		etcd{}, hraft{}, postgres{sync: true}, postgres{}, subjects.Redis{}, jetStream{},
		subjects.Ideal{}, subjects.Triad{}, subjects.TriadRESP{}, subjects.TriadQuorum{}, subjects.TriadSites{},
	}
}

func main() {
	args := os.Args[1:]
	if !compare.IsChild(args) {
		args = append([]string{"-scaled"}, args...)
	}
	os.Exit(compare.Main(args, all()...))
}
