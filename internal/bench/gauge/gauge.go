// Package gauge measures what a load is answered: how long things took, and when they
// were answered. Each client notes by a [Hand] of its own; a gauge is read once all of
// them have ended.
package gauge

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/triad-kv/triad/internal/bench/result"
	"github.com/triad-kv/triad/internal/bench/work"
)

// Latencies are kept in units of 100 ns, to three digits, up to a minute: what took
// longer is taken for that.
const (
	unit       = 100 * time.Nanosecond
	longest    = time.Minute
	digits     = 3
	seriesStep = 100 * time.Millisecond
)

// Tick is how finely the times of answers are kept.
const Tick = 10 * time.Millisecond

// Gauge is of one run.
type Gauge struct {
	began  time.Time
	made   int // hands
	length time.Duration
	sites  []string
	shards []*shard
	phases []Phase
	writes [][]atomic.Uint32 // by site and tick: answered as asked
	reads  [][]atomic.Uint32
}

// Phase is a part of the time that is measured, from and to since it began.
type Phase struct{ From, To time.Duration }

// New returns a gauge that measures for a time from when Begin is called, and phases of
// it apart.
func New(sites []string, length time.Duration, phases ...Phase) *Gauge {
	g := &Gauge{length: length, sites: sites, phases: phases}
	ticks := int(length/Tick) + 1
	for range sites {
		g.writes, g.reads = append(g.writes, make([]atomic.Uint32, ticks)), append(g.reads, make([]atomic.Uint32, ticks))
	}
	return g
}

// Begin is when measuring begins, which is to be called before any hand notes anything.
func (g *Gauge) Begin(at time.Time) { g.began = at }

// shardsMax is how many histograms of a class there are at most: clients share them, as
// each takes some hundred KiB.
const shardsMax = 32

// shard is what some clients have noted.
type shard struct {
	mu    sync.Mutex // guards what follows; a leaf
	took  map[work.Class]*hdrhistogram.Histogram
	apart []*hdrhistogram.Histogram // of writes, by phase
	count Counts
}

// Hand is what one client notes.
type Hand struct {
	g     *Gauge
	site  int
	shard *shard
}

// Counts are how things ended.
type Counts struct{ Answered, Failed, Unknown int }

// Hand makes the next client's. It must not be called once others note.
func (g *Gauge) Hand(site int) *Hand {
	if len(g.shards) < shardsMax {
		g.shards = append(g.shards, &shard{took: map[work.Class]*hdrhistogram.Histogram{}, apart: make([]*hdrhistogram.Histogram, len(g.phases))})
	}
	g.made++
	return &Hand{g: g, site: site, shard: g.shards[g.made%len(g.shards)]}
}

// Ending is how one thing ended.
type Ending uint8

// The endings.
const (
	Answered Ending = iota // as asked
	Failed                 // it did not happen
	Unknown
)

// Note notes that something that was due at a time has ended now, if it was due while
// it is measured.
func (h *Hand) Note(class work.Class, due, now time.Time, e Ending) {
	if due.Before(h.g.began) || due.Sub(h.g.began) >= h.g.length {
		return
	}
	if h.shard.note(class, now.Sub(due), e); e != Answered {
		return
	}
	for i, p := range h.g.phases {
		if at := due.Sub(h.g.began); class == work.Write && at >= p.From && at < p.To {
			h.shard.noteApart(i, now.Sub(due))
		}
	}
	ticks := h.g.reads[h.site]
	if class == work.Write {
		ticks = h.g.writes[h.site]
	}
	if i := int(now.Sub(h.g.began) / Tick); i < len(ticks) {
		ticks[i].Add(1)
	}
}

func (s *shard) note(class work.Class, took time.Duration, e Ending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e {
	case Failed:
		s.count.Failed++
		return
	case Unknown:
		s.count.Unknown++
		return
	}
	s.count.Answered++
	h := s.took[class]
	if h == nil {
		h = newHistogram()
		s.took[class] = h
	}
	record(h, took)
}

func (s *shard) noteApart(phase int, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.apart[phase] == nil {
		s.apart[phase] = newHistogram()
	}
	record(s.apart[phase], took)
}

