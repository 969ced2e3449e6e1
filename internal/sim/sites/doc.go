// Package sites is the multi-leader topology on the deterministic floor:
// multileader/core at three to five sites of one to three nodes each, over real
// logs, linked as a mesh, a ring, a star or a list, and clients that read and write
// at any of them in sessions that go from site to site.
//
// A site of several nodes is a log that its leader writes and the others copy; what
// more than half have is committed and outlives every change of the leader, what is
// not may be lost with it. Where a run has it so, logs are cut and a site that is
// behind takes a snapshot of another, and sites join, leave and are given up, by the
// roster that their logs agree upon. A seed draws which tables there are: the last
// writer's always, and some that other resolvers settle, functions and data types
// among them.
//
// # What is held against the sites
//
//	PM1   what is acknowledged is committed at its site
//	PM2   every write reaches every site, in the sequence of its origin, once
//	PM3   sites end with equal vectors, and with equal bytes once each has let go
//	      what all have
//	PM4   a record stands behind all it depends on; and every read shows what the
//	      writes come to that its vector has, by a second reckoning of each resolver
//	      and data type, so that no effect is seen without its cause
//	PM6   what nobody has overwritten who had seen it stays, and what was
//	      overwritten goes
//	PM7   where the last writer wins, the greatest of all writes stays, and what it
//	      cost is counted, exactly
//	PM9   a site that burnt, was led by force or was set back comes back as a new
//	      incarnation; of what only it had, everything is lost everywhere, or nothing is
//	PM10  a session never reads less than it has seen, at whatever site
//	PS2   what is committed at a site is in the log of each of its later leaders
//	PS4   no node cuts what it knows to be committed
//	M1    nothing leaves a site, nor is shown as there, before it is committed
//	M6a   what a site wrote that was given up counts everywhere or nowhere, and what
//	      does not was put aside, as far as its log holds it
//	K5    of the roster there is one of each version
//	C1    one dot is one write, wherever it is committed; nobody is told that he forgot
//	C2a   a write's deps are what stands before it in its site's log
//	C3    a write that covers another sorts after it
//	C9    what was answered NotApplied is committed nowhere
//	C10   what lost is in a list of conflicts
//	PW2   a log that recovers has what was durable in it
//	PS14  progress after the faults
//
// Clocks are an hour apart and jump, which MaxSkew forbids or allows, as the seed has
// it; in the end an operator sets them right.
package sites
