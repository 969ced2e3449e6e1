// Command commit measures what a synchronous commit costs: three nodes, one
// acknowledgement of two followers, every write durable on both before it is
// answered. The subjects take turns in one run, A B A B, because only ratios
// taken together mean something.
//
//	go run ./benchmarks/commit -writers 1,16,64,256 -rounds 3 -json commit.json
//
// See package compare for what a figure counts, and -h for the flags.
package main

import (
	"os"

	"github.com/triad-kv/triad/benchmarks/compare"
	"github.com/triad-kv/triad/benchmarks/subjects"
)

func main() { os.Exit(compare.Main(os.Args[1:], subjects.Ideal{}, subjects.Triad{})) }
