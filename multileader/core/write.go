package core

import (
	"fmt"
	"slices"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// lead opens the site for writes in a new term. A term is never resumed (S2), and
// a new one changes no origin (M7).
//
// It begins with a note, which has no dot. Were it a write of the site, one that
// came back from a backup would give a dot a second meaning before it had heard
// anybody, and every change of leader would be a record for all the world. It says
// under which origin the site writes from there on, so that whoever leads it next
// knows (C1).
func (c *Core) lead(term uint64) {
	if term <= c.last {
		return
	}
	c.Term, c.last = term, term
	noteOrigin(c)
	if !c.noted {
		noteOf(c, record.MarkRoster, c.roster.Encode())
	}
}

// noteOrigin puts in the log under which origin this site writes from there on.
func noteOrigin(c *Core) {
	c.append(record.Record{
		Time: c.clock.Now(), Term: c.Term,
		Mutations: []record.Mutation{{Table: record.TableSystem, Op: record.OpMark, Key: []byte(record.MarkOrigin), Value: encodeOrigin(c.Origin)}},
	})
}

// write takes the write n of an event, or refuses it before it has any effect.
func write(c *Core, n int, b *record.Batch, own bool) {
	if err := refusal(c, b, own); err != nil {
		err = &topology.Error{Op: "write", Node: topology.NodeID(c.Self), Outcome: topology.NotApplied, Err: err}
		c.do(Effect{Kind: DoRefuse, N: n, Err: err})
		return
	}
	deps := c.log.others
	item, at := c.mint(b.Mutations, b.Request, b.Context)
	c.do(Effect{Kind: DoAccept, N: n, LSN: item.Entry.LSN, Item: item, Time: at, Deps: deps})
}

// anything is the resolver that takes mutations of every form. Whether one fits its
// table is found out where it is applied, as that is where the table is known.
var anything = conflict.Join()

func refusal(c *Core, b *record.Batch, own bool) error {
	switch {
	case c.forgot:
		return fmt.Errorf("%w: a peer knows writes of %v that this site does not; it waits for a new incarnation", topology.ErrUnavailable, c.Origin)
	case c.Term == 0:
		return topology.ErrNotLeader
	case seat(c).Standing != Active || c.Beyond():
		return c.Barred()
	case owing(c) != nil:
		return fmt.Errorf("%w: site %s has lost what it had, and takes no writes before it has all that site %s had; write at another site", topology.ErrUnavailable, c.Self, owing(c).Peer)
	case !own && readOnly(c):
		return fmt.Errorf("%w: site %s takes no writes, by the configuration, only what other sites write: write at a node of %s", topology.ErrUnsupported, c.Self, sitesText(writers(c)))
	case len(c.log.tail) >= c.cfg.Limits.Uncommitted:
		return fmt.Errorf("%w: %d records wait to be committed", topology.ErrOverloaded, len(c.log.tail))
	case len(b.Conditions) > 0:
		return fmt.Errorf("%w: a condition holds at one site and not at all", topology.ErrUnsupported)
	}
	for i := range b.Mutations {
		if err := conflict.Check(anything, &b.Mutations[i]); err != nil {
			return fmt.Errorf("%w: %w", topology.ErrUnsupported, err)
		}
		if err := c.cfg.Filters.Refusal(c.Self, b.Mutations[i].Table); err != nil {
			return err
		}
	}
	return nil
}

// readOnly reports whether this site takes no writes of clients.
func readOnly(c *Core) bool { return slices.Contains(c.cfg.ReadOnly, c.Self) }

// writers are the sites that do.
func writers(c *Core) (sites []Site) {
	for i := range c.roster.Seats {
		if s := &c.roster.Seats[i]; s.Standing == Active && !slices.Contains(c.cfg.ReadOnly, s.Site) {
			sites = append(sites, s.Site)
		}
	}
	return sites
}

// mint makes mutations a record: sequence, time and deps are taken together, as
// it gets its place in the log (C2a). The clock has been raised to every time in
// the log, so its own is greater than all of them (C3).
func (c *Core) mint(ms []record.Mutation, id record.RequestID, unseen *version.Set) (Item, version.Timestamp) {
	now := c.clock.Now()
	return c.append(record.Record{
		Dot:  c.Next(),
		Time: now, Term: c.Term, Request: id, Deps: c.log.others, Context: unseen, Mutations: ms,
	}), now
}

// append encodes a record of this site, once, and puts it in the log.
func (c *Core) append(r record.Record) Item {
	b := c.enc.Append(nil, &r)
	return c.place(Item{Dot: r.Dot, Entry: record.Entry{Sum: record.Sum(b), Bytes: b}})
}

// place puts a record in the log.
func (c *Core) place(item Item) Item {
	item = c.log.place(c.Term, item)
	if item.Dot.IsZero() {
		heard(c, item.Entry)
	}
	c.do(Effect{Kind: DoAppend, LSN: item.Entry.LSN, Item: item})
	return item
}
