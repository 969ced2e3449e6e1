package core

import (
	"fmt"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// Install is what a snapshot is to make of a log: nothing up to LSN, of that
// history. It is made durable before the store is switched, so that a crash in
// between is finished at the next start. ID is the snapshot's: a position alone
// does not say that the store was switched, as the log of another leader, followed
// since or before, may have brought it to the same.
type Install struct {
	ID      string
	LSN     record.LSN
	History topology.History
}

// Encode returns it as it is stored.
func (i Install) Encode() []byte {
	w := pack.NewWriter(nil)
	w.Array(2 + 2*len(i.History))
	w.Str(i.ID)
	w.Uint(uint64(i.LSN))
	for _, t := range i.History {
		w.Uint(t.Term)
		w.Uint(uint64(t.Start))
	}
	return w.Bytes()
}

// DecodeInstall reads what was stored. Before it had an id, it was an array of odd
// length.
func DecodeInstall(b []byte) (Install, error) {
	r := pack.NewReader(b)
	n := r.Array()
	if n == 0 {
		r.Fail("no position")
	}
	var i Install
	if n%2 == 0 {
		i.ID = r.Str()
		n--
	}
	i.LSN = record.LSN(r.Uint())
	for k := 1; k+1 < n && r.Err() == nil; k += 2 {
		i.History = append(i.History, topology.TermStart{Term: r.Uint(), Start: record.LSN(r.Uint())})
	}
	if err := r.Done(); err != nil {
		return Install{}, fmt.Errorf("install: %w", err)
	}
	return i, nil
}

// Range returns what the log keeps.
func (i Install) Range() topology.Range {
	return topology.Range{First: i.LSN + 1, Last: i.LSN, History: i.History}
}

// Rewound returns what a log keeps that is cut behind to. Where that leaves no
// entry the log begins anew after to, and its terms go with it: without them it
// would not know what it ends with.
func Rewound(b topology.Bounds, h topology.History, to record.LSN) topology.Range {
	return topology.Range{First: b.First, Last: to, History: h.Until(to)}
}

// Unfinished reports whether the store, in which the snapshot of id installed was
// put last, has been switched and the log not: it is still the one from before.
func (i Install) Unfinished(installed string, p *Positions) bool {
	if installed != i.ID || p.Applied != i.LSN || p.First == i.LSN+1 {
		return false
	}
	term, ok := p.History.TermAt(i.LSN)
	same := ok && term == i.History.Last()
	return !(p.End >= i.LSN && p.First <= i.LSN && same)
}

// Installable returns why a snapshot at lsn must not replace a store that shows
// applied, nil if it may. What was shown is taken back only in an asynchronous
// group, or where log and store do not fit together.
func Installable(lsn, applied record.LSN, resync, async bool) error {
	if lsn < applied && !resync && !async {
		return fmt.Errorf("%w: a snapshot at entry %d would take back what is applied here up to %d", topology.ErrConflict, lsn, applied)
	}
	return nil
}

// Leaves returns the entry behind which everything leaves the log for a
// snapshot and is to be kept aside: what is not applied, and what parts from the
// leader's log, which is told by parts, 0 for nothing.
func Leaves(first, applied, parts record.LSN) record.LSN {
	if parts != 0 {
		applied = min(applied, parts)
	}
	return max(applied, first-1)
}

// Missing returns the entries that a snapshot takes back, as the logs part after
// parts, and that a log which begins at first has no more: nobody can keep them
// aside. There are none where to is before from.
func Missing(first, parts record.LSN) (from, to record.LSN) {
	if parts == 0 {
		return first, first - 1
	}
	return parts + 1, first - 1
}

// Parts returns the entry after which a log of that history, which ends at end, is not
// the one that a snapshot at lsn of another history is of; 0 where it is all the way, as
// far as that goes. What a leader no longer has in its log, but in a snapshot, may be
// another history nevertheless.
func Parts(own topology.History, end record.LSN, other topology.History, lsn record.LSN) record.LSN {
	for i := len(own) - 1; i >= 0; i-- {
		last := min(end, lsn)
		if i+1 < len(own) {
			last = min(last, own[i+1].Start-1)
		}
		for k := range other {
			if other[k].Term != own[i].Term {
				continue
			}
			if k+1 < len(other) {
				last = min(last, other[k+1].Start-1)
			}
			if last == min(end, lsn) {
				return 0
			}
			return last
		}
	}
	return 0
}
