package core

import (
	"fmt"
	"slices"
	"time"

	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Followers that feed followers (S13). A read replica may take its log from another
// follower: its upstream. What the upstream sends is the log of the leader that it
// follows itself, in that leader's term, as far as it is durable there; and a commit LSN
// no greater than its own. Nothing that such a member acknowledges counts: whoever is
// counted is fed by the leader alone.
//
// The log of a follower that agrees with its leader is the beginning of that leader's.
// So what a newer term in it has taken the place of is not the leader's, and is to be
// cut; what it only lacks may be.

// Relay is what a stream says that does not come from the leader.
type Relay struct {
	Path []topology.NodeID // by whom the log is fed: the leader first, the sender last
	Last stream.Place      // the durable end of the sender's log
}

// PathMax is how many nodes there may be between a leader and the last of a cascade,
// the leader and it included.
const PathMax = 8

// From is who sends.
func (r *Relay) From() topology.NodeID { return r.Path[len(r.Path)-1] }

// lacks reports whether the sender's log has no term after that of a place, so that it
// can be behind it only.
func (r *Relay) lacks(at stream.Place) bool { return r != nil && r.Last.Term <= at.Term }

// RelayOf returns what a stream that begins with b says of how it came, nil from the
// leader.
func RelayOf(b *stream.Begin) *Relay {
	if len(b.Path) == 0 {
		return nil
	}
	return &Relay{Path: b.Path, Last: b.Last}
}

// passes returns why the beginning of a stream from a node that does not lead is
// nonsense; nil if it may be.
func (r *Relay) passes(g *Group, from topology.NodeID) error {
	switch {
	case r.From() != from || r.Path[0] != g.Leader || from == g.Leader:
		return fmt.Errorf("%w: the stream of %s says that it came by %v, and %s leads term %d", topology.ErrMalformed, from, r.Path, g.Leader, g.Term)
	case len(r.Path) >= PathMax:
		return fmt.Errorf("%w: the stream of %s came by %v: a cascade is of %d nodes at most", topology.ErrConflict, from, r.Path, PathMax)
	}
	return nil
}

// unwanted returns why a stream that is begun in a term that is not over is not taken;
// nil if it is.
//
// A leader of a newer term is always heard, and one that nobody stands in for: a
// member that has lost its upstream is fed by the leader. Somebody else is heard only
// where this node has asked him to feed it.
func unwanted(c *Core, ev Event) error {
	r := ev.Relay
	switch {
	case r == nil && (ev.Term > c.Term || c.follow.session == 0 || c.follow.relay == nil || c.Feeder == ""):
		return nil
	case r == nil:
		return fmt.Errorf("%w: %s feeds this node, which asked it to", topology.ErrConflict, c.follow.relay.From())
	case r.From() != c.Feeder:
		return fmt.Errorf("%w: this node did not ask %s to feed it", topology.ErrConflict, r.From())
	case slices.Contains(r.Path, c.Self):
		return fmt.Errorf("%w: %s is fed by this node: %v", topology.ErrConflict, r.From(), r.Path)
	case r.Last.Term < c.LastTerm:
		return fmt.Errorf("%w: the log of %s ends in term %d, that of this node in term %d: it can not say what of it is the leader's", topology.ErrUnavailable, r.From(), r.Last.Term, c.LastTerm)
	}
	return nil
}

// Wish is what a node says that asks to be fed.
type Wish struct {
	Node topology.NodeID
	Term uint64       // that it obeys
	Last stream.Place // the end of its log
}

// feedBehindMax is how many entries a follower may lack of what the one that it is to
// feed has already: that one waits for it meanwhile.
const feedBehindMax = 10_000

// Feeds returns by whom what c ships is fed, itself last, or why it may not feed the
// node that wishes it. A leader ships to every member.
func Feeds(c *Core, g *Group, w Wish) ([]topology.NodeID, error) {
	path := Path(c)
	switch {
	case path == nil:
		return nil, fmt.Errorf("%w: %s follows nobody now", topology.ErrUnavailable, c.Self)
	case g.Lacks(w.Node):
		return nil, fmt.Errorf("%w: %s is no member", topology.ErrConflict, w.Node)
	case c.Role == Leader:
		return path, nil
	case w.Term > c.Term:
		return nil, fmt.Errorf("%w: %s obeys term %d, and has not heard of term %d", topology.ErrUnavailable, c.Self, c.Term, w.Term)
	case slices.Contains(path, w.Node):
		return nil, fmt.Errorf("%w: %s is fed by %s: %v", topology.ErrConflict, c.Self, w.Node, path)
	case len(path) >= PathMax:
		return nil, fmt.Errorf("%w: %s is fed by %v: a cascade is of %d nodes at most", topology.ErrConflict, c.Self, path, PathMax)
	case slices.Contains(g.Voters, w.Node):
		return nil, fmt.Errorf("%w: %s votes, and is fed by the leader alone", topology.ErrConflict, w.Node)
	case c.LastTerm < w.Last.Term || c.LastTerm == w.Last.Term && c.Flushed+feedBehindMax < w.Last.LSN:
		return nil, fmt.Errorf("%w: the log of %s ends at entry %d of term %d, that of %s at %d of term %d: it is behind", topology.ErrUnavailable, c.Self, c.Flushed, c.LastTerm, w.Node, w.Last.LSN, w.Last.Term)
	}
	return path, nil
}

// Path returns by whom what c holds was fed to it, the leader first, c last; nil where
// it does not agree with a leader now, and has nothing to pass on.
func Path(c *Core) []topology.NodeID {
	switch {
	case c.Role == Leader:
		return []topology.NodeID{c.Self}
	case c.Role != Follower || c.follow.session == 0 || !c.follow.agreed:
		return nil
	case c.follow.relay == nil:
		return []topology.NodeID{c.Leader, c.Self}
	}
	return append(slices.Clone(c.follow.relay.Path), c.Self)
}

// Session returns the stream that c follows, 0 for none.
func Session(c *Core) uint64 { return c.follow.session }

// Fed returns how c is fed: by whom, nobody where no stream is open; and whether its
// log has agreed with that one's.
func Fed(c *Core) (by topology.NodeID, agreed bool) {
	switch {
	case c.Role != Follower || c.follow.session == 0:
		return "", false
	case c.follow.relay == nil:
		return c.Leader, c.follow.agreed
	}
	return c.follow.relay.From(), c.follow.agreed
}

// Ahead returns the entry up to which the log of a follower must be durable before it
// may say where it parts from one that ends at last: there, if that one is ahead of it
// in the same term; 0 where it may at once.
func Ahead(last stream.Place, end record.LSN, term uint64) record.LSN {
	if last.Term == term && last.LSN > end {
		return last.LSN
	}
	return 0
}

// Upstreams decides by whom a read replica is fed: by the first in its list that does
// feed it, else by the leader. Times are since its start.
type Upstreams struct {
	List     []topology.NodeID // preferred first
	Patience time.Duration     // for which one that does not feed it is asked again, before the next is
	Rest     time.Duration     // for which one that did not is left alone then

	tries []upstream // by List
}

type upstream struct {
	fails bool
	since time.Duration // it did not feed this node although it was asked to
	rests time.Duration // until then
}

// Intake is how a node is fed now.
type Intake struct {
	From   topology.NodeID // nobody where it is not, or not yet
	Silent bool            // what it is told of the leader is old, or nothing
}

// Next returns who is to feed this node, nobody for the leader.
func (u *Upstreams) Next(now time.Duration, in Intake) topology.NodeID {
	if u.tries == nil {
		u.tries = make([]upstream, len(u.List))
	}
	for i, n := range u.List {
		t := &u.tries[i]
		switch {
		case now < t.rests:
			continue
		case in.From == n && !in.Silent:
			t.fails = false
			return n
		case !t.fails:
			t.fails, t.since = true, now
		}
		if now-t.since < u.Patience {
			return n
		}
		t.fails, t.rests = false, now+u.Rest
	}
	return ""
}
