package check

import (
	"fmt"
	"io"
	"math"
	"slices"
	"sort"
	"strconv"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/triad-kv/triad/internal/sim/history"
)

// LinearLimit bounds the search for an order of one key's operations, which may
// be exponential. It is of real time: what it cuts short is undecided, and a
// report with something undecided is no success.
const LinearLimit = 10 * time.Second

// Linearizable searches, key by key, for an order of all writes, of the reads
// that asked for it, and of compare-and-sets that were refused, in which each
// answer is right and which respects real time (PS5). Keys of transfers are the
// bank's. A key that takes longer than each is undecided; 0 is LinearLimit.
func (c *Case) Linearizable(each time.Duration) (r Report) {
	if each == 0 {
		each = LinearLimit
	}
	for _, key := range c.registers() {
		l := c.linearOf(key, each)
		r.Judged += len(l.ops)
		switch l.check(history.Forever) {
		case porcupine.Unknown:
			r.Undecided = append(r.Undecided, fmt.Sprintf("%s, key %s: no order of its %d operations found, nor ruled out, within %v", PromiseLinearized, key, len(l.ops), each))
		case porcupine.Illegal:
			l.explain(&r)
		}
	}
	return r
}

// Draw writes a page of HTML that shows the operations of a key and how far they
// can be put into an order.
func (c *Case) Draw(w io.Writer, key string) error {
	ops := c.linearOf(key, LinearLimit).until(history.Forever)
	_, found := porcupine.CheckOperationsVerbose(register, ops, LinearLimit)
	return porcupine.Visualize(register, found, w)
}

// registers returns the keys that are judged as registers.
func (b *book) registers() []string {
	keys := map[string]bool{}
	for _, op := range b.ops {
		keys[op.Key] = keys[op.Key] || op.Kind != history.Scan
	}
	for _, op := range b.ops {
		if op.Kind == history.Transfer {
			delete(keys, op.Key)
			delete(keys, op.To)
		}
	}
	var all []string
	for key, in := range keys {
		if in {
			all = append(all, key)
		}
	}
	slices.Sort(all)
	return all
}

// linearOf returns the search for key: the operations that an order must explain.
func (b *book) linearOf(key string, limit time.Duration) *linear {
	l := &linear{key: key, limit: limit, seen: map[string]time.Duration{}}
	for _, op := range b.ops {
		if op.Key != key || op.Kind == history.Scan {
			continue
		}
		switch {
		case op.Kind.Writes() && op.Outcome != history.NotApplied, op.Refused:
			l.ops = append(l.ops, op)
		case op.Kind == history.Get && op.Outcome == history.Applied && op.Guarantee() == history.Linearizable:
			l.ops = append(l.ops, op)
		}
	}
	if !b.counts[key] {
		l.tighten()
	}
	return l
}

// tighten makes the search shorter and changes no verdict. A write of unknown
// outcome whose value was read had happened by then; one whose value nobody read
// nor asked to replace changes nothing that anybody could tell, unless somebody
// was refused, which it may have been the reason of.
func (l *linear) tighten() {
	refused := false
	saw := func(v string, at time.Duration) {
		if first, some := l.seen[v]; !some || at < first {
			l.seen[v] = at
		}
	}
	for _, op := range l.ops {
		refused = refused || op.Refused
		for _, v := range op.Got {
			saw(v, op.End())
		}
		if op.Expect != "" && !op.Refused {
			saw(op.Expect, op.End())
		}
	}
	l.ops = slices.DeleteFunc(l.ops, func(op history.Op) bool {
		_, seen := l.seen[op.Value]
		return op.Value != "" && op.Outcome == history.Unknown && !seen && !refused
	})
}

// linear is the search for one key.
type linear struct {
	key   string
	ops   []history.Op // by time of asking
	limit time.Duration
	seen  map[string]time.Duration // by when a value was there; of keys that do not count
}

// end is by when op had happened, Forever if it may be never.
func (l *linear) end(op history.Op) time.Duration {
	if at, some := l.seen[op.Value]; some && op.Value != "" && op.Outcome == history.Unknown {
		return at
	}
	return op.End()
}

