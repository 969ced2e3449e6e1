package quorum

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Limits of an expression.
const (
	DepthMax     = 8    // of parentheses within parentheses
	PartsMax     = 16   // of one "and" or "or"
	VotesMax     = 255  // of one node
	TextBytesMax = 4096 // of an expression's text
)

// ErrExpr is the ground of every error about an expression: one that means
// nothing, or that the replicas at hand can never meet.
var ErrExpr = errors.New("invalid quorum expression")

// Form says how an expression counts.
type Form uint8

// The forms of expressions.
const (
	FormMajority Form = iota // more than half: "quorum"
	FormCount                // any K: "2", "any 2 (b, c)"
	FormFirst                // the first K: "first 1 (b, c)"
	FormAll                  // all: "all"
	FormVotes                // K of the votes that Of gives out, or more than half of them if K is 0: "3 votes (a:2, b, c)"
	FormAnd                  // every one of Parts
	FormOr                   // any one of Parts
)

// Unit says how replicas are grouped where an expression counts by place.
type Unit uint8

// The units.
const (
	UnitNone Unit = iota // not at all: all replicas are one group
	UnitSite
	UnitRack // a rack is one of its site: two sites may use one name
)

// Scope says of which places an expression must hold.
type Scope struct {
	Unit  Unit
	Local bool   // of the site of who asks
	Site  string // of the site of that name
	// Otherwise of at least K places, of all if K is 0, of more than half if
	// Majority. Total, if it is not 0, is how many places there must be in all.
	K, Total int
	Majority bool
}

// Expr says whose answers a request needs: an expression that more answers never
// spoil. The zero value is a majority of the replicas. It is a value: callers do
// not change its slices once it is shared. [Bind] resolves it against replicas.
type Expr struct {
	Form  Form
	K     int    // FormCount, FormFirst, FormVotes
	Of    []Vote // whom, in order of preference; empty for all replicas
	In    Scope
	Parts []Expr // FormAnd, FormOr
}

// Vote is a node in the list of an expression. Votes counts in FormVotes alone:
// who has none may answer, and counts nothing.
type Vote struct {
	Node  string
	Votes int
}

// And returns an expression that holds where all of es do.
func And(es ...Expr) Expr { return combined(FormAnd, es) }

// Or returns an expression that holds where one of es does.
func Or(es ...Expr) Expr { return combined(FormOr, es) }

// combined keeps expressions flat: one of the same form gives its parts.
func combined(f Form, es []Expr) Expr {
	if len(es) == 1 {
		return es[0]
	}
	out := Expr{Form: f}
	for _, e := range es {
		if e.Form == f {
			out.Parts = append(out.Parts, e.Parts...)
		} else {
			out.Parts = append(out.Parts, e)
		}
	}
	return out
}

// Count returns the expression "k": any k of the replicas.
func Count(k int) Expr { return Expr{Form: FormCount, K: k} }

// Expr returns c as an expression.
func (c Consistency) Expr() Expr {
	switch c {
	case AtOne:
		return Count(1)
	case AtTwo:
		return Count(2)
	case AtAll:
		return Expr{Form: FormAll}
	case AtLocalOne:
		return Expr{Form: FormCount, K: 1, In: Scope{Unit: UnitSite, Local: true}}
	case AtLocalQuorum:
		return Expr{In: Scope{Unit: UnitSite, Local: true}}
	case AtEachQuorum:
		return Expr{In: Scope{Unit: UnitSite}}
	}
	return Expr{}
}

// Equal reports whether e and o are the same expression, in the same order.
func (e Expr) Equal(o Expr) bool {
	return e.Form == o.Form && e.K == o.K && e.In == o.In && slices.Equal(e.Of, o.Of) && slices.EqualFunc(e.Parts, o.Parts, Expr.Equal)
}

// Validate checks what can be checked without knowing the replicas. Its errors
// wrap [ErrExpr].
func (e Expr) Validate() error {
	if err := e.validate(0); err != nil {
		return fmt.Errorf("%w: %w", ErrExpr, err)
	}
	return nil
}

func (e Expr) validate(depth int) error {
	if depth > DepthMax {
		return fmt.Errorf("more than %d parentheses within one another", DepthMax)
	}
	if e.Form == FormAnd || e.Form == FormOr {
		return e.validateParts(depth)
	}
	switch {
	case e.Form > FormOr:
		return fmt.Errorf("there is no form %d", e.Form)
	case len(e.Parts) > 0:
		return fmt.Errorf("%q takes no parts", e.word())
	case len(e.Of) > 0 && e.In != Scope{}:
		return errors.New("a list and places: one of the two")
	}
	if err := e.In.validate(); err != nil {
		return err
	}
	total, err := e.validateList()
	switch counts := e.Form == FormCount || e.Form == FormFirst; {
	case err != nil:
		return err
	case !counts && e.Form != FormVotes && e.K != 0:
		return fmt.Errorf("%q takes no number, %d given", e.word(), e.K)
	case counts && (e.K < 1 || e.K > MembersMax):
		return fmt.Errorf("%d: a number from 1 to %d", e.K, MembersMax)
	case counts && len(e.Of) > 0 && e.K > len(e.Of):
		return fmt.Errorf("%d of a list of %d", e.K, len(e.Of))
	case e.Form == FormVotes && (e.K < 0 || e.K > total || total == 0):
		return fmt.Errorf("%d of %d votes", e.K, total)
	}
	return nil
}

