package crdt_test

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/crdt"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/version"
)

func TestNumbersThatDoNotFitAreRefusedAndChangeNothing(t *testing.T) {
	g := &crdt.GCounter{}
	must(g.Add(berlin, math.MaxUint64-1))
	_, err := g.Add(berlin, 2)
	require.ErrorIs(t, err, crdt.ErrRange)
	require.EqualValues(t, uint64(math.MaxUint64-1), g.Value())
	must(g.Add(tokyo, 5))
	require.EqualValues(t, uint64(math.MaxUint64), g.Value(), "the sum is as much as fits")

	for _, n := range []int64{math.MaxInt64, math.MinInt64} {
		p, d := &crdt.PNCounter{}, &crdt.DotCounter{}
		must(p.Add(berlin, n))
		must(d.Add(berlin, n))
		require.Equal(t, n, p.Value())
		require.Equal(t, n, d.Value())
		step := int64(1)
		if n < 0 {
			step = -1
		}
		_, err = p.Add(berlin, step)
		require.ErrorIs(t, err, crdt.ErrRange)
		_, err = d.Add(berlin, step)
		require.ErrorIs(t, err, crdt.ErrRange)

		elsewhere, dots := &crdt.PNCounter{}, &crdt.DotCounter{}
		must(elsewhere.Add(tokyo, n))
		must(dots.Add(tokyo, n))
		p.Join(elsewhere)
		d.Join(dots)
		require.Equal(t, n, p.Value(), "together they are beyond, and the end of the range is shown")
		require.Equal(t, n, d.Value())
	}
}

func TestATotalThatIsFullCountsNoMoreThoughTheValueWould(t *testing.T) {
	p := &crdt.PNCounter{}
	must(p.Add(berlin, math.MaxInt64))
	p.Reset()
	must(p.Add(berlin, math.MaxInt64))
	p.Reset()
	_, err := p.Add(berlin, 2)
	require.ErrorIs(t, err, crdt.ErrRange)
	require.Zero(t, p.Value())
	must(p.Add(tokyo, 2))
	require.EqualValues(t, 2, p.Value())
}

func TestWhatNoDecoderTakesIsRefusedBeforeItIsHeld(t *testing.T) {
	long := strings.Repeat("x", crdt.ElementBytesMax+1)
	s, m, l := &crdt.ORSet{}, &crdt.ORMap{}, &crdt.LWWMap{}
	_, err := s.Add(berlin, "short", long)
	require.ErrorIs(t, err, crdt.ErrLimit)
	require.Zero(t, s.Len())
	_, err = m.UpdateFlag(long, func(*crdt.Flag) error { return nil })
	require.ErrorIs(t, err, crdt.ErrLimit)
	_, err = l.Set(at(1, berlin, 1), long, nil)
	require.ErrorIs(t, err, crdt.ErrLimit)
	must(s.Add(berlin, long[1:]))

	value := make([]byte, crdt.BytesMax/2+1)
	_, err = new(crdt.MVRegister).Set(berlin, value)
	require.ErrorIs(t, err, crdt.ErrLimit)
	_, err = new(crdt.LWWRegister).Set(at(1, berlin, 1), value)
	require.ErrorIs(t, err, crdt.ErrLimit)
	_, err = l.Set(at(1, berlin, 1), "k", value)
	require.ErrorIs(t, err, crdt.ErrLimit)
	must(new(crdt.MVRegister).Set(berlin, value[1:]))
}

func TestAStateThatGrewOverItsLimitHasNoEncoding(t *testing.T) {
	r := &crdt.MVRegister{}
	for i := range uint32(3) {
		other := &crdt.MVRegister{}
		must(other.Set(version.Origin{ID: i + 1, Incarnation: 1}, make([]byte, crdt.BytesMax/2)))
		r.Join(other)
	}
	_, err := r.AppendBinary(nil)
	require.ErrorIs(t, err, crdt.ErrLimit)
	require.ErrorIs(t, new(crdt.ORSet).UnmarshalBinary(make([]byte, crdt.BytesMax+1)), pack.ErrMalformed)
}

