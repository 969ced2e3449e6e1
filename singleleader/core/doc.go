// Package core decides the single-leader protocol: what is taken, committed,
// obeyed, cut, installed, and who may start a term. It is pure, so that the
// shell in package singleleader and a simulator run the very same decisions.
//
// # What is here
//
//	core.go       Core: events in, effects out; leader.go and follower.go by role
//	agreement.go  what may be acknowledged over one stream
//	group.go      the control document (S1), elect.go who may lead, by reports
//	members.go    who belongs to a group, and how that changes (S15)
//	bid.go        one attempt to start a term (K2)
//	start.go      what is kept beside the log, and how a node starts from it
//	install.go    what a snapshot does to a log (S12)
//	recent.go     what is accepted and not yet shown, and condition.go, which
//	              judges by it (S16)
//	edits.go      records as edits of cells
//
// # What a caller owes
//
// One goroutine at a time steps a Core, and carries out the effects of a step, in
// order, before the next one. What an event says is durable is durable. A term is
// durable before EvAccepted; a tail is exported and cut, durably, before
// EvTruncated.
package core
