package quorum

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Limits of a policy and of a rule.
const (
	MembersMax   = 64 // of one rule, the leader included; names in one list
	NameBytesMax = 63 // of one node's name
)

// ErrPolicy is the ground of every error of this package: a policy that means
// nothing, or one that its leader and voters cannot keep.
var ErrPolicy = errors.New("invalid sync policy")

// Kind says how a policy counts.
type Kind uint8

// The kinds of policies.
const (
	KindAsync Kind = iota // nobody but the leader
	KindFirst             // the first K listed
	KindAny               // any K of those listed
	KindAll               // all listed
)

func (k Kind) String() string {
	switch k {
	case KindAsync:
		return "async"
	case KindFirst:
		return "first"
	case KindAny:
		return "any"
	case KindAll:
		return "all"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Policy says whom a commit waits for besides the leader. The zero value is
// Async. It is a value: callers do not change Of once the policy is shared.
type Policy struct {
	Kind Kind
	K    int      // how many besides the leader: First, Any
	Of   []string // whom, in order of preference; empty for all voters, in their order
}

// Async waits for nobody: a failover may lose what the leader had acknowledged
// (rule S9).
func Async() Policy { return Policy{} }

// First waits for the first k of order, of all voters if order is empty.
func First(k int, order ...string) Policy { return Policy{Kind: KindFirst, K: k, Of: order} }

// Any waits for any k of the nodes in of, of all voters if it is empty.
func Any(k int, of ...string) Policy { return Policy{Kind: KindAny, K: k, Of: of} }

// All waits for every voter. It never runs with fewer: it stands still.
func All() Policy { return Policy{Kind: KindAll} }

// Validate checks what can be checked without knowing the voters. Its errors
// wrap [ErrPolicy].
func (p Policy) Validate() error {
	switch p.Kind {
	case KindAsync:
		if len(p.Of) > 0 {
			return fmt.Errorf("%w: async waits for nobody, and takes no list", ErrPolicy)
		}
		fallthrough
	case KindAll:
		if p.K != 0 {
			return fmt.Errorf("%w: %v takes no number, %d given", ErrPolicy, p.Kind, p.K)
		}
	case KindFirst, KindAny:
		if p.K < 1 {
			return fmt.Errorf("%w: %v %d: at least 1", ErrPolicy, p.Kind, p.K)
		}
		if p.K >= MembersMax {
			return fmt.Errorf("%w: %v %d: at most %d", ErrPolicy, p.Kind, p.K, MembersMax-1)
		}
		if len(p.Of) > 0 && p.K > len(p.Of) {
			return fmt.Errorf("%w: %v %d of a list of %d", ErrPolicy, p.Kind, p.K, len(p.Of))
		}
	default:
		return fmt.Errorf("%w: %v", ErrPolicy, p.Kind)
	}
	return checkNames("list", p.Of)
}

// checkNames refuses a list that is too long, or holds a name twice or one that
// a policy's text could not hold.
func checkNames[N ~string](what string, names []N) error {
	if len(names) > MembersMax {
		return fmt.Errorf("%w: %s of %d nodes, at most %d", ErrPolicy, what, len(names), MembersMax)
	}
	for i, n := range names {
		if !validName(string(n)) {
			return fmt.Errorf("%w: %s: %q is no name of a node", ErrPolicy, what, n)
		}
		if slices.Contains(names[:i], n) {
			return fmt.Errorf("%w: %s: %s stands in it twice", ErrPolicy, what, n)
		}
	}
	return nil
}

func validName(s string) bool {
	if len(s) == 0 || len(s) > NameBytesMax {
		return false
	}
	for i := range len(s) {
		if !nameByte(s[i]) {
			return false
		}
	}
	return true
}

func nameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.'
}

// Equal reports whether p and q are the same policy, in the same order.
func (p Policy) Equal(q Policy) bool {
	return p.Kind == q.Kind && p.K == q.K && slices.Equal(p.Of, q.Of)
}

// String returns the policy as configurations spell it, which [Parse] reads
// back if the policy is valid.
func (p Policy) String() string {
	var b strings.Builder
	b.WriteString(p.Kind.String())
	if p.Kind == KindFirst || p.Kind == KindAny {
		b.WriteByte(' ')
		b.WriteString(strconv.Itoa(p.K))
	}
	if len(p.Of) > 0 {
		b.WriteString(" (")
		b.WriteString(strings.Join(p.Of, ", "))
		b.WriteByte(')')
	}
	return b.String()
}

// MarshalText is String, for encoders of configurations. It refuses a policy
// that is not valid.
func (p Policy) MarshalText() ([]byte, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	return []byte(p.String()), nil
}

// UnmarshalText is [Parse], for decoders of configurations.
func (p *Policy) UnmarshalText(text []byte) error {
	q, err := Parse(string(text))
	if err == nil {
		*p = q
	}
	return err
}
