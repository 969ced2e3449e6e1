package check

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/internal/sim/history"
)

func all(c *Case) Report {
	return c.Linearizable(time.Minute).And(c.ReadYourWrites()).And(c.MonotonicReads()).And(c.ConsistentPrefix()).And(c.Fresh()).
		And(c.Kept()).And(c.Nowhere()).And(c.Converged()).And(c.Counters()).And(c.Bank("acc/", accounts, opening)).And(c.Places())
}

func TestARightHistoryIsFoundRight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.play(rapid.IntRange(0, 150).Draw(t, "steps"))
		finals := w.finals()
		if rapid.Bool().Draw(t, "without records") {
			for i := range finals {
				finals[i].Held = nil
			}
		}
		c, err := New(Rules{Counting: []string{"acc/"}}, w.ops, finals...)
		require.NoError(t, err)
		require.NoError(t, all(c).Err())
	})
}

// mutation spoils a right history. It returns false where there is nothing to spoil.
type mutation struct {
	name   string
	spoil  func(t *rapid.T, ops []history.Op, finals []Final) bool
	caught []string // every one of these promises is then broken
}

// pick draws one of the operations that ok accepts.
func pick(t *rapid.T, ops []history.Op, ok func(history.Op) bool) *history.Op {
	var at []int
	for i := range ops {
		if ok(ops[i]) {
			at = append(at, i)
		}
	}
	if len(at) == 0 {
		return nil
	}
	return &ops[rapid.SampledFrom(at).Draw(t, "which")]
}

func plain(key string) bool { return key[0] == 'r' }

func ackedPut(op history.Op) bool {
	return plain(op.Key) && op.Outcome == history.Applied && op.Kind == history.Put
}

func readAt(g history.Guarantee) func(history.Op) bool {
	return func(op history.Op) bool {
		return op.Kind == history.Get && plain(op.Key) && op.Outcome == history.Applied && op.Guarantee() == g
	}
}

// stale makes a read that asked for g show a value from two acknowledged puts
// earlier, by real time, so that nothing excuses it.
func stale(g history.Guarantee, sees func(r, newer history.Op) bool) func(*rapid.T, []history.Op, []Final) bool {
	return func(t *rapid.T, ops []history.Op, _ []Final) bool {
		var old history.Op
		r := pick(t, ops, func(r history.Op) bool {
			return readAt(g)(r) && slices.ContainsFunc(ops, func(newer history.Op) bool {
				return ackedPut(newer) && newer.Key == r.Key && sees(r, newer) && slices.ContainsFunc(ops, func(older history.Op) bool {
					return ackedPut(older) && older.Key == r.Key && older.Return < newer.Invoke
				})
			})
		})
		if r == nil {
			return false
		}
		for _, older := range ops {
			if ackedPut(older) && older.Key == r.Key && (old.ID == 0 || older.Return < old.Return) {
				old = older
			}
		}
		r.Got = []string{old.Value}
		return true
	}
}

