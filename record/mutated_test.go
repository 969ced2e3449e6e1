package record_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/record"
	"github.com/triad-kv/triad/record/pack"
)

// value is one value of an encoding, header and contents.
type value struct{ at, end int }

// values returns every value within b, containers before their elements.
func values(t *testing.T, b []byte) []value {
	t.Helper()
	var out []value
	for at := 0; at < len(b); {
		r := pack.NewReader(b[at:])
		whole := len(r.Skip())
		require.NoError(t, r.Err())
		out = append(out, value{at, at + whole})
		if c := b[at]; c >= 0x90 && c < 0xa0 {
			at++
		} else if c == 0xdc {
			at += 3
		} else {
			at += whole
		}
	}
	return out
}

// wider returns v's bytes in the next wider form, nil if there is none.
func wider(b []byte) []byte {
	head := func(n int, h ...byte) []byte { return append(h, b[n:]...) }
	switch c := b[0]; {
	case c < 0x80:
		return head(0, 0xcc)
	case c == 0xcc:
		return head(1, 0xcd, 0)
	case c == 0xcd:
		return head(1, 0xce, 0, 0)
	case c == 0xce:
		return head(1, 0xcf, 0, 0, 0, 0)
	case c >= 0x90 && c < 0xa0:
		return head(1, 0xdc, 0, c&0x0f)
	case c == 0xdc:
		return head(1, 0xdd, 0, 0)
	case c == 0xc4:
		return head(1, 0xc5, 0)
	case c == 0xc5:
		return head(1, 0xc6, 0, 0)
	}
	return nil
}

// spliced returns b with v replaced by other.
func spliced(b []byte, v value, other []byte) []byte {
	return append(append(append([]byte{}, b[:v.at]...), other...), b[v.end:]...)
}

// formats are the encodings that have one form alone, and how each is read and
// written again.
func formats() map[string]map[string][]byte {
	e := record.NewEncoder()
	out := map[string]map[string][]byte{"record": {}, "state": {}}
	for _, c := range append(records(), notes()...) {
		out["record"][c.name] = e.Append(nil, &c.record)
	}
	for _, c := range states() {
		out["state"][c.name] = e.AppendState(nil, &c.state)
	}
	return out
}

// again reads b as what it is and writes it again.
func again(what string, b []byte) ([]byte, error) {
	e := record.NewEncoder()
	if what == "state" {
		var s record.State
		err := record.DecodeState(b, &s)
		return e.AppendState(nil, &s), err
	}
	var r record.Record
	err := record.Decode(b, &r)
	return e.Append(nil, &r), err
}

// eachEncoding runs f for every encoding of formats.
func eachEncoding(t *testing.T, f func(t *testing.T, what string, b []byte)) {
	for what, byName := range formats() {
		for name, b := range byName {
			t.Run(what+": "+name, func(t *testing.T) { f(t, what, b) })
		}
	}
}

func TestDecodeRefusesEveryEncodingThatIsCut(t *testing.T) {
	eachEncoding(t, func(t *testing.T, what string, b []byte) {
		for n := range b {
			_, err := again(what, b[:n])
			require.ErrorIs(t, err, pack.ErrMalformed, "%d of %d bytes", n, len(b))
		}
	})
}

func TestDecodeRefusesWhateverFollows(t *testing.T) {
	eachEncoding(t, func(t *testing.T, what string, b []byte) {
		for _, more := range []byte{0x00, 0xc0, 0xc1, 0x90} {
			_, err := again(what, append(append([]byte{}, b...), more))
			require.ErrorIs(t, err, pack.ErrMalformed)
		}
	})
}

func TestDecodeRefusesEveryValueInAWiderForm(t *testing.T) {
	eachEncoding(t, func(t *testing.T, what string, b []byte) {
		tried := 0
		for _, v := range values(t, b) {
			if w := wider(b[v.at:v.end]); w != nil {
				_, err := again(what, spliced(b, v, w))
				require.ErrorIs(t, err, pack.ErrMalformed, "at byte %d", v.at)
				tried++
			}
		}
		require.Greater(t, tried, 2)
	})
}

func TestDecodeRefusesEveryValueOfAnotherForm(t *testing.T) {
	others := map[string][]byte{
		"str": {0xa1, 'x'}, "map": {0x80}, "negative": {0xff}, "int8": {0xd0, 0x80}, "float": {0xcb, 0, 0, 0, 0, 0, 0, 0, 0},
		"ext": {0xd4, 1, 0}, "never used": {0xc1}, "array of 4 G": {0xdd, 0xff, 0xff, 0xff, 0xff}, "bin of 4 GiB": {0xc6, 0xff, 0xff, 0xff, 0xff},
	}
	eachEncoding(t, func(t *testing.T, what string, b []byte) {
		for _, v := range values(t, b) {
			for name, other := range others {
				_, err := again(what, spliced(b, v, other))
				require.ErrorIs(t, err, pack.ErrMalformed, "%s at byte %d", name, v.at)
			}
		}
	})
}

// A change of one byte either is refused or is another record: never a second
// encoding of the same.
func TestDecodeTakesNoSecondEncoding(t *testing.T) {
	eachEncoding(t, func(t *testing.T, what string, b []byte) {
		for i := range b {
			bad := append([]byte{}, b...)
			for c := range 256 {
				bad[i] = byte(c)
				if got, err := again(what, bad); err == nil {
					require.Equal(t, bad, got, "byte %d as 0x%02x", i, c)
				}
			}
		}
	})
}

func TestDecodeRefusesARequestThatNamesNone(t *testing.T) {
	b := encoded(records()[0].record)
	request := values(t, b)[7]
	require.Equal(t, []byte{0xc0}, b[request.at:request.end])
	_, err := again("record", spliced(b, request, []byte{0x92, 0, 0}))
	require.ErrorIs(t, err, pack.ErrMalformed)
	require.ErrorContains(t, err, "a request that names none is a nil")
}

func TestDecodeRefusesTuplesThatAreNotWhole(t *testing.T) {
	short := []byte{0x91, 1}
	r := encoded(records()[2].record)
	for name, v := range map[string]value{"deps": values(t, r)[8], "mutations": values(t, r)[19]} {
		_, err := again("record", spliced(r, v, short))
		require.ErrorContains(t, err, "not whole", name)
	}
	e := encoded(records()[3].record)
	_, err := again("record", spliced(e, values(t, e)[11], short))
	require.ErrorContains(t, err, "set is not whole")
	s := formats()["state"]["nothing"]
	_, err = again("state", spliced(s, values(t, s)[3], short))
	require.ErrorContains(t, err, "siblings are not whole")
}

// What is claimed is paid for only as far as it is there.
func TestDecodeAllocatesNoMoreThanTheMessageIsWorth(t *testing.T) {
	eachEncoding(t, func(t *testing.T, what string, b []byte) {
		for _, v := range values(t, b) {
			for _, claim := range [][]byte{{0xdd, 0xff, 0xff, 0xff, 0xff}, {0xdd, 0, 1, 0, 0}, {0xdc, 0xff, 0xff}, {0xc6, 0xff, 0xff, 0xff, 0xff}} {
				bad := spliced(b, v, claim)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				_, err := again(what, bad)
				runtime.ReadMemStats(&after)
				require.Error(t, err)
				require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<10))
			}
		}
	})
}
