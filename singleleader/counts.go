package singleleader

import "github.com/triad-kv/triad/topology"

var _ topology.Counter = (*engine)(nil)

// desk is what an engine does for operators.
type desk struct{ e *engine }

// Count implements topology.Counter.
func (d *desk) Count(c *topology.Counts) {
	e, p := d.e, d.e.pending
	c.Pending = topology.Pending{Bytes: uint64(p.taken.Load()), BytesMax: uint64(p.most)}
	c.Rewound.Records += e.rewound.Load()
}
