package pbs

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Part is one part of a mixture: a Pareto distribution, min/u^(1/shape) for u
// uniform in (0, 1], where Shape is not 0, or else an exponential one.
type Part struct {
	Share      float64 // of all draws
	MinMillis  float64
	Shape      float64
	RateMillis float64 // of the exponential, per millisecond
}

// Mix is a distribution of latencies: with the share of each part that one.
type Mix []Part

// draw returns one latency, in milliseconds.
func (m Mix) draw(r *rand.Rand) float64 {
	u := r.Float64()
	for i, p := range m {
		if u -= p.Share; u >= 0 && i < len(m)-1 {
			continue
		}
		if p.Shape != 0 {
			return p.MinMillis * math.Exp(r.ExpFloat64()/p.Shape) // −ln u is exponential
		}
		return r.ExpFloat64() / p.RateMillis
	}
	return 0
}

// Model is what the four legs of a request take.
type Model struct {
	Name  string
	About string
	// Write and Ack are the way of a write to a replica and of its acknowledgement
	// back, Read and Reply those of a read; with the time that it takes there.
	Write, Ack, Read, Reply Mix
	// FarMillis is added to each leg to and from a replica that is not near whoever
	// asks.
	FarMillis float64
}

// The published models: figures 4 and 5 and tables 1 to 3 of the paper, with the
// parameters of its authors' trace generator (github.com/pbailis/cassandra-pbs,
// pbs_utils.py). Their simulator in Java has the shape 3.5 for the writes of YMMR,
// where the generator and the paper have 3.35.
var models = []Model{lnkdSSD, lnkdDisk, ymmr, wan}

var (
	ssd   = Mix{{Share: 0.9122, MinMillis: 0.235, Shape: 10}, {Share: 0.0878, RateMillis: 1.66}}
	disk  = Mix{{Share: 0.38, MinMillis: 1.05, Shape: 1.51}, {Share: 0.62, RateMillis: 0.183}}
	yWait = Mix{{Share: 0.939, MinMillis: 3, Shape: 3.35}, {Share: 0.061, RateMillis: 0.0028}}
	yRest = Mix{{Share: 0.982, MinMillis: 1.5, Shape: 3.8}, {Share: 0.018, RateMillis: 0.0217}}

	lnkdSSD  = Model{Name: "lnkd-ssd", About: "LinkedIn's Voldemort on solid state disks, 2011", Write: ssd, Ack: ssd, Read: ssd, Reply: ssd}
	lnkdDisk = Model{Name: "lnkd-disk", About: "the same on spinning disks", Write: disk, Ack: ssd, Read: ssd, Reply: ssd}
	ymmr     = Model{Name: "ymmr", About: "Yammer's Riak, 2011", Write: yWait, Ack: yRest, Read: yRest, Reply: yRest}
	wan      = Model{Name: "wan", About: "lnkd-disk, with 75 ms each way to all but the nearest replica or site", Write: disk, Ack: ssd, Read: ssd, Reply: ssd, FarMillis: 75}
)

// Models returns the published models.
func Models() []Model { return slices.Clone(models) }

// ModelOf returns the published model of that name.
func ModelOf(name string) (Model, bool) {
	i := slices.IndexFunc(models, func(m Model) bool { return m.Name == name })
	if i < 0 {
		return Model{}, false
	}
	return models[i], true
}
