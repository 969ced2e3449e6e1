package conflict

import (
	"cmp"
	"errors"
	"slices"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// ErrResolver says that a resolver did not do what is asked of one: it failed, or it
// is not known here, or is another one elsewhere.
var ErrResolver = errors.New("resolver")

// Resolver settles what [Merge] kept of one cell. It is a pure function of the cell's
// name and of all of kept, in canonical order: it knows no clock, no randomness, no
// order of arrival, no order of a map, and not which of the versions was here first.
// So it needs to be deterministic and nothing else: not associative, not
// commutative, for it is never asked about a part (rule M4).
//
// The same resolver must stand at every node; [Registry] has what they compare.
// conflicttest examines one.
type Resolver interface {
	// ID names it.
	ID() ID
	// Settle is asked about one version or more, which it neither changes nor keeps.
	Settle(cell record.Cell, kept []record.Version) Settled
}

// ID names a resolver. Another behaviour is another version.
type ID struct {
	Name    string // [a-z][a-z0-9-]*
	Version uint32 // from 1
	Params  string // of one that is made for a table, such as an order of sites; as text
}

// Settled is what becomes of a cell, and what is seen of it.
type Settled struct {
	// Stays is what the cell holds from here on, in canonical order: all that was
	// kept, but where the last writer wins (rule X2).
	Stays []record.Version
	// Shown is what a reader is shown: nothing, one value, or all that are concurrent.
	Shown []Value
	// Lost are versions that nobody is shown and that went into no value: each is a
	// write that somebody was told had succeeded (rule C10).
	Lost []record.Version
	// Fault says why the last writer has settled this instead; nil if the resolver did.
	Fault error
}

// Value is what a reader is shown: one write's value, or what was folded from several.
type Value struct {
	Bytes   []byte
	Kind    record.Kind
	Absent  bool              // a concurrent delete, where concurrent values are shown
	Expires version.Timestamp // 0: never
	Time    version.Timestamp // the latest of From's
	From    []version.Dot     // the writes it is made of, in canonical order
}

// valueOf is one version as it is shown.
func valueOf(v record.Version) Value {
	return Value{Bytes: v.Value, Kind: v.Kind, Absent: v.Absent, Expires: v.Expires, Time: v.Time, From: []version.Dot{v.Dot}}
}

// folded is bytes as what was made of all of from. It expires with the last of them that
// is no delete.
func folded(kind record.Kind, bytes []byte, from []record.Version) Value {
	out := Value{Bytes: bytes, Kind: kind}
	first := true
	for _, v := range from {
		if !v.Absent && (first || v.Expires == 0 || out.Expires != 0 && v.Expires > out.Expires) {
			out.Expires, first = v.Expires, false
		}
		out.Time = max(out.Time, v.Time)
		out.From = append(out.From, v.Dot)
	}
	return out
}

// ContextOf returns what who has read these versions has seen of the cell: exactly
// them; and the highest time among them, over which its clock is to be raised before
// it writes (rule C3).
func ContextOf(vs []record.Version) (*version.Set, version.Timestamp) {
	s, latest := &version.Set{}, version.Timestamp(0)
	for _, v := range vs {
		s.Add(v.Dot)
		latest = max(latest, v.Time)
	}
	return s, latest
}

// chosen is what one version of kept comes to, where all of kept stays: it is shown,
// unless it is a delete, and the others are lost.
func chosen(kept []record.Version, at int) Settled {
	s := Settled{Stays: kept}
	if !kept[at].Absent {
		s.Shown = []Value{valueOf(kept[at])}
	}
	for i, v := range kept {
		if i != at {
			s.Lost = append(s.Lost, v)
		}
	}
	return s
}

// LWW lets the last writer win, by [Compare]. It alone keeps nothing but the winner.
func LWW() Resolver { return lww{} }

type lww struct{}

func (lww) ID() ID { return ID{Name: "lww", Version: 1} }

func (lww) Settle(_ record.Cell, kept []record.Version) Settled {
	stays, lost := SettleLWW(kept)
	s := Settled{Stays: stays, Lost: lost}
	if !stays[0].Absent {
		s.Shown = []Value{valueOf(stays[0])}
	}
	return s
}

// FirstWriter lets the first of concurrent writers win, by [Compare]. What a later
// write has seen is superseded all the same.
//
// The losers stay. Were the winner kept alone, a write that has seen it and not a
// loser would end over the loser at a site that held it, and alone at one that had
// forgotten it.
func FirstWriter() Resolver { return firstWriter{} }

type firstWriter struct{}

func (firstWriter) ID() ID { return ID{Name: "first-writer", Version: 1} }

func (firstWriter) Settle(_ record.Cell, kept []record.Version) Settled {
	return chosen(kept, best(kept, func(v, w record.Version) int { return Compare(w, v) }))
}

// best returns the index of the greatest.
func best(vs []record.Version, compare func(v, w record.Version) int) int {
	at := 0
	for i := range vs {
		if compare(vs[i], vs[at]) > 0 {
			at = i
		}
	}
	return at
}

// SitePriority lets the site win that is named first, by the number of its origin;
// sites that are not named come after all that are, and of one site, or of several
// that are not named, the last writer wins.
func SitePriority(sites ...uint32) Resolver {
	return sitePriority(slices.Clone(sites))
}

type sitePriority []uint32

func (p sitePriority) ID() ID {
	return ID{Name: "site-priority", Version: 1, Params: joinNumbers(p)}
}

func (p sitePriority) Settle(_ record.Cell, kept []record.Version) Settled {
	return chosen(kept, best(kept, func(v, w record.Version) int {
		return cmp.Or(cmp.Compare(p.rank(w), p.rank(v)), Compare(v, w))
	}))
}

// rank is the place of a version's site, from the first.
func (p sitePriority) rank(v record.Version) int {
	if i := slices.Index(p, v.Origin.ID); i >= 0 {
		return i
	}
	return len(p)
}

// Siblings keeps all concurrent versions and shows them all, deletes among them,
// until a writer who has seen them replaces them ([ContextOf]). A cell of which
// nothing but deletes is left shows nothing.
func Siblings() Resolver { return siblings{} }

type siblings struct{}

func (siblings) ID() ID { return ID{Name: "siblings", Version: 1} }

func (siblings) Settle(_ record.Cell, kept []record.Version) Settled {
	s := Settled{Stays: kept}
	if !slices.ContainsFunc(kept, present) {
		return s
	}
	for _, v := range kept {
		s.Shown = append(s.Shown, valueOf(v))
	}
	return s
}

func present(v record.Version) bool { return !v.Absent }

// Fields settles rows, of which every column is a cell with its own versions: the
// last writer of a column wins, and columns that different writers changed come
// together. A row is there while a column is, or its head.
//
// The losers stay: the delete of a row takes the versions that its writer had seen,
// and may have seen the winner of a column and not a loser.
func Fields() Resolver { return fields{} }

type fields struct{}

func (fields) ID() ID { return ID{Name: "fields", Version: 1} }

func (fields) Settle(cell record.Cell, kept []record.Version) Settled {
	if len(cell.Field) == 0 {
		return latestPresent(kept)
	}
	return chosen(kept, best(kept, Compare))
}

// latestPresent shows the latest version that is no delete, if there is one.
func latestPresent(kept []record.Version) Settled {
	return chosen(kept, best(kept, func(v, w record.Version) int {
		if v.Absent != w.Absent {
			if v.Absent {
				return -1
			}
			return +1
		}
		return Compare(v, w)
	}))
}
