package triad

import (
	"time"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Option is a wish for one call. One that does not fit the call, contradicts
// another or is given twice makes the call fail with topology.ErrUnsupported.
type Option = call.Option

// Durability says when a write is answered. It does not change when the write is
// committed, only when its caller hears of it.
func Durability(d topology.Durability) Option { return call.Durability(d) }

// Consistency says how many replicas of a key a request waits for, where nobody leads:
// one, more than half of them, or all, instead of what the configuration says. Where
// somebody leads it is topology.ErrUnsupported.
func Consistency(c topology.Consistency) Option { return call.Consistency(c) }

// After asks a read to see at least what token has seen (rule C8): the write it
// came from, and what was read with it. It waits for that where it must. A
// session begins with the zero token, which has seen nothing: any node may answer.
func After(token topology.Token) Option { return call.After(token) }

// MaxStale asks a read to be no staler than d, or to fail with topology.ErrStale.
func MaxStale(d time.Duration) Option { return call.MaxStale(d) }

// MaxLag asks a read to be no more than that many records behind the leader, or
// to fail with topology.ErrStale.
func MaxLag(records uint64) Option { return call.MaxLag(records) }

// MaxBytes asks a read to be no more than that many bytes of the log behind the
// leader, or to fail with topology.ErrStale.
func MaxBytes(bytes uint64) Option { return call.MaxBytes(bytes) }

// Linearizable asks a read to see all that was acknowledged before it began.
func Linearizable() Option { return call.Linearizable() }

// Leased is Linearizable for less: the leader answers without asking anybody while it
// has a lease, and by a round where it has none or the group holds none. It rests on
// clocks that run apart by no more than the configuration says.
func Leased() Option { return call.Leased() }

// Any lets a read return whatever this node holds, however stale.
func Any() Option { return call.Any() }

// IfAbsent makes a write fail with topology.ErrConditionFailed if the key holds
// a value.
func IfAbsent() Option { return call.IfAbsent() }

// IfVersion makes a write fail with topology.ErrConditionFailed unless the key
// holds the value of that write: the Dot of a receipt, or of a reading.
func IfVersion(d version.Dot) Option { return call.IfVersion(d) }

// IfValue makes a write fail with topology.ErrConditionFailed unless the key
// holds these bytes. It does not fit tables of rows.
func IfValue(value []byte) Option { return call.IfValue(value) }

// Request names a write, so that a retry with the same name gets the first
// answer and happens once (rule S17): client is random and not 0, seq grows with
// every write of that client. The last 64 of a client are remembered: a retry of an
// older one fails with topology.ErrForgotten. A client whose first seq is the time
// in nanoseconds is not taken for one that was forgotten. NotApplied speaks of one
// try alone: it does not say that an earlier one of unknown outcome did not happen.
func Request(client, seq uint64) Option { return call.Request(client, seq) }

// TTL lets what is put live that long, in milliseconds, instead of what its table
// says: the leader then removes it, and does not show it any more (see
// docs/guarantees.md for whose clock counts). In a batch it holds for every put.
func TTL(d time.Duration) Option { return call.TTL(d) }

// Context lets a write, in a table that keeps siblings, replace what its client was shown
// and nothing else: Reading.Context, of this site or another, whose writes the leader then
// waits for. Without it a write replaces all that its site has. [NothingSeen] is that of
// who was shown nothing.
func Context(c topology.Context) Option { return call.Context(c) }

// NothingSeen is the context of a client that was shown nothing of a key.
func NothingSeen() topology.Context { return topology.ContextOf(nil) }
