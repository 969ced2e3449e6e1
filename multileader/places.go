package multileader

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/triad-kv/triad/multileader/core"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/topology"
	"github.com/triad-kv/triad/version"
)

// A site's store says in a table of Triad's own where the records of each origin
// stand in the site's log, so that a leader that starts knows what its log comes to,
// and a peer that lacks something is given it from the right place:
//
//	key "at"               where the applied log stands
//	key "p", LSN in 8 bytes  where it stood at that LSN, every placesEvery of them
//
// Each is a state of one sibling, whose value is an array of seven:
//
//	0  format  uint, 1
//	1  lsn     uint
//	2  time    uint, the highest in the log
//	3  term    uint, the greatest in which the log was written
//	4  origin  array of 2: id, incarnation, under which the site writes; 0 and 0 if it has not yet
//	5  lost    uint: versions that lost to concurrent ones so far
//	6  marks   array of 4n: id, incarnation, seq, chain; by origin
const (
	placesFormat = 1
	placesFields = 7
	placesEvery  = 256 // entries: as many are read at most to find one
	keyAt        = "at"
	keyPlace     = "p"
)

// place is where a site's log stands at one LSN.
type place struct {
	core.Position
	own  version.Origin
	lost uint64
}

func (p *place) encode() []byte {
	w := pack.NewWriter(nil)
	w.Array(placesFields)
	w.Uint(placesFormat)
	w.Uint(uint64(p.LSN))
	w.Uint(uint64(p.Time))
	w.Uint(p.Term)
	w.Array(2)
	w.Uint(uint64(p.own.ID))
	w.Uint(uint64(p.own.Incarnation))
	w.Uint(p.lost)
	w.Array(4 * len(p.Marks))
	for _, m := range p.Marks {
		w.Uint(uint64(m.Origin.ID))
		w.Uint(uint64(m.Origin.Incarnation))
		w.Uint(m.Seq)
		w.Uint(uint64(m.Chain))
	}
	return w.Bytes()
}

func decodePlace(b []byte) (p place, err error) {
	r := pack.NewReader(b)
	r.ArrayOf(placesFields)
	if f := r.Uint(); r.Err() == nil && f != placesFormat {
		return place{}, fmt.Errorf("a place in the log has format %d, this version knows %d: %w", f, placesFormat, topology.ErrUnsupported)
	}
	p.LSN, p.Time, p.Term = record.LSN(r.Uint()), version.Timestamp(r.Uint()), r.Uint()
	r.ArrayOf(2)
	p.own = getOrigin(&r)
	p.lost = r.Uint()
	n := r.ArrayMax(4 * record.MarksMax)
	if n%4 != 0 {
		r.Fail("marks are not whole")
	}
	for ; n > 0 && r.Err() == nil; n -= 4 {
		m := core.Mark{Origin: getOrigin(&r)}
		m.Seq, m.Chain = r.Uint(), uint32(r.UintMax(math.MaxUint32))
		p.Marks = append(p.Marks, m)
	}
	if err := r.Done(); err != nil {
		return place{}, fmt.Errorf("a place in the log: %w: %w", topology.ErrMalformed, err)
	}
	return p, nil
}

func getOrigin(r *pack.Reader) version.Origin {
	return version.Origin{ID: uint32(r.UintMax(math.MaxUint32)), Incarnation: uint32(r.UintMax(math.MaxUint32))}
}

// getter is what a store and a view of one have in common.
type getter interface {
	Get(record.Cell) ([]byte, error)
}

func placeCell(lsn record.LSN) record.Cell {
	return record.Cell{Table: record.TableOrigins, Key: binary.BigEndian.AppendUint64([]byte(keyPlace), uint64(lsn))}
}

func cellAt() record.Cell { return record.Cell{Table: record.TableOrigins, Key: []byte(keyAt)} }

// readPlace reads a place; that of a store without it is the beginning.
func readPlace(g getter, c record.Cell) (place, error) {
	b, err := g.Get(c)
	if err != nil || b == nil {
		return place{}, err
	}
	var s record.State
	if err := record.DecodeState(b, &s); err != nil {
		return place{}, fmt.Errorf("%w: %w", topology.ErrMalformed, err)
	}
	if len(s.Siblings) != 1 {
		return place{}, fmt.Errorf("%d values of a place in the log: %w", len(s.Siblings), topology.ErrMalformed)
	}
	return decodePlace(s.Siblings[0].Value)
}

// before returns the last place kept at or before lsn of which ok holds, where ok holds
// of every place before one of which it holds; the beginning, if there is none.
func before(g getter, lsn record.LSN, ok func(*place) bool) (place, error) {
	var best place
	lo, hi := uint64(0), uint64(lsn)/placesEvery // of places: lo is good, beyond hi there is none
	for lo < hi {
		mid := lo + (hi-lo+1)/2
		p, err := readPlace(g, placeCell(record.LSN(mid*placesEvery)))
		if err != nil {
			return place{}, err
		}
		if p.LSN != 0 && ok(&p) {
			lo, best = mid, p
		} else {
			hi = mid - 1
		}
	}
	return best, nil
}
