package typed

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/triad-kv/triad/topology"
)

type user struct {
	Name string `msgpack:"name"`
	Tags []string
}

func TestWhatIsNoneOfTheTypeIsMalformed(t *testing.T) {
	type strange struct{ M map[any]int }
	_, err := Decode[strange]([]byte("\x81\xa1M\x81\x91\x01\x02")) // a map whose key is a list
	require.ErrorIs(t, err, topology.ErrMalformed)
	_, err = Decode[chan int]([]byte("\x01"))
	require.ErrorIs(t, err, topology.ErrMalformed)
	_, err = Part(make(chan int))
	require.ErrorIs(t, err, topology.ErrMalformed)
}

func TestAPartIsReadAsItWasWritten(t *testing.T) {
	type word string
	for _, w := range []word{"", "go", "\xff"} {
		b, err := Part(w)
		require.NoError(t, err)
		require.Equal(t, string(w), string(b), "text is what it is")
		back, err := PartTo[word](b)
		require.NoError(t, err)
		require.Equal(t, w, back)
	}
	when := time.Unix(7, 8).UTC()
	all, err := Parts([]time.Time{when})
	require.NoError(t, err)
	back, err := PartTo[time.Time](all[0])
	require.NoError(t, err)
	require.True(t, when.Equal(back))
}

func FuzzDecode(f *testing.F) {
	for _, v := range []any{user{Name: "x", Tags: []string{"a"}}, map[string]any{"a": []any{1, "b"}}} {
		b, err := Encode(v)
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = Decode[user](b)
		_, _ = Decode[map[string]any](b)
		_, _ = Decode[map[any]any](b)
		_, _ = Decode[any](b)
	})
}
