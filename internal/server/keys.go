package server

import (
	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/record"
	"slices"
)

var keyCommands = []command{
	{name: "del", arity: -2, flags: writes, keys: allKeys, group: "generic", about: "Removes keys, all in one record.", plan: planDel, show: showDel},
	{name: "unlink", arity: -2, flags: writes | fast, keys: allKeys, group: "generic", about: "Removes keys, all in one record.", plan: planDel, show: showDel},
	{name: "exists", arity: -2, flags: reads | fast, keys: allKeys, group: "generic", about: "Counts which of the keys exist.", plan: planExists, show: showExists},
	{name: "touch", arity: -2, flags: reads | fast, keys: allKeys, group: "generic", about: "Counts which of the keys exist.", plan: planExists, show: showExists},
	{name: "type", arity: 2, flags: reads | fast, keys: oneKey, group: "generic", about: "Tells what a key holds.", plan: planLook, show: showType},
}

func planDel(r *request) error {
	r.op = &kind.Delete{Keys: slices.Clone(r.places)}
	return nil
}

func showDel(r *request) { r.out.Int(int64(r.op.(*kind.Delete).Count)) }

func planExists(r *request) error {
	r.op = &kind.Exists{Keys: slices.Clone(r.places)}
	return nil
}

func showExists(r *request) { r.out.Int(int64(r.op.(*kind.Exists).Count)) }

func planLook(r *request) error {
	r.usual.look = kind.Look{Key: r.places[0]}
	r.op = &r.usual.look
	return nil
}

func showType(r *request) { r.out.Simple(typeName(r.usual.look.Kind)) }

// typeName is what Redis calls a kind.
func typeName(k record.Kind) string {
	switch k {
	case record.KindAny:
		return "none"
	case record.KindMap, record.KindRow:
		return "hash"
	case record.KindSet:
		return "set"
	}
	return "string"
}
