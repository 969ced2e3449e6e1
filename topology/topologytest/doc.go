// Package topologytest examines what implements the contracts of
// [github.com/triad-kv/triad/topology]: a conformance suite for every port that
// has, or may get, more than one implementation.
//
// A suite tests what the contract says and nothing that one implementation
// happens to do. It starts no goroutine that outlives it, sleeps for nothing,
// and waits for what must happen with a deadline.
package topologytest
