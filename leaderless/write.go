package leaderless

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/semaphore"

	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// writer is the writing side of an engine.
type writer struct {
	e      *engine
	budget *semaphore.Weighted
}

// Write implements topology.Engine. A batch is of one key: others have other replicas.
func (wr *writer) Write(ctx context.Context, b record.Batch, o topology.WriteOptions) (topology.Receipt, error) {
	e := wr.e
	var key []byte
	if len(b.Mutations) > 0 {
		key = b.Mutations[0].Key
	}
	ms, err := wr.check(ctx, &b)
	if err != nil {
		return topology.Receipt{}, keyed(key, e.errorOf("write", topology.NotApplied, err))
	}
	r, err := wr.settled(ctx, ms, nil, o)
	if err != nil {
		return topology.Receipt{}, keyed(key, e.errorOf("write", topology.Unknown, err))
	}
	return r, nil
}

// settled writes mutations with the context they have, as their table settles them. seen
// is what of the key was read to decide them, nil for nothing.
func (wr *writer) settled(ctx context.Context, ms []record.Mutation, seen []core.Held, o topology.WriteOptions) (topology.Receipt, error) {
	e := wr.e
	covers, err := wr.contextual(o.Context, ms)
	if err == nil && covers == nil {
		ms, covers, err = wr.unfold(ctx, ms, seen)
	}
	if err != nil {
		return topology.Receipt{}, e.errorOf("write", topology.NotApplied, err)
	}
	if len(ms) == 0 {
		return topology.Receipt{}, nil // nothing was there to be removed
	}
	return wr.put(ctx, ms, core.Context{Seen: covers}, e.levelOf(o.Consistency, e.o.Write), o)
}

var levels = map[topology.Consistency]quorum.Consistency{
	topology.ConsistencyOne: quorum.AtOne, topology.ConsistencyTwo: quorum.AtTwo, topology.ConsistencyQuorum: quorum.AtQuorum, topology.ConsistencyAll: quorum.AtAll,
	topology.ConsistencyLocalOne: quorum.AtLocalOne, topology.ConsistencyLocalQuorum: quorum.AtLocalQuorum, topology.ConsistencyEachQuorum: quorum.AtEachQuorum,
}

// levelOf is the level of a request that may name one.
func (e *engine) levelOf(asked topology.Consistency, own quorum.Consistency) quorum.Consistency {
	if l, ok := levels[asked]; ok {
		return l
	}
	return own
}

// check holds a batch to what can be written without a leader, before anything happens.
func (wr *writer) check(ctx context.Context, b *record.Batch) (ms []record.Mutation, err error) {
	e := wr.e
	if err := e.failure(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", topology.ErrTimeout, err)
	}
	most := e.o.ValueBytesMax
	if most == 0 {
		most = record.ValueBytesMax
	}
	if err := b.Check(most); err != nil {
		if errors.Is(err, record.ErrTooLarge) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", topology.ErrMalformed, err)
	}
	if len(b.Conditions) > 0 {
		return nil, fmt.Errorf("%w: a condition: without a leader nobody can say what a key holds until the write is there", topology.ErrUnsupported)
	}
	if !b.Request.IsZero() {
		return nil, fmt.Errorf("%w: a named request: this topology does not know a retry", topology.ErrUnsupported)
	}
	m := &b.Mutations[0]
	for i := range b.Mutations {
		if n := &b.Mutations[i]; n.Table != m.Table || !bytes.Equal(n.Key, m.Key) {
			return nil, fmt.Errorf("%w: a batch of several keys: they have other replicas, and nothing is written to all of them or to none", topology.ErrUnsupported)
		}
	}
	k, err := e.kindOf(ctx, m.Table)
	if err != nil {
		return nil, err
	}
	for i := range b.Mutations {
		drop, err := fit(k, &b.Mutations[i])
		if err != nil {
			return nil, err
		}
		if !drop {
			ms = append(ms, b.Mutations[i])
		}
	}
	if len(ms) == 0 {
		return nil, fmt.Errorf("%w: key %q would hold nothing: without a leader a key is there while a part of it is", topology.ErrUnsupported, m.Key)
	}
	return ms, nil
}

// kindOf returns the kind of a table. One that was defined a moment ago may not be known
// here yet, and is waited for.
func (e *engine) kindOf(ctx context.Context, id record.TableID) (record.Kind, error) {
	ctx, cancel := context.WithTimeout(ctx, e.o.CallTimeout)
	defer cancel()
	for {
		news := e.machine.changed()
		if k, ok := e.machine.tables.kind(id); ok {
			return k, nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return 0, fmt.Errorf("%w: number %d is not known at this node", topology.ErrNoTable, id)
		}
	}
}

