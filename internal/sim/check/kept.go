package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/triad-kv/triad/internal/sim/history"
)

// Fresh judges how old reads are. A linearizable read shows every write that was
// acknowledged before it was asked; a bounded one those that were by its bound
// earlier, and its place is no more than its lag behind the newest acknowledged.
func (c *Case) Fresh() (r Report) {
	c.reads(func(op history.Op, key string, values []string) {
		due := op.Invoke
		switch {
		case op.Guarantee() == history.Bounded && op.Want.Bound > 0:
			due -= op.Want.Bound
		case op.Guarantee() != history.Linearizable:
			return
		}
		r.Judged++
		for _, w := range c.writes[key] {
			if w.Outcome == history.Applied && w.Return < due && c.misses(key, values, op.Return, w) {
				r.broke(PromiseFresh, key, []history.Op{w, op}, "a %s read shows %s, %v after a later write was acknowledged; it may be %v behind",
					op.Guarantee(), shown(values), op.Invoke-w.Return, op.Invoke-due)
				return
			}
		}
	})
	return r.And(c.lag())
}

// lag judges bounds in records, which are distances of LSNs.
func (b *book) lag() (r Report) {
	var newest history.Op
	acked := slices.Clone(b.ops)
	slices.SortStableFunc(acked, func(a, b history.Op) int { return int(a.Return - b.Return) })
	for _, op := range b.ops {
		if op.Outcome != history.Applied || op.Kind.Writes() || op.Want.Lag == 0 || op.Place.LSN == 0 {
			continue
		}
		r.Judged++
		newest = history.Op{}
		for _, w := range acked {
			if w.Return >= op.Invoke {
				break
			}
			if w.Kind.Writes() && w.Outcome == history.Applied && w.Place.LSN > newest.Place.LSN {
				newest = w
			}
		}
		if newest.Place.LSN > op.Place.LSN+op.Want.Lag {
			r.broke(PromiseFresh, op.Key, []history.Op{newest, op}, "it reads at LSN %d, %d records behind what was acknowledged before it was asked; it may be %d", op.Place.LSN, newest.Place.LSN-op.Place.LSN, op.Want.Lag)
		}
	}
	return r
}

// Lost returns the acknowledged writes that are not in a final state: their
// records where those are known, else their effects, which a later write of the
// key may cover.
func (c *Case) Lost(f Final) (lost []history.Op) {
	for _, op := range c.ops {
		if !op.Kind.Writes() || op.Outcome != history.Applied {
			continue
		}
		switch {
		case f.Held != nil:
			if !op.Place.Dot.IsZero() && !f.Held[Write{op.Place.Dot, op.Place.Time}] {
				lost = append(lost, op)
			}
		case !c.counts[op.Key] && c.misses(op.Key, f.Cells[op.Key].Values, history.Forever, op):
			lost = append(lost, op)
		}
	}
	return lost
}

// Kept judges that every acknowledged write is in every final state (RPO 0). What
// was lost is named write by write: the number of violations is exact.
func (c *Case) Kept() (r Report) {
	for _, f := range c.finals {
		for _, op := range c.ops {
			if op.Kind.Writes() && op.Outcome == history.Applied {
				r.Judged++
			}
		}
		for _, op := range c.Lost(f) {
			if f.Held != nil {
				r.broke(PromiseKept, op.Key, []history.Op{op}, "it was acknowledged; %s has no such record", f.Node)
				continue
			}
			r.broke(PromiseKept, op.Key, []history.Op{op}, "it was acknowledged; %s holds %s", f.Node, shown(f.Cells[op.Key].Values))
		}
	}
	return r
}

// Nowhere judges that no read and no final state shows a value that nobody wrote,
// that was answered NotApplied, or that was asked for only later.
func (c *Case) Nowhere() (r Report) {
	c.reads(func(op history.Op, key string, values []string) {
		c.nowhere(&r, key, values, op.Return, []history.Op{op}, "a read")
	})
	for _, f := range c.finals {
		for _, key := range slices.Sorted(maps.Keys(f.Cells)) {
			if !c.counts[key] {
				c.nowhere(&r, key, f.Cells[key].Values, history.Forever, nil, f.Node)
			}
		}
	}
	return r
}

func (b *book) nowhere(r *Report, key string, values []string, until time.Duration, by []history.Op, who string) {
	r.Judged++
	for _, v := range values {
		w, known := b.writer[valueOf{key, v}]
		switch {
		case !known:
			r.broke(PromiseNowhere, key, by, "%s shows %q, which nobody wrote", who, v)
		case w.Outcome == history.NotApplied:
			r.broke(PromiseNowhere, key, append([]history.Op{w}, by...), "%s shows %q, whose write was answered NotApplied", who, v)
		case w.Invoke > until:
			r.broke(PromiseNowhere, key, append(by, w), "%s shows %q before it was asked for", who, v)
		}
	}
}

// Converged judges that all final states are equal, byte by byte, and have
// applied the same.
func (c *Case) Converged() (r Report) { return Converged(c.finals...) }

// Converged judges final states without a history.
func Converged(finals ...Final) (r Report) {
	for i := 1; i < len(finals); i++ {
		a, b := finals[0], finals[i]
		r.Judged++
		if !slices.Equal(a.Vector, b.Vector) {
			r.broke(PromiseConverged, "", nil, "%s has applied %v, %s %v", a.Node, a.Vector, b.Node, b.Vector)
		}
		keys := map[string]bool{}
		for k := range a.Cells {
			keys[k] = true
		}
		for k := range b.Cells {
			keys[k] = true
		}
		var differ []string
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			r.Judged++
			if !same(a.Cells, b.Cells, k) {
				differ = append(differ, k)
			}
		}
		if len(differ) > 0 {
			k := differ[0]
			r.broke(PromiseConverged, k, nil, "%s holds %s, %s holds %s; %d keys differ (%s)", a.Node, held(a, k), b.Node, held(b, k), len(differ), strings.Join(differ[:min(len(differ), opsNamedMax)], " "))
		}
	}
	return r
}

func same(a, b map[string]Cell, key string) bool {
	x, in := a[key]
	y, too := b[key]
	return in == too && slices.Equal(x.Values, y.Values) && x.Raw == y.Raw
}

func held(f Final, key string) string {
	cell, there := f.Cells[key]
	switch {
	case !there:
		return "nothing"
	case cell.Raw != "":
		return shown(cell.Values) + " as " + fmt.Sprintf("%x", cell.Raw)
	}
	return shown(cell.Values)
}
