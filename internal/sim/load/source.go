package load

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"strconv"
	"strings"

	"github.com/triad-kv/triad/internal/sim/history"
)

// Prefixes of the keys that are drawn: registers, counters, accounts, and keys that
// are written once, so that each acknowledged write can be looked for.
const (
	Registers = "r/"
	Counters  = "n/"
	Accounts  = "acc/"
	Onces     = "w/"
)

// Mix says how often each kind is drawn, in parts of their sum.
type Mix struct {
	Put, Get, Delete, CompareAndSet int // of registers
	Increment, Count                int // of counters: Count reads one
	Transfer, Scan                  int // of accounts; without any, Scan is of the registers
	Once                            int // puts of keys that nobody writes again
}

// Options say what is drawn. The zero value is a bit of everything.
type Options struct {
	Mix       Mix
	Registers int     // how many keys of the kind; defaults 16, 2 and 4
	Counters  int     //
	Accounts  int     //
	Skew      float64 // the n-th key is drawn n^Skew times less often than the first; 0: all alike
	AmountMax int64   // of an increment or a transfer; default 5

	// Reads are drawn from evenly: what reads ask for. None is linearizable.
	Reads []history.Request
	// Nodes are drawn from evenly: whom reads ask. None leaves it to the client.
	Nodes []string
}

func (o Options) withDefaults() Options {
	if o.Mix == (Mix{}) {
		o.Mix = Mix{Put: 6, Get: 6, Delete: 1, CompareAndSet: 3, Increment: 2, Count: 1, Transfer: 2, Scan: 1}
	}
	defaults := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	defaults(&o.Registers, 16)
	defaults(&o.Counters, 2)
	defaults(&o.Accounts, 4)
	if o.AmountMax == 0 {
		o.AmountMax = 5
	}
	return o
}

// Source draws the operations of one client after another, in one session.
type Source struct {
	o       Options
	weights []float64 // of registers, summed up
	session uint64
	client  uint64
	values  uint64            // written by this session so far
	onces   uint64            // those among keys that are written once
	known   map[string]string // what a register held when this session last heard; "" is nothing
}

// NewSource returns the source of a session, whose first client is client.
func NewSource(o Options, session, client uint64) *Source {
	s := &Source{o: o.withDefaults(), session: session, client: client, known: map[string]string{}}
	sum := 0.0
	for i := range s.o.Registers {
		sum += 1 / math.Pow(float64(i+1), s.o.Skew)
		s.weights = append(s.weights, sum)
	}
	return s
}

// Client is whose operations are drawn.
func (s *Source) Client() uint64 { return s.client }

// Retire lets another client go on with the session.
func (s *Source) Retire(next uint64) { s.client = next }

// Next draws an operation: everything but its place in a history.
func (s *Source) Next(rng *rand.Rand) history.Op {
	op := history.Op{Client: s.client, Session: s.session}
	m := s.o.Mix
	kinds := []struct {
		kind   history.Kind
		weight int
		counts bool
	}{
		{history.Put, m.Put, false}, {history.Get, m.Get, false}, {history.Delete, m.Delete, false}, {history.CompareAndSet, m.CompareAndSet, false},
		{history.Increment, m.Increment, true}, {history.Get, m.Count, true}, {history.Transfer, m.Transfer, true}, {history.Scan, m.Scan, m.Transfer > 0},
		{history.Put, m.Once, true}, // of none of the registers
	}
	sum := 0
	for _, k := range kinds {
		sum += k.weight
	}
	n, counts := rng.IntN(sum), false
	for _, k := range kinds {
		if n < k.weight {
			op.Kind, counts = k.kind, k.counts
			break
		}
		n -= k.weight
	}
	s.fill(rng, &op, counts)
	return op
}

// fill draws what an operation is about.
func (s *Source) fill(rng *rand.Rand, op *history.Op, counts bool) {
	switch {
	case op.Kind == history.Put && counts:
		s.onces++
		op.Value = fmt.Sprintf("%d.once.%d", s.session, s.onces)
		op.Key = Onces + op.Value
		return
	case op.Kind == history.Transfer:
		from := rng.IntN(s.o.Accounts)
		to := (from + 1 + rng.IntN(s.o.Accounts-1)) % s.o.Accounts
		op.Key, op.To, op.Amount = Account(from), Account(to), 1+rng.Int64N(s.o.AmountMax)
	case op.Kind == history.Scan && counts:
		op.Key = Accounts
	case op.Kind == history.Scan:
		op.Key = Registers
	case counts:
		op.Key = Counters + strconv.Itoa(rng.IntN(s.o.Counters))
		if op.Kind == history.Increment {
			op.Amount = 1 + rng.Int64N(s.o.AmountMax)
		}
	default:
		i := sort.SearchFloat64s(s.weights, rng.Float64()*s.weights[len(s.weights)-1])
		op.Key = Registers + strconv.Itoa(min(i, s.o.Registers-1))
	}
	switch op.Kind {
	case history.CompareAndSet:
		op.Expect = s.known[op.Key]
		fallthrough
	case history.Put:
		s.values++
		op.Value = fmt.Sprintf("%d.%d", s.session, s.values)
	case history.Get, history.Scan:
		if len(s.o.Reads) > 0 {
			op.Want = s.o.Reads[rng.IntN(len(s.o.Reads))]
		}
		if len(s.o.Nodes) > 0 {
			op.Node = s.o.Nodes[rng.IntN(len(s.o.Nodes))]
		}
	}
}

// Observe tells the source what came of an operation of its session, so that a
// compare-and-set expects what was last heard of a key: it then has a chance.
func (s *Source) Observe(op history.Op) {
	if op.Outcome != history.Applied {
		if op.Refused {
			delete(s.known, op.Key)
		}
		return
	}
	switch op.Kind {
	case history.Put, history.CompareAndSet, history.Delete:
		if strings.HasPrefix(op.Key, Onces) {
			return
		}
		s.known[op.Key] = op.Value
	case history.Get:
		if v, one := op.Only(); one {
			s.known[op.Key] = v
		} else {
			delete(s.known, op.Key)
		}
	}
}

// Account is the key of an account.
func Account(i int) string { return Accounts + strconv.Itoa(i) }
