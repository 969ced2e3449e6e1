package result

import (
	"cmp"
	"slices"
)

// Alpha is the probability below which a difference is called one.
const Alpha = 0.05

// Change is one figure of one cell in two reports.
type Change struct {
	Subject, Workload string
	What              string // with its unit
	Old, New          float64
	OldSpread         float64 // as a share
	NewSpread         float64
	Ratio             float64 // new to old
	P                 float64 // see [MannWhitney]
	OldRuns, NewRuns  int
	MoreIsBetter      bool
}

// Significant reports whether the difference is one.
func (c Change) Significant() bool { return c.P < Alpha }

// Figure is something that every run has.
type Figure struct {
	Name         string
	MoreIsBetter bool
	Of           func(Run) (float64, bool)
}

// Figures are what two reports are compared by.
var Figures = []Figure{
	{"ops/s", true, func(r Run) (float64, bool) { return r.Throughput(), true }},
	{"write p50 ms", false, latency("write", func(l Latency) float64 { return l.P50 })},
	{"write p99 ms", false, latency("write", func(l Latency) float64 { return l.P99 })},
	{"read p50 ms", false, latency("read", func(l Latency) float64 { return l.P50 })},
	{"read p99 ms", false, latency("read", func(l Latency) float64 { return l.P99 })},
	{"CPU µs/op", false, func(r Run) (float64, bool) { return r.Cost.CPU, r.Cost.CPU > 0 }},
	{"syncs/op", false, func(r Run) (float64, bool) { return r.Cost.Syncs, true }},
	{"disk B/op", false, func(r Run) (float64, bool) { return r.Cost.DiskBytes, true }},
	{"wire B/op", false, func(r Run) (float64, bool) { return r.Cost.WireBytes, true }},
}

func latency(class string, of func(Latency) float64) func(Run) (float64, bool) {
	return func(r Run) (float64, bool) {
		l, some := r.Latency[class]
		return of(l), some
	}
}

// Values are a figure's in all runs of a cell that have it.
func (c *Cell) Values(f Figure) (vs []float64) {
	for _, r := range c.Runs {
		if v, some := f.Of(r); some {
			vs = append(vs, v)
		}
	}
	return vs
}

// Median is a figure's over the runs of a cell.
func (c *Cell) Median(of func(Run) float64) float64 {
	var vs []float64
	for _, r := range c.Runs {
		vs = append(vs, of(r))
	}
	return Median(vs)
}

// Compare holds two reports against one another: every figure of every cell that both
// have.
func Compare(before, after *Report) (all []Change) {
	for i := range before.Cells {
		a := &before.Cells[i]
		b := after.Find(a.Subject, a.Workload)
		if b == nil {
			continue
		}
		for _, f := range Figures {
			x, y := a.Values(f), b.Values(f)
			if len(x) == 0 || len(y) == 0 {
				continue
			}
			c := Change{
				Subject: a.Subject, Workload: a.Workload, What: f.Name, MoreIsBetter: f.MoreIsBetter, Old: Median(x), New: Median(y),
				OldSpread: Spread(x), NewSpread: Spread(y), P: MannWhitney(x, y), OldRuns: len(x), NewRuns: len(y),
			}
			if c.Old != 0 {
				c.Ratio = c.New / c.Old
			}
			all = append(all, c)
		}
	}
	return all
}

// RunsLeast is how many runs each of two reports needs for any difference to be
// significant, if both have as many.
const RunsLeast = 4

// Levels are the levels of reads that a cell's anomalies are about, the weakest first.
func (c *Cell) Levels() (ls []string) {
	for _, a := range c.Anomalies {
		if a.Level != "" && !slices.Contains(ls, string(a.Level)) {
			ls = append(ls, string(a.Level))
		}
	}
	slices.SortFunc(ls, func(a, b string) int { return cmp.Compare(a, b) })
	return ls
}
