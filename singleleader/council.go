package singleleader

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// council is a node's part in a group whose nodes agree through their control upon
// who leads and who is in sync (S1): it follows the group's document, obeys or
// starts its terms, stands for election when the leader falls silent, and, where
// its node leads, keeps the in-sync set.
type council struct {
	e      *engine
	self   core.Counted
	began  time.Time
	looks  chan struct{} // asks run to look again
	counts chan struct{} // asks keep to
	tenure *tenure

	resigned atomic.Bool  // this node is about to end, and stands no more
	awake    atomic.Int64 // since when this node has not stood still itself, after began

	mu      sync.Mutex // guards what follows; never held across a wait
	keeper  core.Keeper
	loaded  bool      // the control has answered once
	learned time.Time // when the newest term was
	changes core.Changes
	thin    time.Time // since when commits go on with fewer in sync than the policy names; zero: they do not
	gone    uint64    // the term whose leader's process is known to have ended
	rests   time.Time // no attempt before
}

func newCouncil(e *engine) *council {
	return &council{
		e: e, self: core.Counted{Node: e.env.Self, Life: e.env.Life},
		looks: make(chan struct{}, 1), counts: make(chan struct{}, 1), tenure: newTenure(e),
	}
}

// nudge wakes whoever takes from c. It never blocks.
func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run follows the document, and stands for election when that is due.
func (c *council) run(ctx context.Context) error {
	c.began = time.Now()
	t := time.NewTimer(0)
	defer t.Stop()
	var told string
	for {
		d, stale := c.e.env.Control.Latest(topology.DocumentGroup)
		err := c.learn(ctx, d)
		wait, why, stands := c.due(time.Now())
		if err == nil && stands && wait <= 0 {
			err = c.stand(ctx, why, false)
			c.rest()
			wait = c.e.o.RetryEvery
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && err.Error() != told {
			told = err.Error()
			c.e.log.Warn("this node could not take its part in the group", "reason", err)
		}
		if err != nil || !stands || wait > c.e.o.RetryEvery {
			wait = c.e.o.RetryEvery
		}
		t.Reset(wait)
		planned := time.Now().Add(wait)
		var look bool
		select {
		case <-t.C:
		case <-stale:
		case <-c.looks:
			look = true
		case <-ctx.Done():
			return nil
		}
		if now := time.Now(); now.Sub(planned) > c.e.o.FailAfter/stoodStill {
			c.awake.Store(int64(now.Sub(c.began)))
		}
		if look {
			c.probe(ctx)
		}
	}
}

// stoodStill is the part of FailAfter by which a node that is late knows that it has stood
// still: stopped, starved of the processor, or on a machine that was.
const stoodStill = 4

// rest keeps the next attempt from following at once.
func (c *council) rest() {
	pause := c.e.o.RetryEvery
	if c.e.roles.fence.Load() != nil {
		pause = max(pause, fencePause)
	}
	c.mu.Lock()
	c.rests = time.Now().Add(pause)
	c.mu.Unlock()
}

// known returns the newest document.
func (c *council) known() (g core.Group, version uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.keeper.Doc, c.keeper.Version
}

// learn takes a document from the control: its term is obeyed, or started where it
// names this node; its in-sync set is counted where this node leads.
func (c *council) learn(ctx context.Context, d topology.Document) error {
	if d.Version == 0 {
		return c.load(ctx)
	}
	if _, v := c.known(); d.Version <= v {
		return c.settle(ctx)
	}
	g, err := core.DecodeGroup(d.Body)
	if err != nil {
		return err
	}
	if g.Agreed == nil {
		return fmt.Errorf("%w: the group's document of term %d was not made by nodes that agree", topology.ErrConflict, g.Term)
	}
	c.mu.Lock()
	was := c.keeper.Doc.Term
	news := c.keeper.Learn(g, d.Version)
	if c.loaded = true; g.Term > was {
		c.learned = time.Now()
		c.changes.Note(c.learned.Sub(c.began))
	}
	switch {
	case thin(&c.keeper.Doc) == "":
		c.thin = time.Time{}
	case c.thin.IsZero():
		c.thin = time.Now()
	}
	c.mu.Unlock()
	if !news {
		return nil
	}
	c.e.seats.enrol(&g)
	if g.Term > was {
		c.steer(&g)
	}
	return c.settle(ctx)
}

// steer asks the control to be led elsewhere than the group, where it can: one death
// should not cost two elections (K3).
func (c *council) steer(g *core.Group) {
	if s, ok := c.e.env.Control.(interface{ Steer(away topology.NodeID) }); ok {
		s.Steer(g.Leader)
	}
}

// load asks the control for the document, as long as none is known.
func (c *council) load(ctx context.Context) error {
	c.mu.Lock()
	loaded := c.loaded
	c.mu.Unlock()
	if loaded {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.e.o.CallTimeout)
	defer cancel()
	d, err := c.e.env.Control.Load(ctx, topology.DocumentGroup)
	if err != nil {
		return err
	}
	if d.Version > 0 {
		return c.learn(ctx, d)
	}
	c.mu.Lock()
	c.loaded = true
	c.mu.Unlock()
	return nil
}

// settle brings this node to the term of the newest document.
func (c *council) settle(ctx context.Context) error {
	g, _ := c.known()
	var accepted, logged uint64
	var leads bool
	c.e.turn.call(func() {
		accepted, logged, leads = c.e.core.Term, c.e.core.LastTerm, c.e.core.Role == core.Leader
	})
	switch {
	case g.Term > accepted:
		return c.accept(ctx, g, max(accepted, logged))
	case g.Term < accepted:
		return nil // the leader of a newer one was here before its document
	}
	c.e.group.Store(&g)
	if leads {
		c.recount()
		nudge(c.counts)
	}
	return nil
}

// accept makes a newer term durable here, and starts it where it names this node.
func (c *council) accept(ctx context.Context, g core.Group, before uint64) error {
	// A leader that hears of another stops at once: the disk, which is to know, may hang.
	c.e.turn.post(core.Event{Kind: core.EvPledged, Term: g.Term})
	if err := c.e.sinks.gate.enter(ctx); err != nil {
		return err
	}
	err := c.e.ballot.accept(ctx, g)
	c.e.sinks.gate.leave()
	if err != nil || !g.Names(c.self, before) || c.e.resync.Load() {
		return err
	}
	_, err = c.e.ballot.start(g, nil)
	nudge(c.counts)
	return err
}

// due returns how long to wait before this node stands for election, and as what;
// false where it is not to.
func (c *council) due(now time.Time) (wait time.Duration, why core.Why, stands bool) {
	var leads bool
	var term uint64
	c.e.turn.call(func() { leads, term = c.e.core.Role == core.Leader, c.e.core.Term })
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.loaded || c.e.resync.Load() || c.e.readReplica() || c.resigned.Load() {
		return 0, 0, false
	}
	if leads {
		return c.rests.Sub(now), core.Restart, c.e.reign.outrun(term)
	}
	g := &c.keeper.Doc
	v := core.Vigil{
		FailAfter: c.e.o.FailAfter, Now: now.Sub(c.began), Awake: time.Duration(c.awake.Load()), Changes: &c.changes,
		Reigns: c.learned.Sub(c.began), MinReign: c.e.o.MinReign,
	}
	if c.keeper.Version > 0 {
		v.Gone = c.gone == g.Term
		at, met := c.e.sinks.heard.last(g.Term)
		if v.Met = met; !met {
			at = c.learned
		}
		v.Heard = at.Sub(c.began)
	}
	at, why, stands := v.Due(g, c.keeper.Version, c.self, c.e.ballot.voting())
	return max(at-v.Now, c.rests.Sub(now)), why, stands
}

// probe asks the leader whose stream has ended whether it is there. That its process
// has ended is known at once; of a silent machine nothing is.
func (c *council) probe(ctx context.Context) {
	g, version := c.known()
	if version == 0 || g.Leader == c.self.Node || c.e.sinks.follows() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.e.o.FailAfter/2)
	defer cancel()
	_, err := c.e.env.Transport.Call(ctx, g.Leader, methodPoll, nil)
	if err == nil || ctx.Err() != nil || errors.Is(err, topology.ErrTimeout) {
		return
	}
	c.mu.Lock()
	c.gone = g.Term
	c.mu.Unlock()
}
