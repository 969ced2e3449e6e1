package client

import (
	"context"
	"fmt"
	"iter"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/topology"
)

// Get returns the value of key; one that holds nothing is topology.ErrNotFound.
// Without an option it is the topology's default read. Options: [After],
// [MaxStale], [MaxLag], [MaxBytes], [Linearizable], [Leased], [Any].
func (c *Client) Get(ctx context.Context, table string, key []byte, opts ...Option) (Reading, error) {
	return c.Reader().Get(ctx, table, key, opts...)
}

// Scan yields the keys from <= key < to of a table in order; an empty from is the
// beginning, an empty to the end. It is read in pages, each from one consistent
// view of its own: a key that is written while the scan goes on may show either
// value. An error is the last thing it yields. Options: those of [Client.Get].
func (c *Client) Scan(ctx context.Context, table string, from, to []byte, opts ...Option) iter.Seq2[Item, error] {
	return c.Reader().Scan(ctx, table, from, to, opts...)
}

// Reader reads by a routing of its own. It may be used from any goroutine.
type Reader struct{ r *router }

// Reader returns the reader of Options.Reads.
func (c *Client) Reader() Reader { return Reader{c.reads} }

// ReaderBy returns a reader that routes by r. Its turn, the node it sticks to, and
// the budget of its hedges are its own.
func (c *Client) ReaderBy(r Routing) (Reader, error) {
	made, err := newRouter(c, r)
	if err != nil {
		return Reader{}, fmt.Errorf("client: %w", err)
	}
	return Reader{made}, nil
}

// Get is [Client.Get], by the reader's routing.
func (r Reader) Get(ctx context.Context, table string, key []byte, opts ...Option) (Reading, error) {
	err := call.CheckKey(key)
	if err != nil {
		return Reading{}, errorOf("get", table, key, call.NotApplied(err))
	}
	m := call.Read{Table: table, Key: key, Options: opts}
	v, _, err := routed(ctx, r.r, call.MethodGet, opts, m.Encode, call.DecodeReading)
	if err != nil {
		return Reading{}, errorOf("get", table, key, err)
	}
	return v, nil
}

// Scan is [Client.Scan], by the reader's routing: each page is a read.
func (r Reader) Scan(ctx context.Context, table string, from, to []byte, opts ...Option) iter.Seq2[Item, error] {
	return scan(table, from, to, func(m *call.Scan) (call.Page, error) {
		m.Options = opts
		page, _, err := routed(ctx, r.r, call.MethodScan, opts, m.Encode, call.DecodePage)
		return page, err
	})
}

// scan yields the items of page after page.
func scan(table string, from, to []byte, next func(*call.Scan) (call.Page, error)) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		if err := call.CheckBounds(from, to); err != nil {
			yield(Item{}, errorOf("scan", table, nil, call.NotApplied(err)))
			return
		}
		m := call.Scan{Table: table, From: from, To: to}
		for {
			page, err := next(&m)
			if err == nil && page.More && len(page.Items) == 0 {
				err = call.NotApplied(fmt.Errorf("a page of nothing that says there is more: %w", topology.ErrMalformed))
			}
			if err != nil {
				yield(Item{}, errorOf("scan", table, m.From, err))
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
			if !page.More {
				return
			}
			last := page.Items[len(page.Items)-1].Key
			m.From = append(append([]byte{}, last...), 0)
		}
	}
}

// routed is a read that goes by a routing: it is checked, sent and read. It returns
// the address of who answered.
func routed[T any](ctx context.Context, r *router, method string, opts []Option, encode func() []byte, decode func([]byte) (T, error)) (T, string, error) {
	var none T
	w, err := call.Gather(opts, call.WishRead)
	if err != nil {
		return none, "", call.NotApplied(err)
	}
	answer, addr, err := r.ask(ctx, needOf(&w), method, encode())
	if err != nil {
		return none, "", err
	}
	v, err := decode(answer)
	if err != nil {
		return none, "", call.NotApplied(err)
	}
	return v, addr, nil
}

// read is a call that changes nothing, to the usual node.
func read[T any](ctx context.Context, c *Client, method string, encode func() []byte, decode func([]byte) (T, error)) (T, error) {
	var none T
	answer, err := c.ask(ctx, reads, method, encode())
	if err != nil {
		return none, err
	}
	v, err := decode(answer)
	if err != nil {
		return none, call.NotApplied(err)
	}
	return v, nil
}
