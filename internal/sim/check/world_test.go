package check

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/triad-kv/triad/internal/sim/history"
	"github.com/triad-kv/triad/version"
)

// world is a store that keeps every promise: one log, nodes that show a prefix of
// it, clients whose operations overlap. Histories drawn from it are right; a
// checker that finds fault with one cries wolf.
type world struct {
	t       *rapid.T
	now     time.Duration
	log     []logged
	head    map[string]string // what all of the log makes
	at      [3]int            // how much of the log each node shows
	clients []*asker
	ops     []history.Op
	ids     uint64 // of clients
	late    []*asker
}

// logged is one write in the log.
type logged struct {
	op     history.Op
	cells  map[string]string // what it makes of its keys; "" is nothing
	placed history.Place
	when   time.Duration
}

// asker is a client, and what it is doing.
type asker struct {
	session uint64
	id      uint64
	floor   int // how much of the log its session has seen
	op      int // index+1 of its operation, 0 for none
	done    bool
	doom    history.Outcome
	node    int
}

const accounts, opening = 3, 20

func newWorld(t *rapid.T) *world {
	w := &world{t: t}
	for s := range 4 {
		w.ids++
		w.clients = append(w.clients, &asker{session: uint64(s + 1), id: w.ids})
	}
	return w
}

// play lets n things happen, and then everything that is under way end, or never.
func (w *world) play(n int) {
	for range n {
		w.now++
		switch rapid.IntRange(0, 9).Draw(w.t, "what") {
		case 0:
			i := rapid.IntRange(0, 2).Draw(w.t, "node")
			w.at[i] = min(len(w.log), w.at[i]+rapid.IntRange(1, 3).Draw(w.t, "by"))
		case 1:
			if len(w.late) > 0 {
				i := rapid.IntRange(0, len(w.late)-1).Draw(w.t, "late")
				w.act(w.late[i])
				w.late = slices.Delete(w.late, i, i+1)
			}
		default:
			w.step(w.clients[rapid.IntRange(0, len(w.clients)-1).Draw(w.t, "client")])
		}
	}
	for _, c := range w.clients {
		for c.op != 0 {
			w.now++
			w.step(c)
		}
	}
}

func (w *world) step(c *asker) {
	switch {
	case c.op == 0:
		w.ask(c)
	case !c.done && c.doom == history.Applied:
		w.act(c)
		c.done = true
	default:
		w.answer(c)
	}
}

func (w *world) ask(c *asker) {
	op := history.Op{ID: uint64(len(w.ops) + 1), Client: c.id, Session: c.session, Invoke: w.now, Outcome: history.Unknown}
	kinds := []history.Kind{history.Put, history.Put, history.Get, history.Get, history.Get, history.Delete, history.CompareAndSet, history.Increment, history.Transfer, history.Scan}
	op.Kind = rapid.SampledFrom(kinds).Draw(w.t, "kind")
	op.Key = rapid.SampledFrom([]string{"r1", "r2", "n"}).Draw(w.t, "key")
	switch op.Kind {
	case history.Put, history.Delete, history.CompareAndSet:
		op.Key = "r" + op.Key[len(op.Key)-1:]
		op.Value = fmt.Sprintf("%d.%d", c.id, op.ID)
		if op.Kind == history.CompareAndSet {
			op.Expect = w.state(len(w.log))[op.Key]
		}
		if op.Kind == history.Delete {
			op.Value = ""
		}
	case history.Increment:
		op.Key, op.Amount = "n", int64(rapid.IntRange(1, 3).Draw(w.t, "amount"))
	case history.Transfer:
		from := rapid.IntRange(0, accounts-1).Draw(w.t, "from")
		op.Key, op.To, op.Amount = account(from), account((from+1)%accounts), 1
	case history.Scan:
		op.Key = rapid.SampledFrom([]string{"r", "acc/"}).Draw(w.t, "prefix")
	}
	if !op.Kind.Writes() {
		op.Want.Guarantee = rapid.SampledFrom([]history.Guarantee{"", history.Session, history.Any, history.Bounded}).Draw(w.t, "guarantee")
		if op.Want.Guarantee == history.Bounded {
			op.Want.Bound, op.Want.Lag = time.Duration(rapid.IntRange(1, 20).Draw(w.t, "bound")), uint64(rapid.IntRange(0, 5).Draw(w.t, "lag"))
		}
	}
	c.node = rapid.IntRange(0, 2).Draw(w.t, "at")
	op.Node = string(rune('a' + c.node))
	w.ops = append(w.ops, op)
	c.op, c.done = len(w.ops), false
	c.doom = rapid.SampledFrom([]history.Outcome{history.Applied, history.Applied, history.Applied, history.Applied, history.NotApplied, history.Unknown}).Draw(w.t, "doom")
}

