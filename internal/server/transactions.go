package server

import (
	"context"
	"encoding/binary"
	"hash/maphash"
	"slices"

	"github.com/triad-kv/triad/topology"
)

var transactionCommands = []command{
	{name: "multi", arity: 1, flags: direct | alone | fast, group: "transactions", about: "Begins a transaction: what follows is queued.", answer: answerMulti},
	{name: "exec", arity: 1, flags: direct | alone, group: "transactions", about: "Does what was queued, as one atomic record.", answer: answerExec, decide: decideExec},
	{name: "discard", arity: 1, flags: direct | alone | fast, group: "transactions", about: "Forgets what was queued.", answer: answerDiscard},
	{name: "watch", arity: -2, flags: direct | alone | cuts | fast, keys: allKeys, group: "transactions", about: "Makes the next EXEC do nothing if one of the keys changes before.", answer: answerWatch},
	{name: "unwatch", arity: 1, flags: fast, group: "transactions", about: "Forgets what is watched.", answer: answerUnwatch},
}

// transaction is what was queued since MULTI.
type transaction struct {
	queued  []*request
	bytes   int
	aborted bool // something could not be queued
	writes  bool // something queued may change keys
	watched *watched
}

// watched is what WATCH has seen: for each key, a sum over the versions of its cells.
type watched struct {
	reads []topology.CellRange
	sums  []uint64
}

var watchSeed = maphash.MakeSeed()

// sumOf tells states of a key apart: every write gives its cells a new dot.
func sumOf(cells []topology.CellReading) uint64 {
	var h maphash.Hash
	h.SetSeed(watchSeed)
	var b [24]byte
	for i := range cells {
		c := &cells[i]
		binary.LittleEndian.PutUint32(b[0:], c.Dot.Origin.ID)
		binary.LittleEndian.PutUint32(b[4:], c.Dot.Origin.Incarnation)
		binary.LittleEndian.PutUint64(b[8:], c.Dot.Seq)
		binary.LittleEndian.PutUint64(b[16:], uint64(len(c.Field)))
		_, _ = h.Write(b[:])
		_, _ = h.Write(c.Field)
	}
	return h.Sum64()
}

func answerMulti(_ context.Context, c *conn, r *request) error {
	if c.tx != nil {
		return errNested
	}
	c.tx = &transaction{}
	r.out.OK()
	return nil
}

// enqueue keeps a command for EXEC. It copies what it keeps.
func (c *conn) enqueue(r *request) error {
	l := &c.server.o.Limits
	size := 0
	for _, a := range r.args {
		size += len(a) + 24
	}
	switch {
	case r.cmd.flags&alone != 0:
		c.tx.aborted = true
		return replyErrorf("ERR %s is not allowed in a transaction", r.cmd.name)
	case len(c.tx.queued) >= l.QueuedCommandsMax, c.tx.bytes+size > l.QueuedBytesMax:
		c.tx.aborted = true
		return replyErrorf("ERR the transaction is larger than %d commands or %d bytes", l.QueuedCommandsMax, l.QueuedBytesMax)
	}
	q := newRequest(c.server)
	q.cmd = r.cmd
	for _, a := range r.args {
		q.args = append(q.args, slices.Clone(a))
	}
	c.tx.queued = append(c.tx.queued, q)
	c.tx.bytes += size
	r.out.Simple("QUEUED")
	return nil
}

func answerDiscard(_ context.Context, c *conn, r *request) error {
	if c.tx == nil {
		return errNoDiscard
	}
	c.tx, c.watched = nil, nil
	r.out.OK()
	return nil
}

func answerUnwatch(_ context.Context, c *conn, r *request) error {
	c.watched = nil
	r.out.OK()
	return nil
}

func answerWatch(ctx context.Context, c *conn, r *request) error {
	if c.tx != nil {
		return errWatchMulti
	}
	if err := c.server.locate(ctx, r); err != nil {
		return err
	}
	for i := range r.places {
		r.places[i].key = slices.Clone(r.places[i].key)
		r.readWhole(i)
	}
	w := c.watched
	if w == nil {
		w = &watched{}
	}
	if most := c.server.o.Limits.WatchedKeysMax; len(w.sums)+len(r.reads) > most {
		return replyErrorf("ERR more than %d keys are watched", most)
	}
	s, err := looker{c}.look(ctx, r)
	if err != nil {
		return err
	}
	for i := range r.reads {
		w.reads = append(w.reads, r.reads[i])
		w.sums = append(w.sums, sumOf(s.Cells(i)))
	}
	c.watched = w
	r.out.OK()
	return nil
}

// answerExec makes what was queued one request of the group.
func answerExec(ctx context.Context, c *conn, r *request) error {
	if c.tx == nil {
		return errNoMulti
	}
	r.tx = c.tx
	r.tx.watched = c.watched
	c.tx, c.watched = nil, nil
	if r.tx.aborted {
		return errExecAbort
	}
	for _, q := range r.tx.queued {
		q.now, q.out.Proto = r.now, c.session.proto
		q.settled = true
		if err := c.readyQueued(ctx, q); err != nil {
			q.fail(c.reply(err, false))
		}
		r.tx.writes = r.tx.writes || q.cmd.flags&writes != 0
		r.reads = append(r.reads, q.reads...)
	}
	if w := r.tx.watched; w != nil {
		r.reads = append(r.reads, w.reads...)
	}
	c.join(r)
	return nil
}

// readyQueued prepares a queued command that works on keys, and answers any other.
func (c *conn) readyQueued(ctx context.Context, q *request) error {
	if q.cmd.answer != nil {
		return q.cmd.answer(ctx, c, q)
	}
	err := c.server.locate(ctx, q)
	if err == nil {
		err = q.prepare()
	}
	if err != nil {
		q.reads = q.reads[:0]
		return err
	}
	q.settled = false
	return nil
}

// decideExec decides what was queued, each over what those before it leave. A
// command that fails answers so and changes nothing; the others count.
func decideExec(r *request, s topology.Sight) error {
	queued := 0
	for _, q := range r.tx.queued {
		if !q.settled {
			queued += len(q.reads)
		}
	}
	if w := r.tx.watched; w != nil {
		for i, sum := range w.sums {
			if sumOf(s.Cells(queued+i)) != sum {
				r.out.NullArray()
				return nil
			}
		}
	}
	over := overlay{sight: s, reads: r.reads}
	r.out.Array(len(r.tx.queued))
	for _, q := range r.tx.queued {
		if !q.settled {
			q.clear()
			if err := q.cmd.decide(q, &over); err != nil {
				q.fail(err)
			}
			over.take(q.muts)
			over.from += len(q.reads)
			r.muts = append(r.muts, q.muts...)
		}
		r.out.Raw(q.out.Bytes())
		if err := r.fits(); err != nil {
			return err
		}
	}
	return nil
}
