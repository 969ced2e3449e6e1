package server

import (
	"context"
	"errors"

	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Where a table keeps all values that did not know of one another, a client reads them
// with what names them, and writes one in their place.
var siblingCommands = []command{
	{name: "triad|siblings", arity: 3, flags: cuts | alone, keys: keySpec{2, 2, 1}, group: "triad", about: "Returns the context of a key and all its concurrent values, nil for a removal.", answer: answerSiblings},
	{name: "triad|resolve", arity: -4, flags: cuts | alone | writes, keys: keySpec{2, 2, 1}, group: "triad", about: "Puts a value, or without one a removal, in place of what the context has seen.", answer: answerSettled},
}

// errNoSiblings is the answer where a table keeps one value of a key.
const errNoSiblings = replyError("ERR the table of this key keeps no siblings: GET reads its value")

func answerSiblings(ctx context.Context, c *conn, r *request) error {
	p, err := c.server.placeOf(ctx, r.args[2], r.now)
	if err != nil {
		return err
	}
	o := c.session.reads
	if o.Guarantee == topology.ReadSession {
		o.After = c.session.token
	}
	o.Siblings = true
	reading, err := c.server.node.Read(ctx, p.Table, p.Name, o)
	if err != nil && !errors.Is(err, topology.ErrNotFound) {
		return err
	}
	if reading.Context.IsZero() {
		return errNoSiblings
	}
	c.seen(topology.Receipt{Token: reading.Token}, false)
	size := 0
	for i := range reading.Cells {
		size += len(reading.Cells[i].Value)
	}
	if size > c.server.o.Limits.AnswerBytesMax {
		return replyErrorf("ERR the siblings are more than %d bytes", c.server.o.Limits.AnswerBytesMax)
	}
	r.out.Array(2)
	r.out.BulkString(reading.Context.String())
	r.out.Array(len(reading.Cells))
	for i := range reading.Cells {
		if v := &reading.Cells[i]; v.Absent {
			r.out.Null()
		} else {
			r.out.Bulk(v.Value)
		}
	}
	return nil
}

func answerSettled(ctx context.Context, c *conn, r *request) error {
	if len(r.args) > 5 {
		return errSyntax
	}
	p, err := c.server.placeOf(ctx, r.args[2], r.now)
	if err != nil {
		return err
	}
	seen, err := topology.ParseContext(string(cut(r.args[3], topology.ContextBytesMax+1)))
	if err == nil && seen.IsZero() {
		err = errSyntax
	}
	if err != nil {
		return err
	}
	us := []topology.Update{{Bytes: len(r.args[2]), Decide: func(topology.Sight) ([]record.Mutation, error) {
		return []record.Mutation{p.Removal()}, nil
	}}}
	if len(r.args) == 5 {
		op := kind.Put{Key: p, Value: r.args[4]}
		us[0] = kind.Update(&op)
	}
	c.server.node.Update(ctx, us, topology.WriteOptions{Durability: c.session.durability, Context: seen})
	if us[0].Err != nil {
		if refusedHere(us[0].Err) {
			return us[0].Err
		}
		return c.reply(us[0].Err, true)
	}
	c.seen(us[0].Receipt, true)
	r.out.OK()
	return nil
}
