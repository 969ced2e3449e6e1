package sim

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Sim is the floor under one seed's run: virtual time, one source of choices,
// the network, the machines, the trace. Everything in it happens on the
// goroutine of Run, one event at a time.
type Sim struct {
	Seed uint64
	Rand *rand.Rand // of every choice: never use another
	Net  *Net

	now      time.Duration
	events   queue
	order    uint64
	trace    trace
	reached  map[string]int
	faults   map[string]int
	ops      int
	machines []*Machine
	nemesis  *nemesis
	failure  *Violation
}

// Violation is a rule that a run broke.
type Violation struct {
	Rule string // its number, as in PS2
	What string
	At   time.Duration
}

func (v *Violation) Error() string { return fmt.Sprintf("%s at %v: %s", v.Rule, v.At, v.What) }

func newSim(seed uint64) *Sim {
	s := &Sim{Seed: seed, Rand: rand.New(rand.NewPCG(seed, 0x7472696164)), reached: map[string]int{}, faults: map[string]int{}}
	s.Net = newNet(s)
	s.nemesis = &nemesis{s: s}
	return s
}

// Now returns the virtual time since the beginning.
func (s *Sim) Now() time.Duration { return s.now }

// After runs f once d has passed. Events of one instant run in the order in
// which they were asked for.
func (s *Sim) After(d time.Duration, f func()) {
	s.order++
	s.events.push(event{at: s.now + max(d, 0), order: s.order, do: f})
}

// Reach notes that a state of interest was met.
func (s *Sim) Reach(state string) { s.reached[state]++ }

// Op counts an operation that a client was answered, or gave up.
func (s *Sim) Op() { s.ops++ }

// Ops returns how many there were.
func (s *Sim) Ops() int { return s.ops }

// Fail ends the run with the first rule that was broken.
func (s *Sim) Fail(rule, format string, args ...any) {
	if s.failure == nil {
		s.failure = &Violation{Rule: rule, What: fmt.Sprintf(format, args...), At: s.now}
		s.Note("", "violation")
	}
}

// Failed reports whether a rule was broken: what happens after that means
// nothing.
func (s *Sim) Failed() bool { return s.failure != nil }

// Chance is true with probability p.
func (s *Sim) Chance(p float64) bool { return p > 0 && s.Rand.Float64() < p }

// Between draws from [from, to].
func (s *Sim) Between(from, to int) int { return from + s.Rand.IntN(to-from+1) }

// Lasting draws a time from [from, to], shorter ones more often than not.
func (s *Sim) Lasting(from, to time.Duration) time.Duration {
	f := s.Rand.Float64()
	return from + time.Duration(f*f*float64(to-from))
}

// Pick draws one of xs.
func Pick[T any](s *Sim, xs ...T) T { return xs[s.Rand.IntN(len(xs))] }

// until runs events until done, a violation, or the time limit; it reports
// whether it was done. done is asked after every event.
func (s *Sim) until(limit time.Duration, done func() bool) bool {
	for !done() {
		if s.failure != nil || len(s.events) == 0 || s.events[0].at > limit {
			return false
		}
		e := s.events.pop()
		s.now = e.at
		e.do()
	}
	return true
}

// event is something that is to happen.
type event struct {
	at    time.Duration
	order uint64
	do    func()
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.order < o.order }

// queue is a heap of events.
type queue []event

func (q *queue) push(e event) {
	h := append(*q, e)
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 2
		if h[up].before(&e) {
			break
		}
		h[i] = h[up]
		i = up
	}
	h[i] = e
	*q = h
}

func (q *queue) pop() event {
	h := *q
	top, last := h[0], h[len(h)-1]
	h[len(h)-1] = event{}
	h = h[:len(h)-1]
	*q = h
	if len(h) == 0 {
		return top
	}
	i := 0
	for {
		down := 2*i + 1
		if down >= len(h) {
			break
		}
		if r := down + 1; r < len(h) && h[r].before(&h[down]) {
			down = r
		}
		if last.before(&h[down]) {
			break
		}
		h[i] = h[down]
		i = down
	}
	h[i] = last
	return top
}
