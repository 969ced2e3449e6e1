// Package core decides for one site of a multi-leader cluster: what its own
// writes are called, which records of other sites it takes and when, and what it
// sends to whom. It is a function of its state and an event ([Core.Step]); a
// shell tells it what happened and carries out the effects, in order. It knows no
// goroutine, clock, disk or network, so one loop can run all sites from a seed.
//
// A site has one log. Its own writes stand in it, and every record of another
// site, verbatim and under its own dot; besides them notes, which have no dot and
// leave no site. Whoever takes part in the site holds that log and applies it by
// the same pure function ([Apply]), so a change of the site's leader loses nothing
// and grows no vector.
//
// # The protocol
//
// A local write gets its place in the log, its sequence, its time and its deps in
// one step: deps are what stands before it in the log (rule C2a). It leaves the
// site once the log is committed up to it (M1), in the order of the log, with a
// rolling sum over all records of its origin.
//
// A record that arrives waits in its origin's queue until it is the next of its
// origin and all it depends on stands in the log (M2). It is then appended like a
// local write, after the clock was raised to its time (C3), and applied once it
// is committed. What is already there is dropped. That is all that keeps a mesh,
// a ring or a star free of loops.
//
// A record that got lost is not waited for. Every tick a site tells its peers
// what it has committed; who sees that a peer holds what it lacks, tick after
// tick, asks that peer, whoever's record it is. Queues are therefore bounded, and
// what does not fit is dropped.
//
// What was dropped for want of room, and the rest of a gap of which a part has
// come, wait for no tick: they are asked for as soon as there is room, and as much
// as there is room for. So the receiver sets the pace. Only a log that has just
// taken nothing is left alone until the next tick.
//
// # What always holds
//
//  1. No record leaves the site before it is committed (M1).
//  2. The log holds the records of each origin in sequence, each once, and
//     behind all it depends on (M2).
//  3. What a beat shows of the own origin and of others never exceeds the deps of
//     the next record written here (C2a).
//  4. The time of a record written here is greater than that of every record
//     before it in the log (C3), so time extends causal order and the last writer
//     may win.
//  5. A peer whose records differ under an equal dot is frozen: nothing of it is
//     taken and nothing sent to it until a person thaws the link (M1).
//  6. A site that meets records of its own that it does not know writes nothing
//     under that origin again (C1).
package core
