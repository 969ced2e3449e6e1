package core

import (
	"fmt"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// MarkLearnt is the key of the mark by which a node notes that it has all that the
// writes of a set come to, as another replica has told it key by key. Its value is an
// array of two:
//
//	0  partition  uint
//	1  state      bin, in the layout of record.AppendState: the set is its context
const MarkLearnt = "learnt"

// install takes a part of what another replica holds of a partition: first its keys,
// at last the set of writes that they come to, which that replica told before the first
// of them (L6a). The answer says whether it was placed in the log.
func install(c *Core, ev *Event) {
	if err := place(c, ev.Node, &ev.Part); err != nil {
		c.do(Effect{Kind: DoAnswer, Op: ev.Op, Answer: Answer{Err: &topology.Error{Op: "install", Node: c.Self, Outcome: topology.NotApplied, Err: err}}})
		return
	}
	c.do(Effect{Kind: DoAnswer, Op: ev.Op})
}

func place(c *Core, from topology.NodeID, p *Part) error {
	s := c.share(p.Partition)
	switch {
	case s == nil:
		return fmt.Errorf("%w: %s holds no copy of partition %d", topology.ErrStale, c.Self, p.Partition)
	case p.Session != 0 && !c.cfg.Map.Part(p.Partition).Session(p.Session):
		return fmt.Errorf("%w: a late part of a stream: partition %d is %v, and session %d is over", topology.ErrStale, p.Partition, c.cfg.Map.Part(p.Partition).Stage, p.Session)
	case len(c.tail)+len(p.Cells)+len(p.Mends)+1 > c.cfg.Limits.Unflushed:
		return fmt.Errorf("%w: %d records wait for the disk of %s", topology.ErrOverloaded, len(c.tail), c.Self)
	}
	for i := range p.Cells {
		if h := &p.Cells[i]; !c.cfg.knows(h.Table) {
			return fmt.Errorf("%w: %s does not know table %d yet", topology.ErrNoTable, c.Self, h.Table)
		}
		if err := s.note(c, p.Cells[i:i+1], waiting{node: from}); err != nil {
			return err
		}
	}
	for i := range p.Mends {
		s.mend(c, &p.Mends[i])
	}
	if p.Applied == nil {
		return nil
	}
	if p.Time != 0 {
		if err := c.room(p.Time); err != nil {
			return err
		}
	}
	w := pack.NewWriter(nil)
	w.Array(2)
	w.Uint(uint64(p.Partition))
	w.Bin(c.enc.AppendState(nil, &record.State{Context: p.Applied}))
	r := record.Record{Time: c.clock.Last(), Mutations: []record.Mutation{{Table: record.TableSystem, Key: []byte(MarkLearnt), Op: record.OpMark, Value: w.Bytes()}}}
	b := c.enc.Append(nil, &r)
	c.append(s, version.Dot{}, record.Entry{Sum: record.Sum(b), Bytes: b}, waiting{})
	c.tail[len(c.tail)-1].set = p.Applied
	return nil
}

// Learnt returns the set of a note of MarkLearnt, and its partition; nil if r is
// something else. Errors wrap [topology.ErrMalformed].
func Learnt(r *record.Record) (partition int, set *version.Set, err error) {
	if !r.IsNote() || len(r.Mutations) != 1 || r.Mutations[0].Op != record.OpMark || string(r.Mutations[0].Key) == MarkMended {
		return 0, nil, nil
	}
	m := &r.Mutations[0]
	rd := pack.NewReader(m.Value)
	rd.ArrayOf(2)
	partition = int(rd.UintMax(1 << 17))
	b := rd.BinMax(record.ValueBytesMax)
	var s record.State
	if err = rd.Done(); err == nil {
		err = record.DecodeState(b, &s)
	}
	if err == nil && (string(m.Key) != MarkLearnt || s.Context == nil) {
		err = fmt.Errorf("a mark %q without a set", m.Key)
	}
	if err != nil {
		return 0, nil, fmt.Errorf("%w: a note of what was learnt: %w", topology.ErrMalformed, err)
	}
	return partition, s.Context, nil
}
