package kind

import (
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// SetAdd adds members to a set. Where several sites write, one that is there is written
// again: whoever removes it at the same time has not seen that, and then it stays.
type SetAdd struct {
	Key     Key
	Members [][]byte

	Count int // of those that were not there
}

// Reads implements Op.
func (o *SetAdd) Reads() []topology.CellRange {
	return o.Key.headAnd(len(o.Members), func(i int) []byte { return o.Members[i] })
}

// Decide implements Op.
func (o *SetAdd) Decide(s topology.Sight) ([]record.Mutation, error) {
	o.Count = 0
	h, err := o.Key.parted(s.Cells(0), record.KindSet)
	if err == nil {
		err = o.Key.takes("a set", record.KindSet)
	}
	if err == nil {
		err = tooMany(len(o.Members))
	}
	if err != nil {
		return nil, err
	}
	e := o.Key.edit(h, record.KindSet)
	for i, m := range o.Members {
		if _, there := e.present(s.Cells(i + 1)); !there || scattered(s) {
			e.put(o.Key.field(m), nil, there)
		}
	}
	ms, err := e.mutations()
	if err == nil {
		o.Count = e.added
	}
	return ms, err
}

// SetRemove removes members from a set. With its last member goes the key.
type SetRemove struct {
	Key     Key
	Members [][]byte

	Count int // of those that were there
}

// Reads implements Op.
func (o *SetRemove) Reads() []topology.CellRange {
	return o.Key.headAnd(len(o.Members), func(i int) []byte { return o.Members[i] })
}

// Decide implements Op.
func (o *SetRemove) Decide(s topology.Sight) ([]record.Mutation, error) {
	o.Count = 0
	h, err := o.Key.parted(s.Cells(0), record.KindSet)
	if err == nil {
		err = tooMany(len(o.Members))
	}
	if err != nil {
		return nil, err
	}
	e := o.Key.edit(h, record.KindSet)
	for i, m := range o.Members {
		field := o.Key.field(m)
		if _, there := e.present(s.Cells(i + 1)); there && !e.touched(field) {
			e.remove(field)
		}
	}
	ms, err := e.mutations()
	if err == nil {
		o.Count = e.removed
	}
	return ms, err
}

// SetHas tells which members are in a set.
type SetHas struct {
	Key     Key
	Members [][]byte

	Has []bool // as Members
}

// Reads implements Op.
func (o *SetHas) Reads() []topology.CellRange {
	return o.Key.headAnd(len(o.Members), func(i int) []byte { return o.Members[i] })
}

// Decide implements Op.
func (o *SetHas) Decide(s topology.Sight) ([]record.Mutation, error) {
	o.Has = nil
	h, err := o.Key.parted(s.Cells(0), record.KindSet)
	if err == nil {
		err = tooMany(len(o.Members))
	}
	if err != nil {
		return nil, err
	}
	o.Has = make([]bool, len(o.Members))
	for i := range o.Has {
		o.Has[i] = h.there() && len(s.Cells(i+1)) != 0
	}
	return nil, nil
}

// SetMembers reads a set, in the order of its members.
type SetMembers struct {
	Key Key

	Members [][]byte
}

// Reads implements Op.
func (o *SetMembers) Reads() []topology.CellRange { return []topology.CellRange{o.Key.whole()} }

// Decide implements Op.
func (o *SetMembers) Decide(s topology.Sight) ([]record.Mutation, error) {
	o.Members = nil
	cells := s.Cells(0)
	h, err := o.Key.parted(cells, record.KindSet)
	if err != nil || !h.there() {
		return nil, err
	}
	members := make([][]byte, 0, len(cells)-1)
	for i := 1; i < len(cells); i++ {
		members = append(members, kept(named(cells[i].Field), true))
	}
	o.Members = members
	return nil, nil
}

// SetLength counts the members of a set.
type SetLength struct {
	Key Key

	Count int
}

// Reads implements Op.
func (o *SetLength) Reads() []topology.CellRange { return []topology.CellRange{o.Key.headRange()} }

// Decide implements Op.
func (o *SetLength) Decide(s topology.Sight) ([]record.Mutation, error) {
	o.Count = 0
	h, err := o.Key.parted(s.Cells(0), record.KindSet)
	if err != nil {
		return nil, err
	}
	n, err := h.count(&o.Key)
	o.Count = int(n)
	return nil, err
}

func (o *SetAdd) size() int {
	return o.Key.size(len(o.Members), func(i int) (name, value []byte) { return o.Members[i], nil })
}
