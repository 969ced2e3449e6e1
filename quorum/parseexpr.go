package quorum

import (
	"slices"
	"strings"
)

// ParseExpr reads an expression as configurations spell it:
//
//	expr   = both { "or" both }
//	both   = term { "and" term }
//	term   = "(" expr ")" | level | count [ "in" places ] | count list | votes
//	level  = "local_one" | "local_quorum" | "each_quorum"
//	count  = "one" | "two" | "three" | number | "quorum" | "all" | ( "any" | "first" ) number
//	places = "each" unit | "local site" | "site" name | "quorum of" unit | number [ "of" number ] unit
//	unit   = "site" | "sites" | "rack" | "racks"
//	votes  = ( number | "quorum" ) "votes" "(" name [ ":" number ] { "," name [ ":" number ] } ")"
//	list   = "(" name { "," name } ")"
//
// Keywords may be in upper case. The error is a [*SyntaxError] that wraps
// [ErrExpr]; an expression that ParseExpr returns is valid.
func ParseExpr(s string) (Expr, error) {
	t := &text{s: s, ground: ErrExpr}
	if len(s) > TextBytesMax {
		t.fail("%d bytes, at most %d", len(s), TextBytesMax)
		t.err.(*SyntaxError).Input = s[:64] + "…"
		return Expr{}, t.err
	}
	e := t.expr(0)
	if t.err == nil && t.word() != "" {
		t.fail("the end expected, found %q", t.word())
	}
	if t.err != nil {
		return Expr{}, t.err
	}
	return e, nil
}

// MustParseExpr is [ParseExpr] for expressions that stand in programs: it panics
// where that fails.
func MustParseExpr(s string) Expr {
	e, err := ParseExpr(s)
	if err != nil {
		panic(err)
	}
	return e
}

// key returns the word at the cursor in lower case.
func (t *text) key() string { return strings.ToLower(t.word()) }

// skip moves past the word at the cursor.
func (t *text) skip() { t.off += len(t.word()) }

// take moves past the word at the cursor if it is one of words.
func (t *text) take(words ...string) bool {
	if t.err != nil || !slices.Contains(words, t.key()) {
		return false
	}
	t.skip()
	return true
}

func (t *text) expr(depth int) Expr { return t.chain(FormOr, depth) }

// chain reads what "or", or below it "and", joins.
func (t *text) chain(form Form, depth int) Expr {
	word := Expr{Form: form}.word()
	var parts []Expr
	t.word()
	at := t.off
	for {
		if form == FormOr {
			parts = append(parts, t.chain(FormAnd, depth))
		} else {
			parts = append(parts, t.term(depth))
		}
		if !t.take(word) {
			break
		}
	}
	e := combined(form, parts)
	if len(e.Parts) > PartsMax && t.err == nil {
		t.off = at
		t.fail("%d parts of one %q, at most %d", len(e.Parts), word, PartsMax)
	}
	return e
}

func (t *text) term(depth int) Expr {
	if t.err != nil {
		return Expr{}
	}
	if t.word() == "(" {
		if depth == DepthMax {
			t.fail("more than %d parentheses within one another", DepthMax)
			return Expr{}
		}
		t.skip()
		e := t.expr(depth + 1)
		if !t.take(")") && t.err == nil {
			t.expected("and, or, or a closing parenthesis")
		}
		return e
	}
	e, whole := t.count()
	if whole || t.err != nil {
		return e
	}
	if t.take("in") {
		e.In = t.places()
	}
	return e
}

