package multileader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// reads is what a peer waits for from the site's log, in order.
type reads struct {
	wake chan struct{}

	mu   sync.Mutex // a leaf
	todo []core.Effect
}

func newReads() *reads { return &reads{wake: make(chan struct{}, 1)} }

// add queues one. A peer asks for a gap again if it has to, so of many asks the oldest
// go.
func (q *reads) add(x core.Effect) {
	q.mu.Lock()
	if q.todo = append(q.todo, x); len(q.todo) > readsMax {
		if i := slices.IndexFunc(q.todo, func(x core.Effect) bool { return x.Kind == core.DoFill }); i >= 0 {
			q.todo = slices.Delete(q.todo, i, i+1)
		}
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take returns what is queued, and forgets it.
func (q *reads) take() []core.Effect {
	q.mu.Lock()
	defer q.mu.Unlock()
	todo := q.todo
	q.todo = nil
	return todo
}

const readsMax = 256

// readAll reads what is asked for until ctx ends.
func (l *link) readAll(ctx context.Context) error {
	s := &supply{e: l.e}
	idle := time.NewTicker(l.e.o.SnapshotKept / 4)
	defer idle.Stop()
	defer l.served.close()
	for {
		select {
		case <-l.todo.wake:
		case now := <-idle.C:
			l.served.idle(now)
			continue
		case <-ctx.Done():
			return nil
		}
		todo := l.todo.take()
		for i := range todo {
			x := &todo[i]
			ev := core.Event{Kind: core.EvRead, Peer: x.Peer, Session: x.Session, LSN: x.LSN}
			var err error
			switch x.Kind {
			case core.DoRead:
				ev.Items, ev.To, err = s.part(ctx, x)
			case core.DoFill:
				ev.Items, err = s.gap(ctx, x)
			case core.DoServe:
				ev.Kind = core.EvServed
				ev.Message, err = l.served.answer(ctx, x)
			}
			switch {
			case err == nil:
				l.e.loop.post(func() { l.e.step(ev) })
			case ctx.Err() != nil:
				return nil
			case errors.Is(err, topology.ErrCompacted):
				ev.Kind, ev.Origin, ev.First, ev.Last = core.EvGone, x.Origin, x.First, x.Last
				l.e.loop.post(func() { l.e.step(ev) })
			default:
				l.e.group.Fail(fmt.Errorf("reading for site %s: %w", x.Peer, err))
				return nil
			}
		}
	}
}

// supply reads a site's log for one peer, mostly in order.
type supply struct {
	e  *engine
	at core.Position // up to where it has read
}

// part reads what comes next. Where the peer begins anew, what it has already is
// passed over: to is then from where on something may be new to it.
func (s *supply) part(ctx context.Context, x *core.Effect) (items []core.Item, to record.LSN, err error) {
	from := x.LSN
	if s.at.LSN+1 != from {
		p, err := before(s.e.env.Store, x.To, func(p *place) bool { return s.has(x, p) })
		if err != nil {
			return nil, 0, err
		}
		if p.LSN+1 > from {
			from = p.LSN + 1
		}
		if err := s.seek(ctx, from-1); err != nil {
			return nil, 0, err
		}
	}
	items, err = s.take(ctx, x.To, func(it *core.Item, n, bytes int) (bool, bool) {
		return true, n+1 < x.N && bytes < shipmentBytesMax
	})
	return items, from, err
}

// has reports whether the peer has everything up to a place that it would be given.
func (s *supply) has(x *core.Effect, p *place) bool {
	self := s.e.seated(s.e.site)
	for _, m := range p.Marks {
		if (x.Relay || m.ID == self.Number) && x.Has.Get(m.Origin) < m.Seq {
			return false
		}
	}
	return true
}

// gap reads the records of one origin, from the place before the first of them.
func (s *supply) gap(ctx context.Context, x *core.Effect) ([]core.Item, error) {
	bounds := s.e.env.Log.Bounds()
	p, err := before(s.e.env.Store, bounds.End, func(p *place) bool { return vectorOf(p.Marks).Get(x.Origin) < x.First })
	if err != nil {
		return nil, err
	}
	g := supply{e: s.e, at: p.Position}
	items, err := g.take(ctx, bounds.End, func(it *core.Item, _, bytes int) (bool, bool) {
		mine := it.Dot.Origin == x.Origin && it.Dot.Seq >= x.First && it.Dot.Seq <= x.Last
		return mine, !(mine && it.Dot.Seq == x.Last) && bytes < shipmentBytesMax
	})
	if err == nil && (len(items) == 0 || items[0].Dot.Seq != x.First) {
		// A snapshot brought them, and no record of theirs stands here.
		err = fmt.Errorf("%w: record %d of %v", topology.ErrCompacted, x.First, x.Origin)
	}
	return items, err
}

// seek goes to lsn: to the last place kept before it, and on entry by entry.
func (s *supply) seek(ctx context.Context, lsn record.LSN) error {
	p, err := before(s.e.env.Store, lsn, func(*place) bool { return true })
	if err != nil {
		return err
	}
	s.at = p.Position
	_, err = s.take(ctx, lsn, func(*core.Item, int, int) (bool, bool) { return false, true })
	return err
}

// take moves on up to lsn at most, and returns the items that pick wants, until it says
// that this was enough.
func (s *supply) take(ctx context.Context, lsn record.LSN, pick func(it *core.Item, n, bytes int) (want, more bool)) (items []core.Item, err error) {
	if s.at.LSN >= lsn {
		return nil, nil
	}
	if first := s.e.env.Log.Bounds().First; s.at.LSN+1 < first {
		return nil, fmt.Errorf("%w: entry %d, the log begins at %d", topology.ErrCompacted, s.at.LSN+1, first)
	}
	bytes := 0
	for e, err := range s.e.env.Log.Read(ctx, s.at.LSN+1) {
		if err != nil {
			return items, err
		}
		if e.LSN > lsn {
			break
		}
		it, err := s.at.Add(e)
		if err != nil {
			return items, err
		}
		want, more := pick(&it, len(items), bytes+len(e.Bytes))
		if want {
			items, bytes = append(items, it), bytes+len(e.Bytes)
		}
		if !more {
			break
		}
	}
	return items, nil
}

// placeAt returns where the site's log stands at lsn, which is committed,
// and what it comes to of a snapshot of another site and of the roster.
func (e *engine) placeAt(lsn record.LSN) (p place, in core.Incoming, seats core.Assembly, err error) {
	view, err := e.env.Store.Snapshot()
	if err != nil {
		return p, in, seats, err
	}
	p, err = readPlace(view, cellAt())
	here, aerr := readArriving(view)
	in = here.Incoming
	seats, serr := readAssembly(view)
	if err = errors.Join(err, aerr, serr, view.Close()); err != nil || p.LSN >= lsn {
		return p, in, seats, err
	}
	for ent, err := range e.env.Log.Read(context.Background(), p.LSN+1) {
		if err != nil {
			return p, in, seats, err
		}
		if ent.LSN > lsn {
			break
		}
		r, err := ent.Record()
		if err != nil {
			return p, in, seats, fmt.Errorf("entry %d: %w", ent.LSN, err)
		}
		in, _, err = in.Add(ent.LSN, &r)
		if err == nil {
			seats, _, err = seats.Add(&r)
		}
		if err != nil {
			return p, in, seats, fmt.Errorf("entry %d: %w", ent.LSN, err)
		}
		if o, ok, err := core.NotedOrigin(&r); err != nil {
			return p, in, seats, err
		} else if ok {
			p.own = o
		}
		if _, err := p.AddRecord(ent, &r); err != nil {
			return p, in, seats, err
		}
	}
	if p.LSN != lsn {
		return p, in, seats, fmt.Errorf("%w: the log ends at %d, entry %d is committed", topology.ErrMalformed, p.LSN, lsn)
	}
	return p, in, seats, nil
}

// Retain implements the root's Retainer: what the group needs, and what peers may lack
// within their budget of bytes.
func (e *engine) Retain(flushed record.LSN) record.LSN {
	keep := min(flushed+1, e.group.Retain(flushed))
	end := e.env.Log.Bounds().End
	need := record.LSN(1)
	if n, ok := e.stats.needs(e); ok {
		need = n
	}
	if k, ok := e.links.keeps(); ok { // who takes a snapshot goes on from there, or takes another
		keep = min(keep, k)
	}
	need = max(need, e.env.Log.Bounds().First)
	if need >= keep {
		return keep
	}
	at := e.env.Log.Offset(end)
	return need + record.LSN(sort.Search(int(keep-need), func(i int) bool {
		return at-e.env.Log.Offset(need+record.LSN(i)-1) <= e.o.RetainBytesMax
	}))
}
