package quorum

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// SyntaxError says where the text of a policy or an expression cannot be read,
// and why. It wraps [ErrPolicy], or [ErrExpr].
type SyntaxError struct {
	Input  string
	Offset int // in bytes, from 0: where the word begins that is wrong
	Why    string

	ground error // nil for ErrPolicy
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%v %q: column %d: %s", e.Unwrap(), e.Input, e.Offset+1, e.Why)
}

func (e *SyntaxError) Unwrap() error {
	if e.ground != nil {
		return e.ground
	}
	return ErrPolicy
}

// Parse reads a policy as configurations spell it:
//
//	policy = "async" | "all" [ list ] | ( "first" | "any" ) number [ list ]
//	list   = "(" name { "," name } ")"
//
// Keywords may be in upper case, as PostgreSQL writes them. The error is a
// [*SyntaxError]; a policy that Parse returns is valid.
func Parse(s string) (Policy, error) {
	t := &text{s: s}
	p := t.policy()
	if t.err == nil && t.word() != "" {
		t.fail("the end expected, found %q", t.word())
	}
	if t.err != nil {
		return Policy{}, t.err
	}
	return p, nil
}

// text is a cursor over the text of a policy or an expression. After the first error it stands
// still.
type text struct {
	s      string
	off    int
	ground error // of its errors; nil for ErrPolicy
	err    error
}

// word returns the word at the cursor, which it moves past blanks alone: a run
// of name bytes, or one other character; empty at the end.
func (t *text) word() string {
	for t.off < len(t.s) && strings.IndexByte(" \t\r\n", t.s[t.off]) >= 0 {
		t.off++
	}
	end := t.off
	for end < len(t.s) && nameByte(t.s[end]) {
		end++
	}
	if end == t.off {
		_, n := utf8.DecodeRuneInString(t.s[end:])
		end += n
	}
	return t.s[t.off:end]
}

// fail records why at the word under the cursor.
func (t *text) fail(why string, args ...any) {
	if t.err == nil {
		t.err = &SyntaxError{Input: t.s, Offset: t.off, Why: fmt.Sprintf(why, args...), ground: t.ground}
	}
}

// expected records that something else than the word under the cursor was due.
func (t *text) expected(what string) {
	if w := t.word(); w != "" {
		t.fail("%s expected, found %q", what, w)
	} else {
		t.fail("%s expected, found the end", what)
	}
}

func (t *text) policy() Policy {
	kind := t.word()
	var p Policy
	switch strings.ToLower(kind) {
	case "async":
		t.off += len(kind)
		return p
	case "all":
		p.Kind = KindAll
	case "first":
		p.Kind = KindFirst
	case "any":
		p.Kind = KindAny
	default:
		t.expected("async, first, any or all")
		return p
	}
	t.off += len(kind)
	t.word() // past the blanks, so that an error of the number points at it
	at := t.off
	if p.Kind != KindAll {
		p.K = t.number(MembersMax - 1)
	}
	if t.word() == "(" {
		p.Of = t.list()
	}
	if t.err == nil && len(p.Of) > 0 && p.K > len(p.Of) {
		t.off = at
		t.fail("%d of a list of %d", p.K, len(p.Of))
	}
	return p
}

func (t *text) number(most int) int {
	w, n := t.word(), 0
	for i := range len(w) {
		if w[i] < '0' || w[i] > '9' {
			t.expected("a number")
			return 0
		}
		n = min(10*n+int(w[i]-'0'), most+1)
	}
	switch {
	case w == "":
		t.expected("a number")
	case n < 1 || n > most:
		t.fail("a number from 1 to %d expected, found %s", most, w)
	}
	t.off += len(w)
	return n
}

func (t *text) list() []string {
	var names []string
	t.off++ // the parenthesis
	for t.err == nil {
		names = append(names, t.name(len(names), func(w string) bool { return slices.Contains(names, w) }))
		switch t.word() {
		case ",":
			t.off++
		case ")":
			t.off++
			return names
		default:
			t.expected("a comma or a closing parenthesis")
		}
	}
	return nil
}

// name reads the name of a node in a list that holds so many already.
func (t *text) name(held int, has func(string) bool) string {
	w := t.word()
	switch {
	case w == "" || !nameByte(w[0]):
		t.expected("the name of a node")
	case len(w) > NameBytesMax:
		t.fail("a name of %d bytes, at most %d", len(w), NameBytesMax)
	case has(w):
		t.fail("%s stands in the list twice", w)
	case held == MembersMax:
		t.fail("more than %d nodes", MembersMax)
	}
	t.off += len(w)
	return w
}
