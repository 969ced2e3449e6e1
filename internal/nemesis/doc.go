// Package nemesis breaks real `triad server` processes on a real kernel while
// clients of the Redis port work, and judges what the clients were told.
//
// A run is three nodes of the built binary, `any 1 (b, c)`, everything flushed.
// Where the machine allows it (Linux, root, iproute2, nftables) each node has a
// network namespace of its own on one bridge, and a file system of its own on a
// loop device; elsewhere the nodes stand on loopback behind proxies, and the
// faults that need more are left out, with the reason printed. Clients never
// try an operation again: what was not answered is unknown, and its client is
// not heard of again.
//
// # What is promised
//
//	N1  A seed gives the same faults in the same order, at the same nodes, for
//	    the same time, whatever the cluster does; only who leads when a fault
//	    aims at the leader is the run's own.
//	N2  What a run makes (processes, namespaces, links, mounts, loop devices) is
//	    gone when Run returns, also after a failure or when its context ends. A
//	    run whose process was killed leaves traces that the next one removes:
//	    their names say which process made them.
//	N3  A run fails if an acknowledged write is missing, a write that was
//	    refused is there, a counter or a pair of keys does not add up, nodes
//	    differ once healed, a node stays stuck, or a fault was not met as
//	    docs/operations.md says.
//	N4  A run that failed keeps its directory: logs of the nodes, what clients
//	    saw, and the command that repeats it.
//
// It assumes nothing of the engine but what it answers through its ports. No
// code of the product imports it, and it starts no node in its own process.
package nemesis
