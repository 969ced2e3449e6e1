package placement_test

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/triad-kv/triad/leaderless/placement"
	"github.com/triad-kv/triad/topology"
)

// moving draws a map that may be anywhere on its way.
func moving(t *rapid.T) *placement.Map {
	c := changes().Draw(t, "layouts")
	m := begin(t, c[0], c[1], 8)
	return stepped(t, m)
}

// stepped draws what comes of a map.
func stepped(t *rapid.T, m *placement.Map) *placement.Map {
	for range rapid.IntRange(0, 10).Draw(t, "steps") {
		moves := m.Moves()
		if len(moves) == 0 {
			return m
		}
		var next *placement.Map
		var err error
		if rapid.IntRange(0, 9).Draw(t, "cancel") == 0 {
			next, err = m.Cancel()
		} else {
			next, err = m.Step(rapid.SampledFrom(moves).Draw(t, "move").Partition)
		}
		require.NoError(t, err)
		m = next
	}
	return m
}

func TestAMapIsDecodedAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := moving(t)
		b := m.Encode()
		got, err := placement.Decode(b)
		require.NoError(t, err)
		require.Equal(t, b, got.Encode())
		same(t, m, got)
		at := rapid.IntRange(0, len(b)-1).Draw(t, "cut")
		_, err = placement.Decode(b[:at])
		require.ErrorIs(t, err, topology.ErrMalformed)
	})
}

// same holds that two maps answer alike.
func same(t require.TestingT, a, b *placement.Map) {
	require.Equal(t, a.Epoch(), b.Epoch())
	require.Equal(t, a.Nodes(), b.Nodes())
	for i := range a.Partitions() {
		require.Equal(t, a.Part(i), b.Part(i))
	}
}

func TestWhoHasAnOlderMapIsToldWhatIsNewer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old := moving(t)
		m := stepped(t, old)
		d, err := placement.DecodeDelta(m.Since(old.Epoch()).Encode())
		require.NoError(t, err)
		require.Equal(t, m.Since(old.Epoch()), d)
		got, err := old.Apply(d)
		require.NoError(t, err)
		same(t, m, got)
		for i := range m.Partitions() {
			switch p, was := m.Part(i), old.Part(i); m.Check(i, old.Epoch()) {
			case placement.Same:
				require.ElementsMatch(t, was.Writers(), p.Writers(), "nothing has changed about it")
				require.ElementsMatch(t, was.Replicas(), p.Replicas())
			case placement.Behind:
				require.Greater(t, p.Epoch, old.Epoch())
			default:
				require.Fail(t, "the sender's map is not newer")
			}
			if m.Epoch() > old.Epoch() {
				require.Equal(t, placement.Ahead, old.Check(i, m.Epoch()))
			}
		}
		again, err := got.Apply(d)
		require.NoError(t, err)
		require.Equal(t, got, again, "nothing newer")
	})
}

func TestADeltaThatMeansNothingHereIsRefused(t *testing.T) {
	m := begin(t, layoutOf(0b0111), layoutOf(0b1011), 1)
	one, err := m.Step(0)
	require.NoError(t, err)
	two, err := one.Step(0)
	require.NoError(t, err)
	_, err = m.Apply(two.Since(one.Epoch()))
	require.ErrorIs(t, err, topology.ErrStale)
	require.ErrorContains(t, err, "what is newer than epoch 3, for a map of epoch 2")
	bare := found(t, layoutOf(0b0111), 1)
	wrong, err := placement.DecodeDelta([]byte("\x95\x01\x01\x02\xc0\x91\x93\x00\x01\x02"))
	require.NoError(t, err)
	_, err = bare.Apply(wrong)
	require.ErrorIs(t, err, topology.ErrMalformed)
	for _, b := range []string{"", "\x95\x02\x01\x02\xc0\x90", "\x95\x01\x01\x02\xc0\x92\x93\x01\x01\x02\x93\x00\x01\x02", "\x95\x01\x01\x02\xc0\x91\x93\x01\x09\x02"} {
		_, err := placement.DecodeDelta([]byte(b))
		require.ErrorIs(t, err, topology.ErrMalformed, "%q", b)
	}
	require.Equal(t, placement.Strange, m.Check(1, 2))
	require.Equal(t, placement.Strange, m.Check(-1, 2))
	var s string
	for i := range placement.Standing(5) {
		s += i.String() + " "
	}
	require.Equal(t, "same behind ahead strange ? ", s)
}

// TestMapsOfFormat2 reads maps that were written once, and must be read for ever. Maps of
// format 1 were never stored.
func TestMapsOfFormat2(t *testing.T) {
	l := layoutOf(0b0111)
	l.Nodes[0].Weight = 3
	m := begin(t, l, layoutOf(0b1110), 4)
	m, err := m.Step(m.Moves()[0].Partition, m.Moves()[1].Partition)
	require.NoError(t, err)
	m, err = m.Step(m.Moves()[0].Partition)
	require.NoError(t, err)
	sites := placement.Layout{PerSite: []placement.SiteCopies{{"eu", 1}, {"us", 2}}}
	for i, s := range []string{"us", "eu", "us", "us"} {
		sites.Nodes = append(sites.Nodes, member(i, s, "r1", 1))
	}
	var got strings.Builder
	for _, b := range [][]byte{m.Encode(), found(t, sites, 16).Encode(), m.Since(3).Encode()} {
		got.WriteString(hex.EncodeToString(b) + "\n")
	}
	want, err := os.ReadFile("testdata/v2.golden")
	require.NoError(t, err)
	require.Equal(t, string(want), got.String())
	lines := strings.Fields(string(want))
	b, err := hex.DecodeString(lines[0])
	require.NoError(t, err)
	back, err := placement.Decode(b)
	require.NoError(t, err)
	same(t, m, back)
}

func FuzzDecode(f *testing.F) {
	m := begin(f, layoutOf(0b0111), layoutOf(0b1110), 4)
	f.Add(m.Encode())
	f.Add(found(f, layoutOf(0b0111), 4).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := placement.Decode(b)
		if err != nil {
			require.ErrorIs(t, err, topology.ErrMalformed)
			return
		}
		require.Equal(t, b, m.Encode())
	})
}

func FuzzDecodeDelta(f *testing.F) {
	m := begin(f, layoutOf(0b0111), layoutOf(0b1110), 4)
	f.Add(m.Since(1).Encode())
	next, err := m.Step(0)
	require.NoError(f, err)
	f.Add(next.Since(2).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := placement.DecodeDelta(b)
		if err != nil {
			require.ErrorIs(t, err, topology.ErrMalformed)
			return
		}
		require.Equal(t, b, d.Encode())
		if got, err := m.Apply(d); err == nil {
			_, err := placement.Decode(got.Encode())
			_ = err // what a delta of no map makes is refused where it is stored
		}
	})
}
