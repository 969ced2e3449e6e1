package topology

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/version"
)

// Token is what a session has seen (rule C8). For one leader it is origin, term
// and LSN; where several sites write it is a vector. The zero Token has seen nothing.
// Tokens are comparable.
type Token struct {
	Origin version.Origin
	Term   uint64
	LSN    record.LSN
	seen   string // a vector in its canonical form; empty for one leader
}

// TokenOf returns the token of a session that has seen the writes of v.
func TokenOf(v version.Vector) Token {
	if len(v) == 0 {
		return Token{}
	}
	w := pack.NewWriter(nil)
	w.Array(3 * len(v))
	for _, m := range v {
		w.Uint(uint64(m.Origin.ID))
		w.Uint(uint64(m.Origin.Incarnation))
		w.Uint(m.Seq)
	}
	return Token{seen: string(w.Bytes())}
}

// Vector returns the writes that the session has seen, where several sites write. The
// token of one leader has none, and is ErrMalformed.
func (t Token) Vector() (version.Vector, error) {
	if t.IsZero() {
		return nil, nil
	}
	if t.seen == "" {
		return nil, fmt.Errorf("%w: a token of origin %v with one leader, where several sites write", ErrMalformed, t.Origin)
	}
	return decodeSeen([]byte(t.seen))
}

// Join returns the token of a session that has seen what t has and what u has. Of two
// tokens of one leader it is the later one; one of another kind than t is not added.
func (t Token) Join(u Token) Token {
	switch {
	case t.IsZero():
		return u
	case u.IsZero() || (t.seen == "") != (u.seen == ""):
		return t
	case t.seen == "":
		if u.Term > t.Term || u.Term == t.Term && u.LSN > t.LSN {
			return u
		}
		return t
	}
	v, err := t.Vector()
	w, werr := u.Vector()
	if err != nil || werr != nil {
		return t // no token that was made or parsed here
	}
	return TokenOf(v.Join(w))
}

func decodeSeen(b []byte) (v version.Vector, err error) {
	r := pack.NewReader(b)
	n := r.ArrayMax(3 * tokenMarksMax)
	if n == 0 || n%3 != 0 {
		r.Fail("no whole vector")
	}
	for ; n > 0 && r.Err() == nil; n -= 3 {
		o := version.Origin{ID: uint32(r.UintMax(1<<32 - 1)), Incarnation: uint32(r.UintMax(1<<32 - 1))}
		v = append(v, version.Mark{Origin: o, Seq: r.Uint()})
	}
	err = r.Done()
	if err == nil && !v.Valid() {
		err = fmt.Errorf("its vector is not in canonical form")
	}
	if err != nil {
		return nil, fmt.Errorf("token: %w: %w", ErrMalformed, err)
	}
	return v, nil
}

// IsZero reports whether the token has seen nothing.
func (t Token) IsZero() bool { return t == Token{} }

// What a printed token begins with: that of one leader, and a vector.
const (
	tokenPrefix  = "t1."
	vectorPrefix = "t2."
)

// TokenBytesMax is the length that no printed token of one leader exceeds, nor one of
// six sites that have a few lives behind them.
const TokenBytesMax = 200

// VectorTokenBytesMax is the length that no printed token exceeds.
const VectorTokenBytesMax = 16 << 10

const tokenMarksMax = 512

// String returns the token in printable ASCII, fit for a cookie; empty for the
// zero token.
func (t Token) String() string {
	if t.IsZero() {
		return ""
	}
	if t.seen != "" {
		return vectorPrefix + base64.RawURLEncoding.EncodeToString([]byte(t.seen))
	}
	w := pack.NewWriter(nil)
	w.Array(4)
	w.Uint(uint64(t.Origin.ID))
	w.Uint(uint64(t.Origin.Incarnation))
	w.Uint(t.Term)
	w.Uint(uint64(t.LSN))
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(w.Bytes())
}

// ParseToken reads what String printed. Anything else is ErrMalformed.
func ParseToken(s string) (Token, error) {
	if s == "" {
		return Token{}, nil
	}
	if body, ok := strings.CutPrefix(s, vectorPrefix); ok && len(s) <= VectorTokenBytesMax {
		b, err := base64.RawURLEncoding.Strict().DecodeString(body)
		if err != nil {
			return Token{}, fmt.Errorf("token: %w: %v", ErrMalformed, err)
		}
		v, err := decodeSeen(b)
		if err != nil {
			return Token{}, err
		}
		return TokenOf(v), nil
	}
	body, ok := strings.CutPrefix(s, tokenPrefix)
	if !ok || len(s) > TokenBytesMax {
		return Token{}, fmt.Errorf("token: %w: it does not begin with %q", ErrMalformed, tokenPrefix)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil {
		return Token{}, fmt.Errorf("token: %w: %v", ErrMalformed, err)
	}
	r := pack.NewReader(b)
	r.ArrayOf(4)
	t := Token{
		Origin: version.Origin{ID: uint32(r.UintMax(1<<32 - 1)), Incarnation: uint32(r.UintMax(1<<32 - 1))},
		Term:   r.Uint(),
		LSN:    record.LSN(r.Uint()),
	}
	if err := r.Done(); err != nil {
		return Token{}, fmt.Errorf("token: %w: %v", ErrMalformed, err)
	}
	return t, nil
}
