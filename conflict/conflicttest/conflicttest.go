// Package conflicttest examines a resolver before a table trusts it:
//
//	func TestMyResolver(t *testing.T) { conflicttest.Run(t, myResolver, valueA, valueB, valueC) }
//
// A resolver decides alone at every node, and nobody compares until it is too late; so
// it must be a function of the siblings and of nothing else.
package conflicttest

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/version"
)

const (
	siblingsMax = 5  // of one set: 120 orders of arrival
	repeats     = 20 // of each question: the order of a Go map differs from range to range
)

// Run examines r over sets of siblings with those values, which concurrent writers
// wrote, at times of which some are equal, and with a delete among them. Give it values
// as a table will hold them: two at least, the first five count.
//
// It demands that, of every set,
//
//   - the siblings may arrive in any order, one by one, all at once or twice;
//   - the same question has the same answer, down to its bytes, however often it is asked;
//   - the siblings themselves are not changed;
//   - all of them stay, unless the last writer wins, and nothing is shown that was made
//     of others;
//   - msgpack that is made of canonical msgpack is canonical ([conflict.Canonical]);
//   - the resolver does not fail.
func Run(t require.TestingT, r conflict.Resolver, values ...[]byte) {
	require.GreaterOrEqual(t, len(values), 2, "two values at least, or there is no conflict")
	values = values[:min(len(values), siblingsMax)]
	for _, set := range sets(values) {
		x := examination{t: t, r: r, set: set, canonical: canonical(values)}
		x.answer()
		x.arrivals()
	}
	require.Equal(t, conflict.DigestOf(r), conflict.DigestOf(r), "resolver %v: its digest changes: it is no function of the siblings", r.ID())
}

// sets returns all sets of siblings with some of the values, also with one of them
// deleted.
func sets(values [][]byte) [][]record.Version {
	var out [][]record.Version
	for mask := 1; mask < 1<<len(values); mask++ {
		var set []record.Version
		for i, v := range values {
			if mask&(1<<i) != 0 {
				set = append(set, sibling(i, v))
			}
		}
		out = append(out, set)
		if len(set) > 1 {
			gone := slices.Clone(set)
			gone[mask%len(gone)].Absent, gone[mask%len(gone)].Value = true, nil
			out = append(out, gone)
		}
	}
	return out
}

// sibling is a write of site i+1; two sites each wrote at one time.
func sibling(i int, value []byte) record.Version {
	return record.Version{
		Dot:  version.Dot{Origin: version.Origin{ID: uint32(i + 1), Incarnation: 1}, Seq: uint64(7 + i)},
		Time: version.Timestamp(5000 - 10*(i/2)), Kind: record.KindBytes, Value: value,
	}
}

func canonical(values [][]byte) bool {
	return !slices.ContainsFunc(values, func(v []byte) bool {
		c, err := conflict.Canonical(v)
		return err != nil || !bytes.Equal(c, v)
	})
}

// examination is of one set of siblings.
type examination struct {
	t         require.TestingT
	r         conflict.Resolver
	set       []record.Version
	canonical bool // the values are
	want      string
}

var cell = record.Cell{Table: record.TableFirst, Key: []byte("key")}

// answer asks about the whole set, again and again.
func (x *examination) answer() {
	before := show(x.set)
	s := x.r.Settle(cell, x.set)
	x.want = answerText(s)
	require.NoError(x.t, s.Fault, "siblings %s", before)
	for range repeats {
		again := x.r.Settle(record.Cell{Table: cell.Table, Key: slices.Clone(cell.Key)}, slices.Clone(x.set))
		require.Equal(x.t, x.want, answerText(again), "resolver %v answers otherwise when asked again, siblings %s: no clock, no randomness, no order of a map may be in it", x.r.ID(), before)
	}
	require.Equal(x.t, before, show(x.set), "resolver %v changed its siblings", x.r.ID())
	if !isLWW(x.r) {
		require.Equal(x.t, before, show(s.Stays), "resolver %v: all siblings stay until they are superseded", x.r.ID())
	}
	for _, v := range s.Shown {
		require.NotEmpty(x.t, v.From, "resolver %v: a value that is made of nothing", x.r.ID())
		require.LessOrEqual(x.t, len(v.Bytes), record.ValueBytesMax)
		for _, d := range v.From {
			require.True(x.t, slices.ContainsFunc(x.set, func(s record.Version) bool { return s.Dot == d }), "resolver %v: a value made of %v, which is none of %s", x.r.ID(), d, before)
		}
		if x.canonical && !v.Absent && pack.Walk(v.Bytes) == nil {
			c, err := conflict.Canonical(v.Bytes)
			require.NoError(x.t, err)
			require.Equal(x.t, c, v.Bytes, "resolver %v: the value is not canonical: use conflict.Canonical or conflict.Typed", x.r.ID())
		}
	}
}

func isLWW(r conflict.Resolver) bool { return r.ID().Name == conflict.LWW().ID().Name }

// arrivals brings the siblings in every order, each settled as it comes, and asks what
// is shown at the end.
func (x *examination) arrivals() {
	permute(x.set, func(order []record.Version) {
		var held []record.Version
		seen := &version.Set{}
		var s conflict.Settled
		for _, v := range slices.Concat(order, order[:1]) {
			kept, _, err := conflict.Merge(held, seen, []record.Version{v}, nil)
			require.NoError(x.t, err)
			seen.Add(v.Dot)
			s = x.r.Settle(cell, kept)
			held = s.Stays
		}
		require.Equal(x.t, shownText(x.r.Settle(cell, x.set)), shownText(s), "resolver %v shows something else when siblings arrive as %s", x.r.ID(), show(order))
	})
}

// permute calls f with every order of vs, in a slice that it uses again.
func permute(vs []record.Version, f func([]record.Version)) {
	vs = slices.Clone(vs)
	var from func(i int)
	from = func(i int) {
		if i == len(vs) {
			f(vs)
			return
		}
		for j := i; j < len(vs); j++ {
			vs[i], vs[j] = vs[j], vs[i]
			from(i + 1)
			vs[i], vs[j] = vs[j], vs[i]
		}
	}
	from(0)
}

func show(vs []record.Version) string {
	var out bytes.Buffer
	for _, v := range vs {
		if v.Absent {
			fmt.Fprintf(&out, "[%v deleted]", v.Dot)
		} else {
			fmt.Fprintf(&out, "[%v %x]", v.Dot, v.Value)
		}
	}
	return out.String()
}

func shownText(s conflict.Settled) string {
	var out bytes.Buffer
	for _, v := range s.Shown {
		fmt.Fprintf(&out, "[%x kind %d absent %v expires %d time %d from %v]", v.Bytes, v.Kind, v.Absent, v.Expires, v.Time, v.From)
	}
	return out.String()
}

func answerText(s conflict.Settled) string {
	return fmt.Sprintf("shown %s, stays %s, lost %s, fault %v", shownText(s), show(s.Stays), show(s.Lost), s.Fault != nil)
}
