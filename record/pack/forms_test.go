package pack_test

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/record/pack"
)

// form is one value in its smallest form.
type form struct {
	name  string
	write func(*pack.Writer)
	bytes []byte // how it begins, where it is long
	size  int    // of the whole, where it is long
	read  func(*pack.Reader) any
	value any
}

func uintForm(u uint64, b ...byte) form {
	return form{"uint", func(w *pack.Writer) { w.Uint(u) }, b, len(b), func(r *pack.Reader) any { return r.Uint() }, u}
}

func intForm(i int64, b ...byte) form {
	return form{"int", func(w *pack.Writer) { w.Int(i) }, b, len(b), func(r *pack.Reader) any { return r.Int() }, i}
}

func strForm(n int, b ...byte) form {
	s := strings.Repeat("s", n)
	return form{"str", func(w *pack.Writer) { w.Str(s) }, b, len(b) + n, func(r *pack.Reader) any { return r.Str() }, s}
}

func binForm(n int, b ...byte) form {
	var p []byte
	if n > 0 {
		p = bytes.Repeat([]byte{7}, n)
	}
	return form{"bin", func(w *pack.Writer) { w.Bin(p) }, b, len(b) + n, func(r *pack.Reader) any { return r.Bin() }, p}
}

func arrayForm(n int, b ...byte) form {
	write := func(w *pack.Writer) { w.Array(n); w.Raw(make([]byte, n)) }
	return form{"array", write, b, len(b) + n, func(r *pack.Reader) any { return r.Array() }, n}
}

func mapForm(n int, b ...byte) form {
	write := func(w *pack.Writer) { w.Map(n); w.Raw(make([]byte, 2*n)) }
	return form{"map", write, b, len(b) + 2*n, func(r *pack.Reader) any { return r.Map() }, n}
}

func boolForm(v bool, b byte) form {
	return form{"bool", func(w *pack.Writer) { w.Bool(v) }, []byte{b}, 1, func(r *pack.Reader) any { return r.Bool() }, v}
}