var mutations = []mutation{
	{"a linearizable read of an old value", stale(history.Linearizable, func(r, newer history.Op) bool { return newer.Return < r.Invoke }), []string{PromiseLinearized, PromiseFresh}},
	{"a bounded read beyond its bound", stale(history.Bounded, func(r, newer history.Op) bool { return newer.Return < r.Invoke-r.Want.Bound }), []string{PromiseFresh}},
	{"a session that does not see its own write", stale(history.Session, func(r, newer history.Op) bool {
		return newer.Session == r.Session && newer.Return <= r.Invoke
	}), []string{PromiseOwnWrites, PromisePrefix}},
	{"a value out of nowhere", func(t *rapid.T, ops []history.Op, _ []Final) bool {
		r := pick(t, ops, readAt(history.Any))
		if r != nil {
			r.Got = []string{"who wrote this?"}
		}
		return r != nil
	}, []string{PromiseNowhere}},
	{"a read of what was not applied", func(t *rapid.T, ops []history.Op, _ []Final) bool {
		w := pick(t, ops, func(op history.Op) bool { return op.Kind == history.Put && op.Outcome == history.NotApplied })
		if w == nil {
			return false
		}
		r := pick(t, ops, func(op history.Op) bool { return readAt(history.Linearizable)(op) && op.Key == w.Key })
		if r == nil {
			return false
		}
		r.Got = []string{w.Value}
		return true
	}, []string{PromiseNowhere, PromiseLinearized}},
	{"a record that was lost", func(t *rapid.T, ops []history.Op, finals []Final) bool {
		w := pick(t, ops, func(op history.Op) bool { return op.Kind.Writes() && op.Outcome == history.Applied })
		if w == nil {
			return false
		}
		delete(finals[1].Held, Write{w.Place.Dot, w.Place.Time})
		return true
	}, []string{PromiseKept}},
	{"a key that was lost", func(t *rapid.T, ops []history.Op, finals []Final) bool {
		w := pick(t, ops, func(op history.Op) bool {
			return ackedPut(op) && !slices.ContainsFunc(ops, func(d history.Op) bool {
				return d.Kind == history.Delete && d.Key == op.Key && d.Outcome != history.NotApplied
			})
		})
		if w == nil {
			return false
		}
		for i := range finals {
			finals[i].Held = nil
			delete(finals[i].Cells, w.Key)
		}
		return true
	}, []string{PromiseKept}},
	{"a node of its own mind", func(t *rapid.T, ops []history.Op, finals []Final) bool {
		finals[2].Cells["r1"] = Cell{Values: []string{"x"}}
		return true
	}, []string{PromiseConverged, PromiseNowhere}},
	{"a node that is behind", func(t *rapid.T, ops []history.Op, finals []Final) bool {
		finals[2].Vector = finals[2].Vector.With(origin, finals[2].Vector.Get(origin)+1)
		return true
	}, []string{PromiseConverged}},
	{"an increment that is not counted", func(t *rapid.T, ops []history.Op, finals []Final) bool {
		op := pick(t, ops, func(op history.Op) bool { return op.Kind == history.Increment && op.Outcome == history.Applied })
		if op == nil {
			return false
		}
		for i := range finals {
			n, _ := number(finals[i].Cells["n"].Values)
			low, _ := between(opsOf(ops, "n"), history.Forever, history.Forever, 0)
			finals[i].Cells["n"] = Cell{Values: []string{fmt.Sprint(min(n-op.Amount, low-1))}}
		}
		return true
	}, []string{PromiseCounter}},
	{"an increment that is counted twice", func(t *rapid.T, ops []history.Op, _ []Final) bool {
		op := pick(t, ops, func(op history.Op) bool { return op.Kind == history.Increment && op.Outcome == history.Applied })
		if op == nil {
			return false
		}
		_, high := between(opsOf(ops, "n"), history.Forever, history.Forever, 0)
		op.Got = []string{fmt.Sprint(high + 1)}
		return true
	}, []string{PromiseCounter, PromiseLinearized}},
	{"half a transfer", func(t *rapid.T, ops []history.Op, _ []Final) bool {
		op := pick(t, ops, func(op history.Op) bool {
			return op.Kind == history.Scan && op.Key == "acc/" && op.Outcome == history.Applied
		})
		if op == nil {
			return false
		}
		n, _ := history.Number(op.Rows[0].Value)
		op.Rows[0].Value = fmt.Sprint(n + 1)
		return true
	}, []string{PromiseBank}},
	{"two writes in one place", func(t *rapid.T, ops []history.Op, _ []Final) bool {
		acked := func(op history.Op) bool { return op.Kind.Writes() && op.Outcome == history.Applied }
		a := pick(t, ops, acked)
		if a == nil {
			return false
		}
		b := pick(t, ops, func(op history.Op) bool { return acked(op) && op.ID != a.ID })
		if b == nil {
			return false
		}
		b.Place = a.Place
		return true
	}, []string{PromisePlaces}},
	{"an old leader that goes on", func(t *rapid.T, ops []history.Op, _ []Final) bool {
		acked := func(op history.Op) bool { return op.Kind.Writes() && op.Outcome == history.Applied }
		b := pick(t, ops, func(b history.Op) bool {
			return acked(b) && slices.ContainsFunc(ops, func(a history.Op) bool { return acked(a) && a.Return < b.Invoke })
		})
		if b == nil {
			return false
		}
		b.Place.Term = 0
		return true
	}, []string{PromisePlaces}},
	{"a session that goes back", func(t *rapid.T, ops []history.Op, _ []Final) bool {
		session := func(op history.Op) bool {
			return op.Kind == history.Get && plain(op.Key) && op.Outcome == history.Applied && (op.Guarantee() == history.Session || op.Guarantee() == history.Linearizable)
		}
		// seen, something else, seen again
		for i := range ops {
			for j := i + 1; j < len(ops); j++ {
				for k := j + 1; k < len(ops); k++ {
					a, b, c := &ops[i], &ops[j], &ops[k]
					if session(*a) && session(*b) && session(*c) && a.Session == b.Session && b.Session == c.Session && a.Key == b.Key && b.Key == c.Key &&
						len(a.Got) == 1 && !slices.Equal(a.Got, b.Got) {
						c.Got = a.Got
						return true
					}
				}
			}
		}
		return false
	}, []string{PromiseMonotonic}},
	{"a scan of no prefix", func(t *rapid.T, ops []history.Op, _ []Final) bool {
		s := pick(t, ops, func(op history.Op) bool {
			return op.Kind == history.Scan && op.Key == "r" && op.Outcome == history.Applied && len(op.Rows) == 2
		})
		if s == nil {
			return false
		}
		newer := &s.Rows[1]
		for _, w := range ops {
			if !ackedPut(w) || w.Key != s.Rows[0].Key {
				continue
			}
			for _, v := range ops {
				if ackedPut(v) && v.Key == newer.Key && v.Place.Dot.Seq < w.Place.Dot.Seq {
					for _, older := range ops {
						if ackedPut(older) && older.Key == newer.Key && older.Place.Dot.Seq < v.Place.Dot.Seq {
							s.Rows[0].Value, newer.Value = w.Value, older.Value
							return true
						}
					}
				}
			}
		}
		return false
	}, []string{PromisePrefix}},
}

