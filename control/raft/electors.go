package raft

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// Who votes is said by the configuration when a group is founded, and by a document of
// its own once that was changed. The leader brings raft's configuration in line with it,
// one server at a time: who is named and asks is let in as a directory that was lost is
// (see founding), who is named no more is removed, as long as a majority of those who
// stay answers. A directory that knows that it votes no more is a client.

// stableElectors keeps the document at every node, so that a start knows it.
const stableElectors = "control-voters"

var _ topology.Electorate = (*Control)(nil)

// Electors implements topology.Electorate.
func (c *Control) Electors() (ids []topology.NodeID, settled bool) {
	if d, _ := c.known.get(topology.DocumentVoters); d.Version > 0 {
		if e, err := decodeElectors(d.Body); err == nil {
			return e.ids, e.settled
		}
	}
	if len(c.known.electors) > 0 {
		return c.known.electors, false
	}
	return c.options.Voters, true
}

// electing is a Control as it knows who is to vote.
type electing struct{ *Control }

// voters returns who is to vote.
func (c electing) voters() []topology.NodeID {
	ids, _ := c.Electors()
	return ids
}

// electors are who is to vote, and whether they do and nobody else.
type electors struct {
	ids     []topology.NodeID
	settled bool
}

// Elect implements topology.Electorate.
func (c *Control) Elect(ctx context.Context, ids []topology.NodeID) error {
	ids = slices.Sorted(slices.Values(ids))
	if err := checkElectors(ids); err != nil {
		return fail("elect", topology.NotApplied, err)
	}
	d, err := c.Load(ctx, topology.DocumentVoters)
	if err != nil {
		return err
	}
	if slices.Equal(electing{c}.voters(), ids) && (d.Version > 0 || slices.Equal(ids, c.options.Voters)) {
		return nil
	}
	d.Body = encodeElectors(electors{ids: ids})
	if _, err = c.Swap(ctx, d); err == nil {
		c.logger.Info("control: other voters are to be", "voters", ids)
	}
	return err
}

func checkElectors(ids []topology.NodeID) error {
	switch {
	case len(ids) == 0:
		return fmt.Errorf("no voter would be left: %w", topology.ErrConflict)
	case len(ids) > votersMax:
		return fmt.Errorf("%d voters are more than %d: remove one first: %w", len(ids), votersMax, topology.ErrTooLarge)
	}
	for i, v := range ids {
		if !v.Valid() || i > 0 && v == ids[i-1] {
			return fmt.Errorf("voter %q is named twice, or is not a node's name: %w", v, topology.ErrMalformed)
		}
	}
	return nil
}

// The document is an array of three: format, names in order, whether it is so.
func encodeElectors(e electors) []byte {
	w := pack.NewWriter(nil)
	w.Array(3)
	w.Uint(format)
	w.Array(len(e.ids))
	for _, v := range e.ids {
		w.Str(string(v))
	}
	w.Bool(e.settled)
	return w.Bytes()
}

func decodeElectors(b []byte) (e electors, err error) {
	r := pack.NewReader(b)
	r.ArrayOf(3)
	getFormat(&r)
	for n := r.ArrayMax(votersMax); n > 0 && r.Err() == nil; n-- {
		e.ids = append(e.ids, getNode(&r))
	}
	e.settled = r.Bool()
	if err := r.Done(); err != nil {
		return electors{}, err
	}
	return e, checkElectors(e.ids)
}

// loadElectors reads what was kept; nil for nothing.
func loadElectors(s topology.Stable) ([]topology.NodeID, error) {
	b, err := s.Load(stableElectors)
	if err != nil || b == nil {
		return nil, err
	}
	e, err := decodeElectors(b)
	if err != nil {
		return nil, fmt.Errorf("control: the voters: %w", err)
	}
	return e.ids, nil
}

// keep keeps the document beside the log, each time that it changes.
func (c electing) keep(ctx context.Context) {
	for {
		d, stale := c.known.get(topology.DocumentVoters)
		if d.Version > 0 {
			if err := c.env.Stable.Save(stableElectors, d.Body); err != nil {
				c.logger.Warn("control: who votes could not be kept for the next start", "error", err)
			}
			if c.disk == nil && slices.Contains(c.voters(), c.env.Self) {
				c.logger.Warn("control: this node is to vote, and its configuration does not name it among the voters: it has nothing to vote with", "voters", c.voters())
			}
		}
		select {
		case <-stale:
		case <-ctx.Done():
			return
		}
	}
}

// agrees returns why the voters that an asker names are not those of this node, nil
// where they are. Whoever belongs to the same group cannot found another: its list may
// be an older one, or a newer.
func (c electing) agrees(from server, q question, group string) error {
	now := c.voters()
	switch {
	case slices.Equal(q.voters, c.options.Voters), slices.Equal(q.voters, now),
		group != "" && q.group == group, group != "" && slices.Contains(now, from.node):
		return nil
	}
	return fmt.Errorf("%s names the voters %v, and %s names %v: every node must name the same: %w", from.node, q.voters, c.env.Self, c.options.Voters, topology.ErrDenied)
}

