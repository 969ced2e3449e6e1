package crdttest

import (
	"fmt"

	"pgregory.net/rapid"

	"github.com/triad-kv/triad/crdt"
	"github.com/triad-kv/triad/version"
)

// Subject is a type under the laws.
type Subject[T crdt.Lattice[T]] struct {
	New func() T
	// Change draws a change, makes it to s in the name of e.By and at e.Stamp, says in
	// e what it was, and returns its delta. It may change nothing.
	Change func(t *rapid.T, s T, e *Event) T
	// Show is the value of s as text.
	Show func(s T) string
	// Spec is the same text, from what was done and who had seen what of it. No change
	// is missing that one of them had seen.
	Spec func(done []*Event) string
	// Compact and Stable are of types that forget what is stable: all of done, which s
	// has taken in. Nil if there is nothing to forget.
	Compact func(s T, stable version.Vector)
	Stable  func(s T, done []*Event) version.Vector
	// Retire is of types that forget origins. Nil if they do not.
	Retire func(s T, o version.Origin) error
	// Bound is how many bytes the encoding of s takes at most, which was made by that.
	Bound func(s T, done []*Event) int
}

// Event is one change: who made it, when, and what it was.
type Event struct {
	By    version.Origin
	Stamp crdt.Stamp
	What  string       // the mutator
	Path  []crdt.Field // of maps, from the outermost in: where it was made
	Field crdt.Field   // an argument
	Text  string       // an argument
	N     int64        // an argument
	saw   map[*Event]bool
	of    *Event // what it is a view of; nil for itself
}

// Saw reports whether who made e had taken in f.
func (e *Event) Saw(f *Event) bool { return e.itself().saw[f.itself()] }

func (e *Event) itself() *Event {
	if e.of != nil {
		return e.of
	}
	return e
}

// Inside returns what e is to a field of the map it was made in: what was done in
// the field; what removes does in it, if e drops the field or clears the map; else
// nil.
func (e *Event) Inside(f crdt.Field, removes string) *Event {
	g := *e
	g.of = e.itself()
	switch {
	case len(e.Path) > 0 && e.Path[0] == f:
		g.Path = e.Path[1:]
	case len(e.Path) == 0 && (e.What == "drop" && e.Field == f || e.What == "clear"):
		g.What = removes
	default:
		return nil
	}
	return &g
}

func (e *Event) String() string {
	return fmt.Sprintf("%v at %d: %v %s %v %q %d", e.Stamp.Dot, e.Stamp.Time, e.Path, e.What, e.Field, e.Text, e.N)
}

// holder is one place that changes and takes in states, and what it has truly taken
// in.
type holder[T crdt.Lattice[T]] struct {
	state T
	done  map[*Event]bool
}

// world is some holders of one value.
type world[T crdt.Lattice[T]] struct {
	Subject[T]
	holders []*holder[T]
	events  []*Event
	deltas  []T // of the events
	before  []T // what an event's holder held before it
	after   []T
}

const holdersOf = 3

func origin(i int) version.Origin {
	return version.Origin{ID: uint32(i%2 + 1), Incarnation: uint32(i/2 + 1)}
}

// run makes a world of at most that many random steps.
func run[T crdt.Lattice[T]](t *rapid.T, s Subject[T], steps int) *world[T] {
	w := &world[T]{Subject: s}
	for range holdersOf {
		w.holders = append(w.holders, &holder[T]{s.New(), map[*Event]bool{}})
	}
	for range Pick(t, "steps", 0, 2, steps/4, steps/2, steps, steps) {
		i := Pick(t, "holder", 0, 1, 2)
		if j := Pick(t, "from", -1, 0, 1, 2); j < 0 || j == i {
			w.change(t, i)
		} else {
			w.pull(i, j)
		}
	}
	return w
}

// Pick draws one of some evenly. A range of numbers, or a sample, draws the first ones
// far more often, and with them schedules in which one holder does everything.
func Pick[E any](t *rapid.T, label string, of ...E) E {
	const spread = 0x9e3779b97f4a7c15 // an odd number near 2⁶⁴/φ: small draws end far apart
	x := rapid.Uint32().Draw(t, label)
	return of[uint64(x)*spread>>32%uint64(len(of))]
}

// change makes one change at a holder, whose clock is over all it has taken in.
func (w *world[T]) change(t *rapid.T, i int) {
	h := w.holders[i]
	e := &Event{By: origin(i), saw: map[*Event]bool{}}
	var seq uint64
	var latest version.Timestamp
	for f := range h.done {
		e.saw[f] = true
		latest = max(latest, f.Stamp.Time)
		if f.By == e.By {
			seq = max(seq, f.Stamp.Dot.Seq)
		}
	}
	ahead := Pick(t, "clock", 1, 2, 3)
	e.Stamp = crdt.Stamp{Time: latest + version.Timestamp(ahead), Dot: version.Dot{Origin: e.By, Seq: seq + 1}}
	w.before = append(w.before, h.state.Clone())
	delta := w.Change(t, h.state, e)
	h.done[e] = true
	w.events, w.deltas = append(w.events, e), append(w.deltas, delta.Clone())
	w.after = append(w.after, h.state.Clone())
}

func (w *world[T]) pull(i, j int) {
	w.holders[i].state.Join(w.holders[j].state.Clone())
	for e := range w.holders[j].done {
		w.holders[i].done[e] = true
	}
}

// sync gives everything to everybody.
func (w *world[T]) sync() {
	for i := 1; i < holdersOf; i++ {
		w.pull(0, i)
	}
	for i := 1; i < holdersOf; i++ {
		w.pull(i, 0)
	}
}

// doneAt returns what a holder has taken in, in the order in which it was made.
func (w *world[T]) doneAt(i int) []*Event {
	var done []*Event
	for _, e := range w.events {
		if w.holders[i].done[e] {
			done = append(done, e)
		}
	}
	return done
}

// states returns all that there is to be joined: holders, and deltas.
func (w *world[T]) states() []T {
	out := []T{w.New()}
	for _, h := range w.holders {
		out = append(out, h.state)
	}
	return append(out, w.deltas...)
}

func joined[T crdt.Lattice[T]](a T, more ...T) T {
	c := a.Clone()
	for _, b := range more {
		c.Join(b)
	}
	return c
}

func shuffled[T any](t *rapid.T, of []T) []T {
	if len(of) < 2 {
		return of
	}
	return rapid.Permutation(of).Draw(t, "order")
}
