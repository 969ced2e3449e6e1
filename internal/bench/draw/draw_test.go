package draw

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func counted(n, draws int, next func(rng *rand.Rand) uint64) []int {
	rng := rand.New(rand.NewPCG(1, 2))
	counts := make([]int, n)
	for range draws {
		counts[next(rng)]++
	}
	return counts
}

// share is how often Zipf's law wants rank i of n, from 0.
func share(i, n int, theta float64) float64 {
	sum := 0.0
	for k := 1; k <= n; k++ {
		sum += 1 / math.Pow(float64(k), theta)
	}
	return 1 / math.Pow(float64(i+1), theta) / sum
}

func TestRanksFollowZipfsLaw(t *testing.T) {
	const draws = 400_000
	for _, n := range []int{1, 2, 3, 100, 10_000} {
		z := NewZipf(uint64(n), Theta)
		counts := counted(n, draws, z.Rank)
		// The first two ranks are exact by the method; what follows is a curve through
		// them, which the authors give within some per cent.
		for _, i := range []int{0, 1} {
			if i < n {
				require.InEpsilon(t, share(i, n, Theta), float64(counts[i])/draws, 0.03, "rank %d of %d", i, n)
			}
		}
		sum, want := 0, 0.0
		for i := range min(n, 100) {
			sum += counts[i]
			want += share(i, n, Theta)
		}
		require.InEpsilon(t, want, float64(sum)/draws, 0.03, "the first hundred of %d", n)
	}
}

func TestAZipfThatGrewIsOneThatWasMadeSo(t *testing.T) {
	grown := NewZipf(10, Theta)
	grown.Grow(5)
	grown.Grow(1000)
	made := NewZipf(1000, Theta)
	require.InDelta(t, made.zeta, grown.zeta, 1e-9)
	require.InDelta(t, made.eta, grown.eta, 1e-9)
	require.Equal(t, made.n, grown.n)
}

func TestUniformDrawsEveryKeyAsOften(t *testing.T) {
	for _, c := range counted(50, 200_000, func(rng *rand.Rand) uint64 { return Uniform{}.Next(rng, 50) }) {
		require.InEpsilon(t, 4000, c, 0.1)
	}
}

func TestLatestDrawsTheNewestMostHoweverManyThereAre(t *testing.T) {
	l := NewLatest(10)
	counts := counted(1000, 200_000, func(rng *rand.Rand) uint64 { return l.Next(rng, 1000) })
	require.InEpsilon(t, share(0, 1000, Theta), float64(counts[999])/200_000, 0.03)
	require.Greater(t, counts[999], counts[998])
	require.Greater(t, counts[998], counts[900])
	require.Less(t, counts[0], counts[999]/100)
}

func TestScrambledSpreadsWhatIsPopularOverAllKeys(t *testing.T) {
	s := NewScrambled(1000)
	counts := counted(1000, 200_000, func(rng *rand.Rand) uint64 { return s.Next(rng, 1000) })
	require.GreaterOrEqual(t, float64(counts[hash(0)%1000])/200_000, share(0, 1000, Theta)*0.97)
	first, second := 0, 0
	for i, c := range counts {
		if i < 500 {
			first += c
		} else {
			second += c
		}
	}
	require.Less(t, math.Abs(float64(first-second))/200_000, 0.5, "not all in one half")
	require.EqualValues(t, uint64(0xa8c7f832281a39c5), hash(0), "FNV-1a of eight zero bytes")
}

func TestASeedDrawsTheSameAgain(t *testing.T) {
	draws := func(seed uint64) (ns []uint64) {
		rng := rand.New(rand.NewPCG(seed, 0))
		s := NewScrambled(100)
		for range 50 {
			ns = append(ns, s.Next(rng, 100))
		}
		return ns
	}
	require.Equal(t, draws(1), draws(1))
	require.NotEqual(t, draws(1), draws(2))
}
