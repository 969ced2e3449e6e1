// Package call is one call as its caller asks for it, in the program of the node
// or far from it: the options of package triad and package client, and the forms
// in which a remote client's calls and their answers travel.
//
// It promises that options are put together in one way for both: one that does
// not fit, contradicts another or is given twice is refused and never ignored
// (bad input 94); and that nothing is read from the wire beyond named limits.
// It assumes that the transport tells a client from a node, carries errors with
// their outcome, and bounds the length of a message.
package call