func account(i int) string { return "acc/" + strconv.Itoa(i) }

// state is what the first n of the log make.
func (w *world) state(n int) map[string]string {
	if n == len(w.log) && w.head != nil {
		return w.head
	}
	s := map[string]string{}
	for i := range accounts {
		s[account(i)] = strconv.Itoa(opening)
	}
	for _, l := range w.log[:n] {
		for k, v := range l.cells {
			if s[k] = v; v == "" {
				delete(s, k)
			}
		}
	}
	return s
}

// act lets an operation take effect.
func (w *world) act(c *asker) {
	op := &w.ops[c.op-1]
	if !op.Kind.Writes() {
		w.read(c, op)
		return
	}
	s, cells := w.state(len(w.log)), map[string]string{}
	number := func(k string) int64 { n, _ := history.Number(s[k]); return n }
	got := op.Got
	switch op.Kind {
	case history.CompareAndSet:
		if s[op.Key] != op.Expect {
			if c.doom == history.Applied {
				op.Refused = true
			}
			return
		}
		cells[op.Key] = op.Value
	case history.Put, history.Delete:
		cells[op.Key] = op.Value
	case history.Increment:
		cells[op.Key] = strconv.FormatInt(number(op.Key)+op.Amount, 10)
		got = []string{cells[op.Key]}
	case history.Transfer:
		if number(op.Key) < op.Amount {
			c.doom = history.NotApplied
			return
		}
		cells[op.Key], cells[op.To] = strconv.FormatInt(number(op.Key)-op.Amount, 10), strconv.FormatInt(number(op.To)+op.Amount, 10)
	}
	n := uint64(len(w.log) + 1)
	at := history.Place{Dot: version.Dot{Origin: origin, Seq: n}, Time: version.Timestamp(n), Term: 1, LSN: n}
	w.log = append(w.log, logged{op: *op, cells: cells, placed: at, when: w.now})
	w.head = nil
	w.head = w.state(len(w.log))
	if c.doom == history.Applied {
		op.Place, op.Got, c.floor = at, got, len(w.log)
	}
}

func (w *world) read(c *asker, op *history.Op) {
	upto := w.at[c.node]
	switch op.Guarantee() {
	case history.Linearizable:
		upto = len(w.log)
	case history.Session:
		upto = max(upto, c.floor)
	case history.Bounded:
		for upto < len(w.log) && (w.log[upto].when < op.Invoke-op.Want.Bound || op.Want.Lag > 0 && uint64(len(w.log)-upto) > op.Want.Lag) {
			upto++
		}
	}
	if upto > w.at[c.node] {
		w.at[c.node] = upto
	}
	c.floor = max(c.floor, upto)
	s := w.state(upto)
	if op.Kind == history.Scan {
		for _, k := range slices.Sorted(maps.Keys(s)) {
			if strings.HasPrefix(k, op.Key) {
				op.Rows = append(op.Rows, history.Row{Key: k, Value: s[k]})
			}
		}
	} else if v := s[op.Key]; v != "" {
		op.Got = []string{v}
	}
	op.Place.LSN, op.Place.Term = uint64(upto), 1
}

// answer ends an operation as it was doomed to.
func (w *world) answer(c *asker) {
	op := &w.ops[c.op-1]
	op.Outcome, op.Return = c.doom, w.now
	if op.Refused {
		op.Outcome = history.NotApplied
	}
	if c.doom == history.Unknown {
		if op.Kind.Writes() && rapid.Bool().Draw(w.t, "later") {
			w.late = append(w.late, &asker{op: c.op, doom: history.Unknown})
		}
		w.ids++
		c.id = w.ids
	}
	c.op = 0
}

// finals is what all nodes hold in the end.
func (w *world) finals() (fs []Final) {
	for _, name := range []string{"a", "b", "c"} {
		f := Final{Node: name, Cells: map[string]Cell{}, Vector: version.Vector{}.With(origin, uint64(len(w.log))), Held: map[Write]bool{}}
		for k, v := range w.state(len(w.log)) {
			f.Cells[k] = Cell{Values: []string{v}}
		}
		for _, l := range w.log {
			f.Held[Write{l.placed.Dot, l.placed.Time}] = true
		}
		fs = append(fs, f)
	}
	return fs
}
