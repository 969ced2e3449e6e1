package server

import (
	"github.com/triad-kv/triad/internal/kind"
)

var setCommands = []command{
	{name: "sadd", arity: -3, flags: writes | fast, keys: oneKey, group: "set", about: "Adds members to a set.", plan: planSAdd, show: showSAdd},
	{name: "srem", arity: -3, flags: writes | fast, keys: oneKey, group: "set", about: "Removes members; a set without members is gone.", plan: planSRem, show: showSRem},
	{name: "sismember", arity: 3, flags: reads | fast, keys: oneKey, group: "set", about: "Tells whether a set has a member.", plan: planSIsMember, show: showSIsMember},
	{name: "smismember", arity: -3, flags: reads | fast, keys: oneKey, group: "set", about: "Tells which members a set has.", plan: planSIsMember, show: showSMIsMember},
	{name: "smembers", arity: 2, flags: reads | whole, keys: oneKey, group: "set", about: "Returns all members.", plan: planSMembers, show: showSMembers},
	{name: "scard", arity: 2, flags: reads | fast, keys: oneKey, group: "set", about: "Returns the number of members.", plan: planSCard, show: showSCard},
}

func planSAdd(r *request) error {
	r.op = &kind.SetAdd{Key: r.places[0], Members: r.args[2:]}
	return nil
}

func showSAdd(r *request) { r.out.Int(int64(r.op.(*kind.SetAdd).Count)) }

func planSRem(r *request) error {
	r.op = &kind.SetRemove{Key: r.places[0], Members: r.args[2:]}
	return nil
}

func showSRem(r *request) { r.out.Int(int64(r.op.(*kind.SetRemove).Count)) }

func planSIsMember(r *request) error {
	r.op = &kind.SetHas{Key: r.places[0], Members: r.args[2:]}
	return nil
}

func showSIsMember(r *request) { r.out.Flag(r.op.(*kind.SetHas).Has[0]) }

func showSMIsMember(r *request) {
	has := r.op.(*kind.SetHas).Has
	r.out.Array(len(has))
	for _, h := range has {
		r.out.Flag(h)
	}
}

func planSMembers(r *request) error {
	r.op = &kind.SetMembers{Key: r.places[0]}
	return nil
}

func showSMembers(r *request) {
	members := r.op.(*kind.SetMembers).Members
	r.out.Set(len(members))
	for _, m := range members {
		r.out.Bulk(m)
	}
}

func planSCard(r *request) error {
	r.op = &kind.SetLength{Key: r.places[0]}
	return nil
}

func showSCard(r *request) { r.out.Int(int64(r.op.(*kind.SetLength).Count)) }
