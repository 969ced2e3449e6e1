// Command redis measures what a client over the network gets: three nodes in
// three processes, a TCP connection a client, one acknowledgement of two
// followers, every write durable on both before it is answered. It compares the
// yardstick behind a port, Triad behind its port for Redis clients, and Redis
// itself, which must be installed (Debian's package redis-server).
//
//	go run ./benchmarks/redis -writers 1,64,256 -rounds 3 -json redis.json
//	go run ./benchmarks/redis -op get -subjects redis,triad-resp -writers 64
//	go run ./benchmarks/redis -subjects ideal-net,triad-resp     # without Redis
//
// The subjects take turns in one run, A B A B, because only ratios taken together
// mean something. See package compare for what a figure counts, and -h for the flags.
package main

import (
	"os"

	"github.com/triad-kv/triad/benchmarks/compare"
	"github.com/triad-kv/triad/benchmarks/subjects"
)

func main() {
	os.Exit(compare.Main(os.Args[1:], subjects.IdealNet{}, subjects.TriadRESP{}, subjects.Redis{}))
}
