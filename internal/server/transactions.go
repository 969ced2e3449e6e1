package server

import (
	"context"
	"slices"

	"github.com/triad-kv/triad/internal/kind"
)

var transactionCommands = []command{
	{name: "multi", arity: 1, flags: direct | alone | fast, group: "transactions", about: "Begins a transaction: what follows is queued.", answer: answerMulti},
	{name: "exec", arity: 1, flags: direct | alone, group: "transactions", about: "Does what was queued, as one atomic record.", answer: answerExec, show: showExec},
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
	watched []kind.Watched
	group   kind.Group
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

// answerWatch notes which version each key has: every change of a key gives its
// head a new one.
func answerWatch(ctx context.Context, c *conn, r *request) error {
	if c.tx != nil {
		return errWatchMulti
	}
	if err := c.server.locate(ctx, r); err != nil {
		return err
	}
	if most := c.server.o.Limits.WatchedKeysMax; len(c.watched)+len(r.places) > most {
		return replyErrorf("ERR more than %d keys are watched", most)
	}
	looks := make([]kind.Look, len(r.places))
	for i := range looks {
		looks[i].Key = r.places[i]
		looks[i].Key.Name = slices.Clone(looks[i].Key.Name)
		r.reads = append(r.reads, looks[i].Reads()...)
	}
	s, err := looker{c}.look(ctx, r)
	if err != nil {
		return err
	}
	for i := range looks {
		l := &looks[i]
		if _, err := l.Decide(s.cells[i : i+1]); err != nil {
			return err
		}
		c.watched = append(c.watched, kind.Watched{Key: l.Key, Dot: l.Dot})
	}
	r.out.OK()
	return nil
}

// answerExec makes what was queued one request of the group.
func answerExec(ctx context.Context, c *conn, r *request) error {
	if c.tx == nil {
		return errNoMulti
	}
	tx := c.tx
	tx.watched = c.watched
	c.tx, c.watched = nil, nil
	if tx.aborted {
		return errExecAbort
	}
	tx.group.Watched = tx.watched
	c.batch.sight.reset()
	for _, q := range tx.queued {
		q.now, q.out.Proto = r.now, c.session.proto
		if err := c.readyQueued(ctx, q); err != nil {
			q.settled = true
			q.fail(c.reply(err, false))
		}
		if !q.settled {
			tx.group.Ops = append(tx.group.Ops, q.op)
		}
		tx.writes = tx.writes || q.cmd.flags&writes != 0
	}
	r.tx, r.op = tx, &tx.group
	r.reads = r.op.Reads()
	c.join(ctx, r)
	return nil
}

// readyQueued prepares a queued command that works on keys, and answers any other.
func (c *conn) readyQueued(ctx context.Context, q *request) error {
	if q.cmd.answer != nil {
		q.settled = true
		return q.cmd.answer(ctx, c, q)
	}
	err := c.server.locate(ctx, q)
	if err == nil {
		err = q.prepare()
	}
	if err == nil {
		err = looker{c}.affordable(ctx, q.reads)
	}
	return err
}

// showExec answers with the answers of what was queued. A command that was
// refused says so and has changed nothing; the others count.
func showExec(r *request) {
	if !r.tx.group.Done {
		r.out.NullArray()
		return
	}
	r.out.Array(len(r.tx.queued))
	next := 0
	for _, q := range r.tx.queued {
		if !q.settled {
			q.out.Truncate(0)
			if err := r.tx.group.Errs[next]; err != nil {
				q.fail(q.refused(err))
			} else {
				q.cmd.show(q)
			}
			next++
		}
		if r.out.Raw(q.out.Bytes()); r.fits() != nil {
			return // which run finds, too
		}
	}
}
