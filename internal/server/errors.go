package server

import (
	"errors"
	"fmt"

	"github.com/triad-kv/triad/topology"
)

// replyError is an error as a client gets it; it begins with its code.
type replyError string

func (e replyError) Error() string { return string(e) }

func replyErrorf(format string, args ...any) error { return replyError(fmt.Sprintf(format, args...)) }

// The words of Redis.
const (
	errSyntax      = replyError("ERR syntax error")
	errWrongType   = replyError("WRONGTYPE Operation against a key holding the wrong kind of value")
	errNotInteger  = replyError("ERR value is not an integer or out of range")
	errOverflow    = replyError("ERR increment or decrement would overflow")
	errHashInteger = replyError("ERR hash value is not an integer")
	errNoAuth      = replyError("NOAUTH Authentication required.")
	errWrongPass   = replyError("WRONGPASS invalid username-password pair or user is disabled.")
	errNested      = replyError("ERR MULTI calls can not be nested")
	errNoMulti     = replyError("ERR EXEC without MULTI")
	errNoDiscard   = replyError("ERR DISCARD without MULTI")
	errWatchMulti  = replyError("ERR WATCH inside MULTI is not allowed")
	errExecAbort   = replyError("EXECABORT Transaction discarded because of previous errors.")
	errReadOnly    = replyError("READONLY You can't write against a read only replica.")
	errClients     = replyError("ERR max number of clients reached")
	errCursor      = replyError("ERR invalid cursor")
	errNoCluster   = replyError("ERR This instance has cluster support disabled")
	errNoLeader    = replyError("CLUSTERDOWN no leader is known, or not where its port for Redis clients is")
	errTimeout     = replyError("ERR timeout is not an integer or out of range")
)

// codes give the sentinels their codes. Those with TRYAGAIN may be tried again
// as they are; clients know the code from Redis Cluster.
var codes = []struct {
	err  error
	code string
}{
	{topology.ErrUnavailable, "TRYAGAIN"},
	{topology.ErrOverloaded, "TRYAGAIN"},
	{topology.ErrTimeout, "TRYAGAIN"},
	{topology.ErrClosed, "TRYAGAIN"},
	{topology.ErrDiskFull, "MISCONF"},
	{topology.ErrFailed, "MISCONF"},
	{topology.ErrStoreFailed, "MISCONF"},
	{topology.ErrStale, "STALE"},
	{topology.ErrConflict, "CONFLICT"},
}

// wording returns a node's error as a client gets it. What may have happened
// says so first: no code that clients take for a failure stands before it.
func (s *Server) wording(err error, writing bool) string {
	var r replyError
	if errors.As(err, &r) {
		return string(r)
	}
	if refusedHere(err) {
		return s.readOnly(err)
	}
	if writing && topology.OutcomeOf(err) == topology.Unknown {
		return "UNKNOWN the outcome is not known, it may have happened or may yet: " + err.Error()
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code + " " + err.Error()
		}
	}
	return "ERR " + err.Error()
}
