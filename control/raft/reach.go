package raft

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/triad-kv/triad/topology"
)

// finals are the grounds of answers that asking again does not change.
var finals = []error{
	topology.ErrConflict, topology.ErrTooLarge, topology.ErrMalformed, topology.ErrDenied, topology.ErrUnsupported,
}

// reaching is a Control that asks voters.
type reaching struct{ *Control }

// reach asks who leads the voters, again and again until there is an answer or ctx
// ends. A change asked for again has the same number, so it takes place once; if one
// of the attempts may have arrived and none was answered, the outcome is Unknown.
func (c reaching) reach(ctx context.Context, method string, q question) (answer, error) {
	var maybe bool
	var last error
	for hops := 0; ; {
		if err := ctx.Err(); err != nil {
			return answer{}, c.inVain(method, maybe, last, err)
		}
		to := c.target()
		err := errNobody
		if to != "" {
			var a answer
			attempt, cancel := context.WithTimeout(ctx, c.timing.attempt)
			a, err = c.put(attempt, to, method, q)
			cancel()
			if err == nil {
				c.heard(to)
				return a, nil
			}
		}
		var e *topology.Error
		switch {
		case errors.As(err, &e) && errors.Is(err, topology.ErrNotLeader) && e.Leader != "" && e.Leader != to && hops < HopsMax:
			hops++
			c.heard(e.Leader)
			continue
		case slices.ContainsFunc(finals, func(f error) bool { return errors.Is(err, f) }):
			if maybe && e != nil {
				return answer{}, fail(e.Op, topology.Unknown, err)
			}
			return answer{}, err
		case to != "" && topology.OutcomeOf(err) == topology.Unknown:
			maybe = true
		}
		last, hops = err, 0
		c.lost(to)
		select {
		case <-c.done:
			return answer{}, fail(method, outcomeOf(maybe), fmt.Errorf("this node's control backend has ended: %w", topology.ErrClosed))
		default:
		}
		c.rest(ctx)
	}
}

var errNobody = fail("control", topology.NotApplied, fmt.Errorf("no leader of the voters is known: %w", topology.ErrUnavailable))

func outcomeOf(maybe bool) topology.Outcome {
	if maybe {
		return topology.Unknown
	}
	return topology.NotApplied
}

// inVain is the error of who has asked until his time was over.
func (c reaching) inVain(method string, maybe bool, last, err error) error {
	err = fmt.Errorf("%w: %w", topology.ErrTimeout, err)
	if last != nil {
		err = fmt.Errorf("%w; the last attempt: %w", err, last)
	}
	return fail(method, outcomeOf(maybe), err)
}

// rest waits between two attempts.
func (c reaching) rest(ctx context.Context) {
	t := time.NewTimer(c.timing.pause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.done:
	case <-ctx.Done():
	}
}

// target returns whom to ask: who leads, as far as this node's voter knows; who
// answered last; else one voter after another. Empty: nobody.
func (c reaching) target() topology.NodeID {
	c.mu.Lock()
	s, hint := c.seat, c.hints.last
	c.hints.next++
	next := c.hints.next
	c.mu.Unlock()
	electors := electing(c).voters()
	turn := electors[next%len(electors)]
	if s != nil {
		if leader := s.leader(); leader != "" {
			return leader
		}
	}
	switch {
	case hint != "" && hint != c.env.Self:
		return hint
	case turn == c.env.Self:
		return ""
	}
	return turn
}

// heard remembers who answers.
func (c reaching) heard(from topology.NodeID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hints.last = from
}

// lost forgets who does not answer.
func (c reaching) lost(to topology.NodeID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hints.last == to {
		c.hints.last = ""
	}
}

