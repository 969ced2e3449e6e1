package singleleader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

var (
	_ topology.Counter    = (*engine)(nil)
	_ topology.Chronicler = (*engine)(nil)
	_ topology.Rewinder   = (*engine)(nil)
)

// desk is what an engine does for operators.
type desk struct {
	e *engine

	rewound      atomic.Uint64       // records cut from the log and kept aside since the start
	rewoundBytes atomic.Uint64       // of them
	missing      atomic.Uint64       // records lost since the start that the log had no more, and so not kept aside
	waiting      atomic.Pointer[cut] // the rewind that waits for an operator; nil: none
	approved     atomic.Pointer[cut] // the one that an operator has let go on

	restoring restoring
}

// cut is what a rewind takes out of the log: the entries after one, to the end.
type cut struct {
	after, end record.LSN
	bytes      uint64
}

func (c cut) records() uint64 { return uint64(c.end - c.after) }

// warn says what an operator has to look at.
func (d *desk) warn(s *topology.Status) {
	if n := d.missing.Load(); n > 0 {
		s.Warnings = append(s.Warnings, fmt.Sprintf("%d records that this node had shown or held were lost to another leader and are kept nowhere, as its log had been trimmed: `triad rewound list` says which", n))
	}
	if c := d.waiting.Load(); c != nil {
		s.Warnings = append(s.Warnings, c.words())
	}
}

// Count implements topology.Counter.
func (d *desk) Count(c *topology.Counts) {
	p := d.e.pending
	c.Pending = topology.Pending{Bytes: uint64(p.taken.Load()), BytesMax: uint64(p.most)}
	c.Rewound = topology.Rewound{Records: d.rewound.Load(), Bytes: d.rewoundBytes.Load()}
	if w := d.waiting.Load(); w != nil {
		c.Rewound.Waiting = w.records()
	}
	c.Silences = d.e.sinks.heard.silences()
}

// rewinds returns why what stands behind `after` must not be cut from the log by
// itself: it is more than is given up without a word, and nobody has said so.
func (d *desk) rewinds(after record.LSN) error {
	o, log := &d.e.o, d.e.env.Log
	c := cut{after: after, end: log.Bounds().End}
	if c.end <= after {
		return nil
	}
	c.bytes = log.Offset(c.end) - log.Offset(after)
	ok := d.approved.Load()
	if c.records() <= o.RewindRecordsMax && c.bytes <= o.RewindBytesMax || ok != nil && *ok == c {
		d.waiting.Store(nil)
		return nil
	}
	if was := d.waiting.Swap(&c); was == nil || *was != c {
		d.e.log.Error("a rewind waits for an operator", "after", c.after, "records", c.records(), "bytes", c.bytes)
	}
	return fmt.Errorf("%w: %s", topology.ErrConflict, c.words())
}

func (c cut) words() string {
	return fmt.Sprintf("%d records (%d bytes) after entry %d are not the leader's and would be cut from this log, more than may be without an operator: look at them with `triad wal dump`, then run `triad rewound approve`", c.records(), c.bytes, c.after)
}

// ApproveRewind implements topology.Rewinder. It is for what waits now: after a
// restart, or for a longer tail, it is asked for again.
func (d *desk) ApproveRewind(context.Context) (uint64, error) {
	c := d.waiting.Load()
	if c == nil {
		return 0, d.e.errorOf("approve rewind", nil, topology.NotApplied, fmt.Errorf("%w: no rewind waits at this node", topology.ErrNotFound))
	}
	d.approved.Store(c)
	d.e.log.Warn("a rewind was approved", "after", c.after, "records", c.records())
	return c.records(), nil
}

// Reigns implements topology.Chronicler.
func (d *desk) Reigns(ctx context.Context) (rs []topology.Reign, err error) {
	snap, err := d.e.env.Store.Snapshot()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	from, to := core.ReignCells()
	for ed, err := range snap.Scan(from, to) {
		if err == nil {
			err = ctx.Err()
		}
		var r topology.Reign
		if err == nil {
			r, err = core.DecodeReign(ed.State)
		}
		if err != nil {
			return nil, err
		}
		rs = append(rs, r)
	}
	slices.SortFunc(rs, func(a, b topology.Reign) int { return cmp.Compare(a.Term, b.Term) })
	return rs, nil
}