func TestMapsNestToTheirDepth(t *testing.T) {
	var nest func(m *crdt.ORMap, n int) error
	nest = func(m *crdt.ORMap, n int) error {
		if n == 1 {
			_, err := m.UpdateFlag("f", func(f *crdt.Flag) error { _, err := f.Enable(berlin); return err })
			return err
		}
		_, err := m.UpdateMap("m", func(m *crdt.ORMap) error { return nest(m, n-1) })
		return err
	}
	m, again := &crdt.ORMap{}, &crdt.ORMap{}
	require.NoError(t, nest(m, crdt.DepthMax))
	require.NoError(t, again.UnmarshalBinary(must(m.AppendBinary(nil))))
	require.True(t, crdt.Equal(m, again))
	require.ErrorIs(t, nest(again, crdt.DepthMax+1), crdt.ErrLimit)

	deep := &crdt.ORMap{}
	b := must(m.AppendBinary(nil))
	inner := b[len(b)-9:] // the header of the innermost map's only field, and on
	require.Equal(t, "93", fmt.Sprintf("%x", inner[:1]))
	deeper := append(append(append([]byte{}, b[:len(b)-9]...), 0x93, 5, 0xc4, 1, 'm'), inner...)
	require.ErrorContains(t, deep.UnmarshalBinary(deeper), "maps within 8 others")
}

func TestOriginsHaveALimit(t *testing.T) {
	all := version.Vector{}
	for i := range uint32(crdt.OriginsMax) {
		all = append(all, version.Mark{Origin: version.Origin{ID: i + 1, Incarnation: 1}, Seq: 1})
	}
	g := counterOf(t, all)
	_, err := g.Add(version.Origin{ID: crdt.OriginsMax + 1, Incarnation: 1}, 1)
	require.ErrorIs(t, err, crdt.ErrLimit)
	must(g.Add(all[7].Origin, 1))
	more := must(new(crdt.GCounter).Add(version.Origin{ID: crdt.OriginsMax + 1, Incarnation: 1}, 1))
	g.Join(more)
	_, err = g.AppendBinary(nil)
	require.ErrorIs(t, err, crdt.ErrLimit)
}

// counterOf decodes a counter of those totals.
func counterOf(t *testing.T, v version.Vector) *crdt.GCounter {
	w := pack.NewWriter(nil)
	w.Array(2)
	w.Uint(1)
	w.Array(3 * len(v))
	for _, m := range v {
		w.Uint(uint64(m.Origin.ID))
		w.Uint(uint64(m.Origin.Incarnation))
		w.Uint(m.Seq)
	}
	g := &crdt.GCounter{}
	require.NoError(t, g.UnmarshalBinary(w.Bytes()))
	return g
}

