package conflict

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/triad-kv/triad/record/pack"
)

// Canonical returns a msgpack value with the keys of its maps, at all levels, in the
// order of their bytes, so that equal values made of Go maps are equal bytes. Headers
// of maps and arrays must stand in their smallest form, as every encoder writes them;
// numbers and strings stay as they are. It refuses what [pack.Walk] does, and a map
// with one key twice.
func Canonical(b []byte) ([]byte, error) {
	if err := pack.Walk(b); err != nil {
		return nil, err
	}
	r, w := pack.NewReader(b), pack.NewWriter(make([]byte, 0, len(b)))
	canonical(&r, w)
	if err := r.Done(); err != nil {
		return nil, err
	}
	return w.Bytes(), nil
}

// canonical copies one value, which is well formed and within the depth of Walk.
func canonical(r *pack.Reader, w *pack.Writer) {
	rest := r.Rest()
	if len(rest) == 0 {
		r.Fail("ends early")
		return
	}
	switch c := rest[0]; {
	case c >= 0x90 && c < 0xa0 || c == 0xdc || c == 0xdd:
		n := r.Array()
		w.Array(n)
		for ; n > 0 && r.Err() == nil; n-- {
			canonical(r, w)
		}
	case c >= 0x80 && c < 0x90 || c == 0xde || c == 0xdf:
		n := r.Map()
		w.Map(n)
		for _, p := range sortedPairs(r, n) {
			w.Raw(p.key)
			w.Raw(p.value)
		}
	default:
		w.Raw(r.Skip())
	}
}

type pair struct{ key, value []byte }

func sortedPairs(r *pack.Reader, n int) []pair {
	var pairs []pair
	for ; n > 0 && r.Err() == nil; n-- {
		w := pack.NewWriter(nil)
		canonical(r, w)
		key := w.Bytes()
		w = pack.NewWriter(nil)
		canonical(r, w)
		pairs = append(pairs, pair{key, w.Bytes()})
	}
	slices.SortFunc(pairs, func(a, b pair) int { return bytes.Compare(a.key, b.key) })
	for i := 1; i < len(pairs); i++ {
		if bytes.Equal(pairs[i-1].key, pairs[i].key) {
			r.Fail(fmt.Sprintf("key %x stands twice in a map", pairs[i].key))
		}
	}
	return pairs
}
