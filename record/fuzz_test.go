package record_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
	"github.com/triad-kv/triad/version"
)

// generic is what the library makes of b, with every integer as a uint64. It is
// asked only about bytes that Decode has accepted, whose lengths are true.
func generic(t require.TestingT, b []byte) any {
	rest := bytes.NewReader(b)
	v, err := msgpack.NewDecoder(rest).DecodeInterface()
	require.NoError(t, err)
	require.Zero(t, rest.Len())
	return plain(v)
}

func plain(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i])
		}
		return out
	case []byte:
		return string(v)
	}
	if r := reflect.ValueOf(v); r.IsValid() && r.CanUint() {
		return r.Uint()
	} else if r.IsValid() && r.CanInt() {
		return uint64(r.Int())
	}
	return v
}

func plainDot(d version.Dot) []any {
	return []any{uint64(d.Origin.ID), uint64(d.Origin.Incarnation), d.Seq}
}

func plainVector(v version.Vector) any {
	out := []any{}
	for _, m := range v {
		out = append(out, plainDot(version.Dot(m))...)
	}
	return out
}

func plainSet(s *version.Set) any {
	if s == nil {
		return nil
	}
	dots := []any{}
	for _, d := range s.Dots {
		dots = append(dots, plainDot(d)...)
	}
	return []any{plainVector(s.Prefix), dots}
}

// plainRecord is the array that a record's format describes.
func plainRecord(r record.Record) any {
	var request any
	if r.Request != (record.RequestID{}) {
		request = []any{r.Request.Client, r.Request.Seq}
	}
	mutations := []any{}
	for _, m := range r.Mutations {
		mutations = append(mutations, uint64(m.Table), uint64(m.Op), uint64(m.Kind), uint64(m.Expires), string(m.Key), string(m.Field), string(m.Value))
	}
	format := uint64(1)
	if r.IsNote() {
		format = 2
	}
	head := append([]any{format}, plainDot(r.Dot)...)
	return append(head, uint64(r.Time), r.Term, request, plainVector(r.Deps), plainSet(r.Context), mutations)
}

func plainState(s record.State) any {
	siblings := []any{}
	for _, v := range s.Siblings {
		siblings = append(append(siblings, plainDot(v.Dot)...), uint64(v.Time), uint64(v.Expires), uint64(v.Kind), v.Absent, string(v.Value))
	}
	return []any{uint64(1), plainSet(s.Context), siblings}
}

func TestRecordIsToTheLibraryTheArrayThatTheFormatDescribes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawnRecords().Draw(t, "record")
		require.Equal(t, plainRecord(r), generic(t, encoded(r)))
	})
}

func TestStateIsToTheLibraryTheArrayThatTheFormatDescribes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawnStates().Draw(t, "state")
		require.Equal(t, plainState(s), generic(t, record.NewEncoder().AppendState(nil, &s)))
	})
}

func seed(f *testing.F, what string) {
	for _, b := range formats()[what] {
		f.Add(b)
	}
	for _, b := range [][]byte{
		{0xdd, 0xff, 0xff, 0xff, 0xff, 1}, {0xc6, 0xff, 0xff, 0xff, 0xff, 1}, bytes.Repeat([]byte{0x91}, 1000), {0x9a, 1, 1, 0, 1},
	} {
		f.Add(b)
	}
}

func FuzzDecode(f *testing.F) {
	seed(f, "record")
	f.Fuzz(func(t *testing.T, b []byte) {
		var r record.Record
		if err := record.Decode(b, &r); err != nil {
			requireTyped(t, err)
			return
		}
		require.Equal(t, b, encoded(r), "one record, one encoding")
		require.Equal(t, plainRecord(r), generic(t, b))
	})
}

func FuzzDecodeState(f *testing.F) {
	seed(f, "state")
	f.Fuzz(func(t *testing.T, b []byte) {
		var s record.State
		if err := record.DecodeState(b, &s); err != nil {
			requireTyped(t, err)
			return
		}
		require.Equal(t, b, record.NewEncoder().AppendState(nil, &s))
		require.Equal(t, plainState(s), generic(t, b))
	})
}

func FuzzNextEntry(f *testing.F) {
	for _, c := range records() {
		b := encoded(c.record)
		f.Add(record.AppendEntry(nil, record.Entry{LSN: 1, Term: 2, Sum: record.Sum(b), Bytes: b}))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, rest, err := record.NextEntry(b)
		if err != nil {
			requireTyped(t, err)
			return
		}
		require.Equal(t, b, append(record.AppendEntry(nil, e), rest...))
	})
}

// requireTyped fails on an error that a caller could not tell apart.
func requireTyped(t *testing.T, err error) {
	t.Helper()
	for _, is := range []error{pack.ErrMalformed, record.ErrFormat, record.ErrTooLarge, record.ErrInvalid, record.ErrSum} {
		if errors.Is(err, is) {
			return
		}
	}
	require.NoError(t, err)
}
