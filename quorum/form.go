package quorum

import (
	"math/bits"
	"slices"
)

// form is a monotone condition over members by their indexes: who is added to a
// set that meets it never undoes that. It asks for all members in must, and for
// need votes out of those of the members in of and one more for each form in sub
// that is met. It is never changed once made, and is shared. The zero form, and
// any that needs no votes, is met by nobody.
type form struct {
	must  uint64
	need  int
	of    uint64
	votes []uint8 // of the members by index; nil where each has one
	sub   []form
	where string // what sets of messages say of it: "in site eu"
}

// every is met where all of fs are.
func every(fs ...form) form { return form{need: len(fs), sub: fs} }

// met reports whether the members of have are enough.
func (f *form) met(have uint64) bool {
	if f.need <= 0 || f.must&^have != 0 {
		return false
	}
	if f.votes == nil && f.sub == nil {
		return bits.OnesCount64(have&f.of) >= f.need
	}
	n := f.count(have)
	for i := range f.sub {
		if n >= f.need {
			return true
		}
		if f.sub[i].met(have) {
			n++
		}
	}
	return n >= f.need
}

// count returns the votes of the members of have, without those of sub.
func (f *form) count(have uint64) int {
	have &= f.of
	if f.votes == nil {
		return bits.OnesCount64(have)
	}
	n := 0
	for ; have != 0; have &= have - 1 {
		n += int(f.votes[bits.TrailingZeros64(have)])
	}
	return n
}

// dual is met by the sets that have a member in common with every set that meets
// f, and by no others.
func (f *form) dual() form {
	if f.need <= 0 {
		return form{}
	}
	d := form{of: f.of, votes: f.votes, where: f.where}
	d.need = f.count(^uint64(0)) + len(f.sub) - f.need + 1
	for i := range f.sub {
		d.sub = append(d.sub, f.sub[i].dual())
	}
	if f.must != 0 { // one of those, or enough of the others
		return form{need: 1, of: f.must, sub: []form{d}}
	}
	return d
}

// moved returns f over other indexes: member i becomes member to[i].
func (f *form) moved(to []int) form {
	m := form{need: f.need, where: f.where}
	for i, j := range to {
		m.of |= f.of >> i & 1 << j
		m.must |= f.must >> i & 1 << j
	}
	if f.votes != nil {
		m.votes = make([]uint8, MembersMax)
		for i, j := range to {
			m.votes[j] = f.votes[i]
		}
	}
	for i := range f.sub {
		m.sub = append(m.sub, f.sub[i].moved(to))
	}
	return m
}

// without returns f as it is if the members of gone never answer.
func (f *form) without(gone uint64) form {
	if f.must&gone != 0 {
		return form{}
	}
	w := *f
	w.of &^= gone
	w.sub = nil
	for i := range f.sub {
		w.sub = append(w.sub, f.sub[i].without(gone))
	}
	return w
}

// WorkMax bounds how many sets of members are tried where sets must be compared.
// Members that an expression does not tell apart are tried once, so that no
// expression of a few sites comes near.
const WorkMax = 1 << 20

// alike splits the members of all into those that no form tells apart: of two
// sets with as many of each kind either both meet a form or neither does.
func alike(all uint64, forms ...*form) []uint64 {
	kinds := []uint64{all}
	for _, f := range forms {
		kinds = f.split(kinds)
	}
	return kinds
}

func (f *form) split(kinds []uint64) []uint64 {
	kinds = cut(cut(kinds, f.must), f.of)
	if f.votes != nil {
		by := map[uint8]uint64{}
		for of := f.of; of != 0; of &= of - 1 {
			i := bits.TrailingZeros64(of)
			by[f.votes[i]] |= 1 << i
		}
		for v := range 256 {
			kinds = cut(kinds, by[uint8(v)])
		}
	}
	for i := range f.sub {
		kinds = f.sub[i].split(kinds)
	}
	return kinds
}

// cut splits every kind into those in by and the others.
func cut(kinds []uint64, by uint64) []uint64 {
	var out []uint64
	for _, k := range kinds {
		for _, part := range [...]uint64{k & by, k &^ by} {
			if part != 0 {
				out = append(out, part)
			}
		}
	}
	return out
}

// sets yields one set of members for each choice of how many there are of each
// kind, the empty one first, and reports whether there were no more than WorkMax.
// It stops when yield says false.
func sets(kinds []uint64, yield func(set uint64) bool) bool {
	work := 1
	first := make([][]uint64, len(kinds)) // of each kind: its first 0, 1, 2 … members
	for i, k := range kinds {
		first[i] = []uint64{0}
		for ; k != 0; k &= k - 1 {
			last := first[i][len(first[i])-1]
			first[i] = append(first[i], last|k&-k)
		}
		if work *= len(first[i]); work > WorkMax {
			return false
		}
	}
	at := make([]int, len(kinds))
	for {
		set := uint64(0)
		for i, n := range at {
			set |= first[i][n]
		}
		if !yield(set) {
			return true
		}
		i := 0
		for ; i < len(at); i++ {
			if at[i]++; at[i] < len(first[i]) {
				break
			}
			at[i] = 0
		}
		if i == len(at) {
			return true
		}
	}
}

// least returns the size of the smallest set of members of all that meets f
// together with those of have: −1 if none does, and false if there are too many
// to try.
func (f *form) least(all, have uint64) (int, bool) {
	size := -1
	done := sets(alike(all&^have, f), func(set uint64) bool {
		if n := bits.OnesCount64(set); (size < 0 || n < size) && f.met(have|set) {
			size = n
		}
		return size != 0
	})
	return size, done
}

// minimal returns the sets that meet f with none of their members to spare, in
// ascending order of size, max of them at most; false if there are too many to
// try, or more of them.
func (f *form) minimal(all uint64, max int) (out []uint64, complete bool) {
	if bits.OnesCount64(all) > 20 {
		return nil, false
	}
	members := make([]uint64, 0, 20)
	for a := all; a != 0; a &= a - 1 {
		members = append(members, a&-a)
	}
	for size := 1; size <= len(members); size++ {
		for pick := uint64(1)<<size - 1; pick < 1<<len(members); pick = next(pick) {
			set := uint64(0)
			for p := pick; p != 0; p &= p - 1 {
				set |= members[bits.TrailingZeros64(p)]
			}
			if !f.met(set) || slices.ContainsFunc(out, func(s uint64) bool { return s&set == s }) {
				continue
			}
			if len(out) == max {
				return out, false
			}
			out = append(out, set)
		}
	}
	return out, true
}

// next returns the next greater number with as many bits (Gosper's hack).
func next(x uint64) uint64 {
	low := x & -x
	up := x + low
	return up | (x^up)/low>>2
}
