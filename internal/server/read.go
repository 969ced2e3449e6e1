package server

import (
	"context"
	"errors"
	"time"

	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// gathered is what was read beforehand, for a decision that changes nothing.
type gathered struct {
	cells kind.Seen
	bytes int
	due   bool // a key is among them that should have gone by now
}

func (g *gathered) reset() {
	clear(g.cells)
	g.cells, g.bytes, g.due = g.cells[:0], 0, false
}

// read answers a request that changes nothing from what this node shows. What is
// due to expire may be shown only until the leader has logged that it is gone: a
// strong read that comes upon it becomes an update, which sees to that. Where this
// node does not lead, what it shows counts.
func (c *conn) read(ctx context.Context, r *request) {
	s, err := looker{c}.look(ctx, r)
	if refusedHere(err) { // a node that holds nothing
		r.refusal = err
		c.lead(ctx, []*request{r})
		return
	}
	if err != nil {
		r.fail(c.reply(err, false))
		return
	}
	if s.due && c.session.strong() && r.refusal == nil {
		s.reset()
		r.due = true
		c.join(ctx, r)
		c.settle(ctx)
		return
	}
	r.before, r.answers = nil, 0
	_, _ = r.run(s.cells)
	s.reset()
}

// looker is a connection that reads.
type looker struct{ *conn }

// look gathers what a request reads. The sight is valid until the next call.
func (c looker) look(ctx context.Context, r *request) (*gathered, error) {
	g := &c.batch.sight
	g.reset()
	for i := range r.reads {
		cells, err := c.readRange(ctx, &r.reads[i])
		if err != nil {
			return nil, err
		}
		g.cells = append(g.cells, cells)
		g.due = g.due || due(cells, version.TimestampAt(r.now))
	}
	return g, nil
}

// readRange reads one range as the session wants it. The first read of a batch
// makes this node show what was acknowledged before; those behind it, which had
// come by then, need no round of their own.
func (c looker) readRange(ctx context.Context, at *topology.CellRange) ([]topology.CellReading, error) {
	o := c.readOptions()
	if at.Whole {
		cells, err := c.readWhole(ctx, at, o)
		c.batch.confirmed = err == nil && c.session.strong() && c.led()
		return cells, err
	}
	o.Field = at.Field
	reading, err := c.server.node.Read(ctx, at.Table, at.Key, o)
	if err != nil && !errors.Is(err, topology.ErrNotFound) {
		return nil, err
	}
	c.batch.confirmed = c.session.strong() && reading.Replicas == 0
	if err != nil {
		return nil, nil
	}
	c.seen(topology.Receipt{Token: reading.Token}, false)
	return reading.Cells, nil
}

// readOptions are those of the next read: one needs no round if this node has
// been shown to be up to date since the batch came.
func (c *conn) readOptions() topology.ReadOptions {
	o := c.session.reads
	if o.Guarantee == topology.ReadSession {
		o.After = c.session.token
	}
	if c.session.strong() && c.batch.confirmed {
		o.Guarantee = topology.ReadAny
	}
	return o
}

// led reports whether a node that has been shown to be up to date shows all there is:
// without a leader it holds some of the keys alone.
func (c *conn) led() bool { return c.server.node.Status().Role != topology.RoleReplica }

// strong reports whether reads must see all that was acknowledged before.
func (s *session) strong() bool {
	switch s.reads.Guarantee {
	case topology.ReadDefault, topology.ReadLinearizable, topology.ReadLeased:
		return true
	}
	return false
}

// due reports whether a key should have gone by now.
func due(cells []topology.CellReading, now version.Timestamp) bool {
	if len(cells) == 0 || len(cells[0].Field) != 0 {
		return false
	}
	return cells[0].Expires != 0 && cells[0].Expires <= now
}

// readWhole reads all fields of a key, unless they are too much for an answer.
func (c looker) readWhole(ctx context.Context, at *topology.CellRange, o topology.ReadOptions) (cells []topology.CellReading, err error) {
	g := &c.batch.sight
	before := g.bytes
	for cell, err := range c.server.node.Scan(ctx, at.Table, at.Key, keyAfter(at.Key), o) {
		if err != nil {
			return nil, err
		}
		if g.bytes += len(cell.Field) + len(cell.Value) + cellBytes; g.bytes > c.server.o.Limits.AnswerBytesMax {
			g.bytes = before
			return nil, replyErrorf("ERR the key holds more than %d bytes: ask for fewer fields", c.server.o.Limits.AnswerBytesMax)
		}
		cells = append(cells, cell)
	}
	return cells, nil
}

// affordable refuses reads of whole keys that would have the engine gather more
// than an answer may be, all of them together since the sight was reset.
func (c looker) affordable(ctx context.Context, reads []topology.CellRange) error {
	for i := range reads {
		if !reads[i].Whole {
			continue
		}
		if _, err := c.readWhole(ctx, &reads[i], topology.ReadOptions{Guarantee: topology.ReadAny}); err != nil {
			return err
		}
	}
	return nil
}

// cellBytes is what a cell takes in memory beyond its bytes.
const cellBytes = 160

// keyAfter is the least key behind another.
func keyAfter(key []byte) []byte { return append(append(make([]byte, 0, len(key)+1), key...), 0) }

// locate says which table each key of a request belongs to.
func (s *Server) locate(ctx context.Context, r *request) error {
	first, last, step := r.cmd.keys.indexes(len(r.args))
	for i := first; i <= last; i += step {
		p, err := s.placeOf(ctx, r.args[i], r.now)
		if err != nil {
			return err
		}
		r.places = append(r.places, p)
	}
	return nil
}

// placeOf finds the table of the longest prefix.
func (s *Server) placeOf(ctx context.Context, key []byte, now time.Time) (kind.Key, error) {
	for i := range s.prefixes {
		p := &s.prefixes[i]
		if len(key) >= len(p.text) && string(key[:len(p.text)]) == p.text {
			t, err := s.node.Table(ctx, p.table)
			if err != nil {
				return kind.Key{}, err
			}
			key = key[len(p.text):]
			return kind.Key{Table: t.ID, Kind: t.Kind, Name: key, Expires: t.Expiry(now)}, checkKey(key)
		}
	}
	return kind.Key{Table: record.TableDefault, Name: key}, checkKey(key)
}
