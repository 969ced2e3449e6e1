// Package fit says how a figure grows: by which power of what was varied, how sure that
// is, and where a curve bends. It is arithmetic, without I/O or chance.
package fit

import (
	"math"
)

// Power is the exponent of y ~ x^Slope, by least squares over the logarithms of both.
type Power struct {
	Slope  float64
	Spread float64 // half the interval that holds the slope with 95 %; infinite of fewer than three points
	At1    float64 // y where x is 1
	Points int     // with x and y above 0; others have no logarithm
}

// Grows fits a power to points. Of fewer than two different x there is no slope: it is NaN.
func Grows(xs, ys []float64) Power {
	var n, sx, sy float64
	for i, x := range xs {
		if x > 0 && ys[i] > 0 {
			n, sx, sy = n+1, sx+math.Log(x), sy+math.Log(ys[i])
		}
	}
	var sxx, sxy float64
	for i, x := range xs {
		if x > 0 && ys[i] > 0 {
			dx := math.Log(x) - sx/n
			sxx, sxy = sxx+dx*dx, sxy+dx*(math.Log(ys[i])-sy/n)
		}
	}
	p := Power{Slope: sxy / sxx, Points: int(n), Spread: math.Inf(1)}
	if sxx == 0 || n < 2 {
		return Power{Slope: math.NaN(), Spread: math.Inf(1), Points: int(n)}
	}
	at := sy/n - p.Slope*sx/n
	p.At1 = math.Exp(at)
	if n < 3 {
		return p
	}
	var rest float64
	for i, x := range xs {
		if x > 0 && ys[i] > 0 {
			off := math.Log(ys[i]) - at - p.Slope*math.Log(x)
			rest += off * off
		}
	}
	p.Spread = student(int(n)-2) * math.Sqrt(rest/(n-2)/sxx)
	return p
}

// quantiles are those of Student's t at 0.975, for 1 to 30 degrees of freedom.
var quantiles = [...]float64{
	12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
	2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
}

func student(freedom int) float64 {
	if freedom <= len(quantiles) {
		return quantiles[freedom-1]
	}
	return 1.96
}

// Knee is the place among rising xs where a curve that rises and flattens bends: the point
// farthest above the line from its first to its greatest, x by its logarithm (the method of
// Satopää et al. 2011, without smoothing). -1 where it does not bend: it has fewer than
// three points, or lies nowhere above that line by a tenth.
func Knee(xs, ys []float64) int {
	top := 0
	for i := range ys {
		if ys[i] > ys[top] {
			top = i
		}
	}
	if len(xs) < 3 || top == 0 || xs[0] <= 0 {
		return -1
	}
	at, far := -1, 0.1
	for i := range top + 1 {
		x := math.Log(xs[i]/xs[0]) / math.Log(xs[top]/xs[0])
		y := (ys[i] - ys[0]) / (ys[top] - ys[0])
		if y-x > far {
			at, far = i, y-x
		}
	}
	if at < 0 && top < len(ys)-1 {
		return top // it rises evenly, and then no more
	}
	return at
}
