package pbs

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
)

// Limits of a run.
const (
	TrialsDefault = 200_000
	TrialsMax     = 4_000_000 // 12 bytes are kept of each
	ReplicasMax   = 64
)

// Asker is a place from which requests come.
type Asker struct {
	Enough func(answered uint64) bool // told who has answered, a bit each; more never spoil it
	Near   uint64                     // the replicas that are near
}

// Setup is what is drawn from. Who writes and who reads is drawn anew each time,
// from Writers and from Readers, each as likely as any other.
type Setup struct {
	Replicas         int
	Model            Model
	Writers, Readers []Asker
	Trials           int // 0: TrialsDefault
	Seed             uint64
}

// Counts returns the setup of n replicas where any r and any w are enough, and
// where each request is near one replica, of its own.
func Counts(m Model, n, r, w int) Setup {
	s := Setup{Replicas: n, Model: m}
	for i := range max(0, n) {
		s.Readers = append(s.Readers, Asker{Enough: atLeast(r), Near: 1 << i})
		s.Writers = append(s.Writers, Asker{Enough: atLeast(w), Near: 1 << i})
	}
	return s
}

func atLeast(n int) func(uint64) bool {
	return func(set uint64) bool { return bits.OnesCount64(set) >= n }
}

// Sample is what was drawn. The zero Sample is of nothing, and answers 0.
type Sample struct {
	missed      []float32 // for how long after its acknowledgement a write is missed, in ms, ascending
	read, write []float32 // latencies in ms, ascending
}

// Run draws. Its errors wrap [ErrSetup]. 200,000 trials of three replicas take a
// fifth of a second.
func (s Setup) Run() (Sample, error) {
	if s.Trials == 0 {
		s.Trials = TrialsDefault
	}
	if err := s.check(); err != nil {
		return Sample{}, err
	}
	out := Sample{missed: make([]float32, s.Trials), read: make([]float32, s.Trials), write: make([]float32, s.Trials)}
	t := trial{rand: rand.New(rand.NewPCG(s.Seed, s.Seed^0x9e3779b97f4a7c15)), back: make([]back, s.Replicas), sent: make([]float64, s.Replicas)}
	for i := range s.Trials {
		missed, read, write := t.run(&s)
		out.missed[i], out.read[i], out.write[i] = float32(missed), float32(read), float32(write)
	}
	for _, of := range [...][]float32{out.missed, out.read, out.write} {
		slices.Sort(of)
	}
	return out, nil
}

func (s *Setup) check() error {
	switch {
	case s.Replicas < 1 || s.Replicas > ReplicasMax:
		return fmt.Errorf("%w: %d replicas, 1 to %d may be", ErrSetup, s.Replicas, ReplicasMax)
	case s.Trials < 1 || s.Trials > TrialsMax:
		return fmt.Errorf("%w: %d trials, 1 to %d may be", ErrSetup, s.Trials, TrialsMax)
	case len(s.Writers) == 0 || len(s.Readers) == 0:
		return fmt.Errorf("%w: nobody writes, or nobody reads", ErrSetup)
	case len(s.Model.Write) == 0 || len(s.Model.Ack) == 0 || len(s.Model.Read) == 0 || len(s.Model.Reply) == 0:
		return fmt.Errorf("%w: model %q lacks a leg", ErrSetup, s.Model.Name)
	}
	all := ^uint64(0) >> (64 - s.Replicas)
	for _, a := range slices.Concat(s.Writers, s.Readers) {
		if a.Enough == nil || !a.Enough(all) || a.Enough(0) {
			return fmt.Errorf("%w: all %d replicas are not enough, or none is", ErrSetup, s.Replicas)
		}
	}
	return nil
}

// trial is the memory of one trial, used again for the next.
type trial struct {
	rand *rand.Rand
	back []back    // who answered when
	sent []float64 // when the write, sent at 0, reaches each
}

type back struct {
	replica  int
	out      float64 // when the request reaches it
	answered float64
}

// run returns for how long a write is missed after its acknowledgement, and what
// the read and the write take.
func (t *trial) run(s *Setup) (missed, read, write float64) {
	w := &s.Writers[t.pick(len(s.Writers))]
	t.ask(w, s.Model.Write, s.Model.Ack, s.Model.FarMillis)
	for _, b := range t.back {
		t.sent[b.replica] = b.out
	}
	write, _ = t.wait(w)
	r := &s.Readers[t.pick(len(s.Readers))]
	t.ask(r, s.Model.Read, s.Model.Reply, s.Model.FarMillis)
	read, heard := t.wait(r)
	// A read that begins so long after the acknowledgement meets the write at the
	// first of those heard.
	missed = math.Inf(1)
	for _, b := range t.back[:heard] {
		missed = min(missed, t.sent[b.replica]-b.out)
	}
	return max(0, missed-write), read, write
}

func (t *trial) pick(n int) int {
	if n == 1 {
		return 0
	}
	return t.rand.IntN(n)
}

// ask draws when every replica is reached and when its answer is there, the first
// to answer first.
func (t *trial) ask(a *Asker, out, in Mix, far float64) {
	for i := range t.back {
		o, b := out.draw(t.rand), in.draw(t.rand)
		if far > 0 && a.Near&(1<<i) == 0 {
			o, b = o+far, b+far
		}
		t.back[i] = back{i, o, o + b}
	}
	slices.SortFunc(t.back, func(a, b back) int { return cmp.Compare(a.answered, b.answered) })
}

// wait returns when enough have answered, and how many had by then.
func (t *trial) wait(a *Asker) (float64, int) {
	set := uint64(0)
	for i, b := range t.back {
		if set |= 1 << b.replica; a.Enough(set) {
			return b.answered, i + 1
		}
	}
	return math.Inf(1), len(t.back) // check has seen that all are enough
}

// Fresh returns the probability that a read which begins so many milliseconds
// after a write was acknowledged shows it.
func (s Sample) Fresh(afterMillis float64) float64 {
	i, _ := slices.BinarySearchFunc(s.missed, afterMillis, func(m float32, at float64) int {
		if float64(m) <= at {
			return -1
		}
		return 1
	})
	return float64(i) / float64(max(1, len(s.missed)))
}

// FreshAfter returns how many milliseconds after its acknowledgement a write is
// shown by a read with a probability of p.
func (s Sample) FreshAfter(p float64) float64 { return at(s.missed, p) }

// ReadMillis returns how long a share p of the reads takes at most.
func (s Sample) ReadMillis(p float64) float64 { return at(s.read, p) }

// WriteMillis returns how long a share p of the writes takes at most.
func (s Sample) WriteMillis(p float64) float64 { return at(s.write, p) }

// at returns the p-quantile: the least value that a share p of all do not exceed.
func at(sorted []float32, p float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := int(math.Ceil(p*float64(len(sorted)))) - 1
	return float64(sorted[max(0, min(i, len(sorted)-1))])
}
