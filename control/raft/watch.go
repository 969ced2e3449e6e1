package raft

import (
	"context"
	"errors"
	"fmt"
	"time"

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
		within, cancel := context.WithTimeout(ctx, c.timing.watch+c.timing.attempt)
		a, err := reaching{c}.put(within, to, methodWatch, question{have: c.known.versions()})
		cancel()
		if err == nil {
			c.trouble("")
			reaching{c}.heard(to)
			for _, d := range a.documents {
				c.known.learn(d)
			}
			continue
		}
		if errors.Is(err, topology.ErrDenied) {
			c.trouble(err.Error())
		}
		reaching{c}.lost(to)
		pause(ctx, c.timing.pause)
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
