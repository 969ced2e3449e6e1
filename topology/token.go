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
// and LSN. The zero Token has seen nothing.
type Token struct {
	Origin version.Origin
	Term   uint64
	LSN    record.LSN
}

// IsZero reports whether the token has seen nothing.
func (t Token) IsZero() bool { return t == Token{} }

const tokenPrefix = "t1."

// TokenBytesMax is the length no printed token exceeds.
const TokenBytesMax = 200

// String returns the token in printable ASCII, fit for a cookie; empty for the
// zero token.
func (t Token) String() string {
	if t.IsZero() {
		return ""
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