// until returns what was known at a moment: what was not answered by then may
// still happen.
func (l *linear) until(t time.Duration) []porcupine.Operation {
	var all []porcupine.Operation
	for _, op := range l.ops {
		end := int64(l.end(op))
		if l.end(op) > t {
			if op.Refused || !op.Kind.Writes() {
				continue
			}
			end, op.Outcome = math.MaxInt64, history.Unknown
		} else if end != math.MaxInt64 {
			op.Outcome = history.Applied
		}
		if op.Invoke <= t {
			all = append(all, porcupine.Operation{ClientId: int(op.Client), Input: op, Call: int64(op.Invoke), Output: op, Return: end})
		}
	}
	return all
}

func (l *linear) check(t time.Duration) porcupine.CheckResult {
	return porcupine.CheckOperationsTimeout(register, l.until(t), l.limit)
}

// explain names the first answer that no order explains: what was known before
// it can be ordered, as any beginning of a good history can.
func (l *linear) explain(r *Report) {
	var answers []history.Op
	for _, op := range l.ops {
		if op.End() != history.Forever {
			answers = append(answers, op)
		}
	}
	slices.SortStableFunc(answers, func(a, b history.Op) int { return int(a.Return - b.Return) })
	first := sort.Search(len(answers)-1, func(i int) bool { return l.check(answers[i].Return) != porcupine.Ok })
	wrong := answers[first]
	r.broke(PromiseLinearized, l.key, append([]history.Op{wrong}, l.around(wrong)...),
		"no order of its operations that respects real time explains the answer of #%d, the %d. of %d; the others named here are what it may have seen", wrong.ID, first+1, len(answers))
}

// around returns the writes that a wrong answer may have to do with: who wrote
// what it shows, the writes that overlap it, and the last that did not.
func (l *linear) around(wrong history.Op) []history.Op {
	var near []history.Op
	last := -1
	for i, op := range l.ops {
		if op.ID == wrong.ID || !op.Kind.Writes() {
			continue
		}
		switch {
		case op.End() < wrong.Invoke:
			if last < 0 || l.ops[last].End() < op.End() {
				last = i
			}
			if slices.Contains(wrong.Got, op.Value) && op.Value != "" {
				near = append(near, op)
			}
		case op.Invoke <= wrong.Return:
			near = append(near, op)
		}
	}
	if last >= 0 && !slices.ContainsFunc(near, func(op history.Op) bool { return op.ID == l.ops[last].ID }) {
		near = append([]history.Op{l.ops[last]}, near...)
	}
	return near
}

// holding is what one key holds.
type holding struct {
	value string
	some  bool
}

// register is one key with put, get, delete, compare-and-set and increment. An
// unknown write is a step that explains any answer, there being none: it comes
// after everything else where it never happened.
var register = porcupine.Model{
	Init: func() any { return holding{} },
	Step: func(state, input, _ any) (bool, any) {
		return step(state.(holding), input.(history.Op))
	},
	DescribeOperation: func(input, _ any) string { return input.(history.Op).String() },
	DescribeState: func(state any) string {
		if h := state.(holding); h.some {
			return h.value
		}
		return "nothing"
	},
}

func step(h holding, op history.Op) (bool, holding) {
	holds := h.some == (op.Expect != "") && h.value == op.Expect
	switch op.Kind {
	case history.Put:
		return true, holding{op.Value, true}
	case history.Delete:
		return true, holding{}
	case history.CompareAndSet:
		switch {
		case op.Refused:
			return !holds, h
		case holds:
			return true, holding{op.Value, true}
		}
		return op.Outcome == history.Unknown, h
	case history.Increment:
		return increment(h, op)
	}
	if len(op.Got) == 0 {
		return !h.some, h
	}
	v, one := op.Only()
	return one && h.some && v == h.value, h
}

func increment(h holding, op history.Op) (bool, holding) {
	var n int64
	if h.some {
		var err error
		if n, err = history.Number(h.value); err != nil {
			return op.Outcome == history.Unknown, h
		}
	}
	sum := strconv.FormatInt(n+op.Amount, 10)
	if v, one := op.Only(); one && op.Outcome == history.Applied && v != sum {
		return false, h
	}
	return true, holding{sum, true}
}
