package quorum

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// Replica is one holder of what is read or written, and where it stands.
type Replica[N ~string] struct {
	Node N
	Site string // empty where there are no sites
	Rack string // of its site; empty where there are none
}

// Need is an expression for certain replicas: whose answers one request needs.
// It is a value, is never changed, and may be used from any goroutine. The zero
// Need has no members, and is never met.
type Need[N ~string] struct {
	members []N
	sites   []string // by member; nil where nothing is known of them
	form    form
}

// Bind resolves an expression against the replicas of a key, in their order of
// preference; never against those that are alive. local is the site of who asks,
// empty if it has none. Its errors wrap [ErrExpr]: an expression that is not
// valid; replicas given twice; a name or a site that no replica has; an expression
// that all replicas together do not meet.
func Bind[N ~string](e Expr, replicas []Replica[N], local string) (Need[N], error) {
	var none Need[N]
	if err := e.Validate(); err != nil {
		return none, err
	}
	n := Need[N]{sites: make([]string, len(replicas))}
	for i, r := range replicas {
		n.members = append(n.members, r.Node)
		n.sites[i] = r.Site
	}
	if err := checkNames("replicas", n.members); err != nil {
		return none, fmt.Errorf("%w: %w", ErrExpr, err)
	}
	b := binder[N]{replicas: replicas, local: local}
	f, err := b.bind(e)
	if err != nil {
		return none, fmt.Errorf("%w: %v: %w", ErrExpr, e, err)
	}
	n.form = f
	return n, nil
}

type binder[N ~string] struct {
	replicas []Replica[N]
	local    string
}

func (b *binder[N]) nodes() (out []N) {
	for _, r := range b.replicas {
		out = append(out, r.Node)
	}
	return out
}

// bind returns a form that all replicas together meet.
func (b *binder[N]) bind(e Expr) (form, error) {
	if e.Form == FormAnd || e.Form == FormOr {
		var parts []form
		for _, p := range e.Parts {
			f, err := b.bind(p)
			if err != nil {
				return form{}, err
			}
			parts = append(parts, f)
		}
		f := every(parts...)
		if e.Form == FormOr {
			f.need = 1
		}
		return f, nil
	}
	if e.In == (Scope{}) {
		return b.group(e, allOf(len(b.replicas)))
	}
	return b.scoped(e)
}

// scoped binds an expression that counts by place.
func (b *binder[N]) scoped(e Expr) (form, error) {
	places, err := b.places(e.In.Unit)
	if err != nil {
		return form{}, err
	}
	site := e.In.Site
	if e.In.Local {
		if site = b.local; site == "" {
			return form{}, fmt.Errorf("who asks stands in no site")
		}
	}
	if site != "" {
		i := slices.IndexFunc(places, func(p place) bool { return p.name == site })
		if i < 0 {
			return form{}, fmt.Errorf("no replica stands in site %s", site)
		}
		places = places[i : i+1]
	}
	out := form{need: len(places)}
	switch in := e.In; {
	case in.Total > 0 && in.Total != len(places):
		return form{}, fmt.Errorf("%d places are named, and the replicas stand in %d: %s", in.Total, len(places), names(places))
	case in.K > len(places):
		return form{}, fmt.Errorf("the replicas stand in %d places: %s", len(places), names(places))
	case in.K > 0:
		out.need = in.K
	case in.Majority:
		out.need = len(places)/2 + 1
	}
	for _, p := range places {
		f, err := b.group(e, p.of)
		switch {
		case err == nil:
			f.where = p.where
			out.sub = append(out.sub, f)
		case out.need == len(places):
			return form{}, fmt.Errorf("%s: %w", p.where, err)
		}
	}
	if out.need > len(out.sub) {
		return form{}, fmt.Errorf("all of the replicas %v are not enough", b.nodes())
	}
	return out, nil
}

type place struct {
	name, where string
	of          uint64
}

// places groups the replicas, in order of the first of each group.
func (b *binder[N]) places(unit Unit) ([]place, error) {
	var out []place
	for i, r := range b.replicas {
		name, where := r.Site, "in site "+r.Site
		if unit == UnitRack {
			name, where = r.Site+"/"+r.Rack, "in rack "+r.Rack
			if r.Site != "" {
				where += " of site " + r.Site
			}
		}
		if unit == UnitSite && r.Site == "" || unit == UnitRack && r.Rack == "" {
			return nil, fmt.Errorf("%s stands in no %s", r.Node, [...]string{"", "site", "rack"}[unit])
		}
		j := slices.IndexFunc(out, func(p place) bool { return p.name == name })
		if j < 0 {
			j, out = len(out), append(out, place{name: name, where: where})
		}
		out[j].of |= 1 << i
	}
	return out, nil
}

func names(places []place) string {
	var s []string
	for _, p := range places {
		s = append(s, strings.TrimPrefix(p.where, "in "))
	}
	return strings.Join(s, ", ")
}

