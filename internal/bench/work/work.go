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
		ts = append(ts, triad.Table{Name: tableName(i), Kind: l.kind()})
	}
	return ts
}

func tableName(i int) string { return fmt.Sprintf("t%d", i) }

// place is the table and the key of a number.
func (l *Load) place(n uint64) (table string, key []byte) {
	return tableName(int(n % uint64(l.w.Tables))), fmt.Appendf(make([]byte, 0, l.w.KeyBytes), "k%0*d", l.w.KeyBytes-1, n)
}

// Limits of filling.
const (
	fillBatch   = 64 // keys of one write
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
	var next atomic.Uint64
	var all sync.WaitGroup
	for i := range fillWriters {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(l.seed, uint64(i)))
			for {
				from := next.Add(fillBatch) - fillBatch
				if from >= uint64(l.w.Keys) || ctx.Err() != nil {
					return
				}
				if err := l.fill(ctx, rng, from, min(from+fillBatch, uint64(l.w.Keys)), writer); err != nil {
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
		return writer().Do(ctx, "fill", func(ctx context.Context, n *triad.Node) error { return l.put(ctx, rng, n, from, to) })
	})
}

// put writes keys at a node: together, or one by one where that is all it takes.
func (l *Load) put(ctx context.Context, rng *rand.Rand, n *triad.Node, from, to uint64) error {
	var b triad.Batch
	for number := from; number < to; number++ {
		table, key := l.place(number)
		value := fmt.Append(nil, Opening)
		if l.w.Kind != scenario.Bank {
			value = l.value(rng)
		}
		if l.v.Topology != scenario.Leaderless {
			b.Put(table, key, value)
		} else if _, err := n.Put(ctx, table, key, value); err != nil {
			return err
		}
	}
	if l.v.Topology == scenario.Leaderless {
		return nil
	}
	_, err := n.Batch(ctx, &b)
	return err
}

// open opens an account that is a counter.
func (l *Load) open(ctx context.Context, number uint64, writer func() world.Way) error {
	table, key := l.place(number)
	return world.Until(ctx, func(ctx context.Context) error {
		return writer().Do(ctx, "fill", func(ctx context.Context, n *triad.Node) error {
			counts := triad.CounterOf(n, table)
			has, err := counts.Get(ctx, string(key), triad.Linearizable())
			if err != nil && topology.OutcomeOf(err) != topology.NotApplied || has == Opening {
				return err
			}
			_, _, err = counts.Add(ctx, string(key), Opening-has)
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
