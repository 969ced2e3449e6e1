package core

import (
	"fmt"
	"slices"

	"github.com/triad-kv/triad/internal/stream"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// An operator may have a group go on from a point of its past: what came after it,
// committed or not, is given up (S9). A member whose store is behind on purpose makes
// that its own log's end and leads a new term. The group's document keeps where, for
// everybody else: a node takes back what it has applied for this alone, and no further.

// Fork is a place at which the history of a group has parted: in term Term it went on
// behind At. What entries of older terms there are behind At is given up.
type Fork struct {
	Term uint64
	At   record.LSN
}

// ForksMax is how many forks a document remembers. A member that was away for longer
// takes nothing back for those before, and needs an empty directory.
const ForksMax = 16

// takesBack reports whether what a log that ends in term last holds behind `to` was given
// up, so that it is taken back though it is applied.
func takesBack(forks []Fork, last uint64, to record.LSN) bool {
	return slices.ContainsFunc(forks, func(f Fork) bool { return last < f.Term && to >= f.At })
}

// TakesBack reports whether a snapshot may take the place of what is applied behind parts
// by a node whose log ends in term last; 0 is no such place.
func TakesBack(g *Group, last uint64, parts record.LSN) bool {
	return parts > 0 && takesBack(g.Forks, last, parts)
}

// Held returns why a node whose log ends at last must not start the term of g, nil if it
// may: what was given up must not come back by its leader.
func Held(g *Group, last stream.Place) error {
	for _, f := range g.Forks {
		if last.Term < f.Term && last.LSN > f.At {
			return fmt.Errorf("%w: the group goes on behind entry %d, and the log of this node ends at %d of term %d: restore again, or force another leader", topology.ErrConflict, f.At, last.LSN, last.Term)
		}
	}
	return nil
}

// forked returns the forks of a document of a term that a node is to lead whose log ends
// at last: those of g that its log does not contradict, and with restored a new one at
// the end of that log. One that it contradicts was never begun, or is given up itself.
func forked(g *Group, last stream.Place, term uint64, restored bool) (out []Fork) {
	for _, f := range g.Forks {
		if last.Term >= f.Term || last.LSN <= f.At {
			out = append(out, f)
		}
	}
	if restored {
		out = append(out, Fork{Term: term, At: last.LSN})
	}
	return out[max(0, len(out)-ForksMax):]
}

// Losing reports whether what is missing is given up without proof.
func (w Why) Losing() bool { return w == Forced || w == Restored }

func encodeForks(w *pack.Writer, forks []Fork) {
	w.Array(2 * len(forks))
	for _, f := range forks {
		w.Uint(f.Term)
		w.Uint(uint64(f.At))
	}
}

func decodeForks(r *pack.Reader) (forks []Fork) {
	n := r.ArrayMax(2 * ForksMax)
	if n%2 != 0 || n == 0 {
		r.Fail("forks are not whole")
	}
	for n /= 2; n > 0 && r.Err() == nil; n-- {
		f := Fork{Term: r.Uint(), At: record.LSN(r.Uint())}
		if k := len(forks); k > 0 && forks[k-1].Term >= f.Term {
			r.Fail("forks do not ascend")
		}
		forks = append(forks, f)
	}
	return forks
}

// Restorable is what there is to know before a group goes on from a point of its past.
type Restorable struct {
	Counted bool       // the node is one that commits may count
	Resync  bool       // its log and store do not fit together
	Applied record.LSN // what its store shows
	Commit  record.LSN // what it knows to be committed
	At      record.LSN // where the group is to go on
	End     record.LSN // of its log
}

// Check returns why the group must not go on from there by this node; nil if it may.
func (p *Restorable) Check() error {
	switch {
	case p.Resync:
		return ErrResync
	case p.Counted:
		return fmt.Errorf("%w: commits may count this node, so it must not cut its log by itself; a delayed node or a read replica may be brought back", topology.ErrConflict)
	case p.At < p.Applied:
		return fmt.Errorf("%w: this node shows everything up to entry %d already, and can not go back to %d", topology.ErrConflict, p.Applied, p.At)
	case p.At > p.Commit:
		return fmt.Errorf("%w: entry %d is not known to be committed, %d is: whoever leads there, that is no point of the past", topology.ErrConflict, p.At, p.Commit)
	}
	return nil
}
