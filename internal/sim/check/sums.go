package check

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/triad-kv/triad/internal/sim/history"
)

// Counters judges keys that are only incremented and read. What a read shows, and
// what an increment says it has made of the counter, lies between what had
// certainly been added and what may have been; in the end each node holds what
// was acknowledged, and of what is unknown anything. Where nothing is ever
// subtracted, no two increments are answered with the same count.
func (c *Case) Counters() (r Report) {
	for _, key := range c.keys() {
		ops := c.writes[key]
		if slices.ContainsFunc(ops, func(op history.Op) bool { return op.Kind != history.Increment }) {
			continue
		}
		for _, op := range c.ops {
			if op.Key == key && op.Outcome == history.Applied {
				c.counted(&r, ops, op)
			}
		}
		c.once(&r, key, ops)
		for _, f := range c.finals {
			r.Judged++
			low, high := between(ops, history.Forever, history.Forever, 0)
			if n, err := number(f.Cells[key].Values); err != nil || n < low || n > high {
				r.broke(PromiseCounter, key, nil, "%s holds %s; acknowledged and unknown increments allow %d to %d", f.Node, shown(f.Cells[key].Values), low, high)
			}
		}
	}
	return r
}

// counted judges one answer about a counter.
func (b *book) counted(r *Report, ops []history.Op, op history.Op) {
	from := op.Invoke // what was acknowledged earlier is certainly there
	switch {
	case op.Kind == history.Get && op.Guarantee() != history.Linearizable:
		from = 0
	case op.Kind != history.Get && op.Kind != history.Increment:
		return
	}
	r.Judged++
	low, high := between(ops, from, op.Return, op.ID)
	if op.Kind == history.Increment {
		low, high = low+op.Amount, high+op.Amount
	}
	if n, err := number(op.Got); err != nil || n < low || n > high {
		r.broke(PromiseCounter, op.Key, []history.Op{op}, "it shows %s; what was added by then allows %d to %d", shown(op.Got), low, high)
	}
}

// once judges that every increment is counted once, by what each was told.
func (b *book) once(r *Report, key string, ops []history.Op) {
	if slices.ContainsFunc(ops, func(op history.Op) bool { return op.Amount <= 0 }) {
		return
	}
	told := map[string]history.Op{}
	for _, op := range ops {
		v, one := op.Only()
		if !one || op.Outcome != history.Applied {
			continue
		}
		if other, taken := told[v]; taken {
			r.broke(PromiseCounter, key, []history.Op{other, op}, "both made it %s: one of them is not counted", v)
		}
		told[v] = op
	}
}

// between returns what a counter may hold as seen by somebody who asked at from
// and was answered at until, himself (id) left out: everything that was
// acknowledged before from, and of the rest that was asked before until anything.
func between(ops []history.Op, from, until time.Duration, id uint64) (low, high int64) {
	for _, op := range ops {
		switch {
		case op.ID == id || op.Invoke > until:
		case op.Outcome == history.Applied && op.Return < from:
			low, high = low+op.Amount, high+op.Amount
		default:
			low, high = low+min(op.Amount, 0), high+max(op.Amount, 0)
		}
	}
	return low, high
}

// number is what a key that counts holds: nothing is 0.
func number(values []string) (int64, error) {
	switch len(values) {
	case 0:
		return 0, nil
	case 1:
		return history.Number(values[0])
	}
	return 0, strconv.ErrSyntax
}

// Bank judges transfers between the keys that begin with prefix, of which there
// are accounts, each opened with opening before the first transfer. In every scan
// of prefix and in every final state their sum is what it was, and none is
// overdrawn; a scan that asked for less may see some opened and others not yet; in
// the end each holds what acknowledged transfers, and of unknown
// ones anything, have made of it.
func (c *Case) Bank(prefix string, accounts int, opening int64) (r Report) {
	b := bank{c: c.book, r: &r, prefix: prefix, accounts: accounts, total: int64(accounts) * opening}
	for _, op := range c.ops {
		if op.Kind == history.Scan && op.Key == prefix && op.Outcome == history.Applied {
			rows := map[string][]string{}
			for _, row := range op.Rows {
				rows[row.Key] = append(rows[row.Key], row.Value)
			}
			if len(rows) == accounts || op.Guarantee() == history.Linearizable {
				b.sum("a scan", []history.Op{op}, rows)
				continue
			}
			for _, key := range slices.Sorted(maps.Keys(rows)) { // a prefix that ends before the last account was opened
				b.opening("a scan", []history.Op{op}, key, rows[key], opening)
			}
		}
	}
	for _, f := range c.finals {
		rows := map[string][]string{}
		for key, cell := range f.Cells {
			if strings.HasPrefix(key, prefix) {
				rows[key] = cell.Values
			}
		}
		b.sum(f.Node, nil, rows)
		for _, key := range slices.Sorted(maps.Keys(rows)) {
			b.balance(f.Node, key, rows[key], opening)
		}
	}
	return r
}

type bank struct {
	c        *book
	r        *Report
	prefix   string
	accounts int
	total    int64
}

func (b *bank) sum(who string, by []history.Op, rows map[string][]string) {
	b.r.Judged++
	var sum int64
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		n, err := number(rows[key])
		switch {
		case err != nil:
			b.r.broke(PromiseBank, key, by, "%s shows %s, which is no balance", who, shown(rows[key]))
		case n < 0:
			b.r.broke(PromiseBank, key, by, "%s shows it overdrawn: %d", who, n)
		}
		sum += n
	}
	if len(rows) != b.accounts || sum != b.total {
		b.r.broke(PromiseBank, "", by, "%s shows %d in %d accounts; there are %d in %d", who, sum, len(rows), b.total, b.accounts)
	}
}

// opening judges an account before the first transfer.
func (b *bank) opening(who string, by []history.Op, key string, values []string, opening int64) {
	b.r.Judged++
	if n, err := number(values); err != nil || n != opening {
		b.r.broke(PromiseBank, key, by, "%s shows %s before all accounts are open; it is opened with %d", who, shown(values), opening)
	}
}

// balance judges what one account holds in the end.
func (b *bank) balance(who, key string, values []string, opening int64) {
	b.r.Judged++
	var moves []history.Op
	for _, op := range b.c.writes[key] {
		if op.Kind == history.Transfer {
			if op.Key == key {
				op.Amount = -op.Amount
			}
			moves = append(moves, op)
		}
	}
	low, high := between(moves, history.Forever, history.Forever, 0)
	if n, err := number(values); err != nil || n < opening+low || n > opening+high {
		b.r.broke(PromiseBank, key, nil, "%s holds %s; acknowledged and unknown transfers allow %d to %d", who, shown(values), opening+low, opening+high)
	}
}
