// Package sites is the multi-leader topology on the deterministic floor:
// multileader/core at three or four sites of one node each, over real logs, linked
// as a mesh, a line, a ring or a star, and clients that read and write at a site.
// The last writer wins.
//
// # What is held against the sites
//
//	PM1   what is acknowledged is on its site's disk
//	PM2   every write reaches every site, in the sequence of its origin, once
//	PM3   sites end with equal vectors and equal bytes
//	PM4   a record stands behind all it depends on
//	PM7   the greatest of all writes stays, and what it cost is counted, exactly
//	PM9   a site that burnt comes back as a new incarnation; of what only it had,
//	      everything is lost everywhere, or nothing is
//	PM10  reads at one site never go back, and find what was written there
//	M1    nothing leaves a site, nor is shown as there, before it is committed
//	C1    one dot is one write, on every disk; nobody is told that he forgot
//	C2a   a write's deps are what stands before it in its site's log
//	C3    a write that covers another sorts after it
//	C9    what was answered NotApplied is on no disk
//	PW2   a log that recovers has what was durable in it
//	PS14  progress after the faults
//
// Clocks jump by minutes, which MaxSkew forbids or allows, as the seed has it; in
// the end an operator sets them right.
package sites