// put asks one voter once; this node's own without a detour.
func (c reaching) put(ctx context.Context, to topology.NodeID, method string, q question) (answer, error) {
	c.mu.Lock()
	q.group = c.founding.group
	c.mu.Unlock()
	q.voters = c.options.Voters
	if to == c.env.Self {
		return c.reply(ctx, c.self, method, q)
	}
	b, err := c.env.Transport.Call(ctx, to, method, encodeQuestion(q))
	if err != nil {
		return answer{}, err
	}
	a, err := decodeReply(b)
	if err != nil {
		return answer{}, fail(method, topology.Unknown, fmt.Errorf("the answer of %s: %w: %w", to, topology.ErrUnavailable, err))
	}
	if c.disk == nil && a.group != q.group {
		// The first group that a client meets is its group for good, as its documents
		// say what another group's need not know.
		if err := founder(c).join(founding{group: a.group}); err != nil {
			return answer{}, fail(method, topology.Unknown, err)
		}
	}
	return a, nil
}

// caller returns how raft's messages are sent: within a time, and while ctx lasts.
func (c reaching) caller(ctx context.Context) func(topology.NodeID, string, []byte, time.Duration) ([]byte, error) {
	return func(to topology.NodeID, method string, req []byte, within time.Duration) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		return c.env.Transport.Call(ctx, to, method, req)
	}
}

// hear answers a call of another node.
func (c *Control) hear(ctx context.Context, from topology.Peer, method string, req []byte) ([]byte, error) {
	q, err := decodeQuestion(req)
	if err != nil {
		return nil, fail(method, topology.NotApplied, fmt.Errorf("a question of %s: %w", from.ID, err))
	}
	a, err := c.reply(ctx, server{from.ID, from.Life}, method, q)
	if err != nil {
		return nil, err
	}
	return encodeReply(a), nil
}

// reply answers a question.
func (c *Control) reply(ctx context.Context, from server, method string, q question) (answer, error) {
	c.mu.Lock()
	group, s := c.founding.group, c.seat
	c.mu.Unlock()
	err := electing{c}.agrees(from, q, group)
	switch {
	case err != nil:
		return answer{}, fail(method, topology.NotApplied, err)
	case q.group != "" && group != "" && q.group != group:
		return answer{}, fail(method, topology.NotApplied, fmt.Errorf("%s belongs to the voters that %s founded, and %s to those of %s: %w",
			from.node, q.group, c.env.Self, group, topology.ErrDenied))
	case method == methodHello:
		return founder{c}.hello(), nil
	case s == nil:
		return answer{}, fail(method, topology.NotApplied, fmt.Errorf("no voter runs at %s: %w", c.env.Self, topology.ErrUnavailable))
	}
	a, err := s.reply(ctx, from, method, q)
	a.group = group
	return a, err
}

// reply answers a question to a voter that runs.
func (s *seat) reply(ctx context.Context, from server, method string, q question) (answer, error) {
	switch method {
	case methodLoad:
		if !validName(q.name) {
			return answer{}, fail(method, topology.NotApplied, fmt.Errorf("document %q: not a name for one: %w", q.name, topology.ErrMalformed))
		}
		if err := s.settle(ctx); err != nil {
			return answer{}, err
		}
		return answer{documents: []topology.Document{s.machine.document(q.name)}}, nil
	case methodPropose:
		k, err := decodeCommand(q.command)
		switch {
		case err != nil:
			return answer{}, fail(method, topology.NotApplied, fmt.Errorf("a command of %s: %w", from.node, err))
		case k.op.node != from.node, k.kind == commandClaim && k.life != from.life:
			return answer{}, fail(method, topology.NotApplied, fmt.Errorf("%v speaks for %s: %w", from, k.op.node, topology.ErrDenied))
		}
		r, err := s.propose(ctx, q.command)
		return answer{result: r}, err
	case methodRenew:
		gone, err := s.renew(ctx, q.claims)
		return answer{gone: gone}, err
	case methodWatch:
		return s.tell(ctx, q.have)
	case methodAdmit:
		return answer{}, s.admit(ctx, from, q)
	}
	return answer{}, fail(method, topology.NotApplied, fmt.Errorf("method %q: %w", method, topology.ErrUnsupported))
}
