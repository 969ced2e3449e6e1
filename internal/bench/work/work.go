// Package work is what clients do to a subject: the kinds of work of a scenario, and
// what must have become of it in the end.
//
// A client does one thing at a time and asks nothing twice. What it was told is
// tallied, so that the sums of counters, carts, accounts and documents can be held
// against what the nodes hold once they have converged: what was acknowledged must be
// there, of what ended unknown anything may.
package work

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/internal/bench/draw"
	"github.com/triad-kv/triad/internal/bench/scenario"
	"github.com/triad-kv/triad/internal/bench/world"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Class is what latencies are kept apart by.
type Class string

// The classes.
const (
	Read  Class = "read"
	Write Class = "write" // read-modify-writes, too
	Scan  Class = "scan"
)

// Classes are all of them.
var Classes = []Class{Read, Write, Scan}

// Load is one kind of work on one subject.
type Load struct {
	w       scenario.Workload
	v       scenario.Variant
	seed    uint64
	keys    atomic.Uint64 // that are there
	clients []*Client
	tally   tally
	mix     mix
	chooses func() draw.Keys // for the next client
}

// mix is how often what is done, in parts of a hundred; the rest is updates.
type mix struct{ reads, scans, inserts, modifies int }

// scanMax is how many keys a scan covers at most, as with YCSB.
const scanMax = 100

// New makes the work of a scenario for a subject, all of whose choices follow from seed.
func New(w scenario.Workload, v scenario.Variant, seed uint64) *Load {
	l := &Load{w: w, v: v, seed: seed, tally: newTally(w.Keys)}
	l.keys.Store(uint64(w.Keys))
	l.mix = map[scenario.Kind]mix{
		scenario.YCSBA: {reads: 50}, scenario.YCSBB: {reads: 95}, scenario.YCSBC: {reads: 100}, scenario.YCSBD: {reads: 95, inserts: 5},
		scenario.YCSBE: {scans: 95, inserts: 5}, scenario.YCSBF: {reads: 50, modifies: 50},
		scenario.Counter: {reads: 20}, scenario.Cart: {reads: 20}, scenario.Bank: {reads: 20}, scenario.Append: {reads: 20},
	}[w.Kind]
	l.chooses = l.distribution()
	if w.Reads.Given {
		l.mix.reads = min(w.Reads.Of, 100-l.mix.scans)
		l.mix.inserts = min(l.mix.inserts, 100-l.mix.scans-l.mix.reads)
		l.mix.modifies = min(l.mix.modifies, 100-l.mix.scans-l.mix.reads)
	}
	return l
}

// distribution is how the keys of the work are chosen. Making one takes time in proportion
// to the keys, copying it none.
func (l *Load) distribution() func() draw.Keys {
	d := l.w.Distribution
	if d == "" {
		switch {
		case l.w.Kind == scenario.YCSBD:
			d = scenario.Latest
		case l.w.Kind.Records():
			d = scenario.Zipfian
		default:
			d = scenario.Uniform
		}
	}
	switch d {
	case scenario.Latest:
		of := draw.NewLatest(uint64(l.w.Keys))
		return func() draw.Keys { return of.Clone() }
	case scenario.Zipfian:
		of := draw.NewScrambled(uint64(l.w.Keys))
		return func() draw.Keys { return of.Clone() }
	}
	return func() draw.Keys { return draw.Uniform{} }
}

// kind is what the tables of the work hold.
func (l *Load) kind() record.Kind {
	merges := l.v.Topology == scenario.SingleLeader || l.v.Merges()
	switch {
	case l.w.Kind == scenario.Counter && merges, l.w.Kind == scenario.Bank && l.v.Merges():
		return record.KindCounter
	case l.w.Kind == scenario.Cart && merges, l.w.Kind == scenario.Append && l.v.Merges():
		return record.KindSet
	}
	return record.KindBytes
}

// Tables are those that the work needs.
func (l *Load) Tables() (ts []triad.Table) {
	for i := range l.w.Tables {
		t := triad.Table{Name: tableName(i), Kind: l.kind()}
		if l.v.Siblings() && t.Kind == record.KindBytes {
			t.Resolver = string(scenario.PolicySiblings)
		}
		ts = append(ts, t)
	}
	return ts
}

func tableName(i int) string { return fmt.Sprintf("t%d", i) }

// cell is the place of a number.
func (l *Load) cell(n uint64) world.Cell {
	return world.Cell{Table: tableName(int(n % uint64(l.w.Tables))), Kind: l.kind(), Key: fmt.Appendf(make([]byte, 0, l.w.KeyBytes), "k%0*d", l.w.KeyBytes-1, n)}
}

// Limits of filling.
const (
	fillBatch   = 64      // keys of one write
	fillBytes   = 4 << 20 // of their values
	fillWriters = 16
)

// Opening is what each account of a bank holds at first.
const Opening = 1000

// Fill writes every key that the work expects to be there, through ways that are asked
// for anew for each write.
func (l *Load) Fill(ctx context.Context, writer func() world.Way) error {
	if !l.w.Kind.Records() && l.w.Kind != scenario.Bank {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	batch := uint64(max(1, min(fillBatch, fillBytes/int(l.w.ValueBytes))))
	var next atomic.Uint64
	var all sync.WaitGroup
	for i := range fillWriters {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(l.seed, uint64(i)))
			for {
				from := next.Add(batch) - batch
				if from >= uint64(l.w.Keys) || ctx.Err() != nil {
					return
				}
				if err := l.fill(ctx, rng, from, min(from+batch, uint64(l.w.Keys)), writer); err != nil {
					cancel(fmt.Errorf("fill the tables: %w", err))
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

func (l *Load) fill(ctx context.Context, rng *rand.Rand, from, to uint64, writer func() world.Way) error {
	if l.kind() == record.KindCounter {
		for n := from; n < to; n++ {
			if err := l.open(ctx, n, writer); err != nil {
				return err
			}
		}
		return nil
	}
	return world.Until(ctx, func(ctx context.Context) error {
		return writer().Do(ctx, "fill", func(ctx context.Context, d world.Door) error {
			_, err := d.Write(ctx, l.begins(rng, from, to)...)
			return err
		})
	})
}

// begins is what keys hold at first.
func (l *Load) begins(rng *rand.Rand, from, to uint64) (cs []world.Change) {
	for number := from; number < to; number++ {
		c := world.Change{Cell: l.cell(number), Value: l.opens(Opening)}
		if l.w.Kind != scenario.Bank {
			c.Value = l.value(rng)
		}
		cs = append(cs, c)
	}
	return cs
}

// open opens an account that is a counter.
func (l *Load) open(ctx context.Context, number uint64, writer func() world.Way) error {
	at := l.cell(number)
	level := scenario.LevelLinearizable
	if l.v.Topology == scenario.Leaderless {
		level = "" // it has no others
	}
	return world.Until(ctx, func(ctx context.Context) error {
		return writer().Do(ctx, "fill", func(ctx context.Context, d world.Door) error {
			has, err := d.Read(ctx, at, world.Want{Level: level})
			if err != nil && topology.OutcomeOf(err) != topology.NotApplied || has.Number == Opening {
				return err
			}
			_, err = d.Write(ctx, world.Change{Cell: at, By: Opening - has.Number})
			return err
		})
	})
}

func (l *Load) value(rng *rand.Rand) []byte {
	b := make([]byte, l.w.ValueBytes)
	for i := range b {
		b[i] = 'a' + byte(rng.Uint32N(26))
	}
	return b
}
