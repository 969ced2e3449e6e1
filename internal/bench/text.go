package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/triad-kv/triad/internal/bench/result"
	"github.com/triad-kv/triad/internal/bench/scenario"
	"github.com/triad-kv/triad/internal/demo/grid"
)

// Section is one table of a report.
type Section struct {
	Title string
	Note  string // below it
	Table grid.Table
}

// Sections are the tables of a report, those that say something.
func Sections(r *result.Report) (all []Section) {
	for _, s := range []Section{speed(r), cost(r), correctness(r), anomalies(r), staleness(r), suffered(r)} {
		if len(s.Table.Rows) > 0 {
			all = append(all, s)
		}
	}
	return all
}

// Text writes a report as a terminal shows it.
func Text(w io.Writer, r *result.Report) error {
	var b strings.Builder
	for _, s := range Sections(r) {
		fmt.Fprintf(&b, "\n%s\n", s.Title)
		if err := s.Table.Write(&b); err != nil {
			return err
		}
		if s.Note != "" {
			fmt.Fprintf(&b, "%s\n", s.Note)
		}
	}
	for _, why := range r.LeftOut {
		fmt.Fprintf(&b, "\nleft out: %s\n", why)
	}
	for _, c := range r.Checks {
		fmt.Fprintf(&b, "\nNOT HELD: %s\n", c.What)
		for line := range strings.Lines(c.Example) {
			fmt.Fprintf(&b, "    %s\n", grid.Plain(strings.TrimSpace(line)))
		}
	}
	if r.Fewer != "" {
		fmt.Fprintf(&b, "\n%s\n", r.Fewer)
	}
	if r.Partial != "" {
		fmt.Fprintf(&b, "\nPARTIAL: %s\n", r.Partial)
	}
	fmt.Fprintf(&b, "\n%s, %d cores, of which others kept %.1f busy, %s, %s; %s\n", r.Machine, r.Cores, r.Foreign, r.Go, r.Began.Format(time.RFC3339), r.Command)
	_, err := io.WriteString(w, b.String())
	return err
}

