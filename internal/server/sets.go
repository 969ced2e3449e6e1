package server

import (
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

var setCommands = []command{
	{name: "sadd", arity: -3, flags: writes | fast, keys: oneKey, group: "set", about: "Adds members to a set.", plan: planSAdd, decide: decideSAdd},
	{name: "srem", arity: -3, flags: writes | fast, keys: oneKey, group: "set", about: "Removes members; a set without members is gone.", plan: planFields, decide: decideSRem},
	{name: "sismember", arity: 3, flags: reads | fast, keys: oneKey, group: "set", about: "Tells whether a set has a member.", plan: planFields, decide: decideSIsMember},
	{name: "smismember", arity: -3, flags: reads | fast, keys: oneKey, group: "set", about: "Tells which members a set has.", plan: planFields, decide: decideSMIsMember},
	{name: "smembers", arity: 2, flags: reads | whole, keys: oneKey, group: "set", about: "Returns all members.", plan: planWhole, decide: decideSMembers},
	{name: "scard", arity: 2, flags: reads | fast, keys: oneKey, group: "set", about: "Returns the number of members.", decide: decideSCard},
}

func planSAdd(r *request) error {
	if err := r.places[0].takesFields(record.KindSet); err != nil {
		return err
	}
	return planFields(r)
}

// set checks that a head is a set's, or nothing's.
func (h head) set() error {
	if h.exists && h.kind != record.KindSet {
		return errWrongType
	}
	return nil
}

func decideSAdd(r *request, s topology.Sight) error {
	h := headOf(s.Cells(0))
	if err := h.set(); err != nil {
		return err
	}
	var members seen
	added := 0
	for i, m := range r.args[2:] {
		if fieldOf(h, s, i+1) != nil || !members.first(m) {
			continue
		}
		r.putField(0, record.KindSet, m, nil)
		added++
	}
	r.out.Int(int64(added))
	return r.counted(0, h, record.KindSet, added)
}

func decideSRem(r *request, s topology.Sight) error {
	h := headOf(s.Cells(0))
	if err := h.set(); err != nil {
		return err
	}
	return r.removeFields(h, s)
}

func decideSIsMember(r *request, s topology.Sight) error {
	h := headOf(s.Cells(0))
	if err := h.set(); err != nil {
		return err
	}
	r.out.Flag(fieldOf(h, s, 1) != nil)
	return nil
}

func decideSMIsMember(r *request, s topology.Sight) error {
	h := headOf(s.Cells(0))
	if err := h.set(); err != nil {
		return err
	}
	r.out.Array(len(r.args) - 2)
	for i := range r.args[2:] {
		r.out.Flag(fieldOf(h, s, i+1) != nil)
	}
	return nil
}

func decideSMembers(r *request, s topology.Sight) error {
	cells := s.Cells(0)
	h := headOf(cells)
	if err := h.set(); err != nil {
		return err
	}
	if !h.exists {
		cells = nil
	} else {
		cells = cells[1:]
	}
	r.out.Set(len(cells))
	for i := range cells {
		r.out.Bulk(cells[i].Field)
	}
	return nil
}

func decideSCard(r *request, s topology.Sight) error {
	h := headOf(s.Cells(0))
	if err := h.set(); err != nil {
		return err
	}
	n, err := h.count()
	r.out.Int(int64(n))
	return err
}
