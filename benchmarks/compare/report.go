package compare

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/triad-kv/triad/internal/bench/machine"
)

// Row is the medians of one subject under one number of writers.
type Row struct {
	Subject    string  `json:"subject"`
	Writers    int     `json:"writers"`
	Rounds     int     `json:"rounds"`
	PerSecond  float64 `json:"writes_per_second"`
	Least      float64 `json:"least"`
	Most       float64 `json:"most"`
	Ratio      float64 `json:"ratio"` // to the first subject, of writes a second
	RatioLeast float64 `json:"ratio_least"`
	RatioMost  float64 `json:"ratio_most"`       // the least and the greatest of all rounds
	Scaled     bool    `json:"scaled,omitempty"` // not measured here: what it reached elsewhere, by its ratio to the ideal log
	P50        float64 `json:"p50_us"`
	P99        float64 `json:"p99_us"`
	CPU        float64 `json:"cpu_us_per_write"`
	CPURatio   float64 `json:"cpu_ratio"` // to the first subject
	Flushes    float64 `json:"flushes_per_write"`
	WrittenKiB float64 `json:"written_kib_per_write"`
	Foreign    float64 `json:"foreign_cores"` // the greatest of all rounds
}

// Report is everything a run has to say.
type Report struct {
	Command string    `json:"command"`
	Op      string    `json:"op"` // which the writes in the names of figures are
	Machine string    `json:"machine"`
	Cores   int       `json:"cores"`
	Go      string    `json:"go"`
	Date    time.Time `json:"date"`
	Rows    []Row     `json:"rows"`
	// Promises are what an answered write of each subject means; LeftOut are subjects that
	// are not on this machine, and why.
	Promises map[string]string `json:"promises,omitempty"`
	LeftOut  []string          `json:"left_out,omitempty"`
	Cells    []Cell            `json:"cells"`
}

// report prints the table and writes the JSON that was asked for.
func report(o Options, cells []Cell, out io.Writer) error {
	r := Report{
		Command: strings.Join(os.Args[1:], " "), Op: o.Op, Machine: machine.Name(), Cores: runtime.NumCPU(),
		Go: runtime.Version(), Date: time.Now().UTC().Truncate(time.Second),
		Rows: rows(o, cells), Cells: cells, Promises: o.promises, LeftOut: o.leftOut,
	}
	for name, what := range scaledPromises(r.Rows) {
		r.Promises[name] = what
	}
	fmt.Fprintf(out, "\n%s, %d cores, %s, %s\n", r.Machine, r.Cores, r.Go, r.Date.Format(time.DateOnly))
	fmt.Fprintf(out, "three nodes; %s of 16 B keys, %d B values; medians of %d rounds in turns, ratios to %s in the same round\n",
		o.many(), o.Value, o.Rounds, o.Subjects[0])
	fmt.Fprintln(out, render(r.Rows, o))
	for _, name := range names(r.Rows) {
		if what := r.Promises[name]; what != "" {
			fmt.Fprintf(out, "%s: %s\n", name, what)
		}
	}
	for _, why := range r.LeftOut {
		fmt.Fprintf(out, "left out: %s\n", why)
	}
	if o.JSON == "" {
		return nil
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(o.JSON, append(b, '\n'), 0o644)
}

// rows reduces cells to medians, by number of writers, then subject.
func rows(o Options, cells []Cell) []Row {
	pick := func(subject string, writers int) []Cell {
		var cs []Cell
		for _, c := range cells {
			if c.Subject == subject && c.Writers == writers {
				cs = append(cs, c)
			}
		}
		return cs
	}
	var out []Row
	for _, w := range o.Writers {
		first := pick(o.Subjects[0], w)
		for _, s := range o.Subjects {
			out = append(out, row(pick(s, w), first))
		}
		out = append(out, scaled(o, out, w)...)
	}
	return out
}

// names are the subjects of rows, in their order.
func names(rows []Row) (all []string) {
	for _, r := range rows {
		if !slices.Contains(all, r.Subject) {
			all = append(all, r.Subject)
		}
	}
	return all
}

func row(cs, first []Cell) Row {
	of := func(value func(Cell) float64) float64 {
		var vs []float64
		for _, c := range cs {
			vs = append(vs, value(c))
		}
		return median(vs)
	}
	ratios := func(value func(Cell) float64) (vs []float64) {
		for i, c := range cs {
			vs = append(vs, value(c)/value(first[i]))
		}
		return vs
	}
	ratio := func(value func(Cell) float64) float64 { return median(ratios(value)) }
	perSecond := func(c Cell) float64 { return c.PerSecond }
	cpu := func(c Cell) float64 { return c.CPU }
	r := Row{
		Subject: cs[0].Subject, Writers: cs[0].Writers, Rounds: len(cs),
		PerSecond: of(perSecond), Ratio: ratio(perSecond), Least: math.Inf(1),
		P50: of(func(c Cell) float64 { return c.P50 }), P99: of(func(c Cell) float64 { return c.P99 }),
		CPU: of(cpu), CPURatio: ratio(cpu),
		Flushes:    of(func(c Cell) float64 { return c.Flushes }),
		WrittenKiB: of(func(c Cell) float64 { return c.Written }),
	}
	speeds := ratios(perSecond)
	r.RatioLeast, r.RatioMost = slices.Min(speeds), slices.Max(speeds)
	for _, c := range cs {
		r.Least, r.Most, r.Foreign = min(r.Least, c.PerSecond), max(r.Most, c.PerSecond), max(r.Foreign, c.Foreign)
	}
	return r
}

// median returns the middle value, or the mean of the two in the middle; 0 of
// nothing, and of what is not a number.
func median(vs []float64) float64 {
	slices.Sort(vs)
	if len(vs) == 0 {
		return 0
	}
	m := (vs[(len(vs)-1)/2] + vs[len(vs)/2]) / 2
	if math.IsNaN(m) || math.IsInf(m, 0) {
		return 0
	}
	return m
}

func render(rows []Row, o Options) string {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	t.AppendHeader(table.Row{o.clients(), "subject", o.many() + "/s", "least–most", "ratio", "least–most", "p50 µs", "p99 µs", "CPU µs/" + o.one(), "CPU ratio", "flushes/" + o.one(), "KiB/" + o.one(), "others' cores"})
	var numbers []table.ColumnConfig
	for n := 3; n <= 13; n++ {
		numbers = append(numbers, table.ColumnConfig{Number: n, Align: text.AlignRight})
	}
	t.SetColumnConfigs(numbers)
	for i, r := range rows {
		if i > 0 && rows[i-1].Writers != r.Writers {
			t.AppendSeparator()
		}
		if r.Scaled {
			t.AppendRow(table.Row{r.Writers, r.Subject, fmt.Sprintf("%.0f", r.PerSecond), "scaled", known("%.2f", r.Ratio)})
			continue
		}
		t.AppendRow(table.Row{r.Writers, r.Subject, fmt.Sprintf("%.0f", r.PerSecond), fmt.Sprintf("%.0f–%.0f", r.Least, r.Most),
			known("%.2f", r.Ratio), fmt.Sprintf("%.2f–%.2f", r.RatioLeast, r.RatioMost), known("%.0f", r.P50), known("%.0f", r.P99), known("%.1f", r.CPU), known("%.2f", r.CPURatio),
			known("%.3f", r.Flushes), known("%.2f", r.WrittenKiB), fmt.Sprintf("%.2f", r.Foreign)})
	}
	return t.Render()
}

// known prints a figure, or a dash for one that this system does not count.
func known(format string, v float64) string {
	if v == 0 {
		return "–"
	}
	return fmt.Sprintf(format, v)
}
