package server

import (
	"time"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

var stringCommands = []command{
	{name: "get", arity: 2, flags: reads | fast, keys: oneKey, group: "string", about: "Returns the string value of a key.", decide: decideGet},
	{name: "set", arity: -3, flags: writes, keys: oneKey, group: "string", about: "Sets the string value of a key, whatever it held.", plan: planSet, decide: decideSet},
	{name: "setnx", arity: 3, flags: writes | fast, keys: oneKey, group: "string", about: "Sets a key that does not exist.", plan: planValue, decide: decideSetNX},
	{name: "setex", arity: 4, flags: writes, keys: oneKey, group: "string", about: "Sets a key and its time to live in seconds.", plan: planSetEX, decide: decideSet},
	{name: "psetex", arity: 4, flags: writes, keys: oneKey, group: "string", about: "Sets a key and its time to live in milliseconds.", plan: planSetEX, decide: decideSet},
	{name: "getset", arity: 3, flags: writes | fast, keys: oneKey, group: "string", about: "Sets a key and returns what it held.", plan: planGetSet, decide: decideSet},
	{name: "getdel", arity: 2, flags: writes | fast, keys: oneKey, group: "string", about: "Returns the value of a key and removes it.", decide: decideGetDel},
	{name: "mget", arity: -2, flags: reads | fast, keys: allKeys, group: "string", about: "Returns the string values of keys.", decide: decideMGet},
	{name: "mset", arity: -3, flags: writes, keys: keyPairs, group: "string", about: "Sets several keys, all or none.", plan: planMSet, decide: decideMSet},
	{name: "msetnx", arity: -3, flags: writes, keys: keyPairs, group: "string", about: "Sets several keys if none of them exists.", plan: planMSet, decide: decideMSetNX},
	{name: "append", arity: 3, flags: writes | fast, keys: oneKey, group: "string", about: "Appends to the value of a key.", plan: planValue, decide: decideAppend},
	{name: "strlen", arity: 2, flags: reads | fast, keys: oneKey, group: "string", about: "Returns the length of a value.", decide: decideStrlen},
}

func decideGet(r *request, s topology.Sight) error {
	h := headOf(s.Cells(0))
	if !h.exists {
		r.out.Null()
		return nil
	}
	var room [20]byte
	text, err := h.text(room[:])
	if err == nil {
		r.out.Bulk(text)
	}
	return err
}

func decideMGet(r *request, s topology.Sight) error {
	r.out.Array(len(r.places))
	var room [20]byte
	for i := range r.places {
		text, err := headOf(s.Cells(i)).text(room[:])
		if err != nil || text == nil && len(s.Cells(i)) == 0 {
			r.out.Null()
			continue
		}
		r.out.Bulk(text)
	}
	return nil
}

func decideStrlen(r *request, s topology.Sight) error {
	h := headOf(s.Cells(0))
	if !h.exists {
		r.out.Int(0)
		return nil
	}
	var room [20]byte
	text, err := h.text(room[:])
	if err == nil {
		r.out.Int(int64(len(text)))
	}
	return err
}

// planValue is the plan of what writes one string.
func planValue(r *request) error {
	r.readHead(0)
	return r.places[0].takesText()
}

// takesText refuses strings in tables whose kind is none.
func (p place) takesText() error {
	switch p.kind {
	case record.KindAny, record.KindBytes, record.KindCounter:
		return nil
	}
	return errWrongType
}

func planSet(r *request) error {
	if err := planValue(r); err != nil {
		return err
	}
	for i := 3; i < len(r.args); i++ {
		a := r.args[i]
		switch {
		case equalFold(a, "NX") && r.opt.when == 0:
			r.opt.when = ifAbsent
		case equalFold(a, "XX") && r.opt.when == 0:
			r.opt.when = ifPresent
		case equalFold(a, "GET"):
			r.opt.get = true
		case equalFold(a, "KEEPTTL") && r.opt.expires == 0:
			r.opt.keepTTL = true
		case i+1 < len(r.args) && r.opt.expires == 0 && !r.opt.keepTTL && expiryUnit(a) != 0:
			i++
			if err := r.planExpiry(a, r.args[i]); err != nil {
				return err
			}
		default:
			return errSyntax
		}
	}
	return nil
}

// expiryUnit is the unit of EX, PX, EXAT or PXAT, 0 of anything else.
func expiryUnit(option []byte) time.Duration {
	switch {
	case equalFold(option, "EX"), equalFold(option, "EXAT"):
		return time.Second
	case equalFold(option, "PX"), equalFold(option, "PXAT"):
		return time.Millisecond
	}
	return 0
}

func (r *request) planExpiry(option, value []byte) error {
	n, ok := parseInt(value)
	if !ok {
		return errNotInteger
	}
	if r.opt.expires, ok = expiry(n, expiryUnit(option), len(option) == 2, r.now); !ok || n <= 0 {
		return replyErrorf("ERR invalid expire time in '%s' command", r.cmd.name)
	}
	return nil
}

func planSetEX(r *request) error {
	if err := planValue(r); err != nil {
		return err
	}
	option := "EX"
	if r.cmd.name == "psetex" {
		option = "PX"
	}
	r.opt.at = 1 // the value stands behind the time
	return r.planExpiry([]byte(option), r.args[2])
}

func planGetSet(r *request) error {
	r.opt.get = true
	return planValue(r)
}

func decideSet(r *request, s topology.Sight) error {
	h := headOf(s.Cells(0))
	held := false
	if r.opt.get {
		if err := decideGet(r, s); err != nil {
			return err
		}
		held = true
	}
	if h.exists && r.opt.when == ifAbsent || !h.exists && r.opt.when == ifPresent {
		if !held {
			r.out.Null()
		}
		return nil
	}
	expires := r.opt.expires
	switch {
	case r.opt.keepTTL && h.exists:
		expires = h.expires
	case expires == 0:
		expires = r.born(0)
	}
	if err := r.putText(0, h, r.args[2+r.opt.at], expires); err != nil {
		return err
	}
	if !held {
		r.out.OK()
	}
	return nil
}

// putText makes text the value of place i.
func (r *request) putText(i int, h head, text []byte, expires version.Timestamp) error {
	if r.places[i].kind != record.KindCounter {
		r.put(i, h, record.KindBytes, text, expires)
		return nil
	}
	n, ok := parseInt(text)
	if !ok {
		return errNotInteger
	}
	r.put(i, h, record.KindCounter, r.packed(n), expires)
	return nil
}

func decideSetNX(r *request, s topology.Sight) error {
	h := headOf(s.Cells(0))
	if h.exists {
		r.out.Int(0)
		return nil
	}
	r.out.Int(1)
	return r.putText(0, h, r.args[2], r.born(0))
}

func decideGetDel(r *request, s topology.Sight) error {
	err := decideGet(r, s)
	if err == nil && headOf(s.Cells(0)).exists {
		r.remove(0)
	}
	return err
}

func planMSet(r *request) error {
	if len(r.args)%2 == 0 {
		return replyErrorf("ERR wrong number of arguments for '%s' command", r.cmd.name)
	}
	for i := range r.places {
		r.readHead(i)
		if err := r.places[i].takesText(); err != nil {
			return err
		}
	}
	return checkCount(len(r.places), "keys")
}

func decideMSet(r *request, s topology.Sight) error {
	for i := range r.places {
		if err := r.putText(i, headOf(s.Cells(i)), r.args[2+2*i], r.born(i)); err != nil {
			return err
		}
	}
	r.out.OK()
	return nil
}

func decideMSetNX(r *request, s topology.Sight) error {
	for i := range r.places {
		if headOf(s.Cells(i)).exists {
			r.out.Int(0)
			return nil
		}
	}
	err := decideMSet(r, s)
	r.out.Truncate(0)
	r.out.Int(1)
	return err
}

func decideAppend(r *request, s topology.Sight) error {
	h := headOf(s.Cells(0))
	if r.places[0].kind == record.KindCounter {
		return errWrongType
	}
	expires := r.born(0)
	var held []byte
	if h.exists {
		var room [20]byte
		text, err := h.text(room[:])
		if err != nil {
			return err
		}
		held, expires = text, h.expires
	}
	from := len(r.scratch)
	r.scratch = append(append(r.scratch, held...), r.args[2]...)
	value := r.scratch[from:]
	if len(value) > record.ValueBytesMax {
		return replyErrorf("ERR string exceeds maximum allowed size (%d bytes)", record.ValueBytesMax)
	}
	r.put(0, h, record.KindBytes, value, expires)
	r.out.Int(int64(len(value)))
	return nil
}
