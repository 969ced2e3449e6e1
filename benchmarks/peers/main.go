// Command peers measures other people's replicated logs beside the yardstick
// and Triad, in one run, under the same load, with the same flags and output as
// benchmarks/commit:
//
//	cd benchmarks/peers && go run . -subjects ideal,hraft -rounds 3
//
// It is a module of its own, so that what it compares enters no other graph.
//
// hraft is hashicorp/raft with raft-boltdb, as most programs use it: three
// nodes in one process over loopback TCP, a bolt file each (its free list not
// synced, so that age does not slow it down), a map as state machine. Its promise
// is the same: a write is answered once a majority has it on disk.
package main

import (
	"os"

	"github.com/triad-kv/triad/benchmarks/compare"
	"github.com/triad-kv/triad/benchmarks/subjects"
)

func main() { os.Exit(compare.Main(os.Args[1:], subjects.Ideal{}, subjects.Triad{}, hraft{})) }
