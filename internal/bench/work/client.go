package work

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/triad-kv/triad/internal/bench/draw"
	"github.com/triad-kv/triad/internal/bench/scenario"
	"github.com/triad-kv/triad/internal/bench/world"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Ways say whom a client asks, anew for every operation.
type Ways struct{ Read, Write func() world.Way }

// Client does work, one thing at a time.
type Client struct {
	l      *Load
	ways   Ways
	number uint32
	rng    *rand.Rand
	keys   draw.Keys
	value  []byte
	token  topology.Token // what it has seen
	lines  uint32         // that it has appended
	carts  map[item]state // what it put into carts

	appended []line
}

// Client makes the next client. It must not be called once clients work.
func (l *Load) Client(ways Ways) *Client {
	c := &Client{
		l: l, ways: ways, number: uint32(len(l.clients)), keys: l.chooses(),
		rng: rand.New(rand.NewPCG(l.seed, 1<<32+uint64(len(l.clients)))), carts: map[item]state{},
	}
	c.value = l.value(c.rng)
	l.clients = append(l.clients, c)
	return c
}

// ErrRefused is within the error of what was asked and is not done for a reason of the
// work itself: an account that does not hold enough. It is an answer, not a failure.
var ErrRefused = world.ErrRefused

// Step does one thing, and returns what it was.
func (c *Client) Step(ctx context.Context) (Class, error) {
	n := c.rng.IntN(100)
	m := c.l.mix
	switch {
	case n < m.reads:
		return Read, c.read(ctx)
	case n < m.reads+m.scans:
		return Scan, c.scan(ctx)
	case n < m.reads+m.scans+m.inserts:
		return Write, c.insert(ctx)
	case n < m.reads+m.scans+m.inserts+m.modifies:
		return Write, c.modify(ctx)
	}
	return Write, c.change(ctx)
}

// key draws a key.
func (c *Client) key() uint64 { return c.keys.Next(c.rng, c.l.keys.Load()) }

// want is what a read asks for at the subject's level. Where nobody leads, one that may
// show anything asks as many replicas as the subject says, and for nothing else.
func (c *Client) want() world.Want {
	if c.l.v.Topology == scenario.Leaderless && c.l.v.Read == scenario.LevelAny {
		return world.Want{}
	}
	return world.Want{Level: c.l.v.Read, After: c.token}
}

// saw notes what the client has seen.
func (c *Client) saw(t topology.Token, err error) error {
	if err == nil {
		c.token = c.token.Join(t)
	}
	return err
}

// wrote is saw of a write.
func (c *Client) wrote(r topology.Receipt, err error) error { return c.saw(r.Token, err) }

// cell is the place of a number.
func (c *Client) cell(number uint64) world.Cell { return c.l.cell(number) }

func (c *Client) read(ctx context.Context) error {
	at := c.cell(c.key())
	return c.ways.Read().Do(ctx, "get", func(ctx context.Context, d world.Door) error {
		h, err := d.Read(ctx, at, c.want())
		return c.saw(h.Token, err)
	})
}

func (c *Client) scan(ctx context.Context) error {
	at := c.cell(c.key())
	most := 1 + c.rng.IntN(scanMax)
	return c.ways.Read().Do(ctx, "scan", func(ctx context.Context, d world.Door) error { return d.Scan(ctx, at, most, c.want()) })
}

func (c *Client) put(ctx context.Context, number uint64) error {
	at := c.cell(number)
	c.value[c.rng.IntN(len(c.value))]++
	return c.ways.Write().Do(ctx, "put", func(ctx context.Context, d world.Door) error {
		return c.wrote(d.Write(ctx, world.Change{Cell: at, Value: c.value}))
	})
}

// insert puts a key that was not there. Keys are counted once they are acknowledged;
// those of several clients may be acknowledged in another order, and a key that is
// counted and not there yet holds nothing.
func (c *Client) insert(ctx context.Context) error {
	err := c.put(ctx, uint64(c.l.w.Keys)+c.l.tally.inserts.Add(1)-1)
	if err == nil {
		c.l.keys.Add(1)
	}
	return err
}

// modify is YCSB's read-modify-write: two operations, with nothing between them that
// keeps others out. Where siblings are kept, what is written takes the place of what was
// read alone.
func (c *Client) modify(ctx context.Context) error {
	number := c.key()
	at := c.cell(number)
	if c.l.v.Siblings() {
		c.value[c.rng.IntN(len(c.value))]++
		return c.update(ctx, "modify", []world.Cell{at}, func([]world.Held) ([]world.Change, error) {
			return []world.Change{{Cell: at, Value: c.value}}, nil
		})
	}
	err := c.ways.Read().Do(ctx, "get", func(ctx context.Context, d world.Door) error {
		h, err := d.Read(ctx, at, c.want())
		return c.saw(h.Token, err)
	})
	if err != nil {
		return err
	}
	return c.put(ctx, number)
}

