package call

import (
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Past is what a node remembers: the terms of its group, and what was cut from its
// own log.
type Past struct {
	Reigns []topology.Reign
	Kept   []topology.Kept
}

const (
	reignFields = 5
	keptFields  = 5
	reignsMax   = 1 << 12
	keptMax     = 1 << 14
)

// Encode returns the bytes of p: what is beyond the limits of one answer is the
// oldest, and left out.
func (p Past) Encode() []byte {
	w := begin(2)
	reigns := p.Reigns[max(0, len(p.Reigns)-reignsMax):]
	w.Array(reignFields * len(reigns))
	for _, r := range reigns {
		w.Uint(r.Term)
		w.Str(string(r.Leader))
		w.Str(text(r.Cause))
		putTime(w, r.Time)
		w.Uint(uint64(r.Start))
	}
	kept := p.Kept[max(0, len(p.Kept)-keptMax):]
	w.Array(keptFields * len(kept))
	for _, k := range kept {
		w.Str(k.Name)
		w.Str(text(k.Why))
		w.Uint(uint64(k.First))
		w.Uint(uint64(k.Last))
		w.Uint(k.Records)
	}
	return w.Bytes()
}

// DecodePast reads what Encode returned.
func DecodePast(b []byte) (Past, error) {
	r, err := open(b, 2)
	if err != nil {
		return Past{}, err
	}
	var p Past
	n := r.ArrayMax(reignFields * reignsMax)
	if n%reignFields != 0 {
		r.Fail("terms are not whole")
	}
	for n /= reignFields; n > 0 && r.Err() == nil; n-- {
		p.Reigns = append(p.Reigns, topology.Reign{
			Term: r.Uint(), Leader: topology.NodeID(r.StrMax(nameBytesMax)), Cause: r.StrMax(textBytesMax), Time: getTime(&r), Start: record.LSN(r.Uint()),
		})
	}
	n = r.ArrayMax(keptFields * keptMax)
	if n%keptFields != 0 {
		r.Fail("side files are not whole")
	}
	for n /= keptFields; n > 0 && r.Err() == nil; n-- {
		p.Kept = append(p.Kept, topology.Kept{
			Name: r.StrMax(nameBytesMax), Why: r.StrMax(textBytesMax), First: record.LSN(r.Uint()), Last: record.LSN(r.Uint()), Records: r.Uint(),
		})
	}
	return p, done(&r)
}

// EncodeCount returns the bytes of a number.
func EncodeCount(n uint64) []byte {
	w := begin(1)
	w.Uint(n)
	return w.Bytes()
}

// DecodeCount reads a number.
func DecodeCount(b []byte) (uint64, error) {
	r, err := open(b, 1)
	if err != nil {
		return 0, err
	}
	n := r.Uint()
	return n, done(&r)
}
