package conflicttest_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/triad-kv/triad/conflict"
	"github.com/triad-kv/triad/conflict/conflicttest"
	"github.com/triad-kv/triad/record"
)

var plain = [][]byte{[]byte("blue"), []byte("red"), []byte("green"), []byte("red"), nil}

func TestTheResolversThatAreAlwaysThereHold(t *testing.T) {
	for _, r := range []conflict.Resolver{conflict.LWW(), conflict.FirstWriter(), conflict.SitePriority(3, 1), conflict.Fields(), conflict.Siblings(), conflict.Join()} {
		t.Run(r.ID().Name, func(t *testing.T) { conflicttest.Run(t, r, plain...) })
	}
}

type stock map[string]int

func merge(_ []byte, in []conflict.Sibling[stock]) (stock, bool, error) {
	out := stock{}
	for _, s := range in {
		for k, n := range s.Value {
			out[k] = max(out[k], n)
		}
	}
	return out, true, nil
}

func encode(t *testing.T, v any) []byte {
	b, err := msgpack.Marshal(v)
	require.NoError(t, err)
	b, err = conflict.Canonical(b)
	require.NoError(t, err)
	return b
}

func TestATypedResolverOverMapsHolds(t *testing.T) {
	conflicttest.Run(t, conflict.Typed("stock", 1, merge),
		encode(t, stock{"a": 1, "b": 2, "c": 9, "d": 4}), encode(t, stock{"b": 3, "z": 1, "e": 5}), encode(t, stock{"q": 1, "w": 2, "a": 7}), encode(t, stock{}))
}

// failure is a test that notes whether it failed.
type failure struct{ why string }

func (f *failure) Errorf(format string, args ...any) { f.why += fmt.Sprintf(format, args...) }
func (f *failure) FailNow()                          { panic(f) }

func examine(r conflict.Resolver, values ...[]byte) (why string) {
	f := &failure{}
	defer func() {
		if p := recover(); p != nil && p != any(f) {
			panic(p)
		}
		why = f.why
	}()
	conflicttest.Run(f, r, values...)
	return
}

func fold(f func(key []byte, in []record.Version) (conflict.Fold, error)) conflict.Resolver {
	return conflict.Func("bad", 1, f)
}

// forgetful keeps what it shows alone, as only the last writer may.
type forgetful struct{ conflict.Resolver }

func (f forgetful) Settle(c record.Cell, kept []record.Version) conflict.Settled {
	s := f.Resolver.Settle(c, kept)
	s.Stays = slices.DeleteFunc(slices.Clone(kept), func(v record.Version) bool { return len(s.Shown) > 0 && v.Dot != s.Shown[0].From[0] })
	return s
}

// careless writes into what it was lent.
type careless struct{ conflict.Resolver }

func (c careless) Settle(cell record.Cell, kept []record.Version) conflict.Settled {
	slices.Reverse(kept)
	defer slices.Reverse(kept)
	s := c.Resolver.Settle(cell, slices.Clone(kept))
	if len(kept[0].Value) > 0 {
		kept[0].Value[0]++
	}
	return s
}

func TestABadResolverIsFound(t *testing.T) {
	calls := 0
	for name, x := range map[string]struct {
		r   conflict.Resolver
		why string
	}{
		"random": {fold(func(_ []byte, in []record.Version) (conflict.Fold, error) {
			return conflict.Fold{Value: in[rand.IntN(len(in))].Value}, nil
		}), "answers otherwise"},
		"counting": {fold(func([]byte, []record.Version) (conflict.Fold, error) {
			calls++
			return conflict.Fold{Value: fmt.Append(nil, calls)}, nil
		}), "answers otherwise"},
		"map order": {fold(mapOrder), "answers otherwise"},
		"failing":   {fold(func([]byte, []record.Version) (conflict.Fold, error) { panic("no") }), "it panicked"},
		"forgetful": {forgetful{conflict.FirstWriter()}, "all siblings stay"},
		"careless":  {careless{conflict.Siblings()}, "answers otherwise"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, examine(x.r, []byte("blue"), []byte("red"), []byte("green")), x.why)
		})
	}
}

func mapOrder(_ []byte, in []record.Version) (conflict.Fold, error) {
	all := map[string]bool{}
	for _, v := range in {
		all[string(v.Value)] = true
	}
	var out []byte
	for v := range all {
		out = append(out, v...)
	}
	return conflict.Fold{Value: out}, nil
}

func TestAValueThatIsNotCanonicalIsFound(t *testing.T) {
	swapped := fold(func([]byte, []record.Version) (conflict.Fold, error) {
		return conflict.Fold{Value: []byte{0x82, 0xa1, 'b', 1, 0xa1, 'a', 1}}, nil
	})
	require.Contains(t, examine(swapped, encode(t, stock{"a": 1}), encode(t, stock{"b": 1})), "not canonical")
}
