package conflict

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/version"
)

// Cells reads what is held before a change.
type Cells interface {
	// Cell returns what one cell holds; nothing is the zero State.
	Cell(record.Cell) (record.State, error)
	// Fields returns the fields of a key that hold anything, in the order of their
	// bytes, without the cell that has none.
	Fields(table record.TableID, key []byte) ([][]byte, error)
}

// Check says whether [Apply] can take m in a table that is settled by that resolver:
// all that CheckLWW says where the last writer wins, and a delta in its form. Errors
// wrap [record.ErrInvalid].
func Check(r Resolver, m *record.Mutation) error {
	if _, last := r.(lww); last {
		return CheckLWW(m)
	}
	switch m.Op {
	case record.OpPut, record.OpDelete, record.OpMark:
		return nil
	case record.OpMerge:
		if _, merges := r.(join); !merges {
			return fmt.Errorf("%w mutation of %q: resolver %v takes no deltas: give the table the resolver crdt", record.ErrInvalid, m.Key, r.ID())
		}
		if len(m.Field) > 0 {
			return fmt.Errorf("%w mutation of %q: field %q: deltas change whole keys", record.ErrInvalid, m.Key, m.Field)
		}
		_, _, err := decodeDelta(m.Value)
		return err
	}
	return fmt.Errorf("%w mutation of %q: operation %d", record.ErrInvalid, m.Key, m.Op)
}

// Apply returns the changes of the cells that r writes, where resolver settles the
// table of each (rule X). seen and covers are those of the topology (package comment);
// a delta covers what it accounts for and nothing else. A delete of a whole key is a
// version in the cell without a field, and takes from the key's other cells what r had
// seen. Where r writes a cell twice its last word counts.
//
// What a cell's context knows is seen, too, and what that of the cell without a field
// knows is seen in all cells of the key. The states keep the contexts that were held:
// what they become is the caller's, see [Change].
//
// Errors wrap [ErrForked], [record.ErrInvalid] or are cells'; then nothing is to be
// changed.
func Apply(r *record.Record, resolver func(record.TableID) Resolver, seen, covers version.Seen, cells Cells) ([]Change, error) {
	a := application{record: r, resolver: resolver, seen: seen, covers: covers, cells: cells}
	for i := range r.Mutations {
		if err := a.mutation(i); err != nil {
			return nil, err
		}
	}
	return a.out, nil
}

// application is one record as it is applied.
type application struct {
	record       *record.Record
	resolver     func(record.TableID) Resolver
	seen, covers version.Seen
	cells        Cells
	out          []Change

	key     record.Cell  // whose context was read last
	context *version.Set // of its cell without a field
}

func (a *application) mutation(i int) error {
	m := &a.record.Mutations[i]
	if m.Op == record.OpMark {
		return nil
	}
	res := a.resolver(m.Table)
	if err := Check(res, m); err != nil {
		return err
	}
	if a.overruled(i) {
		return nil
	}
	v, covers := VersionOf(a.record, m), a.covers
	var accounts *version.Set
	if m.Op == record.OpMerge {
		var err error
		if accounts, v.Value, err = decodeDelta(m.Value); err != nil {
			return fmt.Errorf("key %q: %w", m.Key, err)
		}
		covers = accounts
	}
	cell := record.Cell{Table: m.Table, Key: m.Key, Field: m.Field}
	if err := a.change(res, cell, []record.Version{v}, covers, accounts); err != nil {
		return err
	}
	if _, last := res.(lww); last || m.Op != record.OpDelete || len(m.Field) > 0 {
		return nil
	}
	return a.clear(res, i)
}

// overruled reports whether a later mutation of the record has the last word on the
// cell of mutation i: one of the same cell, or a delete of its key. A delete that is
// overruled in its own cell still takes the others; that is seen to here.
func (a *application) overruled(i int) bool {
	m := &a.record.Mutations[i]
	return slices.ContainsFunc(a.record.Mutations[i+1:], func(n record.Mutation) bool {
		return sameCell(m, &n) && !wholeDelete(m) || wholeDelete(&n) && sameKey(m, &n)
	})
}

func wholeDelete(m *record.Mutation) bool { return m.Op == record.OpDelete && len(m.Field) == 0 }

func sameKey(m, n *record.Mutation) bool { return m.Table == n.Table && bytes.Equal(m.Key, n.Key) }

// clear takes from the other cells of a key what the delete at i had seen. A cell that
// the record writes afterwards loses the same by that write.
func (a *application) clear(res Resolver, i int) error {
	m := &a.record.Mutations[i]
	fields, err := a.cells.Fields(m.Table, m.Key)
	if err != nil {
		return err
	}
	for _, f := range fields {
		cell := record.Cell{Table: m.Table, Key: m.Key, Field: f}
		written := slices.ContainsFunc(a.record.Mutations[i+1:], func(n record.Mutation) bool {
			return n.Op != record.OpMark && sameKey(m, &n) && bytes.Equal(n.Field, f)
		})
		if written {
			continue
		}
		if err := a.change(res, cell, nil, a.covers, nil); err != nil {
			return err
		}
	}
	return nil
}

// change joins in into one cell and settles it. accounts is what covers is if in is a
// delta's, else nil.
func (a *application) change(res Resolver, cell record.Cell, in []record.Version, covers version.Seen, accounts *version.Set) error {
	local, err := a.cells.Cell(cell)
	if err != nil {
		return err
	}
	seen := a.seen
	if !local.Context.IsEmpty() {
		seen = together{seen, local.Context}
	}
	if len(cell.Field) > 0 {
		head, err := a.headContext(cell)
		if err != nil {
			return err
		}
		if !head.IsEmpty() {
			seen = together{seen, head}
		}
	}
	c, err := JoinWith(res, cell, local.Siblings, seen, in, covers)
	if err != nil {
		return fmt.Errorf("key %q: %w", cell.Key, err)
	}
	if len(in) == 0 && len(c.Gone) == 0 {
		return nil
	}
	c.State.Context, c.Covers = local.Context, accounts
	if i := slices.IndexFunc(a.out, func(o Change) bool { return sameName(o.Cell, cell) }); i >= 0 {
		a.out[i] = c
	} else {
		a.out = append(a.out, c)
	}
	return nil
}

// headContext returns the context of the cell without a field of a key. It is read once
// for all fields of a key that follow one another.
func (a *application) headContext(of record.Cell) (*version.Set, error) {
	head := record.Cell{Table: of.Table, Key: of.Key}
	if a.key.Key != nil && sameName(a.key, head) {
		return a.context, nil
	}
	s, err := a.cells.Cell(head)
	if err != nil {
		return nil, err
	}
	a.key, a.context = head, s.Context
	return a.context, nil
}

// JoinWith is Merge of one cell, and what the resolver makes of it: for what another
// replica holds, too. The state has no context: it is the caller's.
func JoinWith(r Resolver, cell record.Cell, local []record.Version, seen version.Seen, in []record.Version, covers version.Seen) (Change, error) {
	kept, gone, err := Merge(local, seen, in, covers)
	c := Change{Cell: cell, State: record.State{Siblings: kept}, Gone: gone}
	if err != nil {
		return Change{}, err
	}
	if len(kept) > 0 {
		s := r.Settle(cell, kept)
		c.State.Siblings, c.Lost = s.Stays, s.Lost
	}
	return c, nil
}

func sameName(a, b record.Cell) bool {
	return a.Table == b.Table && bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Field, b.Field)
}

// together is what two know.
type together [2]version.Seen

func (t together) Has(d version.Dot) bool { return has(t[0], d) || has(t[1], d) }
