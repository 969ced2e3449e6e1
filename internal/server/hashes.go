package server

import (
	"github.com/triad-kv/triad/internal/kind"
)

var hashCommands = []command{
	{name: "hset", arity: -4, flags: writes | fast, keys: oneKey, group: "hash", about: "Sets fields of a hash.", plan: planHSet, show: showHSet},
	{name: "hmset", arity: -4, flags: writes | fast, keys: oneKey, group: "hash", about: "Sets fields of a hash.", plan: planHSet, show: showOK},
	{name: "hsetnx", arity: 4, flags: writes | fast, keys: oneKey, group: "hash", about: "Sets a field that does not exist.", plan: planHSet, show: showHSet},
	{name: "hincrby", arity: 4, flags: writes | fast, keys: oneKey, group: "hash", about: "Adds to the number in a field; one that is not there is 0.", plan: planHIncrBy, show: showHIncrBy},
	{name: "hdel", arity: -3, flags: writes | fast, keys: oneKey, group: "hash", about: "Removes fields; a hash without fields is gone.", plan: planHDel, show: showHDel},
	{name: "hget", arity: 3, flags: reads | fast, keys: oneKey, group: "hash", about: "Returns the value of a field.", plan: planHGet, show: showHGet},
	{name: "hmget", arity: -3, flags: reads | fast, keys: oneKey, group: "hash", about: "Returns the values of fields.", plan: planHGet, show: showHMGet},
	{name: "hexists", arity: 3, flags: reads | fast, keys: oneKey, group: "hash", about: "Tells whether a field exists.", plan: planHGet, show: showHExists},
	{name: "hstrlen", arity: 3, flags: reads | fast, keys: oneKey, group: "hash", about: "Returns the length of a field's value.", plan: planHGet, show: showHStrlen},
	{name: "hgetall", arity: 2, flags: reads | whole, keys: oneKey, group: "hash", about: "Returns all fields and values.", plan: planHGetAll, show: showHGetAll},
	{name: "hkeys", arity: 2, flags: reads | whole, keys: oneKey, group: "hash", about: "Returns all fields.", plan: planHGetAll, show: showHKeys},
	{name: "hvals", arity: 2, flags: reads | whole, keys: oneKey, group: "hash", about: "Returns all values.", plan: planHGetAll, show: showHVals},
	{name: "hlen", arity: 2, flags: reads | fast, keys: oneKey, group: "hash", about: "Returns the number of fields.", plan: planHLen, show: showHLen},
}

func planHSet(r *request) error {
	if len(r.args)%2 != 0 {
		return replyErrorf("ERR wrong number of arguments for '%s' command", r.cmd.name)
	}
	o := &kind.MapPut{Key: r.places[0], Fields: make([]kind.Field, len(r.args)/2-1), IfAbsent: r.cmd.name == "hsetnx"}
	for i := range o.Fields {
		o.Fields[i] = kind.Field{Name: r.args[2+2*i], Value: r.args[3+2*i]}
	}
	r.op = o
	return nil
}

func showHSet(r *request) { r.out.Int(int64(r.op.(*kind.MapPut).New)) }

func planHIncrBy(r *request) error {
	by, ok := parseInt(r.args[3])
	if !ok {
		return errNotInteger
	}
	r.op = &kind.MapIncr{Key: r.places[0], Name: r.args[2], By: by}
	return nil
}

func showHIncrBy(r *request) { r.out.Int(r.op.(*kind.MapIncr).Value) }

func planHDel(r *request) error {
	r.op = &kind.MapRemove{Key: r.places[0], Names: r.args[2:]}
	return nil
}

func showHDel(r *request) { r.out.Int(int64(r.op.(*kind.MapRemove).Count)) }

func planHGet(r *request) error {
	r.op = &kind.MapGet{Key: r.places[0], Names: r.args[2:]}
	return nil
}

func fieldsOf(r *request) [][]byte { return r.op.(*kind.MapGet).Values }

func showHGet(r *request) { r.value(fieldsOf(r)[0] != nil, fieldsOf(r)[0]) }

func showHMGet(r *request) {
	values := fieldsOf(r)
	r.out.Array(len(values))
	for _, v := range values {
		r.value(v != nil, v)
	}
}

func showHExists(r *request) { r.out.Flag(fieldsOf(r)[0] != nil) }

func showHStrlen(r *request) { r.out.Int(int64(len(fieldsOf(r)[0]))) }

func planHGetAll(r *request) error {
	r.op = &kind.MapAll{Key: r.places[0]}
	return nil
}

func showHGetAll(r *request) {
	fields := r.op.(*kind.MapAll).Fields
	r.out.Map(len(fields))
	for i := range fields {
		r.out.Bulk(fields[i].Name)
		r.out.Bulk(fields[i].Value)
	}
}

func showHKeys(r *request) {
	fields := r.op.(*kind.MapAll).Fields
	r.out.Array(len(fields))
	for i := range fields {
		r.out.Bulk(fields[i].Name)
	}
}

func showHVals(r *request) {
	fields := r.op.(*kind.MapAll).Fields
	r.out.Array(len(fields))
	for i := range fields {
		r.out.Bulk(fields[i].Value)
	}
}

func planHLen(r *request) error {
	r.op = &kind.MapLength{Key: r.places[0]}
	return nil
}

func showHLen(r *request) { r.out.Int(int64(r.op.(*kind.MapLength).Count)) }
