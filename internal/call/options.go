package call

import (
	"fmt"
	"math/bits"
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Option is a wish for one call. One that does not fit the call, contradicts
// another or is given twice makes the call fail with topology.ErrUnsupported.
// Packages triad and client have a function for each.
type Option struct {
	wish       Wish
	durability topology.Durability
	level      topology.Consistency
	token      topology.Token
	stale      time.Duration
	lag        uint64
	bytes      uint64
	dot        version.Dot
	value      []byte
	request    record.RequestID
	ttl        time.Duration
	context    topology.Context
}

// TTLMax is the longest time that a key may have to live.
const TTLMax = 100 * 365 * 24 * time.Hour

// Wish is a set of kinds of options.
type Wish uint16

// The kinds of options.
const (
	WishDurability Wish = 1 << iota
	WishAfter
	WishMaxStale
	WishMaxLag
	WishLinearizable
	WishAny
	WishIfAbsent
	WishIfVersion
	WishIfValue
	WishRequest
	WishTTL
	WishMaxBytes
	WishLeased
	WishConsistency
	WishContext

	WishIf    = WishIfAbsent | WishIfVersion | WishIfValue
	WishWrite = WishDurability | WishRequest | WishTTL | WishConsistency
	WishRead  = WishAfter | WishBounds | WishLinearizable | WishLeased | WishAny | WishConsistency

	WishBounds = WishMaxStale | WishMaxLag | WishMaxBytes
)

// String names the first of a set.
func (w Wish) String() string {
	names := [...]string{
		"Durability", "After", "MaxStale", "MaxLag", "Linearizable", "Any", "IfAbsent", "IfVersion", "IfValue", "Request", "TTL", "MaxBytes", "Leased", "Consistency", "Context",
	}
	if i := bits.TrailingZeros16(uint16(w)); i < len(names) {
		return names[i]
	}
	return "the zero Option"
}

// The options; packages triad and client say what each means.

func Durability(d topology.Durability) Option   { return Option{wish: WishDurability, durability: d} }
func After(t topology.Token) Option             { return Option{wish: WishAfter, token: t} }
func MaxStale(d time.Duration) Option           { return Option{wish: WishMaxStale, stale: d} }
func MaxLag(records uint64) Option              { return Option{wish: WishMaxLag, lag: records} }
func MaxBytes(bytes uint64) Option              { return Option{wish: WishMaxBytes, bytes: bytes} }
func Linearizable() Option                      { return Option{wish: WishLinearizable} }
func Leased() Option                            { return Option{wish: WishLeased} }
func Any() Option                               { return Option{wish: WishAny} }
func IfAbsent() Option                          { return Option{wish: WishIfAbsent} }
func IfVersion(d version.Dot) Option            { return Option{wish: WishIfVersion, dot: d} }
func IfValue(value []byte) Option               { return Option{wish: WishIfValue, value: value} }
func TTL(d time.Duration) Option                { return Option{wish: WishTTL, ttl: d} }
func Consistency(c topology.Consistency) Option { return Option{wish: WishConsistency, level: c} }

// Context says what a write has seen of its key.
func Context(c topology.Context) Option { return Option{wish: WishContext, context: c} }

// Request names a write of a client.
func Request(client, seq uint64) Option {
	return Option{wish: WishRequest, request: record.RequestID{Client: client, Seq: seq}}
}

// Wishes are the options of one call, put together.
type Wishes struct{ all Option }

// Gather puts opts together for a call that allows those.
func Gather(opts []Option, allowed Wish) (Wishes, error) {
	var w Wishes
	for i := range opts {
		o := &opts[i]
		switch {
		case o.wish == 0 || o.wish&^allowed != 0:
			return w, fmt.Errorf("%w: %v does not fit this call", topology.ErrUnsupported, o.wish)
		case w.Has(o.wish):
			return w, fmt.Errorf("%w: %v is given twice", topology.ErrUnsupported, o.wish)
		case o.wish&WishIf != 0 && w.Has(WishIf):
			return w, fmt.Errorf("%w: %v and %v: one condition a call", topology.ErrUnsupported, w.all.wish&WishIf, o.wish)
		}
		if err := w.take(o); err != nil {
			return w, err
		}
		w.all.wish |= o.wish
	}
	if more := w.all.wish & WishRead &^ WishAny; w.Has(WishAny) && more != 0 {
		return w, fmt.Errorf("%w: %v asks for more than Any does", topology.ErrUnsupported, more)
	}
	return w, nil
}

// take copies what o wishes, if it means something.
func (w *Wishes) take(o *Option) error {
	switch o.wish {
	case WishDurability:
		if o.durability < topology.Received || o.durability > topology.Applied {
			return fmt.Errorf("%w: %v is none of received, flushed, applied", topology.ErrUnsupported, o.durability)
		}
		w.all.durability = o.durability
	case WishConsistency:
		if o.level < topology.ConsistencyOne || o.level > topology.ConsistencyLast {
			return fmt.Errorf("%w: %v is none of one, quorum, all", topology.ErrUnsupported, o.level)
		}
		w.all.level = o.level
	case WishAfter:
		w.all.token = o.token
	case WishMaxStale:
		if o.stale <= 0 {
			return fmt.Errorf("%w: MaxStale(%v) is no bound; Linearizable asks for the newest", topology.ErrUnsupported, o.stale)
		}
		w.all.stale = o.stale
	case WishMaxLag:
		if o.lag == 0 {
			return fmt.Errorf("%w: MaxLag(0) is no bound; Linearizable asks for the newest", topology.ErrUnsupported)
		}
		w.all.lag = o.lag
	case WishMaxBytes:
		if o.bytes == 0 {
			return fmt.Errorf("%w: MaxBytes(0) is no bound; Linearizable asks for the newest", topology.ErrUnsupported)
		}
		w.all.bytes = o.bytes
	case WishIfVersion:
		if o.dot.Seq == 0 || o.dot.Origin.IsZero() {
			return fmt.Errorf("%w: IfVersion(%v) names no write; IfAbsent asks for none", topology.ErrUnsupported, o.dot)
		}
		w.all.dot = o.dot
	case WishIfValue:
		w.all.value = o.value
	case WishRequest:
		if o.request.Client == 0 {
			return fmt.Errorf("%w: Request of client 0 names no client", topology.ErrUnsupported)
		}
		w.all.request = o.request
	case WishContext:
		if o.context.IsZero() {
			return fmt.Errorf("%w: the zero Context has not been read; the one of a key that holds nothing is Reading.Context, too", topology.ErrUnsupported)
		}
		w.all.context = o.context
	case WishTTL:
		if o.ttl < time.Millisecond || o.ttl > TTLMax {
			return fmt.Errorf("%w: TTL(%v) is none of 1ms to %v", topology.ErrUnsupported, o.ttl, TTLMax)
		}
		w.all.ttl = o.ttl
	}
	return nil
}

// Has reports whether any of those was wished.
func (w *Wishes) Has(any Wish) bool { return w.all.wish&any != 0 }

// TTL returns how long what is written is to live, 0 for what its table says.
func (w *Wishes) TTL() time.Duration { return w.all.ttl }

// Request returns the name of the write, if it has one.
func (w *Wishes) Request() record.RequestID { return w.all.request }

// Write returns what an engine is told of a write.
func (w *Wishes) Write() topology.WriteOptions {
	return topology.WriteOptions{Durability: w.all.durability, Consistency: w.all.level, Context: w.all.context}
}

// Read returns what an engine is told of a read: every bound that was set, and
// the guarantee to hold it to. A guarantee is one thing: where a token is wished
// for together with another, see [Wishes.AwaitFirst].
func (w *Wishes) Read() topology.ReadOptions {
	o := topology.ReadOptions{After: w.all.token, MaxStale: w.all.stale, MaxLag: w.all.lag, MaxBytes: w.all.bytes, Consistency: w.all.level}
	switch {
	case w.Has(WishLinearizable):
		o.Guarantee = topology.ReadLinearizable
	case w.Has(WishLeased):
		o.Guarantee = topology.ReadLeased
	case w.Has(WishBounds):
		o.Guarantee = topology.ReadBounded
	case w.Has(WishAfter):
		o.Guarantee = topology.ReadSession
	case w.Has(WishAny):
		o.Guarantee = topology.ReadAny
	}
	return o
}

// AwaitFirst returns the token to wait for before a read whose guarantee is
// another than the session's; the zero token if there is none.
func (w *Wishes) AwaitFirst() topology.Token {
	if w.Has(WishLinearizable | WishLeased | WishBounds) {
		return w.all.token
	}
	return topology.Token{}
}

// Condition returns the condition of a write on one cell, false if there is none.
func (w *Wishes) Condition(c record.Cell) (record.Condition, bool) {
	switch w.all.wish & WishIf {
	case WishIfAbsent:
		return record.Condition{Cell: c, Absent: true}, true
	case WishIfVersion:
		return record.Condition{Cell: c, Version: w.all.dot}, true
	case WishIfValue:
		return record.Condition{Cell: c, Value: w.all.value, Equal: true}, true
	}
	return record.Condition{}, false
}
