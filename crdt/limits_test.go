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
