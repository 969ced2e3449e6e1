package server

import (
	"strconv"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

var hashCommands = []command{
	{name: "hset", arity: -4, flags: writes | fast, keys: oneKey, group: "hash", about: "Sets fields of a hash.", plan: planHSet, decide: decideHSet},
	{name: "hmset", arity: -4, flags: writes | fast, keys: oneKey, group: "hash", about: "Sets fields of a hash.", plan: planHSet, decide: decideHSet},
	{name: "hsetnx", arity: 4, flags: writes | fast, keys: oneKey, group: "hash", about: "Sets a field that does not exist.", plan: planHSet, decide: decideHSet},
	{name: "hincrby", arity: 4, flags: writes | fast, keys: oneKey, group: "hash", about: "Adds to the number in a field; one that is not there is 0.", plan: planHIncrBy, decide: decideHIncrBy},
	{name: "hdel", arity: -3, flags: writes | fast, keys: oneKey, group: "hash", about: "Removes fields; a hash without fields is gone.", plan: planFields, decide: decideHDel},
	{name: "hget", arity: 3, flags: reads | fast, keys: oneKey, group: "hash", about: "Returns the value of a field.", plan: planFields, decide: decideHGet},
	{name: "hmget", arity: -3, flags: reads | fast, keys: oneKey, group: "hash", about: "Returns the values of fields.", plan: planFields, decide: decideHMGet},
	{name: "hexists", arity: 3, flags: reads | fast, keys: oneKey, group: "hash", about: "Tells whether a field exists.", plan: planFields, decide: decideHExists},
	{name: "hstrlen", arity: 3, flags: reads | fast, keys: oneKey, group: "hash", about: "Returns the length of a field's value.", plan: planFields, decide: decideHStrlen},
	{name: "hgetall", arity: 2, flags: reads | whole, keys: oneKey, group: "hash", about: "Returns all fields and values.", plan: planWhole, decide: decideHGetAll},
	{name: "hkeys", arity: 2, flags: reads | whole, keys: oneKey, group: "hash", about: "Returns all fields.", plan: planWhole, decide: decideHKeys},
	{name: "hvals", arity: 2, flags: reads | whole, keys: oneKey, group: "hash", about: "Returns all values.", plan: planWhole, decide: decideHVals},
	{name: "hlen", arity: 2, flags: reads | fast, keys: oneKey, group: "hash", about: "Returns the number of fields.", plan: planHLen, decide: decideHLen},
}

// planFields reads the head and every field that is named.
func planFields(r *request) error {
	fields := r.args[2:]
	r.readHead(0)
	for _, f := range fields {
		r.readField(0, f)
	}
	if r.cmd.flags&writes != 0 {
		if err := checkCount(len(fields), "fields"); err != nil {
			return err
		}
	}
	return checkFields(fields)
}

func planWhole(r *request) error {
	r.readWhole(0)
	return nil
}

func planHSet(r *request) error {
	if len(r.args)%2 != 0 {
		return replyErrorf("ERR wrong number of arguments for '%s' command", r.cmd.name)
	}
	if err := r.places[0].takesFields(record.KindMap); err != nil {
		return err
	}
	r.readHead(0)
	for i := 2; i < len(r.args); i += 2 {
		if err := checkFields(r.args[i : i+1]); err != nil {
			return err
		}
		r.readField(0, r.args[i])
	}
	return checkCount(len(r.args)/2-1, "fields")
}

// takesFields refuses parts of a kind in tables whose kind is another.
func (p place) takesFields(kind record.Kind) error {
	if p.kind == record.KindAny || p.kind == kind || kind == record.KindMap && p.kind == record.KindRow {
		return nil
	}
	return errWrongType
}

// hash checks that a head is a hash's, or nothing's.
func (h head) hash() error {
	if h.exists && h.kind != record.KindMap && h.kind != record.KindRow {
		return errWrongType
	}
	return nil
}

// fieldKind is the kind of the fields of place i.
func (r *request) fieldKind(i int, h head, kind record.Kind) record.Kind {
	switch {
	case h.exists:
		return h.kind
	case r.places[i].kind == record.KindRow:
		return record.KindRow
	}
	return kind
}

// counted writes the head of a key whose fields have become n more, or fewer;
// one that has none left is gone. A row counts nothing, and stays.
func (r *request) counted(i int, h head, kind record.Kind, more int) error {
	if kind == record.KindRow {
		if !h.exists {
			r.put(i, head{}, kind, nil, r.born(i))
		}
		return nil
	}
	n, err := h.count()
	if err != nil {
		return err
	}
	expires := h.expires
	if !h.exists {
		expires = r.born(i)
	}
	switch n += more; {
	case more == 0:
	case n <= 0:
		r.muts = r.muts[:0]
		r.remove(i)
	default:
		r.put(i, head{}, kind, r.packed(int64(n)), expires)
	}
	return nil
}

func decideHSet(r *request, s topology.Sight) error {
	h := headOf(s.Cells(0))
	if err := h.hash(); err != nil {
		return err
	}
	kind, added := r.fieldKind(0, h, record.KindMap), 0
	var fields seen
	for i := 2; i < len(r.args); i += 2 {
		held := fieldOf(h, s, i/2)
		if held != nil && r.cmd.name == "hsetnx" {
			r.out.Int(0)
			return nil
		}
		value := r.args[i+1]
		if kind == record.KindRow {
			value = r.column(held, value)
		}
		if fields.first(r.args[i]) && held == nil {
			added++
		}
		r.putField(0, kind, r.args[i], value)
	}
	if err := r.counted(0, h, kind, added); err != nil {
		return err
	}
	if r.cmd.name == "hmset" {
		r.out.OK()
	} else {
		r.out.Int(int64(added))
	}
	return nil
}

// fieldOf returns the field in a range, nil if there is none.
func fieldOf(h head, s topology.Sight, i int) *topology.CellReading {
	cells := s.Cells(i)
	if !h.exists || len(cells) == 0 {
		return nil
	}
	return &cells[0]
}

func planHIncrBy(r *request) error {
	var ok bool
	if r.opt.n, ok = parseInt(r.args[3]); !ok {
		return errNotInteger
	}
	if err := r.places[0].takesFields(record.KindMap); err != nil {
		return err
	}
	r.readHead(0)
	r.readField(0, r.args[2])
	return checkFields(r.args[2:3])
}

func decideHIncrBy(r *request, s topology.Sight) error {
	h := headOf(s.Cells(0))
	if err := h.hash(); err != nil {
		return err
	}
	kind, added, n := r.fieldKind(0, h, record.KindMap), 1, int64(0)
	held := fieldOf(h, s, 1)
	if held != nil {
		added = 0
		var room [textRoom]byte
		var ok bool
		if n, ok = parseInt(fieldText(held, room[:])); !ok {
			return errHashInteger
		}
	}
	n, ok := add(n, r.opt.n)
	if !ok {
		return errOverflow
	}
	var value []byte
	if kind == record.KindRow {
		value = r.packed(n)
	} else {
		from := len(r.scratch)
		r.scratch = strconv.AppendInt(r.scratch, n, 10)
		value = r.scratch[from:]
	}
	r.putField(0, kind, r.args[2], value)
	r.out.Int(n)
	return r.counted(0, h, kind, added)
}

func decideHDel(r *request, s topology.Sight) error {
	h := headOf(s.Cells(0))
	if err := h.hash(); err != nil {
		return err
	}
	return r.removeFields(h, s)
}

// removeFields removes the fields that args name from the third on.
func (r *request) removeFields(h head, s topology.Sight) error {
	var fields seen
	removed := 0
	for i, f := range r.args[2:] {
		if fieldOf(h, s, i+1) == nil || !fields.first(f) {
			continue
		}
		r.remove(0, f)
		removed++
	}
	r.out.Int(int64(removed))
	if removed == 0 {
		return nil
	}
	return r.counted(0, h, h.kind, -removed)
}

func decideHGet(r *request, s topology.Sight) error {
	h := headOf(s.Cells(0))
	if err := h.hash(); err != nil {
		return err
	}
	r.field(fieldOf(h, s, 1))
	return nil
}

func decideHMGet(r *request, s topology.Sight) error {
	h := headOf(s.Cells(0))
	if err := h.hash(); err != nil {
		return err
	}
	r.out.Array(len(r.args) - 2)
	for i := range r.args[2:] {
		r.field(fieldOf(h, s, i+1))
	}
	return nil
}

// field answers with a field's value.
func (r *request) field(c *topology.CellReading) {
	if c == nil {
		r.out.Null()
		return
	}
	var room [textRoom]byte
	r.out.Bulk(fieldText(c, room[:]))
}

func decideHExists(r *request, s topology.Sight) error {
	h := headOf(s.Cells(0))
	if err := h.hash(); err != nil {
		return err
	}
	r.out.Flag(fieldOf(h, s, 1) != nil)
	return nil
}

func decideHStrlen(r *request, s topology.Sight) error {
	h := headOf(s.Cells(0))
	if err := h.hash(); err != nil {
		return err
	}
	var room [textRoom]byte
	n := 0
	if c := fieldOf(h, s, 1); c != nil {
		n = len(fieldText(c, room[:]))
	}
	r.out.Int(int64(n))
	return nil
}

// allOf returns the fields of a range that is a whole hash.
func allOf(s topology.Sight) ([]topology.CellReading, error) {
	cells := s.Cells(0)
	h := headOf(cells)
	if !h.exists {
		return nil, nil
	}
	return cells[1:], h.hash()
}

func decideHGetAll(r *request, s topology.Sight) error {
	fields, err := allOf(s)
	if err != nil {
		return err
	}
	r.out.Map(len(fields))
	for i := range fields {
		r.out.Bulk(fields[i].Field)
		r.field(&fields[i])
	}
	return nil
}

func decideHKeys(r *request, s topology.Sight) error {
	fields, err := allOf(s)
	if err != nil {
		return err
	}
	r.out.Array(len(fields))
	for i := range fields {
		r.out.Bulk(fields[i].Field)
	}
	return nil
}

func decideHVals(r *request, s topology.Sight) error {
	fields, err := allOf(s)
	if err != nil {
		return err
	}
	r.out.Array(len(fields))
	for i := range fields {
		r.field(&fields[i])
	}
	return nil
}

// planHLen reads a row whole, which does not count its columns.
func planHLen(r *request) error {
	if r.places[0].kind == record.KindRow {
		r.readWhole(0)
	} else {
		r.readHead(0)
	}
	return nil
}

func decideHLen(r *request, s topology.Sight) error {
	h := headOf(s.Cells(0))
	if err := h.hash(); err != nil {
		return err
	}
	n := len(s.Cells(0)) - 1
	if h.kind != record.KindRow {
		var err error
		if n, err = h.count(); err != nil {
			return err
		}
	}
	r.out.Int(int64(max(n, 0)))
	return nil
}
