//go:build linux

package nemesis

import (
	"errors"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/triad-kv/triad/internal/sim/history"
)

// follow makes the next operation go where the leader is said to be; where the
// node that was asked is of no use, to the next one. The operation itself is
// never tried again.
func (l *load) follow(op history.Op, err error) {
	asked := int32(place(op.Node))
	if err == nil || asked != l.lead.Load() {
		return
	}
	if to := namedLeader(err.Error()); to >= 0 {
		l.lead.Store(int32(to))
		return
	}
	if op.Kind.Writes() || lost(err) {
		l.lead.CompareAndSwap(asked, (asked+1)%int32(len(ids)))
	}
}

// namedLeader is the place of the node that a refusal sends its client to, -1 if
// it names none.
func namedLeader(refusal string) int {
	_, rest, ok := strings.Cut(refusal, "The leader is ")
	if !ok {
		return -1
	}
	id, _, _ := strings.Cut(rest, " ")
	return slices.Index(ids, id)
}

// lost reports whether an error means that nobody is there.
func lost(err error) bool {
	var n net.Error
	return errors.As(err, &n) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
