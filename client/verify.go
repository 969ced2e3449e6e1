package client

import (
	"context"

	"github.com/triad-kv/triad/internal/call"
)

// Verification is what a comparison of what nodes hold has found.
type Verification = call.Verification

// Difference is a cell that two nodes hold differently, though each has what the other's
// is made of.
type Difference = call.Difference

// Verify has the node at addr compare what it holds with a node of every other site and
// with every other node of its own, of some tables or, with none, of all. Where
// repairFrom names a site, what that holds replaces what the node's own site holds,
// where the two differ: only the leader of a site does so. Values in the result are cut
// to 256 bytes. Where one leader orders all writes it is topology.ErrUnsupported.
func (o Operator) Verify(ctx context.Context, addr string, tables []string, repairFrom string) (Verification, error) {
	answer, err := o.c.askAt(ctx, addr, call.MethodVerify, call.VerifyAsked{Tables: tables, From: repairFrom}.Encode())
	var v Verification
	if err == nil {
		v, err = call.DecodeVerification(answer)
	}
	if err != nil {
		return Verification{}, errorOf("verify", "", nil, err)
	}
	return v, nil
}