// elect brings raft's configuration one step nearer to who is to vote, while this voter
// leads. It does not wait for the outcome.
func (s *seat) elect(ctx context.Context) {
	now := time.Now()
	if !s.electing.TryLock() {
		return
	}
	if now.Sub(s.elected) < s.control.timing.steer {
		s.electing.Unlock()
		return
	}
	s.elected = now
	s.moving.Go(func() {
		defer s.electing.Unlock()
		ctx, cancel := context.WithTimeout(ctx, s.control.timing.steer)
		defer cancel()
		if err := s.dismiss(ctx); err != nil && ctx.Err() == nil {
			s.control.logger.Warn("control: a voter that is to vote no more could not be let go yet", "reason", err)
		}
	})
}

// dismiss removes one server whose node is not to vote, if there is one. This voter
// itself hands the lead over instead.
func (s *seat) dismiss(ctx context.Context) error {
	want := electing{s.control}.voters()
	f := s.raft.GetConfiguration()
	if err := f.Error(); err != nil {
		return err
	}
	var out *raft.Server
	var stay []topology.NodeID
	for _, v := range f.Configuration().Servers {
		switch {
		case !slices.Contains(want, nodeOf(v.ID)):
			if out == nil || nodeOf(v.ID) != s.control.env.Self {
				out = &v
			}
		case v.Suffrage == raft.Voter:
			stay = append(stay, nodeOf(v.ID))
		}
	}
	if out == nil {
		return s.settles(ctx, want, stay)
	}
	if n := s.answering(ctx, stay); 2*n <= len(stay) {
		return fmt.Errorf("%s is to vote no more, and of the others, %v, only %d answer: %w", nodeOf(out.ID), stay, n, topology.ErrUnavailable)
	}
	if nodeOf(out.ID) == s.control.env.Self {
		return s.lines.await(s.raft.LeadershipTransfer())
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	s.control.logger.Info("control: a voter is removed", "voter", out.ID)
	return s.wait(ctx, func() raft.Future { return s.raft.RemoveServer(out.ID, f.Index(), s.control.timing.attempt) })
}

// settles notes that those vote who are to, once it is so.
func (s *seat) settles(ctx context.Context, want, now []topology.NodeID) error {
	d, _ := s.control.known.get(topology.DocumentVoters)
	if d.Version == 0 || !slices.Equal(want, slices.Sorted(slices.Values(now))) {
		return nil
	}
	e, err := decodeElectors(d.Body)
	if err != nil || e.settled || !slices.Equal(e.ids, want) {
		return err
	}
	e.settled = true
	d.Body = encodeElectors(e)
	_, err = s.control.Swap(ctx, d)
	return err
}

// answering returns how many of some voters answer, this one included.
func (s *seat) answering(ctx context.Context, ids []topology.NodeID) int {
	ctx, cancel := context.WithTimeout(ctx, s.control.timing.message)
	defer cancel()
	var mu sync.Mutex
	var wait sync.WaitGroup
	n := 0
	for _, id := range ids {
		wait.Go(func() {
			_, err := reaching{s.control}.put(ctx, id, methodHello, question{server: s.control.self.String()})
			if err == nil {
				mu.Lock()
				n++
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return n
}

// errDismissed says that this directory votes no more, by the will of an operator.
var errDismissed = errors.New("control: this node is not to vote any more")

// isDismissed reports whether this node knows that it is not to vote. It goes on voting
// until it is removed: others may need its vote for that.
func (c electing) isDismissed() bool {
	return c.changed() && !slices.Contains(c.voters(), c.env.Self)
}

// isElected reports whether this node knows that it is to vote, though it was not always.
func (c electing) isElected() bool {
	return c.changed() && slices.Contains(c.voters(), c.env.Self)
}

// changed reports whether who votes was ever changed.
func (c electing) changed() bool {
	d, _ := c.known.get(topology.DocumentVoters)
	return d.Version > 0 || len(c.known.electors) > 0
}

// inquire asks the others who votes, where this voter hears of no leader: it may have
// been removed while it was away, and then nobody tells it. Only who leads answers.
func (s *seat) inquire(ctx context.Context) {
	c := s.control
	ctx, cancel := context.WithTimeout(ctx, c.timing.attempt)
	defer cancel()
	for _, v := range (electing{c}).voters() {
		if v == c.env.Self {
			continue
		}
		a, err := reaching{c}.put(ctx, v, methodLoad, question{name: topology.DocumentVoters})
		if err == nil && len(a.documents) == 1 && a.documents[0].Version > 0 {
			c.known.learn(a.documents[0])
			s.gone.Store(s.leader() == "")
			return
		}
	}
}