func record(h *hdrhistogram.Histogram, took time.Duration) {
	_ = h.RecordValue(int64(min(max(took, unit), longest) / unit)) // it is within its limits
}

// Apart is how long writes took that were due in a phase.
func (g *Gauge) Apart(phase int) result.Latency {
	sum := newHistogram()
	for _, s := range g.shards {
		if h := s.apart[phase]; h != nil {
			sum.Merge(h)
		}
	}
	if sum.TotalCount() == 0 {
		return result.Latency{}
	}
	return latencyOf(sum)
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, int64(longest/unit), digits)
}

// Counts are how everything ended.
func (g *Gauge) Counts() (c Counts) {
	for _, h := range g.shards {
		c.Answered, c.Failed, c.Unknown = c.Answered+h.count.Answered, c.Failed+h.count.Failed, c.Unknown+h.count.Unknown
	}
	return c
}

// Latency is how long things took, by class.
func (g *Gauge) Latency() map[string]result.Latency {
	all := map[string]result.Latency{}
	for _, class := range work.Classes {
		sum := newHistogram()
		for _, h := range g.shards {
			if took := h.took[class]; took != nil {
				sum.Merge(took)
			}
		}
		if sum.TotalCount() > 0 {
			all[string(class)] = latencyOf(sum)
		}
	}
	return all
}

func ms(v int64) float64 { return float64(v) * float64(unit) / float64(time.Millisecond) }

// curveHalves is how often the distance from all is halved along a curve.
const curveHalves = 16

func latencyOf(h *hdrhistogram.Histogram) result.Latency {
	at := func(share float64) float64 { return ms(h.ValueAtQuantile(100 * share)) }
	l := result.Latency{
		Count: int(h.TotalCount()), Mean: h.Mean() * float64(unit) / float64(time.Millisecond), P50: at(0.5), P90: at(0.9), P99: at(0.99), P999: at(0.999),
		Max: ms(h.Max()),
	}
	for i := 0.0; i <= curveHalves; i += 0.5 {
		share := 1 - math.Pow(0.5, i)
		if (1-share)*float64(l.Count) < 0.5 {
			break
		}
		l.Curve = append(l.Curve, result.Quantile{Share: share, MS: at(share)})
	}
	l.Curve = append(l.Curve, result.Quantile{Share: 1, MS: l.Max})
	return l
}

// Series is what was answered in each tenth of a second.
func (g *Gauge) Series() (ps []result.Point) {
	per := int(seriesStep / Tick)
	for from := 0; from < int(g.length/Tick); from += per {
		p := result.Point{At: (time.Duration(from) * Tick).Seconds(), Sites: map[string]int{}}
		for site, name := range g.sites {
			for i := from; i < min(from+per, len(g.writes[site])); i++ {
				w := int(g.writes[site][i].Load())
				p.Writes += w
				p.Sites[name] += w
				p.Reads += int(g.reads[site][i].Load())
			}
		}
		ps = append(ps, p)
	}
	return ps
}

// Suffered is what happened to the clients of each site between two times since
// measuring began: the longest without an answer.
func (g *Gauge) Suffered(from, to time.Duration) (s result.Suffered) {
	to = min(to, g.length)
	together := make([]bool, len(g.writes[0]))
	for site := range g.sites {
		for i := range together {
			together[i] = together[i] || g.writes[site][i].Load() > 0
		}
		w := longestWithout(from, to, func(i int) bool { return g.writes[site][i].Load() > 0 })
		r := longestWithout(from, to, func(i int) bool { return g.reads[site][i].Load() > 0 })
		if w > s.NoWrite || s.Worst == "" {
			s.NoWrite, s.Worst = w, g.sites[site]
		}
		s.NoRead = max(s.NoRead, r)
	}
	s.Anywhere = longestWithout(from, to, func(i int) bool { return together[i] })
	return s
}

// longestWithout is the longest time, in seconds, without an answered tick.
func longestWithout(from, to time.Duration, answered func(i int) bool) float64 {
	longest, run := 0, 0
	for i := int(from / Tick); i < int(to/Tick); i++ {
		if run++; answered(i) {
			run = 0
		}
		longest = max(longest, run)
	}
	return (time.Duration(longest) * Tick).Seconds()
}
