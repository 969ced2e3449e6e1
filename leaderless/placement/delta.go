package placement

import (
	"fmt"
	"slices"
	"strings"

	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// Standing says how a request's map stands to a node's own, as to one partition.
type Standing uint8

// The standings.
const (
	Same    Standing = iota // nothing has changed about the partition: it is served
	Behind                  // the sender's map is older, and the partition has changed since: it is refused, and nothing is done; Since says what is newer
	Ahead                   // the sender's map is newer: this node learns it first, and then serves
	Strange                 // there is no such partition
)

func (s Standing) String() string {
	return [...]string{"same", "behind", "ahead", "strange", "?"}[min(s, Strange+1)]
}

// Check says how a request for a partition by a map of an epoch stands to this one
// (rules C7, L8).
func (m *Map) Check(partition int, epoch uint64) Standing {
	switch {
	case partition < 0 || partition >= len(m.parts):
		return Strange
	case epoch > m.epoch:
		return Ahead
	case epoch < m.parts[partition].touched:
		return Behind
	}
	return Same
}

// Delta is what is newer in a map than in one of an earlier epoch: the partitions
// that have changed, or the whole map where who there is has.
type Delta struct {
	From, To uint64 // epochs
	whole    []byte // an encoded map, or else:
	parts    []changed
}

type changed struct {
	partition int
	stage     Stage
	touched   uint64
}

// Since returns what is newer than a map of an epoch.
func (m *Map) Since(epoch uint64) Delta {
	d := Delta{From: epoch, To: m.epoch}
	if epoch < m.shaped {
		d.whole = m.Encode()
		return d
	}
	for i, p := range m.parts {
		if p.touched > epoch {
			d.parts = append(d.parts, changed{i, p.stage, p.touched})
		}
	}
	return d
}

// Apply returns the map with what is newer. A delta that brings nothing newer
// leaves the map as it is. Errors wrap [topology.ErrStale] for a delta that begins
// behind this map's end, and [topology.ErrMalformed] for one that means nothing
// here.
func (m *Map) Apply(d Delta) (*Map, error) {
	switch {
	case d.To <= m.epoch:
		return m, nil
	case d.whole != nil:
		return Decode(d.whole)
	case d.From > m.epoch:
		return nil, fmt.Errorf("placement: %w: what is newer than epoch %d, for a map of epoch %d", topology.ErrStale, d.From, m.epoch)
	}
	n := succeed(m)
	n.epoch = d.To
	for _, c := range d.parts {
		if c.partition >= len(n.parts) || m.target == nil || c.touched > d.To {
			return nil, malformed("a change of partition %d in epoch %d", c.partition, c.touched)
		}
		n.parts[c.partition].stage, n.parts[c.partition].touched = c.stage, c.touched
	}
	return n, nil
}

const deltaFormat = 1

// Encode returns the delta as it is sent: [ format 1, from, to, map or nil,
// [ [ partition, stage, touched ] … ] ].
func (d Delta) Encode() []byte {
	w := pack.NewWriter(nil)
	w.Array(5)
	w.Uint(deltaFormat)
	w.Uint(d.From)
	w.Uint(d.To)
	if d.whole == nil {
		w.Nil()
	} else {
		w.Bin(d.whole)
	}
	w.Array(len(d.parts))
	for _, c := range d.parts {
		w.Array(3)
		w.Uint(uint64(c.partition))
		w.Uint(uint64(c.stage))
		w.Uint(c.touched)
	}
	return w.Bytes()
}

// DecodeDelta reads what [Delta.Encode] returned. Errors wrap
// [topology.ErrMalformed].
func DecodeDelta(b []byte) (Delta, error) {
	r := pack.NewReader(b)
	r.ArrayOf(5)
	if f := r.Uint(); r.Err() == nil && f != deltaFormat {
		return Delta{}, malformed("a delta of format %d, this version knows %d", f, deltaFormat)
	}
	d := Delta{From: r.Uint(), To: r.Uint()}
	if !r.Nil() {
		d.whole = slices.Clone(r.Bin())
	}
	for n := r.ArrayMax(PartitionsMax); n > 0; n-- {
		r.ArrayOf(3)
		c := changed{int(r.UintMax(PartitionsMax - 1)), Stage(r.UintMax(uint64(StageMoved))), r.Uint()}
		if k := len(d.parts); r.Err() == nil && k > 0 && d.parts[k-1].partition >= c.partition {
			r.Fail("partitions out of order")
		}
		d.parts = append(d.parts, c)
	}
	if err := r.Done(); err != nil {
		return Delta{}, malformed("a delta: %w", err)
	}
	return d, nil
}

// String says what the delta brings.
func (d Delta) String() string {
	head := fmt.Sprintf("epochs %d to %d: ", d.From, d.To)
	if d.whole != nil {
		return head + "the whole map"
	}
	if d.parts == nil {
		return head + "nothing"
	}
	var what []string
	for _, c := range d.parts {
		what = append(what, fmt.Sprintf("partition %d is %v since %d", c.partition, c.stage, c.touched))
	}
	return head + strings.Join(what, ", ")
}
