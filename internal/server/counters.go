package server

import (
	"math"

	"github.com/triad-kv/triad/internal/kind"
)

var counterCommands = []command{
	{name: "incr", arity: 2, flags: writes | fast, keys: oneKey, group: "string", about: "Adds one to a number; one that is not there is 0.", plan: planIncr, show: showIncr},
	{name: "decr", arity: 2, flags: writes | fast, keys: oneKey, group: "string", about: "Takes one from a number; one that is not there is 0.", plan: planIncr, show: showIncr},
	{name: "incrby", arity: 3, flags: writes | fast, keys: oneKey, group: "string", about: "Adds to a number; one that is not there is 0.", plan: planIncr, show: showIncr},
	{name: "decrby", arity: 3, flags: writes | fast, keys: oneKey, group: "string", about: "Takes from a number; one that is not there is 0.", plan: planIncr, show: showIncr},
}

func planIncr(r *request) error {
	by := int64(1)
	if len(r.args) == 3 {
		var ok bool
		if by, ok = parseInt(r.args[2]); !ok {
			return errNotInteger
		}
	}
	if r.cmd.name[0] == 'd' {
		if by == math.MinInt64 {
			return replyError("ERR decrement would overflow")
		}
		by = -by
	}
	r.usual.incr = kind.Incr{Key: r.places[0], By: by}
	r.op = &r.usual.incr
	return nil
}

func showIncr(r *request) { r.out.Int(r.usual.incr.Value) }
