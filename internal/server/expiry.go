package server

import (
	"strings"
	"time"

	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

var expiryCommands = []command{
	{name: "expire", arity: -3, flags: writes | fast, keys: oneKey, group: "generic", about: "Sets a key's time to live in seconds.", plan: planExpire, decide: decideExpire},
	{name: "pexpire", arity: -3, flags: writes | fast, keys: oneKey, group: "generic", about: "Sets a key's time to live in milliseconds.", plan: planExpire, decide: decideExpire},
	{name: "expireat", arity: -3, flags: writes | fast, keys: oneKey, group: "generic", about: "Sets when a key expires, in seconds of Unix time.", plan: planExpire, decide: decideExpire},
	{name: "pexpireat", arity: -3, flags: writes | fast, keys: oneKey, group: "generic", about: "Sets when a key expires, in milliseconds of Unix time.", plan: planExpire, decide: decideExpire},
	{name: "persist", arity: 2, flags: writes | fast, keys: oneKey, group: "generic", about: "Makes a key live for ever.", decide: decidePersist},
	{name: "ttl", arity: 2, flags: reads | fast, keys: oneKey, group: "generic", about: "Returns a key's time to live in seconds; -1: for ever, -2: no key.", decide: decideTTL},
	{name: "pttl", arity: 2, flags: reads | fast, keys: oneKey, group: "generic", about: "Returns a key's time to live in milliseconds; -1: for ever, -2: no key.", decide: decideTTL},
	{name: "expiretime", arity: 2, flags: reads | fast, keys: oneKey, group: "generic", about: "Returns when a key expires, in seconds of Unix time.", decide: decideTTL},
	{name: "pexpiretime", arity: 2, flags: reads | fast, keys: oneKey, group: "generic", about: "Returns when a key expires, in milliseconds of Unix time.", decide: decideTTL},
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
	if r.opt.expires, ok = expiry(n, unit, !strings.HasSuffix(r.cmd.name, "at"), r.now); !ok {
		return replyErrorf("ERR invalid expire time in '%s' command", r.cmd.name)
	}
	r.opt.remove = r.opt.expires <= version.TimestampAt(r.now)
	for _, a := range r.args[3:] {
		switch {
		case equalFold(a, "NX"):
			r.opt.when |= ifAbsent
		case equalFold(a, "XX"):
			r.opt.when |= ifPresent
		case equalFold(a, "GT"):
			r.opt.when |= ifGreater
		case equalFold(a, "LT"):
			r.opt.when |= ifLess
		default:
			return replyErrorf("ERR Unsupported option %s", cut(a, 128))
		}
	}
	if w := r.opt.when; w&ifAbsent != 0 && w != ifAbsent {
		return replyError("ERR NX and XX, GT or LT options at the same time are not compatible")
	}
	if r.opt.when&(ifGreater|ifLess) == ifGreater|ifLess {
		return replyError("ERR GT and LT options at the same time are not compatible")
	}
	r.readHead(0)
	return nil
}

// allows reports whether an expiry may take the place of the one held, where
// none is later than any.
func (w condition) allows(held, wanted version.Timestamp) bool {
	switch {
	case w&ifAbsent != 0 && held != 0,
		w&ifPresent != 0 && held == 0,
		w&ifGreater != 0 && (held == 0 || wanted <= held),
		w&ifLess != 0 && held != 0 && wanted >= held:
		return false
	}
	return true
}

func decideExpire(r *request, s topology.Sight) error {
	h := headOf(s.Cells(0))
	if !h.exists || !r.opt.when.allows(h.expires, r.opt.expires) {
		r.out.Int(0)
		return nil
	}
	r.out.Int(1)
	if r.opt.remove {
		r.remove(0)
		return nil
	}
	r.rewrite(h, r.opt.expires)
	return nil
}

// rewrite writes a head again, with another expiry; the fields stay.
func (r *request) rewrite(h head, expires version.Timestamp) {
	r.put(0, head{}, h.kind, h.value, expires)
}

func decidePersist(r *request, s topology.Sight) error {
	h := headOf(s.Cells(0))
	if !h.exists || h.expires == 0 {
		r.out.Int(0)
		return nil
	}
	r.rewrite(h, 0)
	r.out.Int(1)
	return nil
}

func decideTTL(r *request, s topology.Sight) error {
	h := headOf(s.Cells(0))
	switch {
	case !h.exists:
		r.out.Int(-2)
		return nil
	case h.expires == 0:
		r.out.Int(-1)
		return nil
	}
	ms := h.expires.Time().UnixMilli()
	if strings.HasSuffix(r.cmd.name, "ttl") {
		ms = max(ms-r.now.UnixMilli(), 0)
	}
	if r.cmd.name[0] != 'p' {
		if ms = ms + 500; strings.HasSuffix(r.cmd.name, "time") {
			ms -= 500
		}
		ms /= 1000
	}
	r.out.Int(ms)
	return nil
}