// put writes one record.
func (wr *writer) put(ctx context.Context, ms []record.Mutation, seen core.Context, level quorum.Consistency, o topology.WriteOptions) (topology.Receipt, error) {
	e := wr.e
	size := min((&record.Batch{Mutations: ms}).Footprint(), e.o.PendingBytesMax)
	if err := wr.budget.Acquire(ctx, size); err != nil {
		return topology.Receipt{}, e.errorOf("write", topology.NotApplied, fmt.Errorf("%w: %d bytes of writes are waiting already: %w", topology.ErrOverloaded, e.o.PendingBytesMax, err))
	}
	defer wr.budget.Release(size)
	own := make([]record.Mutation, len(ms)) // the caller may be gone before the core is done with them
	for i, m := range ms {
		m.Key, m.Field, m.Value = bytes.Clone(m.Key), bytes.Clone(m.Field), bytes.Clone(m.Value)
		own[i] = m
	}
	ev := core.Event{Kind: core.EvPut, Mutations: own, Context: seen, Level: level}
	if e.o.Repair == core.RepairWriteBack {
		ev.Repair, ev.Range = core.RepairWriteBack, wr.supersedes(own)
	}
	got, by, err := e.do(ctx, &asked{Event: ev})
	if err != nil {
		return topology.Receipt{}, err
	}
	r := topology.Receipt{
		Token: topology.TokenOf(version.Vector{{Origin: got.Dot.Origin, Seq: got.Dot.Seq}}),
		Dot:   got.Dot, Time: got.Time, Durability: topology.Flushed, Durable: first(by, got.Have),
	}
	if o.Durability == topology.Applied {
		r.Durability = topology.Applied // a replica says that it has a write once it shows it
	}
	return r, nil
}

// supersedes is what a write is to sort after: what it writes to, and where it writes to
// several parts of a key, or removes a key with parts, all of them.
func (wr *writer) supersedes(ms []record.Mutation) topology.CellRange {
	m := &ms[0]
	k, _ := wr.e.machine.tables.kind(m.Table)
	parted := kind.Parted(k) || k == record.KindCounter
	return topology.CellRange{
		Cell:  record.Cell{Table: m.Table, Key: m.Key, Field: m.Field},
		Whole: len(ms) > 1 || parted && len(m.Field) == 0,
	}
}

// first puts a node before the others.
func first(id topology.NodeID, of []topology.NodeID) []topology.NodeID {
	out := []topology.NodeID{}
	for _, n := range of {
		if n == id {
			out = append([]topology.NodeID{n}, out...)
		} else {
			out = append(out, n)
		}
	}
	return out
}

// Update implements topology.Updater: each is decided over what a read of this topology
// finds, and nothing keeps others from writing at the same time. Decisions that need one
// order of all writes see that and refuse.
func (wr *writer) Update(ctx context.Context, us []topology.Update, o topology.WriteOptions) {
	for i := range us {
		us[i].Receipt, us[i].Err = topology.Receipt{}, nil
		r, err := wr.update(ctx, &us[i], o)
		if err != nil {
			us[i].Err = wr.e.errorOf("update", topology.NotApplied, err)
			continue
		}
		us[i].Receipt = r
	}
}

func (wr *writer) update(ctx context.Context, u *topology.Update, o topology.WriteOptions) (topology.Receipt, error) {
	e := wr.e
	if !u.Request.IsZero() {
		return topology.Receipt{}, fmt.Errorf("%w: a named update: this topology does not know a retry", topology.ErrUnsupported)
	}
	if err := e.failure(); err != nil {
		return topology.Receipt{}, err
	}
	s := &sight{}
	var token topology.Token
	var seen []core.Held
	for i := range u.Reads {
		k, err := e.kindOf(ctx, u.Reads[i].Table)
		if err != nil {
			return topology.Receipt{}, err
		}
		v := view{kind: k, CellRange: u.Reads[i], parts: partsOf(u.Reads, i)}
		r, cells, err := e.reader.held(ctx, &v, readAsked{level: e.o.Read, repair: e.o.Repair})
		if err != nil && !errors.Is(err, topology.ErrNotFound) {
			return topology.Receipt{}, err
		}
		s.cells = append(s.cells, r.Cells)
		seen = append(seen, cells...)
		token = token.Join(r.Token)
	}
	ms, err := u.Decide(s)
	if err != nil {
		return topology.Receipt{}, err
	}
	if len(ms) == 0 {
		return topology.Receipt{Token: token}, nil
	}
	b := record.Batch{Mutations: ms}
	ms, err = wr.check(ctx, &b)
	if err != nil {
		return topology.Receipt{}, err
	}
	if seen == nil {
		seen = []core.Held{} // it was read, and is not there
	}
	return wr.settled(ctx, ms, seen, o)
}

// partsOf reports whether a decision reads, beside the head of read i, parts of its key.
func partsOf(reads []topology.CellRange, i int) bool {
	return slices.ContainsFunc(reads, func(o topology.CellRange) bool {
		return len(o.Field) > 0 && o.Table == reads[i].Table && bytes.Equal(o.Key, reads[i].Key)
	})
}

// sight is what a decision sees.
type sight struct{ cells [][]topology.CellReading }

var _ topology.Scattered = (*sight)(nil)

// Scattered implements topology.Scattered.
func (*sight) Scattered() {}

// Cells implements topology.Sight.
func (s *sight) Cells(i int) []topology.CellReading { return s.cells[i] }

// due reports whether an expiry has come by this node's clock.
func (e *engine) due(at version.Timestamp) bool { return at != 0 && e.env.Clock.Until(at) <= 0 }
