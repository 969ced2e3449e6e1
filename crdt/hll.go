package crdt

import (
	"cmp"
	"math"
	"math/bits"
	"slices"

	"github.com/triad-kv/triad/record/pack"
)

const (
	hllBits     = 14           // of a hash, that choose the register
	hllRegs     = 1 << hllBits // registers
	hllRankMax  = 64 - hllBits + 1
	hllSparse   = 2048 // registers that are kept as a list
	hllRankBits = 8    // of an entry of that list
)

// HLL estimates how many different elements were added, in at most 16 KiB: the
// standard error is 0.8 %. Nothing can be taken out. The zero HLL has none.
//
// It is a HyperLogLog of 2¹⁴ registers, read with the estimator of Ertl 2017,
// algorithm 6. Elements are hashed by FNV-1a of 64 bits with a final mix, which is
// part of the format; who wants to can find elements that collide.
type HLL struct {
	list []uint32 // register<<8 | rank, by register; while there are few
	regs []byte   // else all of them
}

// Add takes an element in, and returns the delta: a register that grew, or
// nothing.
func (h *HLL) Add(element []byte) *HLL {
	x := hash(element)
	reg, rank := int(x>>(64-hllBits)), byte(bits.LeadingZeros64(x<<hllBits|1<<(hllBits-1))+1)
	if h.rank(reg) >= rank {
		return &HLL{}
	}
	h.raise(reg, rank)
	return &HLL{list: []uint32{uint32(reg)<<hllRankBits | uint32(rank)}}
}

// hash is FNV-1a of 64 bits and the final mix of MurmurHash3, which spreads the
// last bytes over all bits.
func hash(b []byte) uint64 {
	x := uint64(0xcbf29ce484222325)
	for _, c := range b {
		x = (x ^ uint64(c)) * 0x100000001b3
	}
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

func (h *HLL) find(reg int) (int, bool) {
	return slices.BinarySearchFunc(h.list, reg, func(e uint32, reg int) int { return cmp.Compare(int(e>>hllRankBits), reg) })
}

func (h *HLL) rank(reg int) byte {
	if h.regs != nil {
		return h.regs[reg]
	}
	if i, ok := h.find(reg); ok {
		return byte(h.list[i])
	}
	return 0
}

// raise makes rank that of reg, if it is greater.
func (h *HLL) raise(reg int, rank byte) {
	if h.regs != nil {
		h.regs[reg] = max(h.regs[reg], rank)
		return
	}
	i, ok := h.find(reg)
	e := uint32(reg)<<hllRankBits | uint32(rank)
	switch {
	case ok:
		h.list[i] = max(h.list[i], e)
	case len(h.list) < hllSparse:
		h.list = slices.Insert(h.list, i, e)
	default:
		h.regs = make([]byte, hllRegs)
		for _, e := range h.list {
			h.regs[e>>hllRankBits] = byte(e)
		}
		h.list, h.regs[reg] = nil, rank
	}
}

// each calls yield with every register that is not zero, in their order.
func (h *HLL) each(yield func(reg int, rank byte)) {
	for _, e := range h.list {
		yield(int(e>>hllRankBits), byte(e))
	}
	for reg, rank := range h.regs {
		if rank > 0 {
			yield(reg, rank)
		}
	}
}

// IsEmpty reports whether nothing was added.
func (h *HLL) IsEmpty() bool { return len(h.list) == 0 && h.regs == nil }

// Count estimates how many different elements were added.
func (h *HLL) Count() uint64 {
	var of [hllRankMax + 1]int // registers of each rank
	of[0] = hllRegs
	h.each(func(_ int, rank byte) { of[rank]++; of[0]-- })
	if of[0] == hllRegs {
		return 0
	}
	const m = float64(hllRegs)
	z := m * tau(1-float64(of[hllRankMax])/m)
	for rank := hllRankMax - 1; rank >= 1; rank-- {
		z = (z + float64(of[rank])) / 2
	}
	z += m * sigma(float64(of[0])/m)
	return uint64(math.Round(m * m / (2 * math.Ln2 * z)))
}

// sigma and tau correct the estimate for registers that are empty, and full (Ertl
// 2017, §4.3).
func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for before := math.Inf(-1); z != before; {
		x *= x
		before = z
		z += x * y
		y += y
	}
	return z
}

func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for before := math.Inf(1); z != before; {
		x = math.Sqrt(x)
		before = z
		y /= 2
		z -= (1 - x) * (1 - x) * y
	}
	return z / 3
}

// Join takes in what other has.
func (h *HLL) Join(other *HLL) { other.each(h.raise) }

// Clone returns a copy.
func (h *HLL) Clone() *HLL { return &HLL{slices.Clone(h.list), slices.Clone(h.regs)} }

// AppendBinary appends the encoding of h.
func (h *HLL) AppendBinary(dst []byte) ([]byte, error) {
	w := write(dst, formHLL, 2)
	if h.regs != nil {
		w.Bin(h.regs)
		return w.Bytes(), nil
	}
	w.Array(2 * len(h.list))
	h.each(func(reg int, rank byte) {
		w.Uint(uint64(reg))
		w.Uint(uint64(rank))
	})
	return w.Bytes(), nil
}

// UnmarshalBinary decodes an HLL. Errors wrap [pack.ErrMalformed].
func (h *HLL) UnmarshalBinary(b []byte) error {
	r := open(b, formHLL, 2)
	var g HLL
	if rest := r.Rest(); len(rest) > 0 && rest[0] >= 0xc4 && rest[0] <= 0xc6 {
		g.readAll(r)
	} else {
		g.readList(r)
	}
	if err := finish(r, "HLL"); err != nil {
		return err
	}
	*h = g
	return nil
}

func (h *HLL) readAll(r *pack.Reader) {
	b := r.BinMax(hllRegs)
	set := 0
	for _, rank := range b {
		if rank > hllRankMax {
			r.Fail("a rank that no hash has")
		}
		if rank > 0 {
			set++
		}
	}
	if r.Err() == nil && (len(b) != hllRegs || set <= hllSparse) {
		r.Fail("registers that belong in a list")
	}
	h.regs = slices.Clone(b)
}

func (h *HLL) readList(r *pack.Reader) {
	n := records(r, 2)
	if n > hllSparse {
		r.Fail("a list of registers that belong in a bin")
	}
	for next := uint64(0); n > 0 && r.Err() == nil; n-- {
		reg, rank := r.UintMax(hllRegs-1), r.UintMax(hllRankMax)
		if reg < next || rank == 0 {
			r.Fail("registers are not in their order, or empty")
		}
		next = reg + 1
		h.list = append(h.list, uint32(reg)<<hllRankBits|uint32(rank))
	}
}

var _ Lattice[*HLL] = (*HLL)(nil)
