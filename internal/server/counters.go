package server

import (
	"math"
	"strconv"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

var counterCommands = []command{
	{name: "incr", arity: 2, flags: writes | fast, keys: oneKey, group: "string", about: "Adds one to a number; one that is not there is 0.", plan: planIncr, decide: decideIncr},
	{name: "decr", arity: 2, flags: writes | fast, keys: oneKey, group: "string", about: "Takes one from a number; one that is not there is 0.", plan: planIncr, decide: decideIncr},
	{name: "incrby", arity: 3, flags: writes | fast, keys: oneKey, group: "string", about: "Adds to a number; one that is not there is 0.", plan: planIncr, decide: decideIncr},
	{name: "decrby", arity: 3, flags: writes | fast, keys: oneKey, group: "string", about: "Takes from a number; one that is not there is 0.", plan: planIncr, decide: decideIncr},
}

func planIncr(r *request) error {
	r.opt.n = 1
	if len(r.args) == 3 {
		var ok bool
		if r.opt.n, ok = parseInt(r.args[2]); !ok {
			return errNotInteger
		}
	}
	if r.cmd.name[0] == 'd' {
		if r.opt.n == math.MinInt64 {
			return replyError("ERR decrement would overflow")
		}
		r.opt.n = -r.opt.n
	}
	return planValue(r)
}

// decideIncr adds: to a counter, which stays one; to bytes that are an integer's
// text, which stay bytes; to nothing, which becomes a counter.
func decideIncr(r *request, s topology.Sight) error {
	h := headOf(s.Cells(0))
	kind, expires, held := record.KindCounter, r.born(0), int64(0)
	if r.places[0].kind == record.KindBytes {
		kind = record.KindBytes
	}
	if h.exists {
		var room [20]byte
		text, err := h.text(room[:])
		if err != nil {
			return err
		}
		var ok bool
		if held, ok = parseInt(text); !ok {
			return errNotInteger
		}
		kind, expires = h.kind, h.expires
	}
	n, ok := add(held, r.opt.n)
	if !ok {
		return errOverflow
	}
	var value []byte
	if kind == record.KindCounter {
		value = r.packed(n)
	} else {
		from := len(r.scratch)
		r.scratch = strconv.AppendInt(r.scratch, n, 10)
		value = r.scratch[from:]
	}
	r.put(0, h, kind, value, expires)
	r.out.Int(n)
	return nil
}

// add adds without wrapping.
func add(a, b int64) (int64, bool) {
	n := a + b
	return n, (n > a) == (b > 0)
}
