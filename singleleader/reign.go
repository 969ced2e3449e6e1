package singleleader

import (
	"context"
	"errors"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// reign is the sending side: while this node leads, one sender for every other member;
// while it follows, one for each that asked it (S13).
type reign struct {
	e      *engine
	again  chan struct{}
	round  atomic.Uint64
	commit atomic.Uint64
	term   atomic.Uint64     // that ships are of; 0: there are none
	names  []topology.NodeID // members of the rule, leader first; owned by the turn
	ships  atomic.Pointer[[]*ship]
	feeds  *feeds

	mu   sync.Mutex
	lags lags // of the own end, for the lag of others in time
}

// ship is what a leader knows of one member.
type ship struct {
	to     topology.NodeID
	term   uint64
	sender *stream.Sender
	began  time.Time

	mu      sync.Mutex
	up      bool
	refused bool
	obeys   uint64 // the term that it obeys, where it refused ours
	life    uint64
	ack     stream.Ack
	contact time.Time
	moved   record.LSN // the newest flushed position that was seen to be new, or enough,
	movedAt time.Time  // and when
	problem string
	awaited time.Time // since when commits wait for it until it has caught up; zero: they do not
	tired   time.Time // when that was last found to be in vain

	feed
}

func newReign(e *engine) *reign {
	r := &reign{e: e, again: make(chan struct{}, 1)}
	r.feeds = &feeds{r: r, asked: map[topology.NodeID]bool{}}
	r.ships.Store(new([]*ship))
	return r
}

// changed tells the reign to look at the role again. It never blocks.
func (r *reign) changed() {
	select {
	case r.again <- struct{}{}:
	default:
	}
}

// wake tells the senders that there is something to ship or to say. It is
// called within a turn.
func (r *reign) wake() {
	r.commit.Store(uint64(r.e.core.Commit))
	for _, s := range *r.ships.Load() {
		s.sender.Wake()
	}
}

// post is for what a node sends its log: a term that it leads, or, where session is not
// 0, the stream of its leader or upstream that it passes on.
type post struct{ term, session uint64 }

// post returns what this node is to send its log for at present.
func (r *reign) post() (p post) {
	r.e.turn.call(func() {
		switch c := &r.e.core; {
		case c.Role == core.Leader:
			p = post{term: c.Term}
		case core.Path(c) != nil:
			p = post{c.Term, core.Session(c)}
		}
	})
	return p
}

// run keeps senders as long as this node leads, term after term, or feeds others.
func (r *reign) run(ctx context.Context) error {
	var muster, stop func() error
	var at post
	halt := func() error {
		if stop == nil {
			return nil
		}
		err := stop()
		muster, stop, at = nil, nil, post{}
		return err
	}
	for {
		if now := r.post(); now != at {
			if err := halt(); err != nil {
				return err
			}
			if now != (post{}) {
				muster, stop = r.start(ctx, now)
				at = now
			}
		}
		if muster != nil {
			if err := muster(); err != nil {
				return errors.Join(err, halt())
			}
		}
		select {
		case <-r.again:
		case <-ctx.Done():
			return halt()
		}
	}
}

// start returns what brings the senders of a term in line with the members, one for
// each other one, and what ends them all.
func (r *reign) start(ctx context.Context, at post) (muster, stop func() error) {
	e := r.e
	ctx, cancel := context.WithCancel(ctx)
	begin := stream.Begin{Group: e.part.name(), Term: at.term, Body: e.group.Load().Encode()}
	if at.session != 0 {
		e.turn.call(func() { begin.Path = core.Path(&e.core) })
	}
	ends := map[*ship]func() error{}
	to := func(members []topology.Member) error {
		var ships []*ship
		for _, m := range members {
			if m.ID == e.env.Self || at.session != 0 && !r.feeds.asks(m.ID) {
				continue
			}
			if i := slices.IndexFunc(*r.ships.Load(), func(s *ship) bool { return s.to == m.ID && !s.over.Load() }); i >= 0 {
				ships = append(ships, (*r.ships.Load())[i])
				continue
			}
			s := r.ship(m.ID, at.term, begin)
			ships, ends[s] = append(ships, s), s.begin(ctx, e)
		}
		gone := slices.DeleteFunc(slices.Clone(*r.ships.Load()), func(s *ship) bool { return slices.Contains(ships, s) })
		r.ships.Store(&ships)
		r.term.Store(at.term)
		var errs []error
		for _, s := range gone {
			errs = append(errs, ends[s]())
			delete(ends, s)
		}
		return errors.Join(errs...)
	}
	muster = func() error {
		err := to(e.seats.members())
		e.turn.call(func() { r.wake() })
		return err
	}
	stop = func() error {
		cancel()
		err := to(nil)
		r.term.Store(0)
		return err
	}
	return muster, stop
}

// ship returns the sender to a member, which begin starts.
func (r *reign) ship(to topology.NodeID, term uint64, begin stream.Begin) *ship {
	e := r.e
	now := time.Now()
	s := &ship{to: to, term: term, began: now, movedAt: now}
	s.asked = make(chan struct{}, 1)
	c := stream.SenderConfig{
		Begin: begin, Log: e.env.Log, Store: e.env.Store, Limits: e.o.Stream,
		Riding: r.riding, Acked: func(a stream.Ack) { r.acked(s, a) },
	}
	if len(begin.Path) > 0 {
		s.passes = true
		r.feeds.configure(&c)
	}
	s.sender = stream.NewSender(c)
	return s
}

// begin ships until the returned function is called, which waits for the end.
func (s *ship) begin(ctx context.Context, e *engine) (end func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var wait sync.WaitGroup
	wait.Go(func() { s.run(ctx, e) })
	return func() error {
		cancel()
		wait.Wait()
		return s.sender.Close()
	}
}

// riding is what goes with a batch.
func (r *reign) riding() stream.Riding {
	r.mu.Lock()
	r.lags.note(r.e.env.Log.Bounds().End, time.Now())
	r.mu.Unlock()
	return stream.Riding{
		Commit: record.LSN(r.commit.Load()),
		Round:  r.round.Load(),
		Eager:  r.e.pending.eager.Load(),
		Time:   r.e.env.Clock.Last(),
	}
}

func (r *reign) acked(s *ship, a stream.Ack) {
	s.mu.Lock()
	s.ack, s.contact = a, time.Now()
	life := s.life
	s.mu.Unlock()
	if s.passes {
		return // it counts for nothing (S13)
	}
	r.e.turn.post(core.Event{Kind: core.EvAck, Node: s.to, Life: life, Ack: a})
	if c := r.e.council; c != nil && c.wants(s.to, life) {
		nudge(c.counts)
	}
}

// retryPausesMax is how many times RetryEvery the pause between two attempts to
// reach a member grows to, while it is away.
const retryPausesMax = 5

// run connects and ships until ctx ends.
func (s *ship) run(ctx context.Context, e *engine) {
	pause := e.o.RetryEvery
	for {
		st, err := e.env.Transport.Open(ctx, s.to, protocolLog)
		if err == nil {
			s.meet(e, st.Peer().Life)
			s.note(true, nil)
			pause = e.o.RetryEvery
			err = s.sender.Run(ctx, st)
		}
		if ctx.Err() != nil {
			return
		}
		if s.note(false, err) && s.elsewhere.Load() == nil {
			e.log.Warn("replication stopped", "to", s.to, "reason", err)
		}
		if obeys := s.outrun(); obeys > 0 {
			e.turn.post(core.Event{Kind: core.EvOutrun, Term: obeys})
		}
		if !s.rest(ctx, e, pause) {
			return
		}
		pause = min(2*pause, retryPausesMax*e.o.RetryEvery)
	}
}

// meet notes the directory of the member that was reached, before it is told
// anything.
func (s *ship) meet(e *engine, life uint64) {
	s.mu.Lock()
	s.life, s.ack = life, stream.Ack{}
	s.movedAt = time.Now()
	s.mu.Unlock()
	if s.passes {
		return
	}
	e.turn.call(func() {
		e.perform(&ask{}, step(e, core.Event{Kind: core.EvMeet, Node: s.to, Term: s.term, Life: life}))
	})
}

// note keeps the state of the connection, and reports whether its problem is a
// new one.
func (s *ship) note(up bool, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.problem
	s.up, s.refused = up, false
	if !up {
		s.problem = "the stream ended"
	}
	if err != nil {
		s.problem = err.Error()
		var x *stream.Refusal
		if s.refused = errors.As(err, &x); s.refused {
			s.obeys = x.Term
		}
	}
	return !up && s.problem != was
}

// status is what the leader knows of a member.
func (s *ship) status(e *engine, end record.LSN, m topology.Member, sync bool) topology.PeerStatus {
	s.mu.Lock()
	p := topology.PeerStatus{
		Node: s.to, Addr: m.Addr, State: "down", Sync: sync,
		Sent: s.sender.Sent(), Written: s.ack.Written, Flushed: s.ack.Flushed, Applied: s.ack.Applied, Contact: s.contact,
	}
	switch {
	case s.up:
		p.State = s.sender.State().String()
	case s.refused:
		p.State, p.Problem = "refused", s.problem
	default:
		p.Problem = s.problem
	}
	if x := s.elsewhere.Load(); x != nil && !s.up && x.fresh() {
		x.tell(&p)
	}
	s.mu.Unlock()
	if end > p.Applied {
		p.Lag.Records = uint64(end - p.Applied)
		p.Lag.Bytes = e.env.Log.Offset(end) - e.env.Log.Offset(p.Applied)
		e.reign.mu.Lock()
		p.Lag.Time = e.reign.lags.behind(p.Applied, time.Now())
		e.reign.mu.Unlock()
	}
	return p
}

// needs returns the first LSN a member within the budget of bytes still needs, end+1
// if none needs any; of what others lack in an asynchronous group, as much as fits.
func (r *reign) needs(end record.LSN, bytesMax uint64) record.LSN {
	need, lacks := end+1, end+1
	at := r.e.env.Log.Offset(end)
	for _, s := range *r.ships.Load() {
		n := s.sender.Needs()
		if n > 0 && n < need && at-r.e.env.Log.Offset(n-1) <= bytesMax {
			need = n
		}
		lacks = min(lacks, n)
	}
	if r.e.o.Sync.Kind == quorum.KindAsync {
		need = min(need, max(lacks, r.within(end, bytesMax)))
	}
	return need
}

// within returns the first entry from which on the log has at most so many bytes. Of
// what was acknowledged in an asynchronous group, and a member lacks, that much stays,
// however far behind it is: one that is made leader by force makes it lost, and then it
// is to be kept aside (C10).
func (r *reign) within(end record.LSN, bytesMax uint64) record.LSN {
	b, at := r.e.env.Log.Bounds(), r.e.env.Log.Offset(end)
	n := sort.Search(int(end+1-min(b.First, end+1)), func(i int) bool {
		return at-r.e.env.Log.Offset(b.First+record.LSN(i)-1) <= bytesMax
	})
	return b.First + record.LSN(n)
}

// peers returns the status of every other member, by name.
func (r *reign) peers(end record.LSN, members []topology.NodeID) []topology.PeerStatus {
	view, _ := r.e.env.Membership.View()
	var out []topology.PeerStatus
	for _, s := range *r.ships.Load() {
		m, _ := view.Find(s.to)
		out = append(out, s.status(r.e, end, m, slices.Contains(members, s.to)))
	}
	slices.SortFunc(out, func(a, b topology.PeerStatus) int { return strings.Compare(string(a.Node), string(b.Node)) })
	return out
}

// outrun reports whether members that this leader of term ships to obey it no more,
// although there is no other: an election has come to nothing.
func (r *reign) outrun(term uint64) bool {
	return slices.ContainsFunc(*r.ships.Load(), func(s *ship) bool { return s.term == term && s.outrun() > 0 })
}

// outrun returns the newer term that the member obeys, 0 where none is known of.
func (s *ship) outrun() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused && s.obeys > s.term {
		return s.obeys
	}
	return 0
}
