package server

import (
	"github.com/triad-kv/triad/topology"
)

var keyCommands = []command{
	{name: "del", arity: -2, flags: writes, keys: allKeys, group: "generic", about: "Removes keys, all in one record.", plan: planDel, decide: decideDel},
	{name: "unlink", arity: -2, flags: writes | fast, keys: allKeys, group: "generic", about: "Removes keys, all in one record.", plan: planDel, decide: decideDel},
	{name: "exists", arity: -2, flags: reads | fast, keys: allKeys, group: "generic", about: "Counts which of the keys exist.", decide: decideExists},
	{name: "touch", arity: -2, flags: reads | fast, keys: allKeys, group: "generic", about: "Counts which of the keys exist.", decide: decideExists},
	{name: "type", arity: 2, flags: reads | fast, keys: oneKey, group: "generic", about: "Tells what a key holds.", decide: decideType},
}

func planDel(r *request) error {
	for i := range r.places {
		r.readHead(i)
	}
	return checkCount(len(r.places), "keys")
}

func decideDel(r *request, s topology.Sight) error {
	var keys seen
	removed := 0
	for i := range r.places {
		if headOf(s.Cells(i)).exists && keys.first(r.args[i+1]) {
			r.remove(i)
			removed++
		}
	}
	r.out.Int(int64(removed))
	return nil
}

func decideExists(r *request, s topology.Sight) error {
	n := 0
	for i := range r.places {
		if headOf(s.Cells(i)).exists {
			n++
		}
	}
	r.out.Int(int64(n))
	return nil
}

func decideType(r *request, s topology.Sight) error {
	r.out.Simple(headOf(s.Cells(0)).typeName())
	return nil
}
