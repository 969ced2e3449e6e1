package core

import (
	"fmt"
	"time"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
)

// Asynchronous groups that fail over by themselves (S9): the in-sync set is of those
// who lack at most Lag records of what was acknowledged, and may be elected. A commit
// waits for none of them, but is never further ahead of one than that, so that whoever
// leads next lacks no more. Who would fall back further holds commits up until he is
// let go of, as others do who are in sync (S5).

// LagMax bounds how many records a failover may lose.
const LagMax = 1 << 32

// Slack is how far commits of g may be ahead of its members.
func (g *Group) Slack() uint64 {
	if p, _, err := g.Rule(); err != nil || p.Kind != quorum.KindAsync || g.Agreed == nil {
		return 0
	}
	return g.Agreed.Lag
}

// lag is what documents of this configuration say of it.
func (v Voting) lag() uint64 {
	if v.Sync.Kind != quorum.KindAsync {
		return 0
	}
	return v.Lag
}

// Caught is where a member must be to be let in, where the leader has committed commit
// in a term that starts at start.
func (g *Group) Caught(commit, start record.LSN) record.LSN {
	return max(start, commit-min(commit, record.LSN(g.Slack())))
}

// reach is up to where a commit may go, where members, the leader first, are at those
// places.
func (l *Leading) reach(at []uint64) record.LSN {
	if l.Slack == 0 {
		return record.LSN(l.Rule.Commit(at))
	}
	to := at[0]
	for _, has := range at[1:] {
		to = min(to, has+l.Slack)
	}
	return record.LSN(to)
}

// barred reports whether nothing may be acknowledged now, whoever has it: too few are
// in sync; another's lease may last; or, where others may lead who lack some of it, the
// own lease does not: one of them may lead already.
func barred(c *Core) bool {
	l := &c.Lead
	if l.Frozen || l.Held {
		return true
	}
	return l.Slack > 0 && l.Rule.Len() > 1 && !l.Lease.holds(c.now, c.End, c.Flushed)
}

// Barred reports whether this leader of an asynchronous group acknowledges nothing as
// its lease is over at now.
func Barred(c *Core, now time.Duration) bool {
	l := &c.Lead
	return c.Role == Leader && l.Slack > 0 && l.Rule.Len() > 1 && !l.Held && !l.Lease.holds(now, c.End, c.Flushed)
}

// Keep returns the first entry that a node must keep in its log, however little of it
// the others need: another node may lead without it, and what is lost is to be kept
// aside. It is one above the end where nothing is.
func Keep(c *Core, g *Group) record.LSN {
	switch {
	case g.Slack() == 0:
	case c.Role == Leader:
		keep := uint64(c.End)
		for _, at := range c.Lead.Flushed {
			keep = min(keep, at)
		}
		return record.LSN(keep) + 1
	case c.Role != Follower || !c.follow.agreed:
		return 1
	}
	return c.End + 1
}

// words say why the term of g was begun, and what that may have cost.
func words(g *Group) string {
	says := g.cause().String()
	if s := g.Slack(); s > 0 && g.Agreed.Why == Elected {
		says += fmt.Sprintf("; at most %d records lost", s)
	}
	if n := len(g.Forks); n > 0 && g.cause() == Restored {
		says += fmt.Sprintf("; what came after entry %d was given up", g.Forks[n-1].At)
	}
	return says
}

// longest returns an error where another of those who may be elected reported a longer
// log than this node: the less is lost.
func (c *Claim) longest(g *Group) error {
	var self, best Report
	for _, r := range c.Pledged {
		if !g.Agreed.elects(r.Node, r.Life) {
			continue
		}
		if r.Node == c.Self.Node {
			self = r
		}
		if best.Node == "" || best.Last.Behind(r.Last) {
			best = r
		}
	}
	if c.Why == Elected && self.Node != "" && self.Last.Behind(best.Last) {
		return &BehindError{Best: best.Node, Last: best.Last}
	}
	return nil
}
