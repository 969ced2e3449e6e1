package client

import (
	"context"
	"fmt"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Receipt is the answer to a write.
type Receipt = topology.Receipt

// Reading is the answer to a read: a value, the write it is from, and how fresh it
// is.
type Reading = call.Reading

// Item is one key of a scan.
type Item = call.Item

// Table is a table's definition.
type Table = call.Table

// Put makes value the value of key. In a table of rows the value is a msgpack map
// of columns, and replaces the whole row. Options: [Durability], [IfAbsent],
// [IfVersion], [IfValue], [Request].
func (c *Client) Put(ctx context.Context, table string, key, value []byte, opts ...Option) (Receipt, error) {
	return carrier{c}.write(ctx, call.MethodPut, "put", call.Write{
		Writes: []call.One{{Table: table, Key: key, Value: value}}, Options: opts,
	}, call.WishWrite|call.WishIf|call.WishContext)
}

// Delete removes key. Options: those of [Client.Put].
func (c *Client) Delete(ctx context.Context, table string, key []byte, opts ...Option) (Receipt, error) {
	return carrier{c}.write(ctx, call.MethodDelete, "delete", call.Write{
		Writes: []call.One{{Table: table, Key: key, Remove: true}}, Options: opts,
	}, call.WishWrite|call.WishIf|call.WishContext)
}

// Batch is several writes that happen together or not at all. It is built by one
// goroutine and keeps the slices it is given.
type Batch struct{ write call.Write }

// NewBatch returns an empty batch.
func NewBatch() *Batch { return &Batch{} }

// Put makes value the value of key.
func (b *Batch) Put(table string, key, value []byte) *Batch {
	b.write.Writes = append(b.write.Writes, call.One{Table: table, Key: key, Value: value})
	return b
}

// Delete removes key.
func (b *Batch) Delete(table string, key []byte) *Batch {
	b.write.Writes = append(b.write.Writes, call.One{Table: table, Key: key, Remove: true})
	return b
}

// IfAbsent makes the batch fail with topology.ErrConditionFailed if key holds a
// value.
func (b *Batch) IfAbsent(table string, key []byte) *Batch { return b.when(table, key, IfAbsent()) }

// IfVersion makes the batch fail with topology.ErrConditionFailed unless key
// holds the value of that write.
func (b *Batch) IfVersion(table string, key []byte, d version.Dot) *Batch {
	return b.when(table, key, IfVersion(d))
}

// IfValue makes the batch fail with topology.ErrConditionFailed unless key holds
// these bytes.
func (b *Batch) IfValue(table string, key, value []byte) *Batch {
	return b.when(table, key, IfValue(value))
}

func (b *Batch) when(table string, key []byte, o Option) *Batch {
	b.write.Conditions = append(b.write.Conditions, call.Condition{Table: table, Key: key, Option: o})
	return b
}

// Batch does all of b or nothing of it. Options: [Durability], [Request].
func (c *Client) Batch(ctx context.Context, b *Batch, opts ...Option) (Receipt, error) {
	w := b.write
	w.Options = opts
	return carrier{c}.write(ctx, call.MethodBatch, "batch", w, call.WishWrite)
}

func (c carrier) write(ctx context.Context, method, op string, w call.Write, allowed call.Wish) (Receipt, error) {
	table, key := "", []byte(nil)
	if method != call.MethodBatch {
		table, key = w.Writes[0].Table, w.Writes[0].Key
	}
	r, err := func() (Receipt, error) {
		wishes, err := call.Gather(w.Options, allowed)
		if err != nil {
			return Receipt{}, call.NotApplied(err)
		}
		if err := w.Check(); err != nil {
			return Receipt{}, call.NotApplied(err)
		}
		answer, err := c.send(ctx, method, &wishes, w.Options, func(opts []Option) []byte {
			w.Options = opts
			return w.Encode()
		})
		if err != nil {
			return Receipt{}, err
		}
		return call.DecodeReceipt(answer)
	}()
	if err != nil {
		return Receipt{}, errorOf(op, table, key, err)
	}
	return r, nil
}

// Wait returns once the node that is asked shows what token has seen, or says
// that it was rewound.
func (c *Client) Wait(ctx context.Context, token topology.Token) error {
	_, err := read(ctx, c, call.MethodWait, func() []byte { return call.EncodeToken(token) }, nothing)
	if err != nil {
		return errorOf("wait", "", nil, err)
	}
	return nil
}

func nothing(b []byte) (struct{}, error) { return struct{}{}, call.DecodeNothing(b) }

// Status returns what one node knows: the leader, if the client has met it.
func (c *Client) Status(ctx context.Context) (topology.Status, error) {
	s, err := read(ctx, c, call.MethodStatus, call.EncodeNothing, call.DecodeStatus)
	if err != nil {
		return topology.Status{}, errorOf("status", "", nil, err)
	}
	return s, nil
}

// StatusOf returns what the node at addr knows.
func (c *Client) StatusOf(ctx context.Context, addr string) (topology.Status, error) {
	answer, err := c.askAt(ctx, addr, call.MethodStatus, call.EncodeNothing())
	var s topology.Status
	if err == nil {
		s, err = call.DecodeStatus(answer)
	}
	if err != nil {
		return topology.Status{}, errorOf("status", "", nil, err)
	}
	return s, nil
}

// Promote makes the node at addr the leader of a new term by hand (rule K2).
// Unless forced it refuses where that could lose a committed write or end in two
// leaders.
func (c *Client) Promote(ctx context.Context, addr string, force bool) (topology.Promotion, error) {
	answer, err := c.askAt(ctx, addr, call.MethodPromote, call.EncodeForce(force))
	var p topology.Promotion
	if err == nil {
		p, err = call.DecodePromotion(answer)
	}
	if err != nil {
		return topology.Promotion{}, errorOf("promote", "", nil, err)
	}
	c.addrs.prefer(addr)
	return p, nil
}

// Tables returns all tables by name.
func (c *Client) Tables(ctx context.Context) ([]Table, error) {
	ts, err := read(ctx, c, call.MethodTables, call.EncodeNothing, call.DecodeTables)
	if err != nil {
		return nil, errorOf("tables", "", nil, err)
	}
	return ts, nil
}

// CreateTable defines a table. One that is defined so already is no error, one
// that is defined otherwise topology.ErrConflict.
func (c *Client) CreateTable(ctx context.Context, t Table) error {
	answer, err := c.ask(ctx, writes, call.MethodCreate, call.EncodeTables([]Table{t}))
	if err == nil {
		err = call.DecodeNothing(answer)
	}
	if err != nil {
		return errorOf("create table", t.Name, nil, err)
	}
	return nil
}

// DropTable removes a table and all it holds; what is not there is
// topology.ErrNoTable. A table that the leader's own configuration names is
// topology.ErrConflict.
func (c *Client) DropTable(ctx context.Context, name string) error {
	if len(name) > call.TableBytesMax {
		err := fmt.Errorf("a name of %d bytes, at most %d: %w", len(name), call.TableBytesMax, topology.ErrNoTable)
		return errorOf("drop table", name, nil, call.NotApplied(err))
	}
	answer, err := c.ask(ctx, writes, call.MethodDrop, call.EncodeName(name))
	if err == nil {
		err = call.DecodeNothing(answer)
	}
	if err != nil {
		return errorOf("drop table", name, nil, err)
	}
	return nil
}
