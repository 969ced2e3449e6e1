package triad

import (
	"context"
	"fmt"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Verification is what a comparison of what nodes hold has found.
type Verification = call.Verification

// Difference is a cell that two nodes hold differently, though each has what the other's
// is made of.
type Difference = call.Difference

// VerifyOptions say what [Operator.Verify] compares.
type VerifyOptions struct {
	// Tables are compared alone; none: all.
	Tables []string
	// RepairFrom names a site whose cells replace those of this node's site where the
	// two differ; what was replaced is listed as a conflict. Only the leader of a site
	// does that. Empty: nothing is changed.
	RepairFrom string
	// BytesPerSec is how much is read here a second; 0: as fast as can be.
	BytesPerSec int64
}

// Verify compares what this node holds with a node of every other site, and with every
// other node of its own, cell by cell, while writes go on: what is on its way is no
// difference. Whoever could not be compared with is named in the result. Where one
// leader orders all writes it is topology.ErrUnsupported.
func (o Operator) Verify(ctx context.Context, v VerifyOptions) (out Verification, err error) {
	err = o.with(ctx, "verify", func() error {
		e, ok := o.n.engine.(topology.Verifier)
		if !ok {
			return notApplied(fmt.Errorf("one log orders all writes of this topology, and its sums are checked as it is sent: %w", topology.ErrUnsupported))
		}
		l, err := o.lister(ctx)
		if err != nil {
			return err
		}
		asked := topology.VerifyOptions{From: v.RepairFrom, BytesPerSec: v.BytesPerSec}
		for _, name := range v.Tables {
			d, err := o.n.catalogue.lookup(ctx, name, true)
			if err != nil {
				return err
			}
			asked.Tables = append(asked.Tables, d.id)
		}
		found, err := e.Verify(ctx, asked)
		out.Peers = found.Peers
		for i := range found.Differences {
			out.Differences = append(out.Differences, l.difference(&found.Differences[i]))
		}
		return err
	})
	return out, err
}

func (l *conflictLister) difference(x *topology.Difference) Difference {
	d := Difference{Peer: x.Peer, Site: x.Site, Key: x.Cell.Key, Field: x.Cell.Field, Mine: l.rivals(x.Mine), Theirs: l.rivals(x.Theirs), Repaired: x.Repaired}
	if x.Cell.Table != record.TableSystem {
		d.Table = l.table(x.Cell.Table)
	}
	return d
}

// verifiedBy answers what a node finds that compares.
func verifiedBy(ctx context.Context, n remote, req []byte) ([]byte, error) {
	a, err := call.DecodeVerifyAsked(req)
	if err != nil {
		return nil, n.malformed("verify", err)
	}
	v, err := n.Operator().Verify(ctx, VerifyOptions{Tables: a.Tables, RepairFrom: a.From})
	if err != nil {
		return nil, err
	}
	for i := range v.Differences {
		d := &v.Differences[i]
		cut(d.Mine, call.VerifyValueBytesMax)
		cut(d.Theirs, call.VerifyValueBytesMax)
	}
	return v.Encode(), nil
}
