package pack_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record/pack"
)

func TestReaderKeepsItsFirstErrorAndReadsZeroValuesAfterIt(t *testing.T) {
	r := pack.NewReader([]byte{0x01, 0xc3, 0x02, 0x91, 0xc0})
	require.EqualValues(t, 1, r.Uint())
	require.Zero(t, r.Uint()) // a boolean
	first := r.Err()
	require.EqualError(t, first, "malformed msgpack at byte 2: unsigned integer expected, found 0xc3")

	require.Zero(t, r.Uint())
	require.Zero(t, r.UintMax(9))
	require.Zero(t, r.Int())
	require.False(t, r.Bool())
	require.False(t, r.Nil())
	require.Nil(t, r.Bin())
	require.Nil(t, r.BinMax(9))
	require.Empty(t, r.Str())
	require.Empty(t, r.StrMax(9))
	require.Zero(t, r.Array())
	require.Zero(t, r.ArrayMax(9))
	r.ArrayOf(3)
	require.Zero(t, r.Map())
	require.Nil(t, r.Skip())
	r.Fail("something else")
	require.Empty(t, r.Rest())
	require.Equal(t, 5, r.Offset())
	require.Equal(t, first, r.Err())
	require.Equal(t, first, r.Done())
}

func TestReaderOfNothingIsDone(t *testing.T) {
	r := pack.NewReader(nil)
	require.NoError(t, r.Done())
	require.False(t, r.Nil())
	require.Zero(t, r.Offset())
}

func TestDoneRefusesWhatFollows(t *testing.T) {
	r := pack.NewReader([]byte{0x01, 0x02, 0x03})
	r.Uint()
	require.Equal(t, []byte{2, 3}, r.Rest())
	require.Equal(t, 1, r.Offset())
	require.EqualError(t, r.Done(), "malformed msgpack at byte 1: 2 bytes after the end")
}

func TestReaderRefusesWhatIsBeyondACallersLimit(t *testing.T) {
	bin := append([]byte{0xc4, 9}, make([]byte, 9)...)
	for _, c := range []struct {
		name string
		b    []byte
		read func(*pack.Reader) any
		why  string
	}{
		{"uint", []byte{0x09}, func(r *pack.Reader) any { return r.UintMax(8) }, "integer 9 is more than 8"},
		{"int", []byte{0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0}, func(r *pack.Reader) any { return r.Int() }, "integer 9223372036854775808 is more than 9223372036854775807"},
		{"bin", bin, func(r *pack.Reader) any { return r.BinMax(8) }, "bin of 9 bytes is more than 8"},
		{"str", []byte("\xa9123456789"), func(r *pack.Reader) any { return r.StrMax(8) }, "string of 9 bytes is more than 8"},
		{"array", append([]byte{0x99}, make([]byte, 9)...), func(r *pack.Reader) any { return r.ArrayMax(8) }, "array of 9 is more than 8"},
		{"shape", []byte{0x91, 0}, func(r *pack.Reader) any { r.ArrayOf(2); return nil }, "array of 2 expected, found 1"},
		{"text", []byte("\xa2\xc3("), func(r *pack.Reader) any { return r.Str() }, "string is not UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := pack.NewReader(c.b)
			require.Zero(t, c.read(&r))
			require.ErrorIs(t, r.Err(), pack.ErrMalformed)
			require.ErrorContains(t, r.Err(), c.why)
		})
	}
}

func TestReaderTakesWhatIsAtACallersLimit(t *testing.T) {
	w := pack.NewWriter(nil)
	w.Uint(8)
	w.Bin([]byte("12345678"))
	w.Str("12345678")
	w.Array(8)
	w.Array(0)
	r := pack.NewReader(append(w.Bytes(), make([]byte, 8)...))
	require.EqualValues(t, 8, r.UintMax(8))
	require.Len(t, r.BinMax(8), 8)
	require.Len(t, r.StrMax(8), 8)
	require.Equal(t, 8, r.ArrayMax(8))
	r.ArrayOf(0)
	require.NoError(t, r.Err())
}

func TestNilTakesANilAndNothingElse(t *testing.T) {
	r := pack.NewReader([]byte{0xc0, 0x05})
	require.True(t, r.Nil())
	require.False(t, r.Nil())
	require.EqualValues(t, 5, r.Uint())
	require.NoError(t, r.Done())
}

func TestBinAliasesTheMessageWithoutRoomToGrow(t *testing.T) {
	b := []byte{0xc4, 2, 'h', 'i', 0x07}
	r := pack.NewReader(b)
	bin := r.Bin()
	require.Equal(t, 2, cap(bin), "an append would write over what follows")
	b[2] = 'H'
	require.Equal(t, "Hi", string(bin))
}

func TestStrIsACopy(t *testing.T) {
	b := []byte("\xa2hi")
	r := pack.NewReader(b)
	s := r.Str()
	b[1] = 'H'
	require.Equal(t, "hi", s)
}

func TestFailIsTheErrorAtTheOffset(t *testing.T) {
	r := pack.NewReader([]byte{0x01, 0x02})
	r.Uint()
	r.Fail("kind 1 is not known")
	require.EqualError(t, r.Err(), "malformed msgpack at byte 1: kind 1 is not known")
}

func TestReadsAllocateNothing(t *testing.T) {
	w := pack.NewWriter(nil)
	w.Array(6)
	w.Uint(1 << 40)
	w.Int(-1 << 40)
	w.Bool(true)
	w.Nil()
	w.Bin(make([]byte, 300))
	w.Raw([]byte{0x92, 0x01, 0xa1, 'x'})
	b := w.Bytes()
	require.Zero(t, testing.AllocsPerRun(100, func() {
		r := pack.NewReader(b)
		r.ArrayOf(6)
		r.Uint()
		r.Int()
		r.Bool()
		r.Nil()
		r.Bin()
		r.Skip()
		if r.Done() != nil {
			panic("not read")
		}
	}))
}

func TestStrBeyondItsLimitIsNotCopied(t *testing.T) {
	w := pack.NewWriter(nil)
	w.Str(strings.Repeat("x", 16<<20))
	b := w.Bytes()
	requireSmall(t, func() {
		r := pack.NewReader(b)
		r.StrMax(1 << 10)
		require.Error(t, r.Err())
	})
}

func BenchmarkWalk(b *testing.B) {
	w := pack.NewWriter(nil)
	w.Map(10)
	for range 10 {
		w.Str("column")
		w.Str("a value of some twenty bytes")
	}
	row := w.Bytes()
	b.SetBytes(int64(len(row)))
	b.ReportAllocs()
	for b.Loop() {
		if err := pack.Walk(row); err != nil {
			b.Fatal(err)
		}
	}
}
