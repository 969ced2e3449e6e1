package bench

import (
	"bytes"
	"testing"

	"github.com/google/pprof/profile"
	"github.com/stretchr/testify/require"
)

func TestTheHottestFunctionsOfAProfileComeFirst(t *testing.T) {
	f := func(id uint64, name string) *profile.Function { return &profile.Function{ID: id, Name: name} }
	main, work, rest := f(1, "main"), f(2, "work"), f(3, "rest")
	at := func(id uint64, f *profile.Function) *profile.Location {
		return &profile.Location{ID: id, Line: []profile.Line{{Function: f}}}
	}
	lm, lw, lr := at(1, main), at(2, work), at(3, rest)
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}},
		Function:   []*profile.Function{main, work, rest}, Location: []*profile.Location{lm, lw, lr},
		Sample: []*profile.Sample{
			{Location: []*profile.Location{lw, lw, lm}, Value: []int64{3, 3e9}}, // it calls itself
			{Location: []*profile.Location{lr, lm}, Value: []int64{1, 1e9}},
		},
	}
	var b bytes.Buffer
	require.NoError(t, p.Write(&b))
	all, seconds, err := hottest(b.Bytes())
	require.NoError(t, err)
	require.InDelta(t, 4, seconds, 1e-9)
	require.Equal(t, "work", all[0].Function)
	require.InDelta(t, 0.75, all[0].Flat, 1e-9)
	require.InDelta(t, 0.75, all[0].Cum, 1e-9)
	require.Equal(t, "rest", all[1].Function)
	require.Len(t, all, 2, "main takes nothing itself")
	all, _, err = hottest(nil)
	require.NoError(t, err)
	require.Empty(t, all)
	_, _, err = hottest([]byte("no profile"))
	require.ErrorContains(t, err, "can not be read")
}