func (e Expr) validateParts(depth int) error {
	if n := len(e.Parts); n < 2 || n > PartsMax {
		return fmt.Errorf("%q of %d parts, 2 to %d may be", e.word(), n, PartsMax)
	}
	if e.K != 0 || len(e.Of) > 0 || e.In != (Scope{}) {
		return fmt.Errorf("%q takes parts alone", e.word())
	}
	for _, p := range e.Parts {
		if p.Form == e.Form {
			return fmt.Errorf("%q within %q: write them as one", e.word(), e.word())
		}
		if err := p.validate(depth + 1); err != nil {
			return err
		}
	}
	return nil
}

// validateList checks the list, and returns the votes it gives out.
func (e Expr) validateList() (votes int, err error) {
	if len(e.Of) > MembersMax {
		return 0, fmt.Errorf("a list of %d nodes, at most %d", len(e.Of), MembersMax)
	}
	for i, v := range e.Of {
		switch {
		case !validName(v.Node):
			return 0, fmt.Errorf("%q is no name of a node", v.Node)
		case slices.ContainsFunc(e.Of[:i], func(w Vote) bool { return w.Node == v.Node }):
			return 0, fmt.Errorf("%s stands in the list twice", v.Node)
		case e.Form == FormVotes && (v.Votes < 0 || v.Votes > VotesMax):
			return 0, fmt.Errorf("%s has %d votes: 0 to %d may be", v.Node, v.Votes, VotesMax)
		case e.Form != FormVotes && v.Votes != 0:
			return 0, fmt.Errorf("%s has votes, and nothing counts them", v.Node)
		}
		votes += v.Votes
	}
	return votes, nil
}

func (s Scope) validate() error {
	some := s.K != 0 || s.Total != 0 || s.Majority
	switch {
	case s.Unit > UnitRack:
		return fmt.Errorf("there is no unit %d", s.Unit)
	case s.Unit == UnitNone && s != Scope{}:
		return errors.New("places of no unit")
	case s.Local && s.Site != "", (s.Local || s.Site != "") && some, s.Majority && (s.K != 0 || s.Total != 0), s.Total != 0 && s.K == 0:
		return errors.New("one choice of places")
	case (s.Local || s.Site != "") && s.Unit != UnitSite:
		return errors.New("racks have no names here, and none is local")
	case s.Site != "" && !validName(s.Site):
		return fmt.Errorf("%q is no name of a site", s.Site)
	case s.K < 0 || s.K > MembersMax || s.Total > MembersMax:
		return fmt.Errorf("a number of places from 1 to %d", MembersMax)
	case s.Total != 0 && s.K > s.Total:
		return fmt.Errorf("%d of %d places", s.K, s.Total)
	}
	return nil
}

// word is what messages call an expression.
func (e Expr) word() string {
	return [...]string{"quorum", "any", "first", "all", "votes", "and", "or", "?"}[min(e.Form, FormOr+1)]
}

// String returns the expression as configurations spell it, which [ParseExpr]
// reads back if it is valid.
func (e Expr) String() string {
	if e.Form == FormAnd || e.Form == FormOr {
		var parts []string
		for _, p := range e.Parts {
			if p.Form == FormAnd || p.Form == FormOr {
				parts = append(parts, "("+p.String()+")")
			} else {
				parts = append(parts, p.String())
			}
		}
		return strings.Join(parts, " "+e.word()+" ")
	}
	base := e.base()
	switch in := e.In; {
	case in == Scope{}:
		return base
	case in.Local && (e.Form == FormMajority || e.Form == FormCount && e.K == 1):
		return "local_" + base
	case in == Scope{Unit: UnitSite} && e.Form == FormMajority:
		return "each_quorum"
	default:
		return base + " in " + in.String()
	}
}

// base is what is asked of one group.
func (e Expr) base() string {
	k := strconv.Itoa(e.K)
	list := e.list()
	switch {
	case e.Form == FormCount && e.K == 1 && list == "":
		return "one"
	case e.Form == FormCount && list == "":
		return k
	case e.Form == FormVotes && e.K > 0:
		return k + " votes" + list
	case e.Form == FormVotes:
		return "quorum votes" + list
	case e.Form == FormCount, e.Form == FormFirst:
		return e.word() + " " + k + list
	}
	return e.word() + list
}

func (e Expr) list() string {
	var names []string
	for _, v := range e.Of {
		if e.Form == FormVotes && v.Votes != 1 {
			names = append(names, v.Node+":"+strconv.Itoa(v.Votes))
		} else {
			names = append(names, v.Node)
		}
	}
	if names == nil {
		return ""
	}
	return " (" + strings.Join(names, ", ") + ")"
}

// String returns the places as an expression names them behind "in".
func (s Scope) String() string {
	one, many := "site", "sites"
	if s.Unit == UnitRack {
		one, many = "rack", "racks"
	}
	switch {
	case s.Local:
		return "local " + one
	case s.Site != "":
		return one + " " + s.Site
	case s.Majority:
		return "quorum of " + many
	case s.Total > 0:
		return fmt.Sprintf("%d of %d %s", s.K, s.Total, many)
	case s.K == 1:
		return "1 " + one
	case s.K > 0:
		return fmt.Sprintf("%d %s", s.K, many)
	}
	return "each " + one
}

// MarshalText is String, for encoders of configurations. It refuses an expression
// that is not valid.
func (e Expr) MarshalText() ([]byte, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	return []byte(e.String()), nil
}

// UnmarshalText is [ParseExpr], for decoders of configurations.
func (e *Expr) UnmarshalText(text []byte) error {
	p, err := ParseExpr(string(text))
	if err == nil {
		*e = p
	}
	return err
}
