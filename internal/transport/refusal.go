package transport

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/triad-kv/triad/topology"
)

// RefusalCode says why a connection was refused after its hello.
type RefusalCode uint8

const (
	RefusedProtocol    RefusalCode = 1 + iota // no protocol version in common
	RefusedClusterName                        // of a cluster of another name
	RefusedClusterID                          // of another cluster of that name
	RefusedFresh                              // neither side knows the cluster's id yet, or a client came to a node that does not
	RefusedStranger                           // a node that the membership does not know
	RefusedDuplicate                          // another live process speaks for that node (B35)
	RefusedSelf                               // it is this process itself
	RefusedRole                               // a client that asks for what only nodes get
	RefusedStream                             // a stream of a protocol that is not served here
	RefusedOverloaded                         // a limit is reached
	RefusedWrongNode                          // another node than was asked for
	RefusedAdoption                           // the cluster's id could not be kept
	RefusedPlain                              // a hello without TLS where TLS is spoken
	RefusedCertificate                        // the certificate is not for who the hello says
	refusalEnd
)

func (c RefusalCode) String() string {
	names := [...]string{
		"unknown", "protocol", "cluster-name", "cluster-id", "fresh", "stranger", "duplicate", "self", "role", "stream",
		"overloaded", "wrong-node", "adoption", "plain", "certificate",
	}
	if int(c) >= len(names) {
		return fmt.Sprintf("code-%d", uint8(c))
	}
	return names[c]
}

// Refusal is why a connection was refused. It wraps a sentinel of topology, and
// comes inside a *topology.Error whose outcome is NotApplied.
type Refusal struct {
	Code   RefusalCode
	Text   string
	Detail string // for this side alone; the other is not told
	ByPeer bool   // the other side refused; else this one did
}

func (e *Refusal) Error() string {
	if e.ByPeer {
		return fmt.Sprintf("refused by the other side (%v): %q", e.Code, e.Text)
	}
	return fmt.Sprintf("refused (%v): %s", e.Code, e.reason())
}

// reason is what this side knows of why.
func (e *Refusal) reason() string {
	if e.Detail == "" {
		return e.Text
	}
	return e.Text + ": " + e.Detail
}

func (e *Refusal) Unwrap() error {
	switch e.Code {
	case RefusedProtocol, RefusedStream, RefusedPlain:
		return topology.ErrUnsupported
	case RefusedFresh, RefusedWrongNode:
		return topology.ErrUnavailable
	case RefusedOverloaded:
		return topology.ErrOverloaded
	case RefusedAdoption:
		return topology.ErrFailed
	}
	return topology.ErrDenied
}

func refusef(c RefusalCode, format string, args ...any) *Refusal {
	return &Refusal{Code: c, Text: fmt.Sprintf(format, args...)}
}

// bounded returns s as UTF-8 of at most most bytes, cut between two runes.
func bounded(s string, most int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	for len(s) > most {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}
