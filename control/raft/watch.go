package raft

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/triad-kv/triad/topology"
)

// watch keeps what a client knows fresh: one question is always open at some voter,
// and is answered when there is news. A voter that has lost its leader says so, and
// the next one is asked.
func (c *Control) watch(ctx context.Context) {
	for ctx.Err() == nil {
		electors := electing{c}.voters()
		c.mu.Lock()
		to := c.hints.last
		if to == "" {
			c.hints.next++
			to = electors[c.hints.next%len(electors)]
		}
		c.mu.Unlock()
		err := reaching{c}.news(ctx, to)
		if err == nil {
			c.trouble("")
			continue
		}
		if errors.Is(err, topology.ErrDenied) {
			c.trouble(err.Error())
		}
		reaching{c}.lost(to)
		pause(ctx, c.timing.pause)
	}
}

// news asks a voter for what is newer than what is known here, and learns it.
func (c reaching) news(ctx context.Context, to topology.NodeID) error {
	ctx, cancel := context.WithTimeout(ctx, c.timing.watch+c.timing.attempt)
	defer cancel()
	a, err := c.put(ctx, to, methodWatch, question{have: c.known.versions()})
	if err != nil {
		return err
	}
	c.heard(to)
	for _, d := range a.documents {
		c.known.learn(d)
	}
	return nil
}

// listener is a voter that follows another one.
type listener struct{ *seat }

// listen keeps a question for news open at the voter that leads, where that is another
// one. raft tells its followers what is committed with the next entry, or up to two
// commit time-outs later (replicate in its replication.go), and whoever is to lead the
// data begins only once he knows of it.
func (s listener) listen(ctx context.Context) {
	changes := make(chan raft.Observation, 1) // one that waits stands for all
	o := raft.NewObserver(changes, false, func(o *raft.Observation) bool {
		_, ok := o.Data.(raft.LeaderObservation)
		return ok
	})
	s.raft.RegisterObserver(o)
	defer s.raft.DeregisterObserver(o)
	for ctx.Err() == nil {
		to := s.leader()
		if to == "" || to == s.control.env.Self {
			select {
			case <-changes:
			case <-ctx.Done():
			}
			continue
		}
		asking, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- reaching{s.control}.news(asking, to) }()
		var err error
		select {
		case err = <-done:
		case <-changes:
			cancel()
			<-done
		case <-ctx.Done():
			<-done
		}
		cancel()
		if err != nil {
			pause(ctx, s.control.timing.pause)
		}
	}
}

// tell answers a question for news: at once if there are any, or when there are, or
// with none after a while.
func (s *seat) tell(ctx context.Context, have []topology.Document) (answer, error) {
	t := time.NewTimer(s.control.timing.watch)
	defer t.Stop()
	for {
		if s.leader() == "" {
			return answer{}, fail("watch", topology.NotApplied, fmt.Errorf("this voter knows no leader: %w", topology.ErrUnavailable))
		}
		newer, news := s.control.known.newer(have)
		if len(newer) > 0 {
			return answer{documents: newer}, nil
		}
		select {
		case <-news:
		case <-t.C:
			return answer{}, nil
		case <-s.lines.done:
			return answer{}, fail("watch", topology.NotApplied, fmt.Errorf("this voter has ended: %w", topology.ErrUnavailable))
		case <-ctx.Done():
			return answer{}, fail("watch", topology.NotApplied, fmt.Errorf("%w: %w", topology.ErrTimeout, ctx.Err()))
		}
	}
}
