package check

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/triad-kv/triad/internal/sim/history"
	"github.com/triad-kv/triad/version"
)

// Rules say what the system under test promises of the order of its writes.
type Rules struct {
	// Sites is set where writes are accepted in several places at once: that one
	// was answered before another was asked then says nothing of their order.
	Sites bool
	// Lossy is set where acknowledged writes may be lost at a failover, as an
	// asynchronous group says: places may then be given out again in a later term.
	Lossy bool
	// Counting are prefixes of keys that count also where nothing is added to
	// them: accounts that no transfer reaches. Their values name no write.
	Counting []string
}

// Final is what one node holds in the end, when nothing is under way any more.
type Final struct {
	Node  string
	Cells map[string]Cell // by key; a key that holds nothing is not among them
	// Vector is what the node has applied; nil if not known.
	Vector version.Vector
	// Held are the writes whose records the node has, by dot and time, from its
	// log; nil if not known. With it losses are exact even where a later write
	// covers them.
	Held map[Write]bool
}

// Write names a record without doubt, also where a lost dot was given out again.
type Write struct {
	Dot  version.Dot
	Time version.Timestamp
}

// Cell is what a key holds.
type Cell struct {
	Values []string // several are siblings, in the order of their dots
	Raw    string   // all of its bytes, for comparing nodes; empty if Values are all
	Place  history.Place
}

// Case is what is judged: a history and the final states.
type Case struct {
	*book
	finals []Final
}

// book is a history, looked up by what it wrote.
type book struct {
	rules   Rules
	ops     []history.Op            // by time of asking
	writes  map[string][]history.Op // by key: what may have happened to it, by time
	writer  map[valueOf]history.Op  // who wrote, or was to write, a value
	counts  map[string]bool         // keys that count
	deletes map[string][]history.Op
}

type valueOf struct{ key, value string }

// New prepares a case. It fails where ops are no history, or where a value does
// not name its write.
func New(rules Rules, ops []history.Op, finals ...Final) (*Case, error) {
	if err := history.Validate(ops); err != nil {
		return nil, err
	}
	b := &book{
		rules: rules, ops: history.ByTime(ops),
		writes: map[string][]history.Op{}, writer: map[valueOf]history.Op{}, counts: map[string]bool{}, deletes: map[string][]history.Op{},
	}
	b.count(finals)
	for _, op := range b.ops {
		if err := b.enter(op); err != nil {
			return nil, err
		}
	}
	b.learn()
	return &Case{book: b, finals: finals}, nil
}

// count finds the keys that count.
func (b *book) count(finals []Final) {
	counting := func(key string) {
		if slices.ContainsFunc(b.rules.Counting, func(p string) bool { return strings.HasPrefix(key, p) }) {
			b.counts[key] = true
		}
	}
	for _, op := range b.ops {
		switch op.Kind {
		case history.Transfer:
			b.counts[op.Key], b.counts[op.To] = true, true
		case history.Increment:
			b.counts[op.Key] = true
		}
		counting(op.Key)
		for _, row := range op.Rows {
			counting(row.Key)
		}
	}
	for _, f := range finals {
		for key := range f.Cells {
			counting(key)
		}
	}
}

func (b *book) enter(op history.Op) error {
	named := (op.Kind == history.Put || op.Kind == history.CompareAndSet) && !b.counts[op.Key]
	if named {
		at := valueOf{op.Key, op.Value}
		if first, taken := b.writer[at]; taken {
			return fmt.Errorf("a value does not name its write: %v and %v", first, op)
		}
		b.writer[at] = op
	}
	if !op.Kind.Writes() || op.Outcome == history.NotApplied {
		return nil
	}
	b.writes[op.Key] = append(b.writes[op.Key], op)
	if op.Kind == history.Transfer {
		b.writes[op.To] = append(b.writes[op.To], op)
	}
	if op.Kind == history.Delete {
		b.deletes[op.Key] = append(b.deletes[op.Key], op)
	}
	return nil
}

// learn takes from reads where a write stands whose client was not told.
func (b *book) learn() {
	places := map[valueOf]history.Place{}
	for _, op := range b.ops {
		if v, one := op.Only(); one && op.Kind == history.Get && op.Outcome == history.Applied && !op.Place.Dot.IsZero() {
			places[valueOf{op.Key, v}] = op.Place
		}
		for _, row := range op.Rows {
			if op.Outcome == history.Applied && !row.Place.Dot.IsZero() {
				places[valueOf{row.Key, row.Value}] = row.Place
			}
		}
	}
	for at, place := range places {
		w, ok := b.writer[at]
		if !ok || !w.Place.Dot.IsZero() {
			continue
		}
		w.Place.Dot, w.Place.Time = place.Dot, place.Time
		b.writer[at] = w
		for i := range b.writes[at.key] {
			if b.writes[at.key][i].ID == w.ID {
				b.writes[at.key][i] = w
			}
		}
	}
}

// keys returns all keys that something may have been written to, in order.
func (b *book) keys() []string { return slices.Sorted(maps.Keys(b.writes)) }

// before reports whether x certainly came before y: by their places (C4), else
// by real time.
func (b *book) before(x, y history.Op) bool {
	if x.ID == y.ID {
		return false
	}
	if !x.Place.Dot.IsZero() && !y.Place.Dot.IsZero() {
		return cmp.Or(cmp.Compare(x.Place.Time, y.Place.Time), x.Place.Dot.Compare(y.Place.Dot)) < 0
	}
	return !b.rules.Sites && x.Outcome == history.Applied && x.Return < y.Invoke
}

// misses reports whether what a key held, as read until `until`, is certainly
// older than w: whoever saw it did not see w.
func (b *book) misses(key string, values []string, until time.Duration, w history.Op) bool {
	if len(values) == 0 {
		if w.Kind == history.Delete {
			return false
		}
		return !slices.ContainsFunc(b.deletes[key], func(d history.Op) bool { return d.Invoke <= until && !b.before(d, w) })
	}
	for _, v := range values {
		by, known := b.writer[valueOf{key, v}]
		if !known || by.ID == w.ID || !b.before(by, w) {
			return false
		}
	}
	return true
}

// shown is a sentence's end for values.
func shown(values []string) string {
	if len(values) == 0 {
		return "nothing"
	}
	return fmt.Sprint(values)
}

// reads calls f for every answered read of a key that does not count: scans are
// a read of each key they cover.
func (b *book) reads(f func(op history.Op, key string, values []string)) {
	for _, op := range b.ops {
		if op.Outcome == history.Applied {
			b.readsOf(op, f)
		}
	}
}

func (b *book) readsOf(op history.Op, f func(op history.Op, key string, values []string)) {
	switch op.Kind {
	case history.Get:
		if !b.counts[op.Key] {
			f(op, op.Key, op.Got)
		}
	case history.Scan:
		rows := map[string][]string{}
		for _, row := range op.Rows {
			rows[row.Key] = append(rows[row.Key], row.Value)
		}
		for key := range b.writes {
			if _, there := rows[key]; !there && strings.HasPrefix(key, op.Key) {
				rows[key] = nil
			}
		}
		for _, key := range slices.Sorted(maps.Keys(rows)) {
			if !b.counts[key] {
				f(op, key, rows[key])
			}
		}
	}
}
