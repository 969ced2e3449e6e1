package singleleader

import (
	"errors"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Machine is what the entries of a group's log come to in its store. It must be a
// function of the entries and of what the store held before them, as every node of the
// group has one: the same entries make the same store (C6). One goroutine uses it.
type Machine interface {
	// Reset makes it go on from a view of the store, of which it keeps nothing: at the
	// start, and when a snapshot has replaced the store.
	Reset(view topology.Snapshot) error
	// Take takes the next committed entry, decoded as r, and returns about how many
	// bytes it adds to the edits. It keeps nothing of r; the entry's bytes stay as they
	// are. With ErrApplyFirst it has not taken the entry: what was taken before is to be
	// in the store first.
	Take(e record.Entry, r *record.Record) (bytes int, err error)
	// Edits are what the entries taken since the last Applied come to, in order. They
	// are given to the store next, and may be read from then on.
	Edits() []topology.Edit
	// Applied says that the store shows them.
	Applied()
}

// ErrApplyFirst is a Machine's answer to an entry that has to find in the store what was
// taken before it.
var ErrApplyFirst = errors.New("what was taken before is to be applied first")

// cells is the machine of a single-leader group: a cell holds what was last put.
type cells struct {
	e       *engine
	edits   []topology.Edit
	arena   []byte
	enc     *record.Encoder
	soonest version.Timestamp // the earliest expiry among what was taken
}

func newCells(e *engine) *cells {
	return &cells{e: e, enc: record.NewEncoder(), soonest: noExpiry}
}

// Reset implements Machine: all that a group keeps beside its cells is the memory of
// named requests.
func (c *cells) Reset(view topology.Snapshot) error {
	all, err := core.LoadRequests(view)
	if err == nil {
		c.e.requests.set(all)
	}
	return err
}

// Take implements Machine.
func (c *cells) Take(_ record.Entry, r *record.Record) (int, error) {
	before := len(c.arena)
	c.edits, c.arena = core.AppendEdits(c.edits, c.arena, c.enc, r)
	if !r.Request.IsZero() {
		c.edits, c.arena = c.e.requests.add(c.edits, c.arena, c.enc, r)
	}
	for i := range r.Mutations {
		if m := &r.Mutations[i]; core.Expires(m) {
			c.soonest = min(c.soonest, m.Expires)
		}
	}
	return len(c.arena) - before, nil
}

// Edits implements Machine.
func (c *cells) Edits() []topology.Edit { return c.edits }

// Applied implements Machine.
func (c *cells) Applied() {
	c.e.expiries.note(c.soonest)
	clear(c.edits)
	c.edits, c.arena, c.soonest = c.edits[:0], c.arena[:0], noExpiry
}

// restart makes the machine go on from what the store holds now.
func (a *applier) restart() error {
	view, err := a.e.env.Store.Snapshot()
	if err != nil {
		return err
	}
	return errors.Join(a.machine.Reset(view), view.Close())
}
