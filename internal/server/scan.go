package server

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/triad-kv/triad"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

var scanCommands = []command{
	{name: "scan", arity: -2, flags: reads | alone | cuts, group: "generic", about: "Returns keys page by page, in order.", answer: answerScan},
	{name: "keys", arity: 2, flags: reads | alone | cuts, group: "generic", about: "Returns all keys that match a pattern.", answer: answerKeys},
	{name: "dbsize", arity: 1, flags: reads | alone | cuts, group: "server", about: "Counts the keys, by looking at all of them.", answer: answerDBSize},
	{name: "flushall", arity: -1, flags: writes | alone | cuts, group: "server", about: "Removes all keys, in as many records as it takes.", answer: answerFlush},
	{name: "flushdb", arity: -1, flags: writes | alone | cuts, group: "server", about: "Removes all keys, in as many records as it takes.", answer: answerFlush},
}

// fieldsPassed is how many fields of one key are passed over before its end is
// sought instead.
const fieldsPassed = 32

// shelf is a table in the order that all are scanned in.
type shelf struct {
	triad.CellTable
	prefix string
}

// shelves returns the tables that keys may belong to.
func (s *Server) shelves(ctx context.Context) ([]shelf, error) {
	all := []shelf{{CellTable: triad.CellTable{ID: record.TableDefault}}}
	for _, p := range s.prefixes {
		t, err := s.node.Table(ctx, p.table)
		if errors.Is(err, topology.ErrNoTable) {
			continue // it holds nothing
		}
		if err != nil {
			return nil, err
		}
		all = append(all, shelf{t, p.text})
	}
	return all, nil
}

// walkKeys calls f with the name and kind of every key from p on, until f returns
// false, and returns where it stopped; done is true if there are no more. A name
// is valid until the next call.
func walkKeys(ctx context.Context, c *conn, r *request, p position, f func(s *shelf, name []byte, of record.Kind) bool) (_ position, done bool, err error) {
	all, err := c.server.shelves(ctx)
	if err != nil {
		return p, false, err
	}
	w := walk{conn: c, now: version.TimestampAt(r.now), f: f}
	for ; p.table < len(all); p = (position{table: p.table + 1}) {
		w.shelf, w.next = &all[p.table], p.key
		for more := true; more; {
			if more, err = w.stretch(ctx); err != nil || w.stopped {
				return position{p.table, w.next}, false, err
			}
		}
	}
	return position{}, true, nil
}

// walk is a way through one table.
type walk struct {
	*conn
	shelf   *shelf
	f       func(s *shelf, name []byte, of record.Kind) bool
	now     version.Timestamp
	next    []byte // the first key that f has not had
	name    []byte
	stopped bool
}

// stretch goes on until the table ends, f stops it, or so many fields of one key
// are in the way that going on behind it is better: then it returns true.
func (w *walk) stretch(ctx context.Context) (more bool, err error) {
	o := w.readOptions()
	var last []byte
	passed := 0
	confirms := w.session.strong() && w.led()
	for c, err := range w.server.node.Scan(ctx, w.shelf.ID, w.next, nil, o) {
		if err != nil {
			return false, err
		}
		w.batch.confirmed = confirms
		if last != nil && bytes.Equal(last, c.Key) {
			if passed++; passed > fieldsPassed {
				return true, nil
			}
			continue
		}
		last, passed = c.Key, 0
		if !w.visit(&c) {
			w.stopped = true
			return false, nil
		}
		w.next = keyAfter(c.Key)
	}
	return false, nil
}

// visit calls f with a key, unless it is none to a client.
func (w *walk) visit(c *topology.CellReading) bool {
	if len(c.Field) != 0 || c.Expires != 0 && c.Expires <= w.now {
		return true
	}
	w.name = append(append(w.name[:0], w.shelf.prefix...), c.Key...)
	if w.server.prefixOf(w.name) != w.shelf.prefix { // no command reaches it
		return true
	}
	return w.f(w.shelf, w.name, c.Kind)
}

// prefixOf returns the prefix that decides a key's table, empty if none does.
func (s *Server) prefixOf(key []byte) string {
	for i := range s.prefixes {
		if p := s.prefixes[i].text; len(key) >= len(p) && string(key[:len(p)]) == p {
			return p
		}
	}
	return ""
}

