package sim

import (
	"fmt"
	"io"
)

// trace is what happened, line by line: summed always, written where somebody
// wants to read it.
type trace struct {
	sum   uint64
	lines uint64
	w     io.Writer
}

const (
	fnvBegin = 14695981039346656037
	fnvPrime = 1099511628211
)

// Note adds a line to the trace: who, what, and numbers that say what it was
// about. Everything that a reader of a failure would ask for belongs in it.
func (s *Sim) Note(who, what string, numbers ...uint64) {
	t := &s.trace
	t.lines++
	h := (t.sum ^ uint64(s.now)) * fnvPrime
	for i := range len(who) {
		h = (h ^ uint64(who[i])) * fnvPrime
	}
	for i := range len(what) {
		h = (h ^ uint64(what[i])) * fnvPrime
	}
	for _, n := range numbers {
		h ^= n * 0x9e3779b97f4a7c15
		h = (h ^ h>>29) * fnvPrime
	}
	t.sum = h
	if t.w != nil {
		fmt.Fprintf(t.w, "%12.6f %-3s %s", s.now.Seconds(), who, what)
		for _, n := range numbers {
			fmt.Fprintf(t.w, " %d", n)
		}
		fmt.Fprintln(t.w)
	}
}

// Tracing reports whether the trace is written, so that what is costly to say is
// not said to nobody.
func (s *Sim) Tracing() bool { return s.trace.w != nil }

// Say adds words to a trace that is written. They are not summed.
func (s *Sim) Say(who, format string, args ...any) {
	if s.trace.w != nil {
		fmt.Fprintf(s.trace.w, "%12.6f %-3s   "+format+"\n", append([]any{s.now.Seconds(), who}, args...)...)
	}
}
