package placement_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
)

// document writes a map by hand, so that it can be wrong.
type document struct {
	format, epoch, shaped uint64
	layout                []placement.Node
	target                []placement.Node // nil for none
	runs                  [][3]uint64
	shared                bool
	free                  uint64
}

func (d document) encode() []byte {
	w := pack.NewWriter(nil)
	w.Array(8)
	for _, v := range []uint64{d.format, d.epoch, d.shaped} {
		w.Uint(v)
	}
	w.Bool(d.shared)
	w.Uint(d.free)
	layout := func(nodes []placement.Node) {
		w.Array(3)
		w.Uint(uint64(min(2, len(nodes))))
		w.Array(0)
		w.Array(len(nodes))
		for _, n := range nodes {
			w.Array(6)
			w.Str(string(n.ID))
			w.Str(n.Site)
			w.Str(n.Rack)
			w.Uint(uint64(n.Weight))
			w.Uint(uint64(n.Numbers))
			w.Str(n.Addr)
		}
	}
	layout(d.layout)
	if d.target == nil {
		w.Nil()
	} else {
		layout(d.target)
	}
	w.Array(len(d.runs))
	for _, r := range d.runs {
		w.Array(3)
		for _, v := range r {
			w.Uint(v)
		}
	}
	return w.Bytes()
}

func TestADocumentThatMeansNothingIsRefused(t *testing.T) {
	a, b, c := member(0, "", "", 1), member(1, "", "", 1), member(2, "", "", 1)
	other := b
	other.Numbers = 5000
	good := document{2, 5, 4, []placement.Node{a, b}, []placement.Node{b, c}, [][3]uint64{{1, 1, 5}, {3, 0, 4}}, false, 9000}
	_, err := placement.Decode(good.encode())
	require.NoError(t, err)
	for why, change := range map[string]func(*document){
		"a map of format 1, this version knows 2":     func(d *document) { d.format = 1 },
		"4 partitions, of epoch 5, shaped in epoch 6": func(d *document) { d.shaped = 6 },
		"0 partitions":             func(d *document) { d.runs = nil },
		"a run of nothing":         func(d *document) { d.runs[0][0] = 0 },
		"more than all partitions": func(d *document) { d.runs[0][0] = placement.PartitionsMax },
		"two runs that are one":    func(d *document) { d.runs[1] = [3]uint64{3, 1, 5} },
		"4 is more than 3":         func(d *document) { d.runs[0][1] = 4 },
		"partition 0 is copying, changed in epoch 6 of 5":        func(d *document) { d.runs[0][2] = 6 },
		"partition 0 is copying, changed in epoch 5 of 5":        func(d *document) { d.target = nil },
		"partition 0 is copying":                                 func(d *document) { d.target = d.layout },
		"everything has moved, and the target is not the layout": func(d *document) { d.runs = [][3]uint64{{4, 3, 5}} },
		"nodes or sites out of order":                            func(d *document) { d.layout = []placement.Node{b, a} },
		"node n01 has numbers from 1025 on, not from 5000":       func(d *document) { d.target = []placement.Node{other, c} },
		"0 nodes, 1 to 1024 may be":                              func(d *document) { d.layout = nil },
		"were given to nobody":                                   func(d *document) { d.free = 2 },
		"node n02 has weight 0, 1 to 65536 may be":               func(d *document) { d.target[1].Weight = 0 },
	} {
		d := good
		d.target = append([]placement.Node{}, good.target...)
		d.runs = append([][3]uint64{}, good.runs...)
		change(&d)
		_, err := placement.Decode(d.encode())
		require.ErrorIs(t, err, topology.ErrMalformed, why)
		require.ErrorContains(t, err, why)
	}
}
