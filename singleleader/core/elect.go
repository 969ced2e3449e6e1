package core

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// Report is what a node says of itself when it is asked.
type Report struct {
	Node     topology.NodeID
	Life     uint64
	Accepted uint64 // the term it has durably accepted, 0 for none; with control static also one that it was told of while it led an older one
	Group    Group
	Last     stream.Place // the durable end of its log
	Commit   record.LSN
}

// Encode returns the report as it is sent.
func (r *Report) Encode() []byte {
	w := pack.NewWriter(nil)
	w.Array(7)
	w.Str(string(r.Node))
	w.Uint(r.Life)
	w.Uint(r.Accepted)
	w.Bin(r.Group.Encode())
	w.Uint(r.Last.Term)
	w.Uint(uint64(r.Last.LSN))
	w.Uint(uint64(r.Commit))
	return w.Bytes()
}

// newest returns the newest document among the reports and own, its rivals, and
// the greatest term anybody has accepted.
//
// Rivals are of the same term, by others who bid for it: one of them all at most
// was confirmed by a majority, and may have started. Where somebody who obeys one
// of them holds an entry of the term, that is the one, and it has no rivals.
func newest(rs []Report, own Group) (latest Group, rivals []Group, top uint64) {
	docs := []Group{own}
	for _, r := range rs {
		top = max(top, r.Accepted)
		switch {
		case r.Group.Term > docs[0].Term, r.Group.Term == docs[0].Term && docs[0].seed():
			docs = []Group{r.Group}
		case r.Group.Term == docs[0].Term && !r.Group.seed() && !slices.ContainsFunc(docs, r.Group.rules):
			docs = append(docs, r.Group)
		}
	}
	for _, g := range docs {
		if slices.ContainsFunc(rs, func(r Report) bool { return g.rules(r.Group) && r.Last.Term >= g.Term }) {
			return g, nil, top
		}
	}
	return docs[0], docs[1:], top
}

// seed reports whether g is what a configuration says before anything was begun,
// and nobody's bid.
func (g Group) seed() bool { return g.Term == 1 && g.Life == 0 && len(g.Lives) == 0 }

// rules reports whether both documents are of one bid for a term.
func (g Group) rules(o Group) bool {
	return g.Term == o.Term && g.Leader == o.Leader && g.Life == o.Life
}

// electable returns why target must not lead after the term of g, judged by
// the reports that came in; nil if it may.
//
// Two things must hold. A majority of the voters is reached, so that no other
// node can start the same term, and enough of them are known not to have
// forgotten whom they promised to obey (see kept). And no voter that answers has a longer log,
// where those who answer are proven to hold everything that was committed.
func electable(g Group, target topology.NodeID, rs []Report) error {
	self := find(rs, target)
	var reached, missing []topology.NodeID
	for _, v := range g.Voters {
		if find(rs, v) != nil {
			reached = append(reached, v)
		} else {
			missing = append(missing, v)
		}
	}
	switch {
	case self == nil:
		return fmt.Errorf("%w: %s does not answer", topology.ErrUnavailable, target)
	case !slices.Contains(g.Voters, target):
		return fmt.Errorf("%w: %s is not among the voters %v; with force it leads nevertheless, and what it lacks is lost", topology.ErrUnavailable, target, g.Voters)
	case 2*len(reached) <= len(g.Voters):
		return fmt.Errorf("%w: a majority of the voters %v must be reached and only %v were, not %v; with force it goes on, if nobody else can lead", topology.ErrUnavailable, g.Voters, reached, missing)
	}
	if n := kept(g, rs, len(missing) == 0); 2*n < len(g.Voters) {
		return fmt.Errorf("%w: of the voters %v only %d answer from the directory that term %d counted, and a new one has forgotten what it promised; wait for the others, or take what may be lost with force", topology.ErrUnavailable, g.Voters, n, g.Term)
	}
	if self.Node == g.Leader && self.Life == g.Life && self.Last.Term >= g.Term {
		return nil // no commit of its term went without its own flush: what others hold beyond it was never committed
	}
	best := self
	for i := range rs {
		if slices.Contains(g.Voters, rs[i].Node) && best.Last.Behind(rs[i].Last) {
			best = &rs[i]
		}
	}
	if self.Last.Behind(best.Last) {
		return fmt.Errorf("%w: %s ends at entry %d of term %d, %s at %d of term %d: run failover to %s", topology.ErrUnavailable, target, self.Last.LSN, self.Last.Term, best.Node, best.Last.LSN, best.Last.Term, best.Node)
	}
	return proven(g, rs)
}

