// Package shell runs whole clusters in virtual time: every node with its log,
// store, transport, gossip and engine as a program has them, in a bubble of
// testing/synctest, on one network in memory and file systems that crash.
//
// A seed gives a [Plan]: sizes, policies and limits, a load of clients, and
// faults with the times at which they come. Unlike the floor below, where cores
// are driven by one loop, a seed does not give the order in which goroutines
// run: a failure may need its seed several times to come again. What it gives is
// the code as it is shipped, with its locks, time-outs and ends.
//
// What is checked:
//
//	W1  What was acknowledged is in every log after the heal, once, and what was
//	    said not to be applied is in none.
//	W2  Registers are linearizable, conditions and reads at any node included;
//	    sessions see their own writes and never less than before.
//	W3  After the heal writes are acknowledged again within [Recovery], and all
//	    nodes come to hold the same, in their logs and in their stores.
//	W4  No node ends but by a fault of its disk, and no two logs hold different
//	    entries of one term at one place.
//	W5  Every goroutine ends when its node does.
//
// # Rules of a bubble
//
// Time passes only while every goroutine waits for something of the bubble. So
// nothing here, and nothing under test, may hold a mutex while it waits, use a
// socket, or share a channel or a timer with another bubble; whoever breaks the
// first rule stops the clock, and the test hangs. Pebble shares pools between
// bubbles: a run with it has a process of its own.
package shell
