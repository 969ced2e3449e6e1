// Package server answers Redis clients from a node: a port that speaks RESP2 and
// RESP3, a table of commands, and what each of them does to the cells of keys.
//
// It promises that every command acts in one place of the node's log order, so
// that read-modify-write is what it is in Redis: the leader decides it, and its
// record carries the result ([topology.Updater]). What a client has pipelined is
// one group: one call of the node, one group commit, answers in the order of the
// commands, each seeing those before it. EXEC is one record.
//
// It promises that a client harms nobody else: what it may send, keep open, be
// told and make wait is bounded by [Limits] and the limits of package resp, and
// what it gets wrong is answered in the words of Redis. An error says what
// became of a write: a client may try again what begins with TRYAGAIN or
// READONLY, and must look first after UNKNOWN.
//
// It assumes a node whose Update and Read obey package topology; it knows no
// engine, no file and no flag.
//
// Invariants:
//
//  1. A command's decide is pure: a function of its arguments and of what it
//     sees. It runs on the engine's goroutine and may run again.
//  2. One goroutine serves a connection. Others see of it only its visible part.
//  3. Nothing that was read from a client is kept beyond its turn without a copy.
//  4. Whatever grows with a client's wishes is taken from the budget of buffers
//     or counted against a limit of its own.
package server
