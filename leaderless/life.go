package leaderless

import (
	"context"
	"fmt"
	"github.com/triad-kv/triad/leaderless/placement"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/triad-kv/triad/leaderless/core"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// life is under which incarnation a node writes, and whether it may vote (C1, L6a): what
// it keeps beside its log. A directory that is new may be that of a node which has lost
// its own, with writes that were acknowledged by it. So it votes on nothing until it
// holds what N−W+1 others hold; or until every other member has said that it has never
// met another directory of this node, which then has nothing to have forgotten. All of
// them: of those who knew, one has not lost its own as long as fewer than W have.
//
// The document is an array of six:
//
//	0  format       uint, 2
//	1  fingerprint  uint, of the map
//	2  incarnation  uint
//	3  votes        bool
//	4  unborn       bool: it has never voted, and nobody is known to have met it before
//	5  met          array of 2n: node; life of its directory. A node may be there more than once
type life struct {
	e *engine

	mu          sync.Mutex // guards what follows; a leaf, but for the disk
	fresh       bool       // there is no document yet
	incarnation uint32
	votes       bool
	unborn      bool
	met         []meeting
	progress    string        // of catching up, in words
	news        chan struct{} // a new incarnation has begun
}

// meeting is that a node was met with a directory.
type meeting struct {
	node topology.NodeID
	life uint64
}

const (
	lifeDocument = "leaderless"
	lifeFormat   = 2 // 1 had a fingerprint of the members too
	lifeFields   = 6
	meetingsMax  = 1 << 12
	// epoch is when incarnations begin to be counted, in seconds: 2024-01-01.
	epoch      = 1704067200
	lifeRetry  = 100 * time.Millisecond
	methodMet  = "leaderless.met"
	metTimeout = 2 * time.Second
)

// openLife reads the document.
func openLife(e *engine) (*life, error) {
	l := &life{e: e, news: make(chan struct{}, 1)}
	b, err := e.env.Stable.Load(lifeDocument)
	if err != nil {
		return nil, err
	}
	if b == nil {
		l.fresh, l.unborn = true, true
		l.incarnation = uint32(min(max(1, e.env.Clock.Wall().Unix()-epoch), math.MaxUint32))
		return l, nil
	}
	r := pack.NewReader(b)
	r.ArrayOf(lifeFields)
	f := r.Uint()
	if r.Err() == nil && f != lifeFormat && f != lifeFormat-1 {
		return nil, fmt.Errorf("the document %s has format %d, this version knows %d: %w", lifeDocument, f, lifeFormat, topology.ErrUnsupported)
	}
	print := r.Uint()
	l.incarnation, l.votes, l.unborn = uint32(r.UintMax(math.MaxUint32)), r.Bool(), r.Bool()
	for n := r.ArrayMax(2 * meetingsMax); n > 1 && r.Err() == nil; n -= 2 {
		l.met = append(l.met, meeting{topology.NodeID(r.StrMax(64)), r.Uint()})
	}
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("the document %s: %w: %w", lifeDocument, topology.ErrMalformed, err)
	}
	switch {
	case f == lifeFormat && print != placement.Fingerprint(e.place):
		return nil, fmt.Errorf("%w: this directory belongs to a cluster with another number of partitions, which stays as it was at the first start", topology.ErrConflict)
	case f < lifeFormat && print != placement.FoundingPrint(e.place.Current()):
		return nil, fmt.Errorf("%w: this directory belongs to a cluster of other members, or with other numbers of replicas or partitions: start once with those of before", topology.ErrConflict)
	}
	return l, nil
}

// save writes the document, with mu held.
func (l *life) save() error {
	w := pack.NewWriter(nil)
	w.Array(lifeFields)
	w.Uint(lifeFormat)
	w.Uint(placement.Fingerprint(l.e.place))
	w.Uint(uint64(l.incarnation))
	w.Bool(l.votes)
	w.Bool(l.unborn)
	w.Array(2 * len(l.met))
	for _, m := range l.met {
		w.Str(string(m.node))
		w.Uint(m.life)
	}
	if err := l.e.env.Stable.Save(lifeDocument, w.Bytes()); err != nil {
		return fmt.Errorf("the document %s: %w", lifeDocument, err)
	}
	return nil
}