func (c *Client) update(ctx context.Context, op string, at []world.Cell, decide world.Decide) error {
	return c.ways.Write().Do(ctx, op, func(ctx context.Context, d world.Door) error { return c.wrote(d.Update(ctx, at, decide)) })
}

// change is the write of each kind of work.
func (c *Client) change(ctx context.Context) error {
	number := c.key()
	switch c.l.w.Kind {
	case scenario.Counter:
		return c.count(ctx, number)
	case scenario.Cart:
		return c.fillCart(ctx, number)
	case scenario.Bank:
		return c.transfer(ctx, number)
	case scenario.Append:
		return c.append(ctx, number)
	}
	return c.put(ctx, number)
}

func (c *Client) count(ctx context.Context, number uint64) error {
	at := c.cell(number)
	err := c.add(ctx, "add", []world.Cell{at}, []int64{1}, false)
	c.l.tally.add(number, 1, err)
	return err
}

// add adds to sums: counters that merge, or numbers that are read and written, or where
// siblings are kept what each client has added alone. least refuses what would leave the
// first below 0.
func (c *Client) add(ctx context.Context, op string, at []world.Cell, by []int64, least bool) error {
	if c.l.kind() == record.KindCounter {
		cs := make([]world.Change, len(at))
		for i := range at {
			cs[i] = world.Change{Cell: at[i], By: by[i]}
		}
		return c.ways.Write().Do(ctx, op, func(ctx context.Context, d world.Door) error { return c.wrote(d.Write(ctx, cs...)) })
	}
	return c.update(ctx, op, at, func(was []world.Held) ([]world.Change, error) {
		cs := make([]world.Change, len(at))
		for i := range at {
			sum, err := c.l.sumOf(was[i])
			if err != nil {
				return nil, err
			}
			if least && i == 0 && sum+by[i] < 0 {
				return nil, ErrRefused
			}
			cs[i] = world.Change{Cell: at[i], Value: c.l.added(was[i], c.number, sum, by[i])}
		}
		return cs, nil
	})
}

// itemsMax is how many different things a client puts into one cart.
const itemsMax = 4

func (c *Client) fillCart(ctx context.Context, number uint64) error {
	it := item{number, c.rng.IntN(itemsMax)}
	put := c.carts[it] != in
	err := c.putWord(ctx, "cart", c.cell(number), fmt.Sprintf("%d.%d", c.number, it.what), put)
	switch {
	case topology.OutcomeOf(err) == topology.NotApplied && err != nil:
	case err != nil:
		c.carts[it] = uncertain
	case put:
		c.carts[it] = in
	default:
		c.carts[it] = out
	}
	return err
}

// putWord puts a word into a set, or takes it out: a set that merges, or a list that is
// read and written.
func (c *Client) putWord(ctx context.Context, op string, at world.Cell, word string, put bool) error {
	if c.l.kind() == record.KindSet {
		return c.ways.Write().Do(ctx, op, func(ctx context.Context, d world.Door) error {
			return c.wrote(d.Write(ctx, world.Change{Cell: at, Word: word, Out: !put}))
		})
	}
	return c.update(ctx, op, []world.Cell{at}, func(was []world.Held) ([]world.Change, error) {
		return []world.Change{{Cell: at, Value: []byte(changed(wordsOf(was[0]), word, put))}}, nil
	})
}

// changed is a list of words with one more, or without it.
func changed(words []string, name string, put bool) string {
	kept := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == name })
	if put {
		kept = append(kept, name)
	}
	return strings.Join(kept, " ")
}

const amountMax = 5 // of a transfer

func (c *Client) transfer(ctx context.Context, from uint64) error {
	keys := uint64(c.l.w.Keys)
	to := (from + 1 + c.rng.Uint64N(keys-1)) % keys
	amount := 1 + c.rng.Int64N(amountMax)
	err := c.add(ctx, "transfer", []world.Cell{c.cell(from), c.cell(to)}, []int64{-amount, amount}, true)
	c.l.tally.add(from, -amount, err)
	c.l.tally.add(to, amount, err)
	return err
}

func (c *Client) append(ctx context.Context, number uint64) error {
	c.lines++
	ln := line{number, c.lines}
	err := c.putWord(ctx, "append", c.cell(number), fmt.Sprintf("%d.%d", c.number, ln.n), true)
	if err == nil {
		c.appended = append(c.appended, ln)
	}
	return err
}