// group binds what is asked of one group of replicas.
func (b *binder[N]) group(e Expr, of uint64) (form, error) {
	f := form{of: of}
	if len(e.Of) > 0 {
		f.of = 0
		for _, v := range e.Of {
			i := slices.IndexFunc(b.replicas, func(r Replica[N]) bool { return string(r.Node) == v.Node })
			if i < 0 {
				return form{}, fmt.Errorf("%s is none of the replicas", v.Node)
			}
			if e.Form == FormVotes && f.votes == nil {
				f.votes = make([]uint8, MembersMax)
			}
			if e.Form == FormVotes {
				f.votes[i] = uint8(v.Votes)
			}
			if e.Form != FormFirst || bits.OnesCount64(f.of) < e.K {
				f.of |= 1 << i
			}
		}
	} else if e.Form == FormFirst {
		for bits.OnesCount64(f.of) > e.K {
			f.of &^= 1 << (bits.Len64(f.of) - 1)
		}
	}
	total := f.count(^uint64(0))
	switch e.Form {
	case FormMajority:
		f.need = total/2 + 1
	case FormAll:
		f.need = total
	default:
		if f.need = e.K; f.need == 0 {
			f.need = total/2 + 1 // of votes
		}
	}
	if f.need > total || total == 0 {
		return form{}, fmt.Errorf("%d are needed, and there are %d", max(1, f.need), total)
	}
	return f, nil
}

func allOf(n int) uint64 { return ^uint64(0) >> (64 - n) }

func (n Need[N]) all() uint64 { return allOf(len(n.members)) }

// Members returns the members in the order of their indexes. The slice is the
// caller's.
func (n Need[N]) Members() []N { return slices.Clone(n.members) }

// Len returns the number of members.
func (n Need[N]) Len() int { return len(n.members) }

// Index returns the index of a member, −1 for any other node.
func (n Need[N]) Index(node N) int { return slices.Index(n.members, node) }

// Met reports whether the members whose bits are set in have, by index, are enough.
func (n Need[N]) Met(have uint64) bool { return n.form.met(have & n.all()) }

// Tally returns an empty tally of answers, which is reached once those who said
// yes are enough.
func (n Need[N]) Tally() Tally[N] { return Tally[N]{need: n} }

// TallyAt returns a tally that counts the answers of one epoch, through
// [Tally.Answer].
func (n Need[N]) TallyAt(epoch uint64) Tally[N] { return Tally[N]{need: n, epoch: epoch} }

// Least returns how many members the smallest set has that is enough, 0 for the
// zero Need. Its error wraps [ErrExpr]: there are too many different sets to try
// ([WorkMax]).
func (n Need[N]) Least() (int, error) {
	size, ok := n.form.least(n.all(), 0)
	if !ok {
		return 0, errWork(n.members)
	}
	return max(0, size), nil
}

func errWork[N ~string](members []N) error {
	return fmt.Errorf("%w: the expression tells %d replicas apart in too many ways: more than %d sets to try", ErrExpr, len(members), WorkMax)
}

// Dual returns the need that is met by the sets which have a member in common with
// every set that meets n, and by no others: of the reads that writes by n need,
// or the writes that reads by n do, the weakest. An election that asks as many
// has met every commit.
func (n Need[N]) Dual() Need[N] {
	n.form = n.form.dual()
	return n
}

// Without returns the need as it is if some of its members never answer: met by
// the sets that are enough and hold none of them, if there are any.
func (n Need[N]) Without(gone ...N) Need[N] {
	var set uint64
	for _, g := range gone {
		if i := n.Index(g); i >= 0 {
			set |= 1 << i
		}
	}
	n.form = n.form.without(set)
	return n
}

// Renamed returns the need over other names. No two members may get the same.
func (n Need[N]) Renamed(name func(N) N) Need[N] {
	n.members = slices.Clone(n.members)
	for i, m := range n.members {
		n.members[i] = name(m)
	}
	return n
}

// Sets returns the sets that are enough without a member to spare, the smallest
// first; max of them at most, of 20 members at most. whole says that there are no
// others.
func (n Need[N]) Sets(max int) (sets [][]N, whole bool) {
	found, whole := n.form.minimal(n.all(), max)
	for _, s := range found {
		sets = append(sets, n.named(s))
	}
	return sets, whole
}

// named returns the members of a set.
func (n Need[N]) named(set uint64) (out []N) {
	for ; set != 0; set &= set - 1 {
		if i := bits.TrailingZeros64(set); i < len(n.members) {
			out = append(out, n.members[i])
		}
	}
	return out
}

// Joint returns the need that both a and b meet, over the members of both: what a
// write takes while replicas move (rule L8). It fails, with an error that wraps
// [ErrExpr], if there are more than [MembersMax] of them, or one of the two is the
// zero Need.
func Joint[N ~string](a, b Need[N]) (Need[N], error) {
	j, fa, fb, err := align(a, b)
	if err == nil && (!j.met(fa) || !j.met(fb)) {
		err = fmt.Errorf("%w: nothing is asked of one side", ErrExpr)
	}
	if err != nil {
		return Need[N]{}, err
	}
	j.form = every(fa, fb)
	return j, nil
}

func (n Need[N]) met(f form) bool { return f.met(n.all()) }

// align brings two needs over the same indexes: the members of a, and then those
// that b alone has. The need it returns has no form yet.
func align[N ~string](a, b Need[N]) (out Need[N], fa, fb form, err error) {
	out.members = slices.Clone(a.members)
	if a.sites != nil && b.sites != nil {
		out.sites = slices.Clone(a.sites)
	}
	to := make([]int, len(b.members))
	for i, m := range b.members {
		j := slices.Index(out.members, m)
		if j < 0 {
			j, out.members = len(out.members), append(out.members, m)
			if out.sites != nil {
				out.sites = append(out.sites, b.sites[i])
			}
		}
		to[i] = j
	}
	if len(out.members) > MembersMax {
		return Need[N]{}, form{}, form{}, fmt.Errorf("%w: %d replicas together, at most %d", ErrExpr, len(out.members), MembersMax)
	}
	return out, a.form, b.form.moved(to), nil
}
