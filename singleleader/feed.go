package singleleader

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// A follower feeds those that ask it to (S13): what it sends is its own log, as far as
// that is durable, in the term that it obeys.
const (
	methodFeed = "group.feed" // feed me
	methodFed  = "group.fed"  // another one feeds me
)

// FeedsMax is how many others a follower feeds at once.
const FeedsMax = 64

// feeds is who asked this node to be fed by it.
type feeds struct {
	r     *reign
	mu    sync.Mutex
	asked map[topology.NodeID]bool
}

// feed is what a ship knows beside the stream of how its member is fed.
type feed struct {
	passes    bool          // the log of another leader; else of this node's term
	asked     chan struct{} // the member wants to be fed by this node, now
	over      atomic.Bool   // it has not asked for long, and is forgotten
	elsewhere atomic.Pointer[elsewhere]
}

// elsewhere is what a member has said of itself that another node than its leader feeds.
type elsewhere struct {
	by      topology.NodeID
	at      time.Time
	written record.LSN
	flushed record.LSN
	applied record.LSN
}

// feedEvery is how often a member tells its leader that another node feeds it, and
// feedFresh how long that holds.
const (
	feedEvery = time.Second
	feedFresh = 4 * feedEvery
)

func (x *elsewhere) fresh() bool { return time.Since(x.at) < feedFresh }

// tell puts it into the status of the member.
func (x *elsewhere) tell(p *topology.PeerStatus) {
	p.State, p.Problem, p.Upstream, p.Contact = topology.StateCascade, "", x.by, x.at
	p.Written, p.Flushed, p.Applied = x.written, x.flushed, x.applied
}

// asks reports whether a member has asked to be fed, and was not forgotten since.
func (f *feeds) asks(id topology.NodeID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[id]
}

// names are those that asked.
func (f *feeds) names() []topology.NodeID {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.asked))
}

// add remembers that a member has asked.
func (f *feeds) add(id topology.NodeID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.asked[id] && len(f.asked) >= FeedsMax {
		return fmt.Errorf("%w: %s feeds %d others already", topology.ErrOverloaded, f.r.e.env.Self, FeedsMax)
	}
	f.asked[id] = true
	return nil
}

// drop forgets a member.
func (f *feeds) drop(id topology.NodeID) {
	f.mu.Lock()
	delete(f.asked, id)
	f.mu.Unlock()
	f.r.changed()
}

// wake tells those that are fed that more is durable here.
func (f *feeds) wake() {
	for _, s := range *f.r.ships.Load() {
		if s.passes {
			s.sender.Wake()
		}
	}
}

// answerFeed begins to feed a member, or has the leader's stream to it begin.
func (f *feeds) answerFeed(_ context.Context, from topology.Peer, req []byte) ([]byte, error) {
	rd := pack.NewReader(req)
	w := core.Wish{Node: from.ID, Term: rd.Uint(), Last: stream.Place{Term: rd.Uint(), LSN: record.LSN(rd.Uint())}}
	if err := rd.Done(); err != nil {
		return nil, fmt.Errorf("%w: %w", topology.ErrMalformed, err)
	}
	e := f.r.e
	if e.seats.removed() {
		return nil, fmt.Errorf("%w: %w", topology.ErrConflict, errRemoved)
	}
	var err error
	var leads bool
	e.turn.call(func() {
		_, err = core.Feeds(&e.core, e.group.Load(), w)
		leads = e.core.Role == core.Leader
	})
	if err == nil && !leads {
		err = f.add(from.ID)
	}
	if err != nil {
		return nil, err
	}
	for _, s := range *f.r.ships.Load() {
		if s.to == from.ID {
			s.elsewhere.Store(nil)
			nudge(s.asked)
		}
	}
	f.r.changed()
	return nil, nil
}

// answerFed notes that another node feeds a member, and how far that one is.
func (f *feeds) answerFed(_ context.Context, from topology.Peer, req []byte) ([]byte, error) {
	rd := pack.NewReader(req)
	x := &elsewhere{by: topology.NodeID(rd.Str()), at: time.Now(), written: record.LSN(rd.Uint()), flushed: record.LSN(rd.Uint()), applied: record.LSN(rd.Uint())}
	if err := rd.Done(); err != nil || !x.by.Valid() {
		return nil, fmt.Errorf("%w: who feeds %s: %q: %w", topology.ErrMalformed, from.ID, x.by, err)
	}
	if !f.r.e.leads.Load() {
		return nil, f.r.e.notLeader("feed", topology.NotApplied)
	}
	for _, s := range *f.r.ships.Load() {
		if s.to == from.ID {
			s.elsewhere.Store(x)
		}
	}
	return nil, nil
}

// rest waits before the next connection. It is false where there is to be none.
func (s *ship) rest(ctx context.Context, e *engine, pause time.Duration) bool {
	if s.passes {
		pause = e.o.snapshotHold() // it asks again if it wants more; what it needs is kept so long
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	for {
		select {
		case <-s.asked:
			return true
		case <-t.C:
			if s.passes {
				s.over.Store(true)
				e.reign.feeds.drop(s.to)
				return false
			}
			if x := s.elsewhere.Load(); x == nil || !x.fresh() {
				return true
			}
			t.Reset(pause)
		case <-ctx.Done():
			return false
		}
	}
}

// configure makes a sender one of a follower.
func (f *feeds) configure(c *stream.SenderConfig) {
	e := f.r.e
	log := durable{e.env.Log}
	c.Log = log
	c.Riding = func() stream.Riding {
		r := stream.Riding{Commit: record.LSN(f.r.commit.Load()), Time: e.env.Clock.Last()}
		e.sinks.heard.passOn(&r)
		return r
	}
	c.Last = func() stream.Place {
		end := log.Bounds().End
		term, _ := log.History().TermAt(end)
		return stream.Place{Term: term, LSN: end}
	}
	c.Await = log.await
}

// passOn adds what the leader last said, and how long ago.
func (h *heard) passOn(r *stream.Riding) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r.End, r.Behind, r.Age = h.end, h.behind, max(time.Since(h.when), 1)
}

// durable is a log as far as it is durable.
type durable struct{ topology.GroupLog }

// Bounds implements topology.Bounded.
func (d durable) Bounds() topology.Bounds {
	b := d.GroupLog.Bounds()
	b.End = b.Flushed
	return b
}

// Read implements topology.Log.
func (d durable) Read(ctx context.Context, from record.LSN) iter.Seq2[record.Entry, error] {
	end := d.Bounds().End
	return func(yield func(record.Entry, error) bool) {
		for e, err := range d.GroupLog.Read(ctx, from) {
			if err == nil && e.LSN > end || !yield(e, err) {
				return
			}
		}
	}
}

// await returns once the log can tell where it parts from one that ends at last.
func (d durable) await(ctx context.Context, last stream.Place) error {
	for {
		end := d.Bounds().End
		term, _ := d.History().TermAt(end)
		to := core.Ahead(last, end, term)
		if to == 0 {
			return nil
		}
		if err := d.Wait(ctx, end); err != nil {
			return err
		}
		if err := d.Flushed(ctx, d.GroupLog.Bounds().End); err != nil {
			return err
		}
	}
}

// snapshotHold is how long what a receiver needs is kept for it while it is away.
func (o Options) snapshotHold() time.Duration {
	if o.Stream.SnapshotHold > 0 {
		return o.Stream.SnapshotHold
	}
	return stream.HoldDefault
}
