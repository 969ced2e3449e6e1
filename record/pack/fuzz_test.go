package pack_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"github.com/triad-kv/triad/record/pack"
)

func seed(f *testing.F) {
	for _, c := range hostile {
		if len(c.b) < 1<<10 {
			f.Add(c.b)
		}
	}
	for _, c := range forms {
		w := pack.NewWriter(nil)
		if c.write(w); len(w.Bytes()) < 1<<10 {
			f.Add(append([]byte{}, w.Bytes()...))
		}
	}
	for _, c := range wide {
		if len(c.b) < 1<<10 {
			f.Add(c.b)
		}
	}
}

// FuzzWalk compares with the library, which is asked only about what Walk has
// accepted: lengths are then true and nesting is bounded, and it survives.
func FuzzWalk(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := pack.Walk(b); err != nil {
			require.ErrorIs(t, err, pack.ErrMalformed)
			return
		}
		rest := bytes.NewReader(b)
		require.NoError(t, msgpack.NewDecoder(rest).Skip())
		require.Zero(t, rest.Len(), "the library takes all of it for one value")
		for n := range min(len(b), 64) {
			require.Error(t, pack.Walk(b[:n]), "no beginning of a value is a value")
		}
	})
}

// FuzzRead reads a sequence of values, each by the read that its first byte
// calls for. What was read is what the library reads, and is written as it was.
func FuzzRead(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		r := pack.NewReader(b)
		for r.Err() == nil && len(r.Rest()) > 0 {
			from := r.Offset()
			value, write := readNext(&r)
			if r.Err() != nil {
				break
			}
			read := b[from:r.Offset()]
			require.Equal(t, value, libraryReads(t, read))
			w := pack.NewWriter(nil)
			write(w)
			require.Equal(t, read, w.Bytes(), "one value, one form")
		}
		if r.Err() != nil {
			require.ErrorIs(t, r.Err(), pack.ErrMalformed)
		}
	})
}

// readNext reads the next value, or header of a container, and returns what
// writes it.
func readNext(r *pack.Reader) (any, func(*pack.Writer)) {
	switch c := r.Rest()[0]; {
	case c == 0xc0:
		r.Nil()
		return nil, (*pack.Writer).Nil
	case c == 0xc2 || c == 0xc3:
		v := r.Bool()
		return v, func(w *pack.Writer) { w.Bool(v) }
	case c >= 0xc4 && c <= 0xc6:
		v := append([]byte{}, r.Bin()...)
		return v, func(w *pack.Writer) { w.Bin(v) }
	case c >= 0xa0 && c < 0xc0 || c >= 0xd9 && c <= 0xdb:
		v := r.Str()
		return v, func(w *pack.Writer) { w.Str(v) }
	case c >= 0x90 && c < 0xa0 || c == 0xdc || c == 0xdd:
		v := r.Array()
		return v, func(w *pack.Writer) { w.Array(v) }
	case c >= 0x80 && c < 0x90 || c == 0xde || c == 0xdf:
		v := r.Map()
		return v, func(w *pack.Writer) { w.Map(v) }
	case c >= 0xe0 || c >= 0xd0 && c <= 0xd3:
		v := r.Int()
		return v, func(w *pack.Writer) { w.Int(v) }
	default:
		v := r.Uint()
		return v, func(w *pack.Writer) { w.Uint(v) }
	}
}

// libraryReads is what the library makes of one value, or header, that was
// accepted.
func libraryReads(t *testing.T, b []byte) any {
	t.Helper()
	rest := bytes.NewReader(b)
	dec := msgpack.NewDecoder(rest)
	var v any
	var err error
	switch c := b[0]; {
	case c == msgpcode.Nil:
		err = dec.DecodeNil()
	case c == msgpcode.True || c == msgpcode.False:
		v, err = dec.DecodeBool()
	case msgpcode.IsBin(c):
		v, err = dec.DecodeBytes()
	case msgpcode.IsString(c):
		v, err = dec.DecodeString()
	case msgpcode.IsFixedArray(c) || c == msgpcode.Array16 || c == msgpcode.Array32:
		v, err = dec.DecodeArrayLen()
	case msgpcode.IsFixedMap(c) || c == msgpcode.Map16 || c == msgpcode.Map32:
		v, err = dec.DecodeMapLen()
	case c >= 0xe0 || c >= 0xd0 && c <= 0xd3:
		v, err = dec.DecodeInt64()
	default:
		v, err = dec.DecodeUint64()
	}
	require.NoError(t, err)
	require.Zero(t, rest.Len())
	if p, ok := v.([]byte); ok {
		return append([]byte{}, p...) // never nil, like what readNext returns
	}
	return v
}
