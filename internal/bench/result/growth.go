package result

import (
	"encoding/json"
	"fmt"
	"math"
	"os"

	"github.com/triad-kv/triad/internal/bench/fit"
)

// FormatGrowth is the number of the form of a [Growth].
const FormatGrowth = 1

// Growth is what writes cost as the work grows, in one direction after another.
type Growth struct {
	Format int     `json:"growth_format"`
	Report         // what it says of the run; it has no cells
	Curves []Curve `json:"curves"`
}

// Curve is one subject along one axis.
type Curve struct {
	Axis     string    `json:"axis"` // nodes, keys, values, clients, sites
	Unit     string    `json:"unit,omitempty"`
	Subject  string    `json:"subject"`
	Promise  string    `json:"promise"`
	Disks    int       `json:"disks"` // on how many a write is when it is acknowledged
	Speed    bool      `json:"speed"` // throughput and latency mean something along it: what grows does not share the cores anew
	Steps    []Step    `json:"steps"`
	Fits     []Growing `json:"fits,omitempty"`
	Knee     *Knee     `json:"knee,omitempty"`
	KneeNone string    `json:"knee_none,omitempty"` // why there is none
}

// Step is one place of a curve, over all repeats.
type Step struct {
	X    float64 `json:"x"`
	Runs []Run   `json:"runs"`
}

// Growing is how a figure grows along a curve: by which power.
type Growing struct {
	What   string  `json:"what"`
	Slope  float64 `json:"slope"`
	Spread float64 `json:"spread"` // half the 95 % interval of the slope
	Points int     `json:"points"`
}

// Knee is where more clients bring no more throughput, and what limits there.
type Knee struct {
	X      float64 `json:"x"`
	Ops    float64 `json:"ops"`
	Limit  string  `json:"limit"`
	Cores  float64 `json:"cores"`  // kept busy by this process
	Disk   float64 `json:"disk"`   // share of the time in which the average node waited for a sync
	Top    []Hot   `json:"top"`    // functions, by the CPU that they take themselves
	Sample float64 `json:"sample"` // seconds of CPU that the profile has seen
}

// Hot is one function of a profile.
type Hot struct {
	Function string  `json:"function"`
	Flat     float64 `json:"flat"` // share of all CPU that it takes itself
	Cum      float64 `json:"cum"`  // and with what it calls
}

// Measure is a figure along a curve.
type Measure struct {
	What  string
	Speed bool // it means nothing where the cores are shared anew
	Of    func(Run) float64
}

// Measures are the figures along curves.
var Measures = []Measure{
	{"bytes between nodes a write", false, func(r Run) float64 { return r.Cost.WireBytes }},
	{"messages a write", false, func(r Run) float64 { return r.Cost.Messages }},
	{"bytes on disk a write", false, func(r Run) float64 { return r.Cost.DiskBytes }},
	{"syncs a write", false, func(r Run) float64 { return r.Cost.Syncs }},
	{"CPU µs a write", false, func(r Run) float64 { return r.Cost.CPU }},
	{"writes/s", true, Run.Throughput},
	{"p50 ms", true, func(r Run) float64 { return r.Latency["write"].P50 }},
	{"p99 ms", true, func(r Run) float64 { return r.Latency["write"].P99 }},
}

// Fit finds how each figure grows along the curve: over all runs, not their medians, so
// that their spread is that of the slope.
func (c *Curve) Fit() {
	c.Fits = nil
	for _, m := range Measures {
		if m.Speed && !c.Speed {
			continue
		}
		var xs, ys []float64
		for _, s := range c.Steps {
			for _, r := range s.Runs {
				xs, ys = append(xs, s.X), append(ys, m.Of(r))
			}
		}
		p := fit.Grows(xs, ys)
		if math.IsNaN(p.Slope) || math.IsInf(p.Spread, 0) {
			continue // too few places to say anything
		}
		c.Fits = append(c.Fits, Growing{What: m.What, Slope: p.Slope, Spread: p.Spread, Points: p.Points})
	}
}

// Values are a figure along the curve: the places, and the median at each.
func (c *Curve) Values(m Measure) (xs, ys []float64) {
	for _, s := range c.Steps {
		if len(s.Runs) == 0 {
			continue
		}
		var vs []float64
		for _, r := range s.Runs {
			vs = append(vs, m.Of(r))
		}
		xs, ys = append(xs, s.X), append(ys, Median(vs))
	}
	return xs, ys
}

// JSON is the growth as a file holds it.
func (g *Growth) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(g, "", "\t")
	return append(b, '\n'), err
}

// ReadGrowth reads one from a file.
func ReadGrowth(path string) (*Growth, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var g Growth
	if err := json.Unmarshal(b, &g); err != nil {
		return nil, fmt.Errorf("%s is no report of triad bench grow: %w", path, err)
	}
	if g.Format != FormatGrowth {
		return nil, fmt.Errorf("%s is a report of growth of form %d, and this binary reads %d", path, g.Format, FormatGrowth)
	}
	return &g, nil
}
