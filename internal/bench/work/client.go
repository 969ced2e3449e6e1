package work

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/triad-kv/triad"
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
	wrote  []line
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
var ErrRefused = errors.New("the account does not hold as much")

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

// level are the options of a read at the subject's level. Where nobody leads, one that may
// show anything asks as many replicas as the subject says, and for nothing else.
func (c *Client) level() []triad.Option {
	if c.l.v.Topology == scenario.Leaderless && c.l.v.Read == scenario.LevelAny {
		return nil
	}
	switch c.l.v.Read {
	case scenario.LevelSession:
		return []triad.Option{triad.After(c.token)}
	case scenario.LevelLinearizable:
		return []triad.Option{triad.Linearizable()}
	}
	return []triad.Option{triad.Any()}
}

// answered notes a token, and takes it for no error that a key holds nothing.
func (c *Client) answered(t topology.Token, err error) error {
	if errors.Is(err, topology.ErrNotFound) {
		return nil
	}
	if err == nil {
		c.token = c.token.Join(t)
	}
	return err
}

func (c *Client) read(ctx context.Context) error {
	table, key := c.l.place(c.key())
	return c.ways.Read().Do(ctx, "get", func(ctx context.Context, n *triad.Node) error {
		switch c.l.kind() {
		case record.KindCounter:
			_, err := triad.CounterOf(n, table).Get(ctx, string(key), c.level()...)
			return c.answered(topology.Token{}, err)
		case record.KindSet:
			_, err := triad.SetOf[string](n, table).Members(ctx, string(key), c.level()...)
			return c.answered(topology.Token{}, err)
		}
		r, err := n.Get(ctx, table, key, c.level()...)
		return c.answered(r.Token, err)
	})
}

func (c *Client) scan(ctx context.Context) error {
	table, key := c.l.place(c.key())
	left := 1 + c.rng.IntN(scanMax)
	return c.ways.Read().Do(ctx, "scan", func(ctx context.Context, n *triad.Node) error {
		for _, err := range n.Scan(ctx, table, key, nil, c.level()...) {
			if err != nil {
				return err
			}
			if left--; left == 0 {
				break
			}
		}
		return nil
	})
}

func (c *Client) put(ctx context.Context, number uint64) error {
	table, key := c.l.place(number)
	c.value[c.rng.IntN(len(c.value))]++
	return c.ways.Write().Do(ctx, "put", func(ctx context.Context, n *triad.Node) error {
		r, err := n.Put(ctx, table, key, c.value)
		return c.answered(r.Token, err)
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
// keeps others out.
func (c *Client) modify(ctx context.Context) error {
	number := c.key()
	table, key := c.l.place(number)
	err := c.ways.Read().Do(ctx, "get", func(ctx context.Context, n *triad.Node) error {
		r, err := n.Get(ctx, table, key, c.level()...)
		return c.answered(r.Token, err)
	})
	if err != nil {
		return err
	}
	return c.put(ctx, number)
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
	table, key := c.l.place(number)
	err := c.ways.Write().Do(ctx, "add", func(ctx context.Context, n *triad.Node) error {
		if c.l.kind() == record.KindCounter {
			_, r, err := triad.CounterOf(n, table).Add(ctx, string(key), 1)
			return c.answered(r.Token, err)
		}
		return c.update(ctx, n, table, [][]byte{key}, func(was [][]byte) ([][]byte, error) {
			sum, err := numberOf(was[0])
			return [][]byte{strconv.AppendInt(nil, sum+1, 10)}, err
		})
	})
	c.l.tally.add(number, 1, err)
	return err
}

// itemsMax is how many different things a client puts into one cart.
const itemsMax = 4

func (c *Client) fillCart(ctx context.Context, number uint64) error {
	table, key := c.l.place(number)
	it := item{number, c.rng.IntN(itemsMax)}
	put := c.carts[it] != in
	name := fmt.Sprintf("%d.%d", c.number, it.what)
	err := c.ways.Write().Do(ctx, "cart", func(ctx context.Context, n *triad.Node) error {
		if c.l.kind() == record.KindSet {
			cart := triad.SetOf[string](n, table)
			change := cart.Remove
			if put {
				change = cart.Add
			}
			_, r, err := change(ctx, string(key), []string{name})
			return c.answered(r.Token, err)
		}
		return c.update(ctx, n, table, [][]byte{key}, func(was [][]byte) ([][]byte, error) {
			return [][]byte{[]byte(changed(string(was[0]), name, put))}, nil
		})
	})
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

// changed is a list of words with one more, or without it.
func changed(list, name string, put bool) string {
	var kept []string
	for _, word := range strings.Fields(list) {
		if word != name {
			kept = append(kept, word)
		}
	}
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
	table, a := c.l.place(from)
	_, b := c.l.place(to)
	err := c.ways.Write().Do(ctx, "transfer", func(ctx context.Context, n *triad.Node) error {
		if c.l.kind() == record.KindCounter {
			return c.addBoth(ctx, n, table, a, b, amount)
		}
		return c.update(ctx, n, table, [][]byte{a, b}, func(was [][]byte) ([][]byte, error) {
			x, err := numberOf(was[0])
			y, err2 := numberOf(was[1])
			if err == nil && x < amount {
				err = ErrRefused
			}
			return [][]byte{strconv.AppendInt(nil, x-amount, 10), strconv.AppendInt(nil, y+amount, 10)}, errors.Join(err, err2)
		})
	})
	c.l.tally.add(from, -amount, err)
	c.l.tally.add(to, amount, err)
	return err
}

func (c *Client) append(ctx context.Context, number uint64) error {
	table, key := c.l.place(number)
	c.lines++
	ln := line{number, c.lines}
	name := fmt.Sprintf("%d.%d", c.number, ln.n)
	err := c.ways.Write().Do(ctx, "append", func(ctx context.Context, n *triad.Node) error {
		if c.l.kind() == record.KindSet {
			_, r, err := triad.SetOf[string](n, table).Add(ctx, string(key), []string{name})
			return c.answered(r.Token, err)
		}
		return c.update(ctx, n, table, [][]byte{key}, func(was [][]byte) ([][]byte, error) {
			return [][]byte{[]byte(string(was[0]) + name + "\n")}, nil
		})
	})
	if err == nil {
		c.wrote = append(c.wrote, ln)
	}
	return err
}
