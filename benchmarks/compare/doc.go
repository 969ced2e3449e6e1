// Package compare measures subjects against each other in one run: the same
// load on each in turn, A B A B, so that what the machine does meanwhile
// disturbs all of them alike. Only ratios taken in one run are worth keeping;
// absolute figures move from day to day by tens of per cent.
//
// Promises. Every subject lives in a process of its own, with its writers, so
// that no heap or garbage collector is shared; the parent only takes turns. A
// cell is one subject under one number of writers for one stretch of time after
// a warm-up. An error of a write ends the run: a figure with errors in it is
// none.
//
// Assumptions. Writers are closed loops, each of which sends its next write when
// the last is answered, or share an open one with a rate, in which a time counts
// from when a write was due. Counters of the system (CPU of other processes, cache
// flushes of the disk, bytes written to it) are Linux's; elsewhere they are 0
// and print as a dash.
//
// Invariants:
//
//  1. Subjects take turns within a round, and each round starts with another.
//  2. A cell that other programs disturbed is measured again, at most
//     [RetriesMax] times; which measurement is kept depends on the disturbance
//     alone, never on the result.
//  3. A ratio is the median over rounds of ratios within a round.
package compare
