package server

import (
	"slices"
	"time"

	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

var stringCommands = []command{
	{name: "get", arity: 2, flags: reads | fast, keys: oneKey, group: "string", about: "Returns the string value of a key.", plan: planGet, show: showGet},
	{name: "set", arity: -3, flags: writes, keys: oneKey, group: "string", about: "Sets the string value of a key, whatever it held.", plan: planSet, show: showSet},
	{name: "setnx", arity: 3, flags: writes | fast, keys: oneKey, group: "string", about: "Sets a key that does not exist.", plan: planSetNX, show: showSetNX},
	{name: "setex", arity: 4, flags: writes, keys: oneKey, group: "string", about: "Sets a key and its time to live in seconds.", plan: planSetEX, show: showSet},
	{name: "psetex", arity: 4, flags: writes, keys: oneKey, group: "string", about: "Sets a key and its time to live in milliseconds.", plan: planSetEX, show: showSet},
	{name: "getset", arity: 3, flags: writes | fast, keys: oneKey, group: "string", about: "Sets a key and returns what it held.", plan: planGetSet, show: showSet},
	{name: "getdel", arity: 2, flags: writes | fast, keys: oneKey, group: "string", about: "Returns the value of a key and removes it.", plan: planGetDel, show: showGet},
	{name: "mget", arity: -2, flags: reads | fast, keys: allKeys, group: "string", about: "Returns the string values of keys.", plan: planMGet, show: showMGet},
	{name: "mset", arity: -3, flags: writes, keys: keyPairs, group: "string", about: "Sets several keys, all or none.", plan: planMSet, show: showOK},
	{name: "msetnx", arity: -3, flags: writes, keys: keyPairs, group: "string", about: "Sets several keys if none of them exists.", plan: planMSet, show: showMSetNX},
	{name: "append", arity: 3, flags: writes | fast, keys: oneKey, group: "string", about: "Appends to the value of a key.", plan: planAppend, show: showAppend},
	{name: "strlen", arity: 2, flags: reads | fast, keys: oneKey, group: "string", about: "Returns the length of a value.", plan: planGet, show: showStrlen},
}

func showOK(r *request) { r.out.OK() }

func planGet(r *request) error {
	r.usual.get = kind.Get{Key: r.places[0]}
	r.op = &r.usual.get
	return nil
}

// value answers with a value, or that there is none.
func (r *request) value(there bool, value []byte) {
	if there {
		r.out.Bulk(value)
	} else {
		r.out.Null()
	}
}

func showGet(r *request) { r.value(r.usual.get.There, r.usual.get.Value) }

func showStrlen(r *request) { r.out.Int(int64(len(r.usual.get.Value))) }

// planMGet reads key by key, so that one which holds no string is no value.
func planMGet(r *request) error {
	g := &kind.Group{Ops: make([]kind.Op, len(r.places))}
	for i := range r.places {
		g.Ops[i] = &kind.Get{Key: r.places[i]}
	}
	r.op = g
	return nil
}

func showMGet(r *request) {
	ops := r.op.(*kind.Group).Ops
	r.out.Array(len(ops))
	for _, op := range ops {
		g := op.(*kind.Get)
		r.value(g.There, g.Value)
	}
}

// planPut sets the key to a value.
func planPut(r *request, value []byte) {
	r.usual.put = kind.Put{Key: r.places[0], Value: value, Expires: r.opt.expires}
	r.op = &r.usual.put
}

func planSet(r *request) error {
	planPut(r, r.args[2])
	p := &r.usual.put
	for i := 3; i < len(r.args); i++ {
		a := r.args[i]
		timed := r.opt.expires != 0 || p.KeepExpiry
		switch {
		case equalFold(a, "NX") && p.When != kind.IfPresent:
			p.When = kind.IfAbsent
		case equalFold(a, "XX") && p.When != kind.IfAbsent:
			p.When = kind.IfPresent
		case equalFold(a, "GET"):
			p.Return = true
		case equalFold(a, "KEEPTTL") && r.opt.expires == 0:
			p.KeepExpiry = true
		case i+1 < len(r.args) && !timed && expiryUnit(a) != 0:
			i++
			if err := r.planExpiry(a, r.args[i]); err != nil {
				return err
			}
		default:
			return errSyntax
		}
	}
	p.Expires = r.opt.expires
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

func showSet(r *request) {
	switch p := &r.usual.put; {
	case p.Return:
		r.value(p.There, p.Old)
	case p.Done:
		r.out.OK()
	default:
		r.out.Null()
	}
}

func planSetNX(r *request) error {
	planPut(r, r.args[2])
	r.usual.put.When = kind.IfAbsent
	return nil
}

func showSetNX(r *request) { r.out.Flag(r.usual.put.Done) }

var (
	optionEX = []byte("EX")
	optionPX = []byte("PX")
)

func planSetEX(r *request) error {
	option := optionEX
	if r.cmd.name == "psetex" {
		option = optionPX
	}
	err := r.planExpiry(option, r.args[2])
	planPut(r, r.args[3])
	return err
}

func planGetSet(r *request) error {
	planPut(r, r.args[2])
	r.usual.put.Return = true
	return nil
}

// getDelete returns a string and removes its key.
type getDelete struct {
	get    *kind.Get
	remove kind.Delete
}

func planGetDel(r *request) error {
	r.usual.get = kind.Get{Key: r.places[0]}
	r.op = &getDelete{get: &r.usual.get, remove: kind.Delete{Keys: slices.Clone(r.places)}}
	return nil
}

// Reads implements kind.Op.
func (o *getDelete) Reads() []topology.CellRange { return o.get.Reads() }

// Decide implements kind.Op.
func (o *getDelete) Decide(s topology.Sight) ([]record.Mutation, error) {
	if _, err := o.get.Decide(s); err != nil {
		return nil, err
	}
	return o.remove.Decide(s)
}

func planMSet(r *request) error {
	if len(r.args)%2 == 0 {
		return replyErrorf("ERR wrong number of arguments for '%s' command", r.cmd.name)
	}
	o := &kind.PutAll{Pairs: make([]kind.Pair, len(r.places)), IfAbsent: r.cmd.name == "msetnx"}
	for i := range r.places {
		o.Pairs[i] = kind.Pair{Key: r.places[i], Value: r.args[2+2*i]}
	}
	r.op = o
	return nil
}

func showMSetNX(r *request) { r.out.Flag(r.op.(*kind.PutAll).Done) }

func planAppend(r *request) error {
	r.op = &kind.Append{Key: r.places[0], Value: r.args[2]}
	return nil
}

func showAppend(r *request) { r.out.Int(int64(r.op.(*kind.Append).Length)) }

// expiry is when something expires that is given in units of Unix time, or from
// now on; false if that is no time.
func expiry(n int64, unit time.Duration, relative bool, now time.Time) (version.Timestamp, bool) {
	per := int64(unit / time.Millisecond)
	if n > expiryMax/per || n < -expiryMax/per {
		return 0, false
	}
	ms := n * per
	if relative {
		ms += now.UnixMilli()
	}
	if ms > expiryMax {
		return 0, false
	}
	return version.TimestampAt(time.UnixMilli(ms)), true
}

// expiryMax is the last millisecond that a timestamp can hold.
const expiryMax = 1<<48 - 1