func opsOf(ops []history.Op, key string) (of []history.Op) {
	for _, op := range ops {
		if op.Key == key && op.Kind.Writes() && op.Outcome != history.NotApplied {
			of = append(of, op)
		}
	}
	return of
}

func TestASpoiltHistoryIsCaught(t *testing.T) {
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			spoilt := 0
			rapid.Check(t, func(t *rapid.T) {
				w := newWorld(t)
				w.play(200)
				finals := w.finals()
				if !m.spoil(t, w.ops, finals) {
					return
				}
				spoilt++
				c, err := New(Rules{Counting: []string{"acc/"}}, w.ops, finals...)
				require.NoError(t, err)
				r := all(c)
				require.Error(t, r.Err())
				for _, p := range m.caught {
					require.Contains(t, r.Broken(), p)
				}
			})
			require.Positive(t, spoilt, "no history had anything to spoil")
		})
	}
}

// What takes too long is no success.
func TestWhatIsNotDecidedIsSaid(t *testing.T) {
	var ops []history.Op
	for i := range 14 {
		ops = append(ops, history.Op{ID: uint64(i + 1), Client: uint64(i + 1), Kind: history.Increment, Key: "n", Amount: 1 << i, Invoke: 1, Return: 2, Outcome: history.Unknown})
	}
	ops = append(ops, history.Op{ID: 100, Client: 100, Kind: history.Get, Key: "n", Got: []string{"-1"}, Invoke: 3, Return: 4, Outcome: history.Applied})
	c, err := New(Rules{}, ops)
	require.NoError(t, err)
	r := c.Linearizable(1)
	require.ErrorIs(t, r.Err(), ErrUndecided)
	require.Empty(t, r.Violations)
}

func TestAReportNamesSoMuchAndCountsTheRest(t *testing.T) {
	var r Report
	for range violationsNamedMax + 3 {
		r.broke("p", "k", make([]history.Op, opsNamedMax+5), "why")
	}
	require.ErrorContains(t, r.Err(), "and 3 more violations")
	require.Equal(t, []string{"p"}, r.Broken())
}

func TestAWrongOrderIsDrawn(t *testing.T) {
	ops, _ := parse(t, "1 put x a 1-2\n2 get x b 3-4")
	c, err := New(Rules{}, ops)
	require.NoError(t, err)
	var b countingWriter
	require.NoError(t, c.Draw(&b, "x"))
	require.Positive(t, b)
}

type countingWriter int

func (w *countingWriter) Write(b []byte) (int, error) {
	*w += countingWriter(len(b))
	return len(b), nil
}
