package quorum

import (
	"math/bits"
	"slices"
)

// Apart looks for a set that meets a and one that meets b without a member in
// common. Where there is none, every read by the one sees every write by the
// other; where there is, it returns an example, as small as any. Its error wraps
// [ErrExpr]: too many sets to try, or too many members together.
func Apart[N ~string](a, b Need[N]) (setA, setB []N, apart bool, err error) {
	j, fa, fb, err := align(a, b)
	if err != nil {
		return nil, nil, false, err
	}
	all := j.all()
	var best, rest uint64
	done := sets(alike(all, &fa, &fb), func(s uint64) bool {
		if fa.met(s) && fb.met(all&^s) && (!apart || bits.OnesCount64(s) < bits.OnesCount64(best)) {
			apart, best, rest = true, s, all&^s
		}
		return true
	})
	if !done {
		return nil, nil, false, errWork(j.members)
	}
	if !apart {
		return nil, nil, false, nil
	}
	return j.named(best), j.named(fb.trimmed(rest)), true, nil
}

// trimmed takes members off a set, the last first, for as long as the others are
// enough.
func (f *form) trimmed(set uint64) uint64 {
	for left := set; left != 0; {
		bit := uint64(1) << (bits.Len64(left) - 1)
		left &^= bit
		if f.met(set &^ bit) {
			set &^= bit
		}
	}
	return set
}

// Meets reports whether every set that is enough for a has a member in common
// with every one that is enough for b. Its error is that of [Apart].
func Meets[N ~string](a, b Need[N]) (bool, error) {
	_, _, apart, err := Apart(a, b)
	return err == nil && !apart, err
}

// Resilience is how much may fail while a need can still be met.
type Resilience struct {
	Nodes int // any so many of the members
	// Sites is any so many whole sites, and Within how many nodes of one site, any
	// of them, while all others are there. Without sites they are 0 and nil.
	Sites  int
	Within []SiteResilience
}

// SiteResilience is how many nodes of a site may fail.
type SiteResilience struct {
	Site  string
	Nodes int // any so many
	Of    int // how many there are
}

// sitesTried bounds the sites whose loss is tried in every combination.
const sitesTried = 16

// Resilience returns what may fail. Its error wraps [ErrExpr]: too many sets to
// try.
func (n Need[N]) Resilience() (r Resilience, err error) {
	if n.form.need == 0 {
		return r, nil
	}
	dual := n.form.dual() // met by the sets without which the need is not
	size, ok := dual.least(n.all(), 0)
	if !ok {
		return r, errWork(n.members)
	}
	r.Nodes = size - 1
	sites := n.bySite()
	if len(sites) == 0 {
		return r, nil
	}
	for _, s := range sites {
		size, ok := dual.least(s.of, 0)
		if !ok {
			return r, errWork(n.members)
		}
		of := bits.OnesCount64(s.of)
		if size < 0 {
			size = of + 1 // all of them
		}
		r.Within = append(r.Within, SiteResilience{Site: s.name, Nodes: size - 1, Of: of})
	}
	if len(sites) > sitesTried {
		return r, errWork(n.members)
	}
	r.Sites = len(sites)
	for lost := range uint64(1) << len(sites) {
		set := uint64(0)
		for i, s := range sites {
			if lost&(1<<i) != 0 {
				set |= s.of
			}
		}
		if dual.met(set) {
			r.Sites = min(r.Sites, bits.OnesCount64(lost)-1)
		}
	}
	return r, nil
}

// bySite groups the members that stand in a site.
func (n Need[N]) bySite() (out []place) {
	for i, s := range n.sites {
		if s == "" {
			continue
		}
		j := slices.IndexFunc(out, func(p place) bool { return p.name == s })
		if j < 0 {
			j, out = len(out), append(out, place{name: s})
		}
		out[j].of |= 1 << i
	}
	return out
}
