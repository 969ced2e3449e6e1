package multileader

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// inputs names what a function was asked about: a cell, and the writes in it.
type inputs [16]byte

// What was found before a quarantine was taken back says nothing of what is found after
// it: freed is when that was last.
func inputsOf(c record.Cell, kept conflict.Digest, freed version.Timestamp) (in inputs) {
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(freed)))
	h.Write(encodeCell(c)) // which begins with the table, and says how long the key is
	h.Write(kept[:])
	copy(in[:], h.Sum(nil))
	return in
}

// finding is what a site's function made of that.
type finding struct {
	table record.TableID
	in    inputs
	out   conflict.Digest
	site  string // whose
}

// evidenceMax is how many findings are kept, of this site and of others: the oldest go.
const evidenceMax = 4096

// evidence compares what sites made of the same writes (rule M5). Sites come to the same
// sets of concurrent writes in the end, so a function that is not the same everywhere is
// found by the last of them at the latest.
type evidence struct {
	own    shelf
	theirs shelf
}

// shelf is findings in the order in which they came.
type shelf struct {
	by    map[inputs]finding
	order []finding
	count uint64 // that ever came
}

// put adds a finding, and reports whether it is news.
func (s *shelf) put(f finding) bool {
	if _, again := s.by[f.in]; again {
		return false
	}
	if s.by == nil {
		s.by = map[inputs]finding{}
	}
	if len(s.order) == evidenceMax {
		delete(s.by, s.order[0].in)
		s.order = append(s.order[:0], s.order[1:]...)
	}
	s.by[f.in] = f
	s.order = append(s.order, f)
	s.count++
	return true
}

// since returns what came after the first n, as far as it is kept, at most most.
func (s *shelf) since(n uint64, most int) []finding {
	fresh := min(s.count-min(n, s.count), uint64(len(s.order)))
	of := s.order[uint64(len(s.order))-fresh:]
	return of[:min(len(of), most)]
}

// found takes what this site's function made, and returns what another made of the same
// if that differs.
func (e *evidence) found(f finding) (other finding, differs bool) {
	if was, again := e.own.by[f.in]; again {
		return was, was.out != f.out
	}
	e.own.put(f)
	other, ok := e.theirs.by[f.in]
	return other, ok && other.out != f.out
}

// told takes what another site's function made, and returns whether this site's made
// something else of the same.
func (e *evidence) told(f finding) (own finding, differs bool) {
	e.theirs.put(f)
	own, ok := e.own.by[f.in]
	return own, ok && own.out != f.out
}

// forget drops what concerns a table: it was released, and is asked anew.
func (e *evidence) forget(id record.TableID) {
	for _, s := range []*shelf{&e.own, &e.theirs} {
		kept := s.order[:0]
		for _, f := range s.order {
			if f.table == id {
				delete(s.by, f.in)
			} else {
				kept = append(kept, f)
			}
		}
		s.order = kept
	}
}
