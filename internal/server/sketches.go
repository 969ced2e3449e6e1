package server

import (
	"slices"

	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/record"
)

var sketchCommands = []command{
	{name: "pfadd", arity: -2, flags: writes | fast, keys: oneKey, group: "hyperloglog", about: "Shows elements to a sketch; tells whether that changed it.", plan: planPFAdd, show: showPFAdd},
	{name: "pfcount", arity: -2, flags: reads, keys: allKeys, group: "hyperloglog", about: "Estimates how many different elements sketches were shown together.", plan: planPFCount, show: showPFCount},
	{name: "pfmerge", arity: -2, flags: writes, keys: allKeys, group: "hyperloglog", about: "Shows a sketch all that others were shown.", plan: planPFMerge, show: showPFMerge},
	{name: "triad|observe", arity: 4, flags: writes | fast, keys: keySpec{2, 2, 1}, group: "triad", about: "Shows a number to a maximum or a minimum; returns what it holds then.", plan: planObserve, show: showObserve},
}

func planPFAdd(r *request) error {
	r.op = &kind.SketchAdd{Key: r.places[0], Elements: r.args[2:]}
	return nil
}

func showPFAdd(r *request) { r.out.Flag(r.op.(*kind.SketchAdd).Changed) }

func planPFCount(r *request) error {
	r.op = &kind.SketchCount{Keys: slices.Clone(r.places)}
	return nil
}

func showPFCount(r *request) { r.out.Int(int64(r.op.(*kind.SketchCount).Count)) }

func planPFMerge(r *request) error {
	r.op = &kind.SketchMerge{Key: r.places[0], From: slices.Clone(r.places[1:])}
	return nil
}

func showPFMerge(r *request) { r.out.OK() }

func planObserve(r *request) error {
	n, ok := parseInt(r.args[3])
	if !ok {
		return errNotInteger
	}
	of := r.places[0].Kind
	if of != record.KindMax && of != record.KindMin {
		return errNoExtreme
	}
	r.op = &kind.Observe{Key: r.places[0], Of: of, N: n}
	return nil
}

// errNoExtreme is the answer where the table of a key keeps no extremes.
const errNoExtreme = replyError("WRONGTYPE the table of this key is of neither kind max nor min: declare one")

func showObserve(r *request) { r.out.Int(r.op.(*kind.Observe).Value) }
