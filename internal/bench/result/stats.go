package result

import (
	"math"
	"slices"
)

// Median is the middle of some values, the mean of the two middle ones of an even
// number; 0 of none.
func Median(vs []float64) float64 {
	if len(vs) == 0 {
		return 0
	}
	vs = slices.Sorted(slices.Values(vs))
	if n := len(vs); n%2 == 0 {
		return (vs[n/2-1] + vs[n/2]) / 2
	}
	return vs[len(vs)/2]
}

// Spread is half the distance of the least and the greatest from one another, as a share
// of the median; 0 of fewer than two.
func Spread(vs []float64) float64 {
	m := Median(vs)
	if len(vs) < 2 || m == 0 {
		return 0
	}
	return (slices.Max(vs) - slices.Min(vs)) / 2 / m
}

// exactMax is the greatest number of values, of both samples, for which the
// significance is counted out; beyond it the normal approximation is as good.
const exactMax = 40

// MannWhitney is the probability, by the two-sided U test of Mann and Whitney, that two
// samples of one distribution differ as much as these do. benchstat uses the same test. 1
// where either is empty, or all values are equal.
func MannWhitney(a, b []float64) float64 {
	n, m := len(a), len(b)
	if n == 0 || m == 0 {
		return 1
	}
	u, ties := 0.0, false
	for _, x := range a {
		for _, y := range b {
			switch {
			case x > y:
				u++
			case x == y:
				u += 0.5
				ties = true
			}
		}
	}
	if !ties && n+m <= exactMax {
		return exact(n, m, min(u, float64(n*m)-u))
	}
	return approximate(a, b, u)
}

// exact counts the orders of n and m different values in which U is no more than u.
func exact(n, m int, u float64) float64 {
	// ways[i][k] is in how many orders of i values of one sample and j of the other U is
	// k; j grows from 0 to m.
	most := n * m
	ways := make([][]float64, n+1)
	for i := range ways {
		ways[i] = make([]float64, most+1)
		ways[i][0] = 1
	}
	for j := 1; j <= m; j++ {
		for i := 1; i <= n; i++ {
			// The greatest value is of the one sample, and above j of the other, or of the
			// other.
			row := make([]float64, most+1)
			for k := range row {
				row[k] = ways[i][k]
				if k >= j {
					row[k] += ways[i-1][k-j]
				}
			}
			ways[i] = row
		}
	}
	all, few := 0.0, 0.0
	for k, w := range ways[n] {
		all += w
		if float64(k) <= u {
			few += w
		}
	}
	return min(1, 2*few/all)
}

// approximate is the normal approximation, with ties and for continuity corrected.
func approximate(a, b []float64, u float64) float64 {
	n, m := float64(len(a)), float64(len(b))
	all := slices.Sorted(slices.Values(slices.Concat(a, b)))
	tied := 0.0
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j] == all[i] {
			j++
		}
		t := float64(j - i)
		tied += t*t*t - t
		i = j
	}
	total := n + m
	sigma := math.Sqrt(n * m / 12 * (total + 1 - tied/(total*(total-1))))
	if sigma == 0 {
		return 1
	}
	z := max(math.Abs(u-n*m/2)-0.5, 0) / sigma
	return math.Erfc(z / math.Sqrt2)
}
