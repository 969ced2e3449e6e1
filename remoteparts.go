package triad

import (
	"context"
	"fmt"

	"github.com/triad-kv/triad/internal/call"
	"github.com/triad-kv/triad/internal/kind"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// partsOp is how the calls of this package name what a remote client asks of parts, and
// the kind of the table that it is asked of.
type partsOp struct {
	name string
	kind record.Kind
}

var partsOps = map[call.PartsOp]partsOp{
	call.CounterAdd: {"add", record.KindCounter}, call.CounterGet: {"get", record.KindCounter},
	call.SetAdd: {"add", record.KindSet}, call.SetRemove: {"remove", record.KindSet}, call.SetHas: {"has", record.KindSet},
	call.SetMembers: {"members", record.KindSet}, call.SetLen: {"len", record.KindSet},
	call.MapPut: {"put", record.KindMap}, call.MapRemove: {"remove", record.KindMap}, call.MapGet: {"get", record.KindMap},
	call.MapAll: {"all", record.KindMap}, call.MapLen: {"len", record.KindMap},
	call.FlagEnable: {"enable", record.KindFlag}, call.FlagDisable: {"disable", record.KindFlag}, call.FlagGet: {"get", record.KindFlag},
	call.MaxObserve: {"observe", record.KindMax}, call.MaxGet: {"get", record.KindMax},
	call.MinObserve: {"observe", record.KindMin}, call.MinGet: {"get", record.KindMin},
	call.SketchAdd: {"add", record.KindHLL}, call.SketchMerge: {"merge", record.KindHLL}, call.SketchCount: {"count", record.KindHLL},
}

// remoteParts is a node as those far from it see its counters and the parts of its keys.
type remoteParts struct{ remote }

// partsOf reads a request, and finds the table that it is for.
func (n remoteParts) partsOf(req []byte) (m call.Parts, t named, op string, err error) {
	if m, err = call.DecodeParts(req); err != nil {
		return m, t, op, n.malformed("parts", err)
	}
	o := partsOps[m.Op]
	return m, named{node: n.Node, name: m.Table, kind: o.kind}, o.name, nil
}

// change answers what a remote client asks to be changed, as the calls of this package
// do.
func (n remoteParts) change(ctx context.Context, req []byte) ([]byte, error) {
	m, t, op, err := n.partsOf(req)
	if err != nil {
		return nil, err
	}
	if !m.Op.Changes() {
		return nil, n.malformed(op, fmt.Errorf("it changes nothing: %w", topology.ErrMalformed))
	}
	var told func() int64
	r, err := t.decide(ctx, op, string(m.Key), m.Options, func(k kind.Key) (op kind.Op) {
		op, told = changeOf(k, &m)
		return op
	})
	if err != nil {
		return nil, err
	}
	a := call.Changed{Receipt: r, Number: told()}
	return a.Encode(), nil
}

// changeOf is the decision that a request asks for, and what it has told afterwards.
func changeOf(k kind.Key, m *call.Parts) (kind.Op, func() int64) {
	switch m.Op {
	case call.CounterAdd:
		o := &kind.Incr{Key: k, By: m.By}
		return o, func() int64 { return o.Value }
	case call.SetAdd:
		o := &kind.SetAdd{Key: k, Members: m.Parts}
		return o, func() int64 { return int64(o.Count) }
	case call.SetRemove:
		o := &kind.SetRemove{Key: k, Members: m.Parts}
		return o, func() int64 { return int64(o.Count) }
	case call.MapPut:
		o := &kind.MapPut{Key: k}
		for i := 0; i < len(m.Parts); i += 2 {
			o.Fields = append(o.Fields, kind.Field{Name: m.Parts[i], Value: m.Parts[i+1]})
		}
		return o, func() int64 { return int64(o.New) }
	case call.FlagEnable, call.FlagDisable:
		o := &kind.FlagSet{Key: k, On: m.Op == call.FlagEnable}
		return o, func() int64 { return yes(o.Was) }
	case call.MaxObserve, call.MinObserve:
		o := &kind.Observe{Key: k, Of: partsOps[m.Op].kind, N: m.By}
		return o, func() int64 { return o.Value }
	case call.SketchAdd:
		o := &kind.SketchAdd{Key: k, Elements: m.Parts}
		return o, func() int64 { return yes(o.Changed) }
	case call.SketchMerge:
		o := mergeOf(k, m.Parts)
		return o, func() int64 { return yes(o.Changed) }
	}
	o := &kind.MapRemove{Key: k, Names: m.Parts}
	return o, func() int64 { return int64(o.Count) }
}

func yes(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// look answers what a remote client asks to be shown.
func (n remoteParts) look(ctx context.Context, req []byte) ([]byte, error) {
	m, t, op, err := n.partsOf(req)
	if err != nil {
		return nil, err
	}
	if m.Op.Changes() {
		return nil, n.malformed(op, fmt.Errorf("it is no look: %w", topology.ErrMalformed))
	}
	var a call.Shown
	var shown func(*call.Shown)
	r, err := t.lookFrom(ctx, op, string(m.Key), m.Options, func(k kind.Key) (op kind.Op) {
		op, shown = lookOf(k, &m)
		return op
	})
	if err != nil {
		return nil, err
	}
	if shown != nil { // else the table is not there
		shown(&a)
	}
	a.Token, a.Served, a.Stale, a.Guarantee = r.Token, r.Served, r.Stale, r.Guarantee
	if err := a.Check(); err != nil {
		return nil, t.error(op, string(m.Key), notApplied(err))
	}
	return a.Encode(), nil
}

// lookOf is the question that a request asks, and what puts its answer into a.
func lookOf(k kind.Key, m *call.Parts) (kind.Op, func(a *call.Shown)) {
	switch m.Op {
	case call.CounterGet:
		o := &kind.Count{Key: k}
		return o, func(a *call.Shown) { a.Number = o.Value }
	case call.SetHas:
		o := &kind.SetHas{Key: k, Members: m.Parts}
		return o, func(a *call.Shown) { a.Number = yes(o.Has[0]) }
	case call.SetMembers:
		o := &kind.SetMembers{Key: k}
		return o, func(a *call.Shown) { a.Parts, a.Number = o.Members, int64(len(o.Members)) }
	case call.SetLen:
		o := &kind.SetLength{Key: k}
		return o, func(a *call.Shown) { a.Number = int64(o.Count) }
	case call.MapGet:
		o := &kind.MapGet{Key: k, Names: m.Parts}
		return o, func(a *call.Shown) {
			if o.Values[0] != nil {
				a.Parts, a.Number = o.Values, 1
			}
		}
	case call.MapAll:
		o := &kind.MapAll{Key: k}
		return o, func(a *call.Shown) {
			for _, f := range o.Fields {
				a.Parts = append(a.Parts, f.Name, f.Value)
			}
			a.Number = int64(len(o.Fields))
		}
	case call.FlagGet:
		o := &kind.FlagGet{Key: k}
		return o, func(a *call.Shown) { a.Number = yes(o.On) }
	case call.MaxGet, call.MinGet:
		o := &kind.Extreme{Key: k, Of: partsOps[m.Op].kind}
		return o, func(a *call.Shown) {
			if a.Number = o.Value; o.There {
				a.Parts = [][]byte{{}}
			}
		}
	case call.SketchCount:
		o := &kind.SketchCount{Keys: []kind.Key{k}}
		return o, func(a *call.Shown) { a.Number = int64(o.Count) }
	}
	o := &kind.MapLength{Key: k}
	return o, func(a *call.Shown) { a.Number = int64(o.Count) }
}
