package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/triad-kv/triad/internal/config/strict"
	"github.com/triad-kv/triad/quorum"
	"github.com/triad-kv/triad/topology"
)

// Duration is a time in a file, as in 250ms, 5s, 1h30m.
type Duration time.Duration

// TypeName is what docs call the type.
func (d Duration) TypeName() string { return "duration" }

// UnmarshalText reads a duration that is not negative.
func (d *Duration) UnmarshalText(b []byte) error {
	text := string(b)
	v, err := time.ParseDuration(text)
	switch _, number := strconv.ParseFloat(text, 64); {
	case number == nil && text != "0":
		return fmt.Errorf("%.64s has no unit; write %[1]ss, %[1]sms or %[1]sm", text)
	case err != nil:
		return fmt.Errorf("a duration is wanted here, as in 5s, not %.64q", text)
	case v < 0:
		return fmt.Errorf("%.64s is negative", text)
	}
	*d = Duration(v)
	return nil
}

// MarshalText spells a duration without units that are 0: 5m, not 5m0s.
func (d Duration) MarshalText() ([]byte, error) {
	text := time.Duration(d).String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return []byte(text), nil
}

func (d Duration) String() string {
	b, _ := d.MarshalText() // it never fails
	return string(b)
}

// Size is a number of bytes in a file, as in 64MiB.
type Size int64

// TypeName is what docs call the type.
func (s Size) TypeName() string { return "size" }

const sizeMax = 1 << 50

var sizes = []struct {
	unit string
	n    int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// UnmarshalText reads a size: a number of bytes, or of one of the units.
func (s *Size) UnmarshalText(b []byte) error {
	text := string(b)
	number, n := text, int64(1)
	for _, u := range sizes {
		if rest, ok := strings.CutSuffix(text, u.unit); ok && (u.n > 1 || endsInDigit(strings.TrimSpace(rest))) {
			number, n = strings.TrimSpace(rest), u.n
			break
		}
	}
	v, err := strconv.ParseInt(number, 10, 64)
	switch {
	case err != nil:
		return fmt.Errorf("a size is wanted here, as in 64MiB (units: B, KiB, MiB, GiB, TiB), not %.64q", text)
	case v < 0:
		return fmt.Errorf("%.64s is negative", text)
	case v > sizeMax/n:
		return fmt.Errorf("%.64s is more than %v", text, Size(sizeMax))
	}
	*s = Size(v * n)
	return nil
}

func endsInDigit(s string) bool {
	return s != "" && s[len(s)-1] >= '0' && s[len(s)-1] <= '9'
}

// MarshalText spells a size in the largest unit that divides it.
func (s Size) MarshalText() ([]byte, error) {
	for _, u := range sizes {
		if int64(s) >= u.n && int64(s)%u.n == 0 && u.n > 1 {
			return fmt.Appendf(nil, "%d%s", int64(s)/u.n, u.unit), nil
		}
	}
	return strconv.AppendInt(nil, int64(s), 10), nil
}

func (s Size) String() string {
	b, _ := s.MarshalText() // it never fails
	return string(b)
}

// Sync is a policy in a file, as in "first 1 (b, c)".
type Sync struct{ quorum.Policy }

// TypeName is what docs call the type.
func (s Sync) TypeName() string { return "policy" }

// UnmarshalText reads a policy; the error knows the place in the text.
func (s *Sync) UnmarshalText(b []byte) error {
	p, err := quorum.Parse(string(b))
	var syntax *quorum.SyntaxError
	if errors.As(err, &syntax) {
		return &strict.OffsetError{Offset: syntax.Offset, Err: fmt.Errorf("%s; a policy reads async, all, first 1 (b, c) or any 1 (b, c)", syntax.Why)}
	}
	s.Policy = p
	return err
}

// Durability is when a write is answered, in a file.
type Durability topology.Durability

// TypeName is what docs call the type.
func (d Durability) TypeName() string { return "received, flushed or applied" }

// UnmarshalText reads a durability.
func (d *Durability) UnmarshalText(b []byte) error {
	v, err := topology.ParseDurability(string(b))
	if err != nil || v == topology.DurabilityDefault {
		return notOneOf(string(b), []string{topology.Received.String(), topology.Flushed.String(), topology.Applied.String()})
	}
	*d = Durability(v)
	return nil
}

// MarshalText spells a durability.
func (d Durability) MarshalText() ([]byte, error) {
	return []byte(topology.Durability(d).String()), nil
}

// Role is what a node of a cluster is for.
type Role string

// The roles. A voter is counted by commits and may lead; a leader is the voter
// that leads first, a standby one that does not. A read replica copies the log
// and is never counted; a delayed one is a read replica that applies late. A
// witness keeps no data, and votes where the control elects.
const (
	RoleVoter       Role = "voter"
	RoleLeader      Role = "leader"
	RoleStandby     Role = "standby"
	RoleReadReplica Role = "read-replica"
	RoleDelayed     Role = "delayed"
	RoleWitness     Role = "witness"
)

var roles = []string{string(RoleVoter), string(RoleLeader), string(RoleStandby), string(RoleReadReplica), string(RoleDelayed), string(RoleWitness)}

// TypeName is what docs call the type.
func (r Role) TypeName() string { return "role" }

// UnmarshalText reads a role.
func (r *Role) UnmarshalText(b []byte) error {
	for _, word := range roles {
		if word == string(b) {
			*r = Role(word)
			return nil
		}
	}
	return notOneOf(string(b), roles)
}

// votes reports whether commits may count a node of this role.
func (r Role) votes() bool { return r == RoleVoter || r == RoleLeader || r == RoleStandby }

// Routing is what becomes of a Redis client's command that only the leader may do,
// in a file.
type Routing string

// The ways.
const (
	RoutingNone     Routing = "none"
	RoutingForward  Routing = "forward"
	RoutingRedirect Routing = "redirect"
)

var routings = []string{string(RoutingNone), string(RoutingForward), string(RoutingRedirect)}

// TypeName is what docs call the type.
func (r Routing) TypeName() string { return "none, forward or redirect" }

// UnmarshalText reads a routing.
func (r *Routing) UnmarshalText(b []byte) error {
	if !slices.Contains(routings, string(b)) {
		return notOneOf(string(b), routings)
	}
	*r = Routing(b)
	return nil
}

// notOneOf is the error of a word that is none of some.
func notOneOf(word string, words []string) error {
	if near := strict.Nearest(word, words); near != "" {
		return fmt.Errorf("%.64q is none of %s; did you mean %s?", word, strings.Join(words, ", "), near)
	}
	return fmt.Errorf("%.64q is none of %s", word, strings.Join(words, ", "))
}

// Reads is how a read that asks for nothing special is confirmed.
type Reads string

// By a round of the members a commit needs, or by the leader's lease.
const (
	ReadsRound Reads = "round"
	ReadsLease Reads = "lease"
)

// TypeName is what docs call the type.
func (r Reads) TypeName() string { return "round or lease" }

// UnmarshalText reads it.
func (r *Reads) UnmarshalText(b []byte) error {
	if *r = Reads(b); *r != ReadsRound && *r != ReadsLease {
		return notOneOf(string(b), []string{string(ReadsRound), string(ReadsLease)})
	}
	return nil
}