// count reads who is counted, with its list; whole says that it takes no places.
func (t *text) count() (e Expr, whole bool) {
	t.word()
	at, w := t.off, t.key()
	switch w {
	case "one", "two", "three":
		t.skip()
		return Count(1 + slices.Index([]string{"one", "two", "three"}, w)), false
	case "local_one", "local_quorum":
		t.skip()
		e.In = Scope{Unit: UnitSite, Local: true}
		if w == "local_one" {
			e.Form, e.K = FormCount, 1
		}
		return e, true
	case "each_quorum":
		t.skip()
		return Expr{In: Scope{Unit: UnitSite}}, true
	case "all":
		t.skip()
		return t.listed(Expr{Form: FormAll})
	case "any", "first":
		t.skip()
		e.Form = FormCount
		if w == "first" {
			e.Form = FormFirst
		}
		e.K = t.number(MembersMax)
		return t.listed(e)
	case "quorum":
		t.skip()
		if t.key() != "votes" {
			return t.listed(e)
		}
	default:
		if w == "" || w[0] < '0' || w[0] > '9' {
			t.expected("a level, a number, any, first, all or a parenthesis")
			return e, true
		}
		e.Form, e.K = FormCount, t.number(votesSumMax)
	}
	if t.take("votes") {
		return t.votes(e.K, at), true
	}
	if e.K > MembersMax && t.err == nil {
		t.off = at
		t.fail("a number from 1 to %d expected, found %d", MembersMax, e.K)
	}
	return e, false
}

// votesSumMax is the most votes that one list can give out.
const votesSumMax = MembersMax * VotesMax

// listed reads the list behind a count, if there is one.
func (t *text) listed(e Expr) (Expr, bool) {
	if t.word() != "(" || t.err != nil {
		return e, false
	}
	at := t.off
	for _, n := range t.list() {
		e.Of = append(e.Of, Vote{Node: n})
	}
	if t.err == nil && e.K > len(e.Of) {
		t.off = at
		t.fail("%d of a list of %d", e.K, len(e.Of))
	}
	return e, true
}

// votes reads the list of an expression that counts votes, which begins at at.
func (t *text) votes(k, at int) Expr {
	e := Expr{Form: FormVotes, K: k}
	if t.word() != "(" {
		t.expected("a list of nodes and their votes")
		return e
	}
	t.skip()
	total := 0
	for t.err == nil {
		v := Vote{Node: t.name(len(e.Of), func(w string) bool {
			return slices.ContainsFunc(e.Of, func(v Vote) bool { return v.Node == w })
		}), Votes: 1}
		if t.take(":") {
			v.Votes = 0
			if t.word() == "0" {
				t.skip()
			} else {
				v.Votes = t.number(VotesMax)
			}
		}
		e.Of = append(e.Of, v)
		total += v.Votes
		if t.take(")") {
			break
		}
		if !t.take(",") && t.err == nil {
			t.expected("a comma or a closing parenthesis")
		}
	}
	if t.err == nil && (k > total || total == 0) {
		t.off = at
		t.fail("%d of %d votes", k, total)
	}
	return e
}

// places reads what stands behind "in".
func (t *text) places() (s Scope) {
	s.Unit = UnitSite
	switch {
	case t.take("local"):
		s.Local = true
		if !t.take("site") && t.err == nil {
			t.expected("site")
		}
	case t.take("site"):
		s.Site = t.name(0, func(string) bool { return false })
	case t.take("each"):
		s.Unit = t.unit()
	case t.take("quorum"):
		s.Majority = true
		if !t.take("of") && t.err == nil {
			t.expected("of")
		}
		s.Unit = t.unit()
	default:
		if w := t.word(); w == "" || w[0] < '0' || w[0] > '9' {
			t.expected("each, local, site, quorum of, or a number of sites or racks")
			return s
		}
		at := t.off
		s.K = t.number(MembersMax)
		if t.take("of") {
			t.word()
			s.Total = t.number(MembersMax)
		}
		if t.err == nil && s.Total > 0 && s.K > s.Total {
			t.off = at
			t.fail("%d of %d places", s.K, s.Total)
		}
		s.Unit = t.unit()
	}
	return s
}

func (t *text) unit() Unit {
	switch {
	case t.take("site", "sites"):
		return UnitSite
	case t.take("rack", "racks"):
		return UnitRack
	}
	if t.err == nil {
		t.expected("sites or racks")
	}
	return UnitSite
}