func planScan(r *request, countMax int) (cursor uint64, err error) {
	cursor, err = strconv.ParseUint(string(r.args[1]), 10, 64)
	if err != nil {
		return 0, errCursor
	}
	r.opt.count = 10
	for i := 2; i < len(r.args); i += 2 {
		if i+1 == len(r.args) {
			return 0, errSyntax
		}
		value := r.args[i+1]
		switch {
		case equalFold(r.args[i], "MATCH"):
			r.opt.match = value
		case equalFold(r.args[i], "COUNT"):
			n, ok := parseInt(value)
			if !ok {
				return 0, errNotInteger
			}
			if n < 1 {
				return 0, errSyntax
			}
			r.opt.count = int(min(n, int64(countMax)))
		case equalFold(r.args[i], "TYPE"):
			r.opt.typed = string(bytes.ToLower(value))
		default:
			return 0, errSyntax
		}
	}
	return cursor, nil
}

func answerScan(ctx context.Context, c *conn, r *request) error {
	cursor, err := planScan(r, c.server.o.Limits.ScanCountMax)
	if err != nil {
		return err
	}
	from, ok := c.server.cursors.find(cursor, r.now)
	if !ok {
		return replyErrorf("%s: it was not given out here, or has expired; begin again with 0", errCursor)
	}
	looked, found, size := 0, [][]byte(nil), 0
	p, done, err := walkKeys(ctx, c, r, from, func(_ *shelf, name []byte, of record.Kind) bool {
		if looked == r.opt.count || size > c.server.o.Limits.AnswerBytesMax/2 {
			return false
		}
		looked++
		if r.opt.selects(name, of) {
			found = append(found, slices.Clone(name))
			size += len(name) + 16
		}
		return true
	})
	if err != nil {
		return err
	}
	next := uint64(0)
	if done {
		c.server.cursors.end(cursor)
	} else {
		next = c.server.cursors.advance(cursor, p, r.now)
	}
	r.out.Array(2)
	r.out.BulkString(strconv.FormatUint(next, 10))
	r.out.Array(len(found))
	for _, name := range found {
		r.out.Bulk(name)
	}
	return r.fits()
}

// selects reports whether MATCH and TYPE let a key through.
func (o *options) selects(name []byte, of record.Kind) bool {
	return (o.match == nil || glob(o.match, name)) && (o.typed == "" || typeName(of) == o.typed)
}

func answerKeys(ctx context.Context, c *conn, r *request) error {
	r.opt.match = r.args[1]
	var found [][]byte
	size := 0
	_, done, err := walkKeys(ctx, c, r, position{}, func(_ *shelf, name []byte, of record.Kind) bool {
		if r.opt.selects(name, of) {
			found = append(found, slices.Clone(name))
			size += len(name) + 16
		}
		return size <= c.server.o.Limits.AnswerBytesMax
	})
	if err != nil {
		return err
	}
	if !done {
		return replyErrorf("ERR the keys are longer than %d bytes together: use SCAN", c.server.o.Limits.AnswerBytesMax)
	}
	r.out.Array(len(found))
	for _, name := range found {
		r.out.Bulk(name)
	}
	return r.fits()
}

func answerDBSize(ctx context.Context, c *conn, r *request) error {
	n := int64(0)
	_, _, err := walkKeys(ctx, c, r, position{}, func(*shelf, []byte, record.Kind) bool {
		n++
		return true
	})
	r.out.Int(n)
	return err
}

// answerFlush removes the keys that it finds, as many at a time as a record takes.
func answerFlush(ctx context.Context, c *conn, r *request) error {
	if len(r.args) > 2 || len(r.args) == 2 && !equalFold(r.args[1], "ASYNC") && !equalFold(r.args[1], "SYNC") {
		return errSyntax
	}
	var p position
	for done := false; !done; {
		var ms []record.Mutation
		size := 0
		var err error
		p, done, err = walkKeys(ctx, c, r, p, func(s *shelf, name []byte, _ record.Kind) bool {
			if len(ms) == record.MutationsMax || size > record.BatchBytesMax/2 {
				return false
			}
			size += len(name)
			ms = append(ms, record.Mutation{Table: s.ID, Key: slices.Clone(name[len(s.prefix):]), Op: record.OpDelete})
			return true
		})
		if err == nil {
			err = removeAll(ctx, c, ms)
		}
		if refusedHere(err) {
			return err
		}
		if err != nil {
			return replyError(c.server.wording(err, true))
		}
	}
	r.out.OK()
	return nil
}

func removeAll(ctx context.Context, c *conn, ms []record.Mutation) error {
	us := []topology.Update{{Decide: func(topology.Sight) ([]record.Mutation, error) { return ms, nil }}}
	c.server.node.Update(ctx, us, topology.WriteOptions{Durability: c.session.durability})
	if us[0].Err == nil {
		c.seen(us[0].Receipt, len(ms) > 0)
	}
	return us[0].Err
}