// begin makes a new directory's incarnation durable before anything is written. Who has
// founded the cluster, or is alone in it, has forgotten nothing.
func (l *life) begin(founded bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.fresh {
		return nil
	}
	l.votes = founded || len(l.e.others()) == 0
	l.unborn = !l.votes
	l.fresh = false
	return l.save()
}

// incarnate begins another life: others know writes of this one that this node does not.
func (l *life) incarnate() (uint32, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.incarnation = max(l.incarnation+1, uint32(min(max(1, l.e.env.Clock.Wall().Unix()-epoch), math.MaxUint32)))
	l.votes, l.unborn = false, false
	if err := l.save(); err != nil {
		return 0, err
	}
	select {
	case l.news <- struct{}{}:
	default:
	}
	return l.incarnation, nil
}

// meet notes, durably, with which directory a node was met, before anything is taken
// from it.
func (l *life) meet(node topology.NodeID, life uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.Contains(l.met, meeting{node, life}) {
		return nil
	}
	if len(l.met) >= meetingsMax {
		return fmt.Errorf("%w: %d directories of others were met", topology.ErrOverloaded, len(l.met))
	}
	l.met = append(l.met, meeting{node, life})
	if err := l.save(); err != nil {
		l.met = l.met[:len(l.met)-1]
		return err
	}
	return nil
}

// voting reports whether this node votes, and else how far it is.
func (l *life) voting() (bool, string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.votes, l.progress
}

func (l *life) say(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.progress = fmt.Sprintf(format, args...)
}

// serveMet answers a node that asks whether it was ever met with another directory than
// the one it has now: an array of one, a bool.
func (l *life) serveMet(_ context.Context, from topology.Peer, _ []byte) ([]byte, error) {
	if err := l.meet(from.ID, from.Life); err != nil {
		return nil, l.e.errorOf("met", topology.NotApplied, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	before := slices.ContainsFunc(l.met, func(m meeting) bool { return m.node == from.ID && m.life != from.Life })
	w := pack.NewWriter(nil)
	w.Array(1)
	w.Bool(before)
	return w.Bytes(), nil
}

// run sees to it that this node may vote.
func (l *life) run(ctx context.Context) error {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-l.news:
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
		if votes, _ := l.voting(); votes {
			continue
		}
		err := l.settle(ctx)
		if err != nil && ctx.Err() == nil {
			l.say("it does not vote yet: %v", err)
		}
		t.Reset(lifeRetry)
	}
}

// settle makes one attempt.
func (l *life) settle(ctx context.Context) error {
	l.mu.Lock()
	unborn := l.unborn
	l.mu.Unlock()
	if unborn {
		met, err := l.askMet(ctx)
		if err == nil && !met {
			return l.vote("no other member has met another directory of this node")
		}
		if err == nil {
			l.mu.Lock()
			l.unborn = false
			err = l.save()
			l.mu.Unlock()
			l.e.log.Warn("this node has had another directory before: it votes on nothing until it holds what others hold")
		}
		if err != nil {
			l.say("it does not vote yet: %v", err)
		}
	}
	if err := (&filling{e: l.e}).fill(ctx); err != nil {
		return err
	}
	l.e.stats.fills.Add(1)
	return l.vote("it holds what enough others hold")
}

// vote makes this node one that votes.
func (l *life) vote(why string) error {
	l.mu.Lock()
	l.votes, l.unborn, l.progress = true, false, ""
	err := l.save()
	l.mu.Unlock()
	if err != nil {
		l.e.fail(err)
		return err
	}
	l.e.log.Info("this node votes", "why", why)
	return l.e.loop.call(func() {
		l.e.loop.step(core.Event{Kind: core.EvCaughtUp})
		l.e.loop.publish()
	})
}

// askMet asks all other members whether they have met this node with another directory.
// An error says that not all have answered.
func (l *life) askMet(ctx context.Context) (met bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, metTimeout)
	defer cancel()
	for _, p := range l.e.others() {
		b, err := l.e.env.Transport.Call(ctx, p.id, methodMet, nil)
		if err != nil {
			return false, fmt.Errorf("a new directory votes once every other member has been asked about it: %s: %w", p.id, err)
		}
		r := pack.NewReader(b)
		r.ArrayOf(1)
		met = r.Bool() || met
		if err := r.Done(); err != nil {
			return false, fmt.Errorf("%s: %w: %w", p.id, topology.ErrMalformed, err)
		}
	}
	return met, nil
}