// kept returns how many voters are known to remember every promise they made.
// Whatever term may have been begun elsewhere, a majority of the voters promised
// to obey it; so half of them, who remember, include one who did.
//
// A voter remembers if it has the directory that the term of g counted. One that
// the term knows no directory of, because it was away when it was made, is taken
// for the one it was if it has accepted any term since, or everybody is there. The
// leader of that term counts too where it does not answer but somebody has
// followed it in a new directory: it cannot have promised anything newer before.
func kept(g Group, rs []Report, all bool) (n int) {
	heard, led := false, false
	for _, v := range g.Voters {
		r := find(rs, v)
		if r == nil {
			continue
		}
		led = led || v == g.Leader
		switch life := g.life(g.Voters, v); {
		case life == r.Life, life == 0 && (r.Accepted > 0 || all):
			n++
		case r.Accepted == g.Term:
			heard = true
		}
	}
	if heard && !led {
		n++
	}
	return n
}

// proven returns nil if the reports prove that the greatest log among them
// holds everything that was committed up to the term of g.
//
// It goes from the newest term back. A log that holds the start of a term holds
// all that was committed before it; so it is enough that enough of those a
// commit of that term waited for have answered, and a voter holds its
// start. If they answered and none does, the term committed nothing and, since
// they have promised to obey it no more, never will: the term before it is
// asked in the same way. An answer from another directory than the one the term
// counted proves nothing by what it lacks (C1). The leader of the term is always
// enough: nothing was committed without its own flush.
func proven(g Group, rs []Report) error {
	held := false
	for i := len(g.Before); i >= 0; i-- {
		t := &g.Reign
		if i < len(g.Before) {
			t = &g.Before[i]
		}
		policy, rule, err := t.rule(g.Voters)
		if err != nil {
			return err
		}
		need, polled, led := 1, 0, false
		if policy.Kind == quorum.KindAny {
			need = rule.Poll()
		}
		for _, m := range rule.Members() {
			r := find(rs, m)
			if r == nil {
				continue
			}
			started := r.Last.Term >= t.Term
			counted := r.Life == t.life(g.Voters, m)
			if started || counted {
				polled++
			}
			led = led || m == t.Leader && counted
		}
		holds := slices.ContainsFunc(rs, func(r Report) bool {
			return r.Last.Term >= t.Term && slices.Contains(g.Voters, r.Node)
		})
		if polled < need && !led {
			return fmt.Errorf("%w: commits of term %d waited for %v (%s), and too few of them answer to prove that nothing is missing; wait for them, or lose what is missing with force", topology.ErrUnavailable, t.Term, rule.Members(), t.Policy)
		}
		// Of several bids for one term each is asked: nobody knows which was confirmed.
		held = held || holds
		if another := i > 0 && g.Before[i-1].Term == t.Term; held && !another {
			return nil
		}
	}
	return nil
}

// succeed returns the document of a term after g and its rivals, as far as they
// and the reports determine it. The terms before g are forgotten once its start is
// seen to be committed: before that, a later election may find out that g committed
// nothing, and must ask on.
func succeed(g Group, rivals []Group, rs []Report) Group {
	next := g
	next.Before = nil
	_, rule, err := g.Rule()
	members := rule.Members()
	if err != nil || !rule.Satisfied(func(i int) bool {
		r := find(rs, members[i])
		return r != nil && r.Last.Term >= g.Term
	}) {
		next.Before = append(next.Before, g.Before...)
		for _, o := range rivals {
			next.Before = append(next.Before, o.Before...)
		}
		for _, o := range rivals {
			next.Before = append(next.Before, o.Reign)
		}
		slices.SortStableFunc(next.Before, func(a, b Reign) int { return cmp.Compare(a.Term, b.Term) })
		next.Before = slices.CompactFunc(next.Before, func(a, b Reign) bool {
			return a.Term == b.Term && a.Leader == b.Leader && slices.Equal(a.Lives, b.Lives)
		})
	}
	if slices.ContainsFunc(rs, func(r Report) bool { return r.Accepted > 0 }) {
		next.Before = append(next.Before, g.Reign)
	}
	return next
}

// vain reports whether g is a bid of self for a term that it has not started, by
// its own log, and never will, as it bids for another: nothing was committed in it.
// If it began to and lost that in a crash, another log may hold the start, and then
// it is kept as anybody's.
func vain(g Group, self topology.NodeID, life uint64, rs []Report) bool {
	own := find(rs, self)
	if g.Leader != self || g.Life != life || own == nil || own.Life != life {
		return false
	}
	return !slices.ContainsFunc(rs, func(r Report) bool { return r.Last.Term >= g.Term })
}

func find(rs []Report, n topology.NodeID) *Report {
	for i := range rs {
		if rs[i].Node == n {
			return &rs[i]
		}
	}
	return nil
}

// DecodeReport reads what was sent.
func DecodeReport(b []byte) (Report, error) {
	rd := pack.NewReader(b)
	rd.ArrayOf(7)
	r := Report{Node: topology.NodeID(rd.StrMax(nameBytesMax)), Life: rd.Uint(), Accepted: rd.Uint()}
	body := rd.Bin()
	r.Last = stream.Place{Term: rd.Uint(), LSN: record.LSN(rd.Uint())}
	r.Commit = record.LSN(rd.Uint())
	if err := rd.Done(); err != nil {
		return r, fmt.Errorf("report: %w", err)
	}
	var err error
	r.Group, err = DecodeGroup(body)
	return r, err
}