// forms holds every form at the ends of its range.
var forms = []form{
	uintForm(0, 0x00), uintForm(0x7f, 0x7f), uintForm(0x80, 0xcc, 0x80), uintForm(0xff, 0xcc, 0xff),
	uintForm(0x100, 0xcd, 1, 0), uintForm(0xffff, 0xcd, 0xff, 0xff),
	uintForm(1<<16, 0xce, 0, 1, 0, 0), uintForm(math.MaxUint32, 0xce, 0xff, 0xff, 0xff, 0xff),
	uintForm(1<<32, 0xcf, 0, 0, 0, 1, 0, 0, 0, 0),
	uintForm(math.MaxUint64, 0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
	intForm(0, 0x00), intForm(-1, 0xff), intForm(-32, 0xe0), intForm(-33, 0xd0, 0xdf), intForm(-128, 0xd0, 0x80),
	intForm(-129, 0xd1, 0xff, 0x7f), intForm(math.MinInt16, 0xd1, 0x80, 0),
	intForm(math.MinInt16-1, 0xd2, 0xff, 0xff, 0x7f, 0xff), intForm(math.MinInt32, 0xd2, 0x80, 0, 0, 0),
	intForm(math.MinInt32-1, 0xd3, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff),
	intForm(math.MinInt64, 0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0),
	intForm(127, 0x7f), intForm(128, 0xcc, 0x80), intForm(math.MaxInt64, 0xcf, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
	boolForm(false, 0xc2), boolForm(true, 0xc3),
	strForm(0, 0xa0), strForm(31, 0xbf), strForm(32, 0xd9, 32), strForm(255, 0xd9, 0xff),
	strForm(256, 0xda, 1, 0), strForm(0xffff, 0xda, 0xff, 0xff), strForm(1<<16, 0xdb, 0, 1, 0, 0),
	binForm(0, 0xc4, 0), binForm(255, 0xc4, 0xff), binForm(256, 0xc5, 1, 0), binForm(0xffff, 0xc5, 0xff, 0xff), binForm(1<<16, 0xc6, 0, 1, 0, 0),
	arrayForm(0, 0x90), arrayForm(15, 0x9f), arrayForm(16, 0xdc, 0, 16), arrayForm(0xffff, 0xdc, 0xff, 0xff), arrayForm(1<<16, 0xdd, 0, 1, 0, 0),
	mapForm(0, 0x80), mapForm(15, 0x8f), mapForm(16, 0xde, 0, 16), mapForm(0xffff, 0xde, 0xff, 0xff), mapForm(1<<16, 0xdf, 0, 1, 0, 0),
	{"nil", (*pack.Writer).Nil, []byte{0xc0}, 1, func(r *pack.Reader) any { return r.Nil() }, true},
}

func TestEveryFormIsWrittenInItsSmallestBytes(t *testing.T) {
	for _, f := range forms {
		w := pack.NewWriter(nil)
		f.write(w)
		require.Equal(t, f.bytes, w.Bytes()[:len(f.bytes)], "%s %.20v", f.name, f.value)
		require.Len(t, w.Bytes(), f.size, "%s %.20v", f.name, f.value)
	}
}

func TestEveryFormIsReadAsWritten(t *testing.T) {
	for _, f := range forms {
		w := pack.NewWriter(nil)
		f.write(w)
		r := pack.NewReader(w.Bytes())
		require.Equal(t, f.value, f.read(&r), f.name)
		require.NoError(t, r.Err())
		if f.name != "array" && f.name != "map" { // whose elements follow
			require.NoError(t, r.Done(), "%s %.20v", f.name, f.value)
			require.Equal(t, f.size, r.Offset())
		}
	}
}

func TestEveryFormIsAWellFormedValue(t *testing.T) {
	for _, f := range forms {
		w := pack.NewWriter(nil)
		f.write(w)
		require.NoError(t, pack.Walk(w.Bytes()), "%s %.20v", f.name, f.value)
	}
}

func TestEveryReadRefusesEveryOtherForm(t *testing.T) {
	same := map[string]string{"uint": "int", "int": "uint"} // one form for those that are not negative
	for _, f := range forms {
		for _, other := range forms {
			if f.name == other.name || same[f.name] == other.name || f.name == "nil" {
				continue
			}
			w := pack.NewWriter(nil)
			other.write(w)
			r := pack.NewReader(w.Bytes())
			require.Zero(t, f.read(&r), "%s as %s", other.name, f.name)
			require.ErrorIs(t, r.Err(), pack.ErrMalformed, "%s as %s", other.name, f.name)
		}
	}
}

func TestUintRefusesNegativeNumbers(t *testing.T) {
	for _, b := range [][]byte{{0xff}, {0xe0}, {0xd0, 0x80}, {0xd3, 0xff, 0, 0, 0, 0, 0, 0, 0}} {
		r := pack.NewReader(b)
		require.Zero(t, r.Uint())
		require.ErrorIs(t, r.Err(), pack.ErrMalformed)
	}
}

func TestEveryFormThatIsCutIsRefused(t *testing.T) {
	for _, f := range forms {
		w := pack.NewWriter(nil)
		f.write(w)
		for n := range min(f.size, 40) {
			b := w.Bytes()[:n]
			require.ErrorIs(t, pack.Walk(b), pack.ErrMalformed, "%s %x", f.name, b)
			if f.name == "nil" {
				continue // which is asked for, not demanded
			}
			r := pack.NewReader(b)
			require.Zero(t, f.read(&r), "%s %x", f.name, b)
			require.ErrorIs(t, r.Err(), pack.ErrMalformed, "%s %x", f.name, b)
		}
	}
}

// wide holds values in forms that are not their smallest, and how a read of a
// known shape is asked for them.
var wide = []struct {
	name string
	b    []byte
	read func(*pack.Reader)
}{
	{"0x7f in two bytes", []byte{0xcc, 0x7f}, func(r *pack.Reader) { r.Uint() }},
	{"0xff in three", []byte{0xcd, 0, 0xff}, func(r *pack.Reader) { r.Uint() }},
	{"0xffff in five", []byte{0xce, 0, 0, 0xff, 0xff}, func(r *pack.Reader) { r.Uint() }},
	{"2³²−1 in nine", []byte{0xcf, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, func(r *pack.Reader) { r.Uint() }},
	{"1 as int8", []byte{0xd0, 1}, func(r *pack.Reader) { r.Int() }},
	{"−32 as int8", []byte{0xd0, 0xe0}, func(r *pack.Reader) { r.Int() }},
	{"−128 as int16", []byte{0xd1, 0xff, 0x80}, func(r *pack.Reader) { r.Int() }},
	{"−32768 as int32", []byte{0xd2, 0xff, 0xff, 0x80, 0}, func(r *pack.Reader) { r.Int() }},
	{"−2³¹ as int64", []byte{0xd3, 0xff, 0xff, 0xff, 0xff, 0x80, 0, 0, 0}, func(r *pack.Reader) { r.Int() }},
	{"an empty str8", []byte{0xd9, 0}, func(r *pack.Reader) { r.Str() }},
	{"a str16 of 1", []byte{0xda, 0, 1, 's'}, func(r *pack.Reader) { r.Str() }},
	{"a str32 of 1", []byte{0xdb, 0, 0, 0, 1, 's'}, func(r *pack.Reader) { r.Str() }},
	{"a bin16 of 1", []byte{0xc5, 0, 1, 7}, func(r *pack.Reader) { r.Bin() }},
	{"a bin32 of 1", []byte{0xc6, 0, 0, 0, 1, 7}, func(r *pack.Reader) { r.Bin() }},
	{"a str8 of 31", append([]byte{0xd9, 31}, strings.Repeat("s", 31)...), func(r *pack.Reader) { r.Str() }},
	{"a str16 of 255", append([]byte{0xda, 0, 255}, strings.Repeat("s", 255)...), func(r *pack.Reader) { r.Str() }},
	{"a bin16 of 255", append([]byte{0xc5, 0, 255}, make([]byte, 255)...), func(r *pack.Reader) { r.Bin() }},
	{"a bin32 of 65535", append([]byte{0xc6, 0, 0, 255, 255}, make([]byte, 65535)...), func(r *pack.Reader) { r.Bin() }},
	{"an array16 of 1", []byte{0xdc, 0, 1, 7}, func(r *pack.Reader) { r.Array() }},
	{"an array32 of 1", []byte{0xdd, 0, 0, 0, 1, 7}, func(r *pack.Reader) { r.Array() }},
	{"an array32 of 16", append([]byte{0xdd, 0, 0, 0, 16}, make([]byte, 16)...), func(r *pack.Reader) { r.Array() }},
	{"an array16 of 15", append([]byte{0xdc, 0, 15}, make([]byte, 15)...), func(r *pack.Reader) { r.Array() }},
	{"an array32 of 65535", append([]byte{0xdd, 0, 0, 255, 255}, make([]byte, 65535)...), func(r *pack.Reader) { r.Array() }},
	{"a map16 of 1", []byte{0xde, 0, 1, 7, 7}, func(r *pack.Reader) { r.Map() }},
	{"a map32 of 1", []byte{0xdf, 0, 0, 0, 1, 7, 7}, func(r *pack.Reader) { r.Map() }},
}

func TestReadOfAKnownShapeRefusesAFormThatIsNotTheSmallest(t *testing.T) {
	for _, c := range wide {
		r := pack.NewReader(c.b)
		c.read(&r)
		require.ErrorIs(t, r.Err(), pack.ErrMalformed, c.name)
		require.ErrorContains(t, r.Err(), "smallest form", c.name)
	}
}

func TestSkipTakesAFormThatIsNotTheSmallest(t *testing.T) {
	for _, c := range wide {
		b := append(append([]byte{}, c.b...), 0xc3)
		r := pack.NewReader(b)
		require.Equal(t, c.b, r.Skip(), c.name)
		require.True(t, r.Bool())
		require.NoError(t, r.Done())
	}
}

func TestWriterWritesWhatTheLibraryWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var lib bytes.Buffer
		enc := msgpack.NewEncoder(&lib)
		w := pack.NewWriter(nil)
		for range rapid.IntRange(0, 20).Draw(t, "values") {
			switch rapid.IntRange(0, 6).Draw(t, "form") {
			case 0:
				u := rapid.Uint64().Draw(t, "uint") >> rapid.IntRange(0, 63).Draw(t, "shift")
				w.Uint(u)
				require.NoError(t, enc.EncodeUint(u))
			case 1:
				i := rapid.Int64().Draw(t, "int") >> rapid.IntRange(0, 63).Draw(t, "shift")
				w.Int(i)
				require.NoError(t, enc.EncodeInt(i))
			case 2:
				b := append([]byte{}, rapid.SliceOfN(rapid.Byte(), 0, 600).Draw(t, "bin")...)
				w.Bin(b)
				require.NoError(t, enc.EncodeBytes(b))
			case 3:
				s := rapid.StringN(0, 300, -1).Draw(t, "str")
				w.Str(s)
				require.NoError(t, enc.EncodeString(s))
			case 4:
				n := rapid.IntRange(0, 1<<17).Draw(t, "array")
				w.Array(n)
				require.NoError(t, enc.EncodeArrayLen(n))
			case 5:
				n := rapid.IntRange(0, 1<<17).Draw(t, "map")
				w.Map(n)
				require.NoError(t, enc.EncodeMapLen(n))
			case 6:
				v := rapid.Bool().Draw(t, "bool")
				w.Bool(v)
				require.NoError(t, enc.EncodeBool(v))
			}
		}
		require.True(t, bytes.Equal(lib.Bytes(), w.Bytes()), "%x and %x", lib.Bytes(), w.Bytes())
	})
}

func TestWriterAppendsAndIsUsedAgain(t *testing.T) {
	w := pack.NewWriter([]byte("head"))
	w.Uint(1)
	require.Equal(t, []byte("head\x01"), w.Bytes())
	first := w.Bytes()
	w.Reset(nil)
	w.Nil()
	require.Equal(t, []byte{0xc0}, w.Bytes())
	require.Equal(t, []byte("head\x01"), first)
}

func TestWriterAllocatesNothingOnceItsSliceIsLargeEnough(t *testing.T) {
	buf, key := make([]byte, 0, 1<<10), make([]byte, 300)
	w := pack.NewWriter(nil)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		w.Reset(buf[:0])
		w.Array(20)
		w.Map(20)
		w.Uint(1 << 40)
		w.Int(-1 << 40)
		w.Bool(true)
		w.Nil()
		w.Bin(key)
		w.Str("text")
		w.Raw(key)
	}))
}
