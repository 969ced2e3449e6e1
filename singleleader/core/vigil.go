package core

import (
	"slices"
	"time"
)

// Changes are the latest changes of a group's leader, for back-off.
type Changes struct{ at []time.Duration }

const (
	changesKept   = 8
	changesWithin = 10 * time.Second
	changesFree   = 3 // as many within that time cost no back-off
	backOffMax    = 5 * time.Second
)

// Note notes a change.
func (c *Changes) Note(now time.Duration) {
	c.at = append(c.at, now)
	if len(c.at) > changesKept {
		c.at = slices.Delete(c.at, 0, 1)
	}
}

// BackOff returns how much longer than else a leader is waited for: where leaders
// change often, what is wrong may be the looking, not the leaders (S11).
func (c *Changes) BackOff(now, unit time.Duration) time.Duration {
	n := 0
	for _, at := range c.at {
		if now-at < changesWithin {
			n++
		}
	}
	if n <= changesFree {
		return 0
	}
	return min(unit<<(n-changesFree), backOffMax)
}

// Vigil is what a follower knows when it decides whether to stand for election.
// Times are since its start.
type Vigil struct {
	FailAfter time.Duration // of silence, and a leader is taken for dead
	Now       time.Duration
	Heard     time.Duration // when the leader last was, or its term became known
	Awake     time.Duration // since when this node has not stood still itself: before, it would have heard nobody
	Met       bool          // the leader was heard of in this term
	Gone      bool          // its process is known to have ended
	Reigns    time.Duration // since when, as far as this node knows
	MinReign  time.Duration // for which a leader leads at least, before another is elected
	Changes   *Changes
}

// Due returns when to stand, and as what; false where this node is not to.
//
// The first who may goes first; who is behind him gives him time. A leader that was
// not met yet in this term is waited for twice as long; and where it was this node that
// stood still, half as long again from then on, as what the leader has said meanwhile
// is yet to be read. Nobody stands while the leader's least reign lasts, though it be gone.
func (v *Vigil) Due(g *Group, version uint64, self Counted, voting Voting) (at time.Duration, why Why, stands bool) {
	if version == 0 {
		rank := slices.Index(voting.Candidates(), self.Node)
		return time.Duration(rank) * 2 * v.FailAfter, Founded, rank >= 0
	}
	rank := g.Rank(self)
	switch {
	case rank < 0 || g.Agreed.Paused:
		return 0, 0, false
	case g.Leader == self.Node:
		return 0, Restart, true
	}
	wait := v.FailAfter
	switch {
	case v.Gone:
		wait = 0
	case !v.Met || g.Slack() > 0: // a leader that is well has let go of this node by then, and nothing is lost
		wait *= 2
	}
	line := time.Duration(rank) * v.FailAfter / 2
	wait += line + v.Changes.BackOff(v.Now, v.FailAfter)
	return max(max(v.Heard, v.Awake-v.FailAfter/2)+wait, v.Reigns+v.MinReign+line), Elected, true
}
