package core

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Inquiry is what is known to a node that is asked who would lead if the leader failed
// now.
type Inquiry struct {
	Voting
	Group   Group         // the newest document
	Reports []Report      // of who answered, the asked node among them
	BackOff time.Duration // that leaders change so often now costs
	Reign   time.Duration // for which the leader's least reign lasts yet
}

// Explain runs the election, or the failover by hand, that would follow, for each member
// by the rules that would judge it. It takes the leader to have failed.
func (q *Inquiry) Explain() topology.Explanation {
	x := topology.Explanation{
		Term: q.Group.Term, Leader: q.Group.Leader, Policy: q.Group.Policy, Elects: q.Group.Agreed != nil, BackOff: q.BackOff, Reign: q.Reign,
	}
	x.Paused = x.Elects && q.Group.Agreed.Paused
	heirs := q.heirs()
	x.Winner = q.first(heirs)
	top, commit := q.reached()
	for _, m := range q.Members {
		c := topology.Contender{Node: m, Role: topology.RoleFollower, InSync: q.counts(m)}
		switch {
		case m == q.Group.Leader:
			c.Role = topology.RoleLeader
		case slices.Contains(q.ReadReplicas, m):
			c.Role = topology.RoleReadReplica
		}
		if r := find(q.Reports, m); r != nil {
			c.Answers, c.Term, c.End = true, r.Last.Term, r.Last.LSN
			c.Behind, c.Loses = beyond(top, c.End), beyond(commit, c.End)
		}
		c.Reasons = q.reasons(&c, heirs[m], x.Winner)
		x.Contenders = append(x.Contenders, c)
	}
	q.risk(&x, commit)
	q.sum(&x)
	return x
}

// beyond is how many entries there are after at, up to end.
func beyond(end, at record.LSN) uint64 { return uint64(end - min(end, at)) }

// reached returns the last entry that is durable anywhere, and the last that is known
// to be committed.
func (q *Inquiry) reached() (top, commit record.LSN) {
	for i := range q.Reports {
		top, commit = max(top, q.Reports[i].Last.LSN), max(commit, q.Reports[i].Commit)
	}
	return top, commit
}

// counts reports whether a commit waits for a member, or may count it.
func (q *Inquiry) counts(m topology.NodeID) bool {
	if a := q.Group.Agreed; a != nil {
		return slices.ContainsFunc(a.InSync, func(c Counted) bool { return c.Node == m })
	}
	return slices.Contains(q.Group.Voters, m)
}

// heirs returns for each member but the leader that answers what its claim would come to.
func (q *Inquiry) heirs() map[topology.NodeID]error {
	g := q.Group
	if g.Agreed != nil {
		a := *g.Agreed
		a.Paused, g.Agreed = false, &a // is said once, for all
	}
	others := slices.DeleteFunc(slices.Clone(q.Reports), func(r Report) bool { return r.Node == g.Leader })
	out := map[topology.NodeID]error{}
	for _, r := range others {
		out[r.Node] = q.claim(g, r, others)
	}
	return out
}

// errEmpty is a log that is empty, or counts for nothing.
var errEmpty = errors.New("its log holds nothing that fits its store: it waits for a snapshot")

// claim returns why the node of r would not be made leader after g, judged by those who
// answer.
func (q *Inquiry) claim(g Group, r Report, others []Report) error {
	if _, commit := q.reached(); r.Last.LSN == 0 && commit > 0 {
		return errEmpty
	}
	if g.Agreed == nil {
		b := Bid{Voting: q.Voting, Self: r.Node, Life: r.Life, Why: Chosen, Own: r.Group, Accepted: r.Accepted}
		if slices.Contains(q.ReadReplicas, r.Node) {
			return fmt.Errorf("%w: it is a read replica", topology.ErrUnavailable)
		}
		_, err := b.Propose(others)
		return err
	}
	c := Claim{Voting: q.Voting, Self: Counted{r.Node, r.Life}, Why: Elected, Accepted: max(r.Accepted, r.Last.Term), Pledged: others}
	for _, o := range others {
		c.Alive = append(c.Alive, Counted{o.Node, o.Life})
	}
	_, err := c.Succeed(g)
	return err
}

// first returns who of those that may lead goes first.
func (q *Inquiry) first(heirs map[topology.NodeID]error) (best topology.NodeID) {
	for _, r := range q.Reports {
		if err, there := heirs[r.Node]; there && err == nil && (best == "" || q.before(r.Node, best)) {
			best = r.Node
		}
	}
	return best
}