func number(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func percent(part, whole int) string {
	if whole == 0 {
		return ""
	}
	p := 100 * float64(part) / float64(whole)
	switch {
	case part == 0:
		return "0"
	case p < 0.1:
		return "<0.1%"
	}
	return fmt.Sprintf("%.1f%%", p)
}

// each makes a table of a row for each cell that was measured.
func each(r *result.Report, header []string, row func(c *result.Cell) []string) grid.Table {
	t := grid.Table{Header: append([]string{"work", "subject"}, header...)}
	for _, w := range workloads(r) {
		for i := range r.Cells {
			if c := &r.Cells[i]; c.Workload == w && len(c.Runs) > 0 {
				if cells := row(c); cells != nil {
					t.Rows = append(t.Rows, append([]string{c.Workload, c.Subject}, cells...))
				}
			}
		}
	}
	return t
}

// workloads are the kinds of work of a report, in its order.
func workloads(r *result.Report) (names []string) {
	seen := map[string]bool{}
	for _, c := range r.Cells {
		if !seen[c.Workload] {
			seen[c.Workload] = true
			names = append(names, c.Workload)
		}
	}
	return names
}

func speed(r *result.Report) Section {
	t := each(r, []string{"ops/s", "±", "write p50", "p99", "p99.9", "max", "read p50", "p99", "p99.9", "max", "failed", "unknown"}, func(c *result.Cell) []string {
		ops := c.Values(result.Figures[0])
		row := []string{number(result.Median(ops)), fmt.Sprintf("%.0f%%", 100*result.Spread(ops))}
		for _, class := range []string{"write", "read"} {
			if class == "read" && c.Kind == scenario.YCSBE {
				class = "scan"
			}
			for _, of := range []func(result.Latency) float64{
				func(l result.Latency) float64 { return l.P50 }, func(l result.Latency) float64 { return l.P99 },
				func(l result.Latency) float64 { return l.P999 }, func(l result.Latency) float64 { return l.Max },
			} {
				text := ""
				if _, some := c.Runs[0].Latency[class]; some {
					text = number(c.Median(func(r result.Run) float64 { return of(r.Latency[class]) }))
				}
				row = append(row, text)
			}
		}
		failed, unknown := 0, 0
		for _, run := range c.Runs {
			failed, unknown = failed+run.Failed, unknown+run.Unknown
		}
		return append(row, fmt.Sprint(failed), fmt.Sprint(unknown))
	})
	return Section{Title: "speed", Table: t, Note: "Latencies in ms, medians of the runs; in an open loop from when an operation was due."}
}

// costNote stands below what operations cost.
const costNote = "CPU and allocations include the load and the probes, which share the process, but where nodes are processes (via): then they are of the nodes alone, syncs are of logs, bytes between nodes are known where links lie between, and those on disk are not."

func cost(r *result.Report) Section {
	t := each(r, []string{"syncs", "disk B", "wire B", "messages", "CPU µs", "allocations"}, func(c *result.Cell) []string {
		of := func(f func(result.Cost) float64) string {
			v := c.Median(func(r result.Run) float64 { return f(r.Cost) })
			if v == 0 && c.Via != "" {
				return "" // of processes not all is known
			}
			return number(v)
		}
		return []string{
			of(func(c result.Cost) float64 { return c.Syncs }), of(func(c result.Cost) float64 { return c.DiskBytes }),
			of(func(c result.Cost) float64 { return c.WireBytes }), of(func(c result.Cost) float64 { return c.Messages }), of(func(c result.Cost) float64 { return c.CPU }),
			of(func(c result.Cost) float64 { return c.Allocs }),
		}
	})
	return Section{Title: "cost of an operation, over all nodes", Table: t, Note: costNote}
}

func correctness(r *result.Report) Section {
	t := each(r, []string{"acked, probes", "lost", "changes", "lost or extra", "conflicts", "converged ms"}, func(c *result.Cell) []string {
		acked, lost, changes, off, met := 0, 0, 0, 0, map[string]int{}
		for _, run := range c.Runs {
			acked, lost = acked+run.Acked, lost+run.Lost
			if run.Sums != nil {
				changes, off = changes+run.Sums.Changes, off+run.Sums.Lost+run.Sums.Extra
			}
			for kind, n := range run.Conflicts {
				met[kind] += n
			}
		}
		sums := []string{"", ""}
		if changes > 0 {
			sums = []string{fmt.Sprint(changes), fmt.Sprintf("%d (%s)", off, percent(off, changes))}
		}
		var kinds []string
		for kind, n := range met {
			kinds = append(kinds, fmt.Sprintf("%d %s", n, kind))
		}
		return append(append([]string{fmt.Sprint(acked), fmt.Sprint(lost)}, sums...),
			strings.Join(sorted(kinds), ", "), number(c.Median(func(r result.Run) float64 { return r.Converged })))
	})
	return Section{Title: "what became of acknowledged writes", Table: t}
}

func anomalies(r *result.Report) Section {
	header := []string{"reads"}
	var about []scenario.Anomaly
	for _, a := range scenario.Anomalies {
		if a != scenario.LostWrites && a != scenario.LostUpdates && a != scenario.NeverTheSame && a != scenario.OutOfNowhere {
			about, header = append(about, a), append(header, string(a))
		}
	}
	t := grid.Table{Header: append([]string{"subject"}, header...)}
	for _, subject := range subjects(r) {
		for _, level := range scenario.Levels {
			row, any := []string{subject, string(level)}, false
			for _, what := range about {
				judged, found, undecided, forbidden := tally(r, subject, what, level)
				any = any || judged > 0
				row = append(row, verdict(judged, found, undecided, forbidden))
			}
			if any {
				t.Rows = append(t.Rows, row)
			}
		}
	}
	return Section{Title: "what readers met", Table: t, Note: "Share of reads, at any node, by what they asked for. “never” is promised and held; BROKEN is promised and did not."}
}

// tally sums an anomaly of a subject over its kinds of work.
func tally(r *result.Report, subject string, what scenario.Anomaly, level scenario.Level) (judged, found, undecided int, forbidden bool) {
	for _, c := range r.Cells {
		for _, a := range c.Anomalies {
			if c.Subject == subject && a.What == what && a.Level == level {
				judged, found, undecided, forbidden = judged+a.Judged, found+a.Found, undecided+a.Undecided, forbidden || a.Forbidden
			}
		}
	}
	return judged, found, undecided, forbidden
}

func verdict(judged, found, undecided int, forbidden bool) string {
	switch {
	case judged == 0:
		return ""
	case forbidden && found > 0:
		return fmt.Sprintf("BROKEN %d", found)
	case undecided > 0 && found == 0:
		return "undecided"
	case forbidden:
		return "never"
	}
	return percent(found, judged)
}

// subjects are those of a report, in its order.
func subjects(r *result.Report) (names []string) {
	seen := map[string]bool{}
	for _, c := range r.Cells {
		if !seen[c.Subject] && len(c.Runs) > 0 {
			seen[c.Subject] = true
			names = append(names, c.Subject)
		}
	}
	return names
}

func staleness(r *result.Report) Section {
	t := grid.Table{Header: []string{"work", "subject", "reads", "stale", "PBS", "p99 ms", "max ms", "versions, at most"}}
	for _, w := range workloads(r) {
		for _, subject := range subjects(r) {
			c := r.Find(subject, w)
			for _, level := range scenario.Levels {
				var reads, stale, versions int
				var p99, most []float64
				predicted := ""
				for _, run := range c.Runs {
					s, some := run.Staleness[string(level)]
					if !some {
						continue
					}
					reads, stale, versions = reads+s.Reads, stale+s.Stale, max(versions, s.Versions)
					if s.Predicted != nil {
						predicted = fmt.Sprintf("%.1f%%", 100**s.Predicted)
					}
					p99, most = append(p99, s.P99), append(most, s.Max)
				}
				if reads > 0 {
					t.Rows = append(t.Rows, []string{w, subject, string(level), percent(stale, reads), predicted, number(result.Median(p99)), number(maxOf(most)), fmt.Sprint(versions)})
				}
			}
		}
	}
	return Section{Title: "how old what was read was", Table: t, Note: "PBS: what is predicted where nobody leads, if writes did not spread on after they were acknowledged."}
}

func suffered(r *result.Report) Section {
	t := grid.Table{Header: []string{"fault", "work", "subject", "write p50", "p99", "nobody wrote for s", "worst site", "it did not write for s", "nor read for s", "lost, all runs"}}
	for i, f := range r.Faults {
		for _, w := range workloads(r) {
			for _, subject := range subjects(r) {
				c := r.Find(subject, w)
				of := func(g func(result.Suffered) float64) string {
					return number(c.Median(func(r result.Run) float64 {
						if i >= len(r.Faults) {
							return 0
						}
						return g(r.Faults[i])
					}))
				}
				lost := 0
				for _, run := range c.Runs {
					lost += run.Lost
				}
				worst := ""
				if len(c.Runs) > 0 && i < len(c.Runs[0].Faults) {
					worst = c.Runs[0].Faults[i].Worst
				}
				t.Rows = append(t.Rows, []string{
					fmt.Sprintf("%s (%s %s)", f.Name, f.Do, strings.Join(f.Who, ", ")), w, subject,
					of(func(s result.Suffered) float64 { return s.WriteP50 }), of(func(s result.Suffered) float64 { return s.WriteP99 }),
					of(func(s result.Suffered) float64 { return s.Anywhere }), worst,
					of(func(s result.Suffered) float64 { return s.NoWrite }), of(func(s result.Suffered) float64 { return s.NoRead }), fmt.Sprint(lost),
				})
			}
		}
	}
	return Section{Title: "what faults cost", Table: t, Note: "Latencies in ms, of writes that were due while it lasted. Then the longest time without an answer, from when a fault began until 5 s after it was mended; medians of the runs."}
}

func sorted(words []string) []string {
	slices.Sort(words)
	return words
}

func maxOf(vs []float64) (most float64) {
	for _, v := range vs {
		most = max(most, v)
	}
	return most
}
