package singleleader

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/singleleader/core"
	"github.com/triad-kv/triad/topology"
)

// intake sees to it that a read replica with upstreams is fed by one of them, or else by
// the leader (S13).
type intake struct {
	e      *engine
	began  time.Time
	looks  chan struct{}
	choice core.Upstreams // owned by run
	said   time.Time      // when the leader was last told who feeds this node
	told   string         // what was last logged
}

// restsPerPatience is for how many times its patience an upstream that did not feed this
// node is left alone.
const restsPerPatience = 10

func newIntake(e *engine) *intake {
	return &intake{e: e, looks: make(chan struct{}, 1)}
}

// run works until ctx ends; a node without upstreams has nothing to do.
func (n *intake) run(ctx context.Context) error {
	o := &n.e.o
	if len(o.Upstreams) == 0 {
		return nil
	}
	n.began = time.Now()
	n.choice = core.Upstreams{List: o.Upstreams, Patience: o.heardWithin(), Rest: restsPerPatience * o.heardWithin()}
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-n.looks:
		case <-ctx.Done():
			return nil
		}
		if err := n.look(ctx); err != nil && ctx.Err() == nil && err.Error() != n.told {
			n.told = err.Error()
			n.e.log.Warn("this node is not fed as it should be", "reason", err)
		}
		t.Reset(o.RetryEvery)
	}
}

// look asks whoever is to feed this node, unless he does.
func (n *intake) look(ctx context.Context) error {
	e := n.e
	var by, leader, to topology.NodeID
	var agreed, leads bool
	var w core.Wish
	e.turn.call(func() {
		c := &e.core
		by, agreed = core.Fed(c)
		w.Term, w.Last.Term, w.Last.LSN = c.Term, c.LastTerm, c.End
		leader, leads = c.Leader, c.Role == core.Leader
	})
	if !agreed {
		by = ""
	}
	if !leads && e.readReplica() {
		to = n.choice.Next(time.Since(n.began), core.Intake{From: by, Silent: e.sinks.silent()})
	}
	if to == leader {
		to = ""
	}
	e.turn.post(core.Event{Kind: core.EvFeeder, Node: to})
	switch asks := cmp.Or(to, leader); {
	case leads || asks == "" || asks == e.env.Self:
		return nil
	case asks != by:
		return n.ask(ctx, asks, &w)
	case to != "" && time.Since(n.said) >= feedEvery:
		n.said = time.Now()
		return n.report(ctx, leader, by)
	}
	return nil
}

// tell adds to the status of this node who feeds it.
func (n *intake) tell(s *topology.Status) {
	n.e.turn.call(func() {
		if by, agreed := core.Fed(&n.e.core); agreed && by != n.e.core.Leader {
			s.Upstream = by
		}
	})
	if len(n.e.o.Upstreams) > 0 && (s.Role == topology.RoleLeader || s.Role == topology.RoleFollower) {
		s.Warnings = append(s.Warnings, "this node has upstreams and is no read replica now: whoever may be counted is fed by the leader alone")
	}
}

// ask asks a node to feed this one.
func (n *intake) ask(ctx context.Context, whom topology.NodeID, w *core.Wish) error {
	ctx, cancel := context.WithTimeout(ctx, n.e.o.heardWithin())
	defer cancel()
	p := pack.NewWriter(nil)
	p.Uint(w.Term)
	p.Uint(w.Last.Term)
	p.Uint(uint64(w.Last.LSN))
	_, err := n.e.env.Transport.Call(ctx, whom, methodFeed, p.Bytes())
	return err
}

// report tells the leader who feeds this node. That one knows it better if it was
// replaced meanwhile.
func (n *intake) report(ctx context.Context, leader, by topology.NodeID) error {
	ctx, cancel := context.WithTimeout(ctx, n.e.o.heardWithin())
	defer cancel()
	b := n.e.env.Log.Bounds()
	p := pack.NewWriter(nil)
	p.Str(string(by))
	p.Uint(uint64(b.End))
	p.Uint(uint64(b.Flushed))
	p.Uint(uint64(n.e.applier.applied()))
	_, err := n.e.env.Transport.Call(ctx, leader, methodFed, p.Bytes())
	if errors.Is(err, topology.ErrNotLeader) {
		return nil
	}
	return err
}

// silent reports whether what this node knows of its leader is old.
func (s *sinks) silent() bool {
	s.heard.mu.Lock()
	defer s.heard.mu.Unlock()
	return s.heard.when.IsZero() || time.Since(s.heard.when) > s.e.o.heardWithin()
}
