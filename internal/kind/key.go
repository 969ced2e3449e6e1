package kind

import (
	"errors"
	"fmt"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Why a decision is refused. Each is found by errors.Is, as is the sentinel of
// topology it wraps.
var (
	// ErrWrongKind: the key, or its table, is of another kind.
	ErrWrongKind = fmt.Errorf("of another kind: %w", topology.ErrUnsupported)
	// ErrNotInteger: what is to be counted with is no decimal int64.
	ErrNotInteger = fmt.Errorf("not an integer: %w", topology.ErrMalformed)
	// ErrOverflow: the sum does not fit an int64.
	ErrOverflow = fmt.Errorf("the integer would overflow: %w", topology.ErrMalformed)
)

// Key is one key, and the kind of its table: of any, every key has its own.
type Key struct {
	Table record.TableID
	Kind  record.Kind // the table's
	Name  []byte
	// Expires is the expiry of a key that is made, or put whole, without one of its
	// own: what the table's TTL comes to at the time of the call. 0: never.
	Expires version.Timestamp
}

// Op is one decision. It is not safe for concurrent use; its answer is that of
// the last Decide.
type Op interface {
	// Reads are what Decide sees.
	Reads() []topology.CellRange
	// Decide returns what is to be written, and notes the answer in the Op. It
	// changes nothing else, keeps nothing of the sight, and may run again.
	Decide(topology.Sight) ([]record.Mutation, error)
}

// Update returns op as an Updater takes it.
func Update(op Op) topology.Update {
	u := topology.Update{Reads: op.Reads(), Decide: op.Decide}
	if s, ok := op.(sized); ok {
		u.Bytes = s.size()
	}
	if t, ok := op.(telling); ok {
		u.Result = func() []byte { return encodeNumber(t.told()) }
		u.Repeat = func(b []byte) error {
			n, err := (&head{record.Version{Value: b}}).number(&Key{})
			t.retell(n)
			return err
		}
	}
	return u
}

// scattered reports whether what is decided over s holds at one site alone.
func scattered(s topology.Sight) bool {
	_, ok := s.(topology.Scattered)
	return ok
}

// ordered refuses a decision that means something only where all writes have one order.
func ordered(s topology.Sight, what string) error {
	if !scattered(s) {
		return nil
	}
	return fmt.Errorf("%w: %s needs one order of all writes, and several sites write: what it would be decided by may be changed elsewhere at the same time", topology.ErrUnsupported, what)
}

// sized is a decision whose mutations may be long.
type sized interface{ size() int }

// Seen is a sight of cells that are there: what each of the reads holds.
type Seen [][]topology.CellReading

// Cells implements topology.Sight.
func (s Seen) Cells(i int) []topology.CellReading { return s[i] }

// Answer lets op, which reads one key and changes nothing, answer from the cells
// of a reading: all of the key, or all that op.Reads names. They are in the order
// of their fields.
func Answer(op Op, cells []topology.CellReading) error {
	reads := op.Reads()
	seen := make(Seen, len(reads))
	for i := range reads {
		seen[i] = within(cells, &reads[i])
	}
	ms, err := op.Decide(seen)
	if err == nil && len(ms) > 0 {
		return fmt.Errorf("%T writes: it is decided by the leader: %w", op, topology.ErrUnsupported)
	}
	return err
}

// within returns the cells of one key that a range names.
func within(cells []topology.CellReading, r *topology.CellRange) []topology.CellReading {
	if r.Whole {
		return cells
	}
	for i := range cells {
		if string(cells[i].Field) == string(r.Field) {
			return cells[i : i+1]
		}
	}
	return nil
}

func (k *Key) headRange() topology.CellRange {
	return topology.CellRange{Cell: record.Cell{Table: k.Table, Key: k.Name}}
}

func (k *Key) whole() topology.CellRange {
	return topology.CellRange{Cell: record.Cell{Table: k.Table, Key: k.Name}, Whole: true}
}

// headAnd returns the ranges of the head and of the parts of those names; of
// more than one record can change, only that of the head.
func (k *Key) headAnd(n int, name func(int) []byte) []topology.CellRange {
	rs := []topology.CellRange{k.headRange()}
	if n > partsMax {
		return rs
	}
	for i := range n {
		r := k.headRange()
		r.Field = k.field(name(i))
		rs = append(rs, r)
	}
	return rs
}

// partsMax is how many keys, or parts of a key, one decision is about: a delete
// and a head leave place for as many.
const partsMax = record.MutationsMax - 2

func tooMany(n int) error {
	if n > partsMax {
		return fmt.Errorf("%d at once, at most %d: %w", n, partsMax, topology.ErrTooLarge)
	}
	return nil
}

// bounded refuses what one record does not hold.
func bounded(ms []record.Mutation) ([]record.Mutation, error) {
	if len(ms) == 0 {
		return nil, nil
	}
	err := (&record.Batch{Mutations: ms}).Check(0)
	switch {
	case err == nil:
		return ms, nil
	case errors.Is(err, topology.ErrTooLarge):
		return nil, err
	}
	return nil, fmt.Errorf("%w: %w", topology.ErrMalformed, err)
}

// wrong is ErrWrongKind with what is and what was asked for.
func (k *Key) wrong(is record.Kind, asked string) error {
	return fmt.Errorf("key %q holds a %s, not %s: %w", k.Name, Name(is), asked, ErrWrongKind)
}

// takes refuses a write of kinds that the table does not hold.
func (k *Key) takes(asked string, kinds ...record.Kind) error {
	for _, is := range kinds {
		if k.Kind == is || k.Kind == record.KindAny {
			return nil
		}
	}
	return fmt.Errorf("the table holds keys of kind %s, not %s: %w", Name(k.Kind), asked, ErrWrongKind)
}
