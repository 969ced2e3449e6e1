//go:build linux

package nemesis

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/triad-kv/triad/internal/sim/history"
)

// Report is what a run was.
type Report struct {
	Operations map[history.Kind]map[history.Outcome]int
	Answers    map[string]int    // by their first word
	Struck     map[string]int    // faults, by name
	LeftOut    map[string]string // faults that could not be, and why
	Heal       time.Duration     // the longest time from a heal to the first acknowledged write
	Drain      time.Duration     // the longest time from SIGTERM to the end
	LogBytes   map[string]int64  // what each node has logged
	Shed       int64             // operations that were not asked for: too many were waiting
}

func newReport() *Report {
	return &Report{
		Operations: map[history.Kind]map[history.Outcome]int{}, Struck: map[string]int{}, LeftOut: map[string]string{},
		LogBytes: map[string]int64{},
	}
}

func (r *Report) struck(name string)        { r.Struck[name]++ }
func (r *Report) leftOut(name, why string)  { r.LeftOut[name] = why }
func (r *Report) healed(d time.Duration)    { r.Heal = max(r.Heal, d) }
func (r *Report) drained(d time.Duration)   { r.Drain = max(r.Drain, d) }
func (r *Report) logged(id string, n int64) { r.LogBytes[id] = n }
func (r *Report) counted(ops []history.Op) {
	for _, op := range ops {
		of := r.Operations[op.Kind]
		if of == nil {
			of = map[history.Outcome]int{}
			r.Operations[op.Kind] = of
		}
		of[op.Outcome]++
	}
}

// Print writes the report as a person reads it.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintf(w, "%-10s %9s %12s %9s\n", "operations", history.Applied, "not applied", history.Unknown)
	for _, k := range slices.Sorted(maps.Keys(r.Operations)) {
		of := r.Operations[k]
		fmt.Fprintf(w, "%-10s %9d %12d %9d\n", k, of[history.Applied], of[history.NotApplied], of[history.Unknown])
	}
	fmt.Fprintf(w, "%d were not asked for: too many waited\n", r.Shed)
	fmt.Fprintf(w, "answers: %s\n", counts(r.Answers))
	fmt.Fprintf(w, "faults: %s\n", counts(r.Struck))
	for _, name := range slices.Sorted(maps.Keys(r.LeftOut)) {
		fmt.Fprintf(w, "left out: %s: %s\n", name, r.LeftOut[name])
	}
	fmt.Fprintf(w, "longest from a heal to an acknowledged write: %v; from SIGTERM to the end: %v\n", r.Heal.Round(time.Millisecond), r.Drain.Round(time.Millisecond))
	var logs []string
	for _, id := range slices.Sorted(maps.Keys(r.LogBytes)) {
		logs = append(logs, fmt.Sprintf("%s %d KiB", id, r.LogBytes[id]>>10))
	}
	fmt.Fprintf(w, "logged: %s\n", strings.Join(logs, ", "))
}

// counts is a map of counts in one line.
func counts(of map[string]int) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		words = append(words, fmt.Sprintf("%s %d", name, of[name]))
	}
	return strings.Join(words, ", ")
}
