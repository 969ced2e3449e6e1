package call

import (
	"math"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// Asked is a question after a write: its dot, and the term in which it got that.
type Asked struct {
	Dot  version.Dot
	Term uint64
}

// Encode returns the bytes of a question.
func (a Asked) Encode() []byte {
	w := begin(4)
	w.Uint(uint64(a.Dot.Origin.ID))
	w.Uint(uint64(a.Dot.Origin.Incarnation))
	w.Uint(a.Dot.Seq)
	w.Uint(a.Term)
	return w.Bytes()
}

// DecodeAsked reads a question.
func DecodeAsked(b []byte) (Asked, error) {
	r, err := open(b, 4)
	if err != nil {
		return Asked{}, err
	}
	a := Asked{Dot: version.Dot{
		Origin: version.Origin{ID: uint32(r.UintMax(math.MaxUint32)), Incarnation: uint32(r.UintMax(math.MaxUint32))},
		Seq:    r.Uint(),
	}, Term: r.Uint()}
	return a, done(&r)
}

// MethodSettle asks what became of a named request, and settles it: a request's name →
// topology.Resolution.
const MethodSettle = "client.settle"

// EncodeRequest returns the bytes of a request's name: fields client, sequence.
func EncodeRequest(id record.RequestID) []byte {
	w := begin(2)
	w.Uint(id.Client)
	w.Uint(id.Seq)
	return w.Bytes()
}

// DecodeRequest reads a request's name.
func DecodeRequest(b []byte) (record.RequestID, error) {
	r, err := open(b, 2)
	if err != nil {
		return record.RequestID{}, err
	}
	id := record.RequestID{Client: r.Uint(), Seq: r.Uint()}
	return id, done(&r)
}

// EncodeResolution returns the bytes of an answer.
func EncodeResolution(a topology.Resolution) []byte {
	w := begin(3)
	w.Uint(uint64(a.Fate))
	w.Uint(uint64(a.LSN))
	w.Uint(a.Term)
	return w.Bytes()
}

// DecodeResolution reads an answer.
func DecodeResolution(b []byte) (topology.Resolution, error) {
	r, err := open(b, 3)
	if err != nil {
		return topology.Resolution{}, err
	}
	a := topology.Resolution{Fate: topology.Fate(r.UintMax(uint64(topology.FateNotApplied))), LSN: record.LSN(r.Uint()), Term: r.Uint()}
	return a, done(&r)
}
