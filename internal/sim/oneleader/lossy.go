package oneleader

import (
	"slices"

	"github.com/triad-kv/triad/record"
)

// lossy judges a group that may lose something by an election.
type lossy struct{ *ledger }

// lacks: who is elected in an asynchronous group lacks at most so much of what was
// acknowledged as it may (S9).
func (l lossy) lacks(p *process, lag uint64, start record.LSN) {
	h, n := p.log.History(), uint64(0)
	for lsn := record.LSN(1); lsn < record.LSN(len(l.log)); lsn++ {
		if at, ok := h.TermAt(lsn); lsn >= start || !ok && lsn >= p.log.Bounds().First || ok && at != l.log[lsn] {
			n++
		}
	}
	if n > 0 {
		l.s.Reach("who was elected lacked something that was acknowledged")
	}
	if n > lag {
		l.s.Fail("S9", "%s leads from entry %d on without %d entries that were committed, more than %d", p.n.id, start, n, lag)
	}
}

// loses: the leader of a newer term commits another entry at lsn than an older one had,
// whose entries from there on are lost. No older leader commits what a newer one has
// replaced: its lease was over before.
func (l lossy) loses(p *process, lsn record.LSN) bool {
	newest := l.log[len(l.log)-1]
	lost := uint64(len(l.log)) - uint64(lsn)
	switch {
	case p.core.Term <= newest:
		l.s.Fail("S9", "%s commits entry %d in term %d, and another one was committed in term %d: its lease should have been over", p.n.id, lsn, p.core.Term, newest)
		return false
	case lost > l.w.c.lag:
		l.s.Fail("S9", "%s commits entry %d in term %d, by which %d entries are lost that were committed, more than %d", p.n.id, lsn, p.core.Term, lost, l.w.c.lag)
		return false
	}
	l.s.Reach("an election lost what was acknowledged")
	for i := lsn; i < record.LSN(len(l.log)); i++ {
		l.lost[ending{l.log[i], i}] = true
	}
	l.log = l.log[:lsn]
	l.era++
	clear(l.keys)
	for _, n := range l.w.nodes {
		if n.p != nil {
			n.p.sure = min(n.p.sure, lsn-1)
		}
	}
	for _, c := range l.w.clients {
		c.token = 0
	}
	return true
}

// kept: what was lost is in side files, all of it (PS16).
func (l lossy) kept() {
	var gone []ending
	for e := range l.lost {
		if !l.asides[e] && (e.lsn >= record.LSN(len(l.log)) || l.log[e.lsn] != e.term) {
			gone = append(gone, e)
		}
	}
	if len(gone) > 0 {
		slices.SortFunc(gone, ending.compare)
		l.s.Fail("PS16", "entry %d of term %d was acknowledged and lost, and is in no side file, as %d others", gone[0].lsn, gone[0].term, len(gone)-1)
	}
}
