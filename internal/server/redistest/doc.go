// Package redistest drives real groups of nodes through a Redis client library,
// as a program that knows nothing of Triad would. It holds tests only.
//
// It promises that what the library believes of Redis holds of a group of three:
// types, errors, pipelines, transactions with optimistic locks, cursors. It
// assumes nothing of package server beyond its front.
//
// It is a module of its own, so that the library and what that requires stay out
// of the go.mod of everybody who uses Triad as a library.
package redistest
