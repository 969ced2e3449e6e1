package call

import (
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/topology"
)

// Restore asks a node to lead from a point of the past, and to give up at most GiveUp
// records for that.
type Restore struct {
	To     topology.Point
	GiveUp uint64
}

// Encode returns its bytes: the entry, the time, how much may be given up.
func (m Restore) Encode() []byte {
	w := begin(3)
	w.Uint(uint64(m.To.LSN))
	putTime(w, m.To.Time)
	w.Uint(m.GiveUp)
	return w.Bytes()
}

// DecodeRestore reads what Encode returned.
func DecodeRestore(b []byte) (Restore, error) {
	r, err := open(b, 3)
	if err != nil {
		return Restore{}, err
	}
	m := Restore{To: topology.Point{LSN: record.LSN(r.Uint()), Time: getTime(&r)}, GiveUp: r.Uint()}
	return m, done(&r)
}

// EncodeRestoration returns the bytes of what a restore came to: the promotion, then the
// point and what stood behind it.
func EncodeRestoration(p topology.Restoration) []byte {
	w := begin(11)
	putPromotion(w, &p.Promotion)
	w.Uint(uint64(p.At))
	putTime(w, p.Time)
	w.Uint(uint64(p.Last))
	putTime(w, p.First)
	putTime(w, p.Newest)
	w.Uint(p.Records)
	return w.Bytes()
}

// DecodeRestoration reads what EncodeRestoration returned.
func DecodeRestoration(b []byte) (topology.Restoration, error) {
	r, err := open(b, 11)
	if err != nil {
		return topology.Restoration{}, err
	}
	p := topology.Restoration{
		Promotion: getPromotion(&r), At: record.LSN(r.Uint()), Time: getTime(&r), Last: record.LSN(r.Uint()),
		First: getTime(&r), Newest: getTime(&r), Records: r.Uint(),
	}
	return p, done(&r)
}
