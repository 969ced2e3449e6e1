package topology

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/version"
)

// Context is what a reader was shown of one key whose table keeps siblings: exactly the
// writes that it saw, deletes among them. A write with it replaces these and nothing else
// (rule X1). The zero Context is none; that of a key of which nothing was shown is not
// zero, and replaces nothing. Contexts are comparable.
type Context struct{ seen string }

// ContextBytesMax bounds the text of a context.
const ContextBytesMax = 64 << 10

const contextPrefix = "tc1."

// ContextOf returns the context of who was shown the writes of s, which may be nil.
func ContextOf(s *version.Set) Context {
	if s == nil {
		s = &version.Set{}
	}
	w := pack.NewWriter(nil)
	w.Array(2)
	w.Array(3 * len(s.Prefix))
	for _, m := range s.Prefix {
		putContextDot(w, version.Dot(m))
	}
	w.Array(3 * len(s.Dots))
	for _, d := range s.Dots {
		putContextDot(w, d)
	}
	return Context{string(w.Bytes())}
}

func putContextDot(w *pack.Writer, d version.Dot) {
	w.Uint(uint64(d.Origin.ID))
	w.Uint(uint64(d.Origin.Incarnation))
	w.Uint(d.Seq)
}

// IsZero reports whether c is none.
func (c Context) IsZero() bool { return c.seen == "" }

// Set returns the writes that were shown; nil of the zero Context.
func (c Context) Set() *version.Set {
	if c.IsZero() {
		return nil
	}
	s, err := decodeContext([]byte(c.seen))
	if err != nil {
		return nil // none that was made or parsed here
	}
	return s
}

func decodeContext(b []byte) (*version.Set, error) {
	r := pack.NewReader(b)
	r.ArrayOf(2)
	s := &version.Set{}
	for _, d := range contextDots(&r) {
		s.Prefix = append(s.Prefix, version.Mark(d))
	}
	s.Dots = contextDots(&r)
	if r.Err() == nil && !s.Valid() {
		r.Fail("it is not in canonical order")
	}
	return s, r.Done()
}

func contextDots(r *pack.Reader) (out []version.Dot) {
	n := r.ArrayMax(3 * record.SiblingsMax)
	if n%3 != 0 {
		r.Fail("it is not whole")
	}
	for ; n >= 3 && r.Err() == nil; n -= 3 {
		d := version.Dot{Origin: version.Origin{ID: uint32(r.UintMax(1<<32 - 1)), Incarnation: uint32(r.UintMax(1<<32 - 1))}}
		if d.Seq = r.Uint(); d.Seq == 0 || d.Origin.IsZero() {
			r.Fail("it names no write")
		}
		out = append(out, d)
	}
	return out
}

// String is a text of printable ASCII that [ParseContext] reads; empty of the zero
// Context.
func (c Context) String() string {
	if c.IsZero() {
		return ""
	}
	return contextPrefix + base64.RawURLEncoding.EncodeToString([]byte(c.seen))
}

// ParseContext reads a context. An error wraps ErrMalformed or ErrTooLarge.
func ParseContext(s string) (Context, error) {
	if s == "" {
		return Context{}, nil
	}
	if len(s) > ContextBytesMax {
		return Context{}, fmt.Errorf("a context of %d bytes, at most %d: %w", len(s), ContextBytesMax, ErrTooLarge)
	}
	word, ok := strings.CutPrefix(s, contextPrefix)
	b, err := base64.RawURLEncoding.Strict().DecodeString(word)
	if !ok || err != nil {
		return Context{}, fmt.Errorf("%.32q is not the context of a reading: %w", s, ErrMalformed)
	}
	set, err := decodeContext(b)
	if err != nil {
		return Context{}, fmt.Errorf("%.32q is not the context of a reading: %w: %w", s, ErrMalformed, err)
	}
	if c := ContextOf(set); c.seen == string(b) {
		return c, nil
	}
	return Context{}, fmt.Errorf("%.32q is not the context of a reading: %w: it is not in its one form", s, ErrMalformed)
}
