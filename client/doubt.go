package client

import (
	"errors"

	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// doubt is what earlier attempts of a named write have left open: one of them may
// have happened, or may yet.
type doubt struct {
	is   bool
	dot  version.Dot
	term uint64
}

// about returns an attempt's error as it is of the write: that the last attempt did
// not happen says nothing of those before it.
func (d *doubt) about(err error) error {
	var e *topology.Error
	if !errors.As(err, &e) {
		d.is = true // an error that states no outcome
		return err
	}
	if e.Outcome != topology.NotApplied {
		d.is = true
		if !e.Dot.IsZero() {
			d.dot, d.term = e.Dot, e.Term
		}
	}
	if !d.is {
		return err
	}
	open := *e
	open.Outcome, open.Dot, open.Term = topology.Unknown, d.dot, d.term
	if err != error(e) {
		open.Err = err
	}
	return &open
}