// before reports whether a goes before b, where both may lead.
func (q *Inquiry) before(a, b topology.NodeID) bool {
	ra, rb := find(q.Reports, a), find(q.Reports, b)
	if q.Group.Agreed == nil {
		return rb.Last.Behind(ra.Last)
	}
	if q.Group.Slack() > 0 && ra.Last != rb.Last {
		return rb.Last.Behind(ra.Last)
	}
	return q.Group.Rank(Counted{a, ra.Life}) < q.Group.Rank(Counted{b, rb.Life})
}

// reasons are why a member would not win, the strongest first.
func (q *Inquiry) reasons(c *topology.Contender, claim error, winner topology.NodeID) (out []string) {
	note := func(holds bool, format string, args ...any) {
		if holds {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	replica := c.Role == topology.RoleReadReplica
	r := find(q.Reports, c.Node)
	a := q.Group.Agreed
	note(c.Role == topology.RoleLeader, "it leads, and is taken to have failed")
	note(!c.Answers, "it does not answer")
	note(replica, "it is a read replica, which nobody elects")
	if c.Role == topology.RoleLeader {
		return out
	}
	fresh := a != nil && r != nil && c.InSync && !a.elects(c.Node, r.Life)
	outside := a != nil && r != nil && !c.InSync && !a.elects(c.Node, r.Life)
	note(fresh, "its directory is another one than the in-sync set counts: it lost what it had")
	if outside && !replica {
		note(true, "it is not in sync: %v alone %s", append(slices.Clone(a.InSync), a.Eligible...), q.known())
	}
	note(c.Behind > 0 && c.Node != winner, "it is %d records behind", c.Behind)
	switch behind := (*BehindError)(nil); {
	case claim == nil && c.Answers && winner != c.Node && a != nil:
		note(true, "%s goes first, by the order of voters", winner)
	case claim == nil && c.Answers && winner != c.Node:
		note(c.Behind == 0, "%s has as much, and was named first", winner)
	case errors.As(claim, &behind):
		note(true, "%s has the longer log, and goes first", behind.Best)
	case claim != nil && !fresh && !outside && !replica:
		note(true, "%s", strings.TrimPrefix(claim.Error(), topology.ErrUnavailable.Error()+": "))
	}
	note(a != nil && a.Paused && c.Node == winner, "automatic failover is paused")
	return out
}

// known is what is known of who is in sync.
func (q *Inquiry) known() string {
	if s := q.Group.Slack(); s > 0 {
		return fmt.Sprintf("are known to lack at most %d records", s)
	}
	return "are known to hold every commit"
}

// risk says what the winner lacks.
func (q *Inquiry) risk(x *topology.Explanation, commit record.LSN) {
	old, heir := find(q.Reports, q.Group.Leader), find(q.Reports, x.Winner)
	x.Known = old != nil
	if heir == nil {
		return
	}
	x.Lost = beyond(commit, heir.Last.LSN)
	if old != nil {
		x.Tail = beyond(old.Last.LSN, max(heir.Last.LSN, commit))
	}
}

// sum puts it in a sentence.
func (q *Inquiry) sum(x *topology.Explanation) {
	p, err := quorum.Parse(q.Group.Policy)
	switch {
	case !x.Elects && x.Winner == "":
		x.Why = "nobody is elected with control static, and nobody who answers may be named without force"
	case !x.Elects:
		x.Why = fmt.Sprintf("nobody is elected with control static; `triad failover --to %s` would be accepted", x.Winner)
	case x.Paused && x.Winner != "":
		x.Why = fmt.Sprintf("nobody is elected while automatic failover is paused; `triad failover --to %s` would be accepted", x.Winner)
		x.Winner = ""
	case x.Winner != "" && q.Group.Slack() > 0:
		x.Why = fmt.Sprintf("%s would be elected, and at most %d records that were acknowledged would be lost", x.Winner, q.Group.Slack())
	case x.Winner != "":
		x.Why = fmt.Sprintf("%s would be elected", x.Winner)
	case q.Group.Slack() > 0:
		x.Why = fmt.Sprintf("nobody would be elected: no other node that answers is known to lack at most %d records", q.Group.Slack())
	case err == nil && p.Kind == quorum.KindAsync:
		x.Why = "nobody would be elected: with the policy async only the leader is known to hold every commit"
	default:
		x.Why = "nobody would be elected: no other node that answers is known to hold every commit"
	}
}
