package server

import (
	"strings"
	"time"

	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

var expiryCommands = []command{
	{name: "expire", arity: -3, flags: writes | fast, keys: oneKey, group: "generic", about: "Sets a key's time to live in seconds.", plan: planExpire, show: showExpire},
	{name: "pexpire", arity: -3, flags: writes | fast, keys: oneKey, group: "generic", about: "Sets a key's time to live in milliseconds.", plan: planExpire, show: showExpire},
	{name: "expireat", arity: -3, flags: writes | fast, keys: oneKey, group: "generic", about: "Sets when a key expires, in seconds of Unix time.", plan: planExpire, show: showExpire},
	{name: "pexpireat", arity: -3, flags: writes | fast, keys: oneKey, group: "generic", about: "Sets when a key expires, in milliseconds of Unix time.", plan: planExpire, show: showExpire},
	{name: "persist", arity: 2, flags: writes | fast, keys: oneKey, group: "generic", about: "Makes a key live for ever.", plan: planPersist, show: showPersist},
	{name: "ttl", arity: 2, flags: reads | fast, keys: oneKey, group: "generic", about: "Returns a key's time to live in seconds; -1: for ever, -2: no key.", plan: planLook, show: showTTL},
	{name: "pttl", arity: 2, flags: reads | fast, keys: oneKey, group: "generic", about: "Returns a key's time to live in milliseconds; -1: for ever, -2: no key.", plan: planLook, show: showTTL},
	{name: "expiretime", arity: 2, flags: reads | fast, keys: oneKey, group: "generic", about: "Returns when a key expires, in seconds of Unix time.", plan: planLook, show: showTTL},
	{name: "pexpiretime", arity: 2, flags: reads | fast, keys: oneKey, group: "generic", about: "Returns when a key expires, in milliseconds of Unix time.", plan: planLook, show: showTTL},
}

// expire sets an expiry, or removes a key at once whose expiry is past.
type expire struct {
	kind.Expire
	past  bool
	timed bool // only a key that has an expiry: XX beside LT
}

// Decide implements kind.Op.
func (o *expire) Decide(s topology.Sight) ([]record.Mutation, error) {
	if cells := s.Cells(0); o.timed && len(cells) > 0 && cells[0].Expires == 0 {
		o.Done = false
		return nil, nil
	}
	ms, err := o.Expire.Decide(s)
	if err == nil && o.Done && o.past {
		return []record.Mutation{o.Key.Removal()}, nil
	}
	return ms, err
}

func planExpire(r *request) error {
	n, ok := parseInt(r.args[2])
	if !ok {
		return errNotInteger
	}
	unit := time.Second
	if r.cmd.name[0] == 'p' {
		unit = time.Millisecond
	}
	at, ok := expiry(n, unit, !strings.HasSuffix(r.cmd.name, "at"), r.now)
	if !ok {
		return replyErrorf("ERR invalid expire time in '%s' command", r.cmd.name)
	}
	when, timed, err := expireWhen(r.args[3:])
	r.op = &expire{Expire: kind.Expire{Key: r.places[0], At: at, When: when}, past: at <= version.TimestampAt(r.now), timed: timed}
	return err
}

// expireWhen reads the conditions of EXPIRE. XX says nothing more beside GT, which
// wants a present expiry, but does beside LT: timed.
func expireWhen(options [][]byte) (_ kind.ExpireWhen, timed bool, _ error) {
	var none, some, later, sooner bool
	for _, o := range options {
		switch {
		case equalFold(o, "NX"):
			none = true
		case equalFold(o, "XX"):
			some = true
		case equalFold(o, "GT"):
			later = true
		case equalFold(o, "LT"):
			sooner = true
		default:
			return 0, false, replyErrorf("ERR Unsupported option %s", cut(o, 128))
		}
	}
	switch {
	case none && (some || later || sooner):
		return 0, false, replyError("ERR NX and XX, GT or LT options at the same time are not compatible")
	case later && sooner:
		return 0, false, replyError("ERR GT and LT options at the same time are not compatible")
	case none:
		return kind.IfNone, false, nil
	case later:
		return kind.IfLater, false, nil
	case sooner:
		return kind.IfSooner, some, nil
	case some:
		return kind.IfSome, false, nil
	}
	return kind.ExpireAlways, false, nil
}

func showExpire(r *request) { r.out.Flag(r.op.(*expire).Done) }

func planPersist(r *request) error {
	r.op = &kind.Persist{Key: r.places[0]}
	return nil
}

func showPersist(r *request) { r.out.Flag(r.op.(*kind.Persist).Done) }

func showTTL(r *request) {
	l := &r.usual.look
	switch {
	case !l.There:
		r.out.Int(-2)
		return
	case l.Expires == 0:
		r.out.Int(-1)
		return
	}
	ms, left := l.Expires.Time().UnixMilli(), strings.HasSuffix(r.cmd.name, "ttl")
	if left {
		ms = max(ms-r.now.UnixMilli(), 0)
	}
	switch {
	case r.cmd.name[0] == 'p':
	case left:
		ms = (ms + 500) / 1000 // as Redis rounds
	default:
		ms /= 1000
	}
	r.out.Int(ms)
}