// A length that is only claimed allocates nothing.
func TestADecoderAllocatesInProportionToWhatIsThere(t *testing.T) {
	hostile := []byte{0x93, 0x08, 0x92, 0x90, 0x90, 0xdd, 0x7f, 0xff, 0xff, 0xfe}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	require.ErrorIs(t, new(crdt.ORSet).UnmarshalBinary(hostile), pack.ErrMalformed)
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

func TestHLLIsWithinItsError(t *testing.T) {
	h := &crdt.HLL{}
	for n := 1; n <= 300_000; n++ {
		h.Add(fmt.Append(nil, "element-", n))
		switch n {
		case 1, 10, 100, 1000, 10_000, 100_000, 300_000:
			require.InEpsilon(t, n, h.Count(), 0.025, "three standard errors")
		}
	}
	require.LessOrEqual(t, len(must(h.AppendBinary(nil))), 1<<14+8)
}

func TestWhatIsJoinedSharesNothing(t *testing.T) {
	a, b := sampleORMap(), &crdt.ORMap{}
	b.Join(a)
	before := must(b.AppendBinary(nil))
	c := a.Clone()
	a.Clear()
	must(a.UpdateSet("tags", func(s *crdt.ORSet) error { _, err := s.Add(berlin, "z"); return err }))
	require.Equal(t, before, must(b.AppendBinary(nil)))
	require.Equal(t, before, must(c.AppendBinary(nil)))
}

func TestSketchesThatAreJoinedAreThatOfAllElements(t *testing.T) {
	for _, n := range []int{50, 3000} {
		var a, b, all crdt.HLL
		for i := range n {
			element := fmt.Append(nil, "visitor ", i)
			all.Add(element)
			if i%3 > 0 {
				a.Add(element)
			}
			if i%3 < 2 {
				b.Add(element)
			}
		}
		a.Join(&b)
		b.Join(&a)
		require.True(t, crdt.Equal(&all, &a))
		require.True(t, crdt.Equal(&all, &b))
	}
}

// Each of these is well-formed msgpack of the right form, and no state.
func TestWhatMeansNothingIsRefused(t *testing.T) {
	seen := func(r *pack.Writer) { // of 1.1, one write
		r.Array(2)
		r.Array(3)
		r.Uint(1)
		r.Uint(1)
		r.Uint(1)
		r.Array(0)
	}
	state := func(form uint64, rest func(*pack.Writer)) []byte {
		w := pack.NewWriter(nil)
		w.Array(3)
		w.Uint(form)
		seen(w)
		rest(w)
		return w.Bytes()
	}
	numbers := func(ns ...uint64) func(*pack.Writer) {
		return func(w *pack.Writer) {
			w.Array(len(ns))
			for _, n := range ns {
				w.Uint(n)
			}
		}
	}
	for name, x := range map[string]struct {
		into interface{ UnmarshalBinary([]byte) error }
		b    []byte
	}{
		"another form":             {new(crdt.Flag), state(8, numbers())},
		"a dot that was not seen":  {new(crdt.Flag), state(7, numbers(2, 1, 1))},
		"a later dot, not seen":    {new(crdt.Flag), state(7, numbers(1, 1, 2))},
		"half a dot":               {new(crdt.Flag), state(7, numbers(1, 1))},
		"a dot twice":              {new(crdt.Flag), state(7, numbers(1, 1, 1, 1, 1, 1))},
		"no increments":            {new(crdt.DotCounter), state(12, numbers(1, 1, 1, 0, 5))},
		"an element nobody added":  {new(crdt.ORSet), state(8, func(w *pack.Writer) { w.Array(2); w.Bin(nil); w.Array(0) })},
		"an empty field":           {new(crdt.ORMap), state(10, func(w *pack.Writer) { w.Array(3); w.Uint(1); w.Bin(nil); w.Array(0) })},
		"a field of no kind":       {new(crdt.ORMap), state(10, func(w *pack.Writer) { w.Array(3); w.Uint(0); w.Bin(nil); w.Array(0) })},
		"a reset of more than all": {new(crdt.PNCounter), []byte{0x92, 2, 0x96, 1, 1, 5, 0, 6, 0}},
		"an origin that is zero":   {new(crdt.PNCounter), []byte{0x92, 2, 0x96, 1, 1, 0, 0, 0, 0}},
		"a total of zero":          {new(crdt.GCounter), []byte{0x92, 1, 0x93, 1, 1, 0}},
		"a write nobody made":      {new(crdt.LWWRegister), []byte{0x92, 5, 0x96, 0, 0, 0, 0, 0xc2, 0xc4, 0}},
		"a cleared value":          {new(crdt.LWWRegister), []byte{0x92, 5, 0x96, 1, 1, 1, 1, 0xc3, 0xc4, 1, 'x'}},
		"an empty register":        {new(crdt.HLL), []byte{0x92, 11, 0x92, 5, 0}},
		"registers out of order":   {new(crdt.HLL), []byte{0x92, 11, 0x94, 5, 1, 4, 1}},
		"a rank too high":          {new(crdt.HLL), []byte{0x92, 11, 0x92, 5, 52}},
		"few registers in a bin":   {new(crdt.HLL), append([]byte{0x92, 11, 0xc5, 0x40, 0}, make([]byte, 1<<14)...)},
	} {
		require.ErrorIs(t, x.into.UnmarshalBinary(x.b), pack.ErrMalformed, name)
	}
}

func TestWhatIsNotStableIsNotCompacted(t *testing.T) {
	m := &crdt.LWWMap{}
	must(m.Delete(at(1000, berlin, 1), "known"))
	must(m.Delete(at(1001, berlin, 2), "new"))
	m.Compact(version.Vector{{Origin: berlin, Seq: 1}})
	require.Equal(t, 1, m.Tombstones())
	must(m.Set(at(999, tokyo, 1), "new", []byte("late")))
	require.Zero(t, m.Len(), "an older write stays away")

	here, there := &crdt.DotCounter{}, &crdt.DotCounter{}
	there.Join(must(here.Add(berlin, 1)))
	there.Join(must(here.Add(berlin, 2)))
	reset := there.Reset() // of the first two
	must(here.Add(berlin, 4))
	here.Compact(version.Vector{{Origin: berlin, Seq: 2}})
	here.Join(reset)
	require.EqualValues(t, 4, here.Value())
}
